//! Trains a sequence model on a leave-one-out file (`user item item …` a line) and prints seconds an
//! epoch and accuracy on validation and test, the whole catalogue ranked.
//!
//! `cargo run --release -p hkfr-rec --example sequence -- DIR SYSTEM [key=value …]`, DIR with
//! `sequential_data.txt` and `items.tsv`, SYSTEM sasrec, esasrec, bert4rec, gru4rec or caser; keys: loss
//! (bce, softmax, sampled, popularity, in-batch), negatives, log_q, dim (gru4rec and caser 64, the others
//! 128), layers, heads, max_len, feed_forward, activation, batch, micro_batch, lr, beta2, dropout,
//! item_dropout, epochs, patience, seed, threads, exclude_seen; BERT4Rec's: mask_prob, last_only;
//! GRU4Rec's: hidden; Caser's: window, n_horizontal, n_vertical.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use hkfr_events::adapters::{IngestConfig, SequencesConfig, load};
use hkfr_events::{AsOf, IngestReport, UserIdx};
use hkfr_lm::Pool;
use hkfr_rec::sequence::{
    Activation, Bert4Rec, Bert4RecConfig, Caser, CaserConfig, ESasRec, Gru4Rec, Gru4RecConfig,
    Loss, Network, Progress, Sampling, SasRec, Sequences, TrainConfig, TransformerConfig, fit,
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

struct Settings {
    network: TransformerConfig,
    mask_prob: f32,
    last_only_prob: f32,
    gru4rec: Gru4RecConfig,
    caser: CaserConfig,
    train: TrainConfig,
    n_threads: usize,
    exclude_seen: bool,
}

fn settings(pairs: &[String], defaults: TransformerConfig) -> Result<Settings> {
    let mut network = defaults;
    let (mut gru4rec, mut caser) = (Gru4RecConfig::default(), CaserConfig::default());
    let mut train = TrainConfig::default();
    let (mut loss, mut n_negatives, mut log_q) = ("sampled", 2048, false);
    let Bert4RecConfig {
        mut mask_prob,
        mut last_only_prob,
        ..
    } = Bert4RecConfig::new(0);
    let (mut n_threads, mut exclude_seen) = (2, false);
    for pair in pairs {
        let (key, value) = pair.split_once('=').ok_or("a setting is key=value")?;
        match key {
            "loss" => loss = value,
            "negatives" => n_negatives = value.parse()?,
            "log_q" => log_q = value.parse()?,
            "dim" => network.dim = value.parse()?,
            "layers" => network.n_layers = value.parse()?,
            "heads" => network.n_heads = value.parse()?,
            "max_len" => network.max_len = value.parse()?,
            "feed_forward" => network.feed_forward = value.parse()?,
            "activation" if value == "relu" => network.activation = Activation::Relu,
            "activation" if value == "gelu" => network.activation = Activation::Gelu,
            "hidden" => gru4rec.hidden = value.parse()?,
            "window" => caser.window = value.parse()?,
            "n_horizontal" => caser.n_horizontal = value.parse()?,
            "n_vertical" => caser.n_vertical = value.parse()?,
            "mask_prob" => mask_prob = value.parse()?,
            "last_only" => last_only_prob = value.parse()?,
            "batch" => train.batch_size = value.parse()?,
            "micro_batch" => train.micro_batch = value.parse()?,
            "lr" => train.learning_rate = value.parse()?,
            "beta2" => train.betas.1 = value.parse()?,
            "dropout" => train.dropout = value.parse()?,
            "item_dropout" => train.item_dropout = value.parse()?,
            "epochs" => train.max_epochs = value.parse()?,
            "patience" => train.patience = value.parse()?,
            "seed" => train.seed = value.parse()?,
            "threads" => n_threads = value.parse()?,
            "exclude_seen" => exclude_seen = value.parse()?,
            _ => return Err(format!("no setting {pair}").into()),
        }
    }
    let sampled = |sampling| Loss::SampledSoftmax {
        n_negatives,
        sampling,
        log_q,
    };
    train.loss = match loss {
        "bce" => Loss::Bce,
        "softmax" => Loss::Softmax,
        "sampled" => sampled(Sampling::Uniform),
        "popularity" => sampled(Sampling::Popularity { power: 0.75 }),
        "in-batch" => sampled(Sampling::InBatch),
        _ => return Err(format!("no loss {loss}").into()),
    };
    (gru4rec.dim, gru4rec.n_layers) = (network.dim, network.n_layers);
    gru4rec.max_len = network.max_len;
    (caser.dim, caser.max_len) = (network.dim, network.max_len);
    Ok(Settings {
        network,
        mask_prob,
        last_only_prob,
        gru4rec,
        caser,
        train,
        n_threads,
        exclude_seen,
    })
}

fn read(dir: &Path) -> Result<Sequences> {
    let config = SequencesConfig {
        dir: dir.into(),
        ..SequencesConfig::default()
    };
    let ds = load(
        &IngestConfig::Sequences(config),
        &mut IngestReport::default(),
    )?;
    let items = |u| {
        let history = ds.history(u, AsOf::new(i64::MAX));
        history.events().iter().filter_map(|e| e.item).collect()
    };
    let sequences = (0..ds.n_users() as UserIdx).map(items).collect();
    Ok(Sequences::leave_one_out(ds.n_items(), sequences))
}

fn run(network: impl Network, data: &Sequences, s: &Settings) -> Result<()> {
    let mut clock = Instant::now();
    let mut trained = Vec::new();
    let mut on_progress = |progress| {
        let seconds = clock.elapsed().as_secs_f64();
        match progress {
            Progress::Trained { epoch, loss } => {
                trained.push(seconds);
                print!("epoch {epoch}: {seconds:.2} s, loss {loss:.4}");
            }
            Progress::Validated { accuracy, .. } => println!(
                "; validation {seconds:.2} s, HR@10 {:.4} NDCG@10 {:.4}",
                accuracy.hr_at_10, accuracy.ndcg_at_10
            ),
        }
        clock = Instant::now();
        ControlFlow::Continue(())
    };
    let (seen, threads) = (s.exclude_seen, s.n_threads);
    let (model, _) = fit(network, data, &s.train, seen, threads, &mut on_progress)?;
    trained.sort_by(f64::total_cmp);
    println!("median epoch: {:.2} s", trained[trained.len() / 2]);
    let mut pool = Pool::new(threads);
    for (name, queries) in [("validation", &data.validation), ("test", &data.test)] {
        for exclude_seen in [false, true] {
            let a = model.accuracy(queries, exclude_seen, &mut pool);
            let seen = if exclude_seen { "excluded" } else { "allowed" };
            println!(
                "{name}, seen items {seen}: HR@10 {:.4} NDCG@10 {:.4}",
                a.hr_at_10, a.ndcg_at_10
            );
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, system, pairs @ ..] = &args[..] else {
        return Err("usage: sequence DIR SYSTEM [key=value …]".into());
    };
    let data = read(Path::new(dir))?;
    let transformer = |feed_forward| TransformerConfig {
        feed_forward,
        ..TransformerConfig::default()
    };
    let (gru4rec, caser) = (Gru4RecConfig::default(), CaserConfig::default());
    let defaults = match &system[..] {
        "sasrec" => transformer(1),
        "gru4rec" => TransformerConfig {
            dim: gru4rec.dim,
            n_layers: gru4rec.n_layers,
            ..transformer(1)
        },
        "caser" => TransformerConfig {
            dim: caser.dim,
            ..transformer(1)
        },
        _ => transformer(4),
    };
    let s = settings(pairs, defaults)?;
    match &system[..] {
        "sasrec" => run(SasRec::new(s.network.clone())?, &data, &s),
        "esasrec" => run(ESasRec::new(s.network.clone())?, &data, &s),
        "gru4rec" => run(Gru4Rec::new(s.gru4rec.clone())?, &data, &s),
        "caser" => run(Caser::new(s.caser.clone())?, &data, &s),
        "bert4rec" => {
            let network = Bert4Rec::new(Bert4RecConfig {
                n_items: data.n_items,
                mask_prob: s.mask_prob,
                last_only_prob: s.last_only_prob,
                encoder: s.network.clone(),
            })?;
            run(network, &data, &s)
        }
        _ => Err(format!("no system {system}").into()),
    }
}
