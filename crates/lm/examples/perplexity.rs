//! What rounding the weights costs: perplexity of instruction rows, and the distance from `f32`.
//!
//! `cargo run --release -p hkfr-lm --example perplexity -- MODEL.gguf ROWS.json N_ROWS`
//!
//! `perplexity = exp(−mean ln p(token | what precedes it))`, over the answers and over all tokens but
//! each row's first; `kl = mean Σ p₃₂ (ln p₃₂ − ln p)` over the next-token distributions, nats. Rows
//! go through in passes of 32 tokens, the most that the rounded weights are used for. `f32` are the
//! file's own weights; bfloat16, 8 and 4 bits are rounded from them. Prints JSON.

use std::sync::Arc;

use hkfr_lm::{Bits, Decoder, Llama, Pool, QuantModel, Session, TokenTree, log_sum_exp};
use serde::Deserialize;

#[path = "shared/model.rs"]
mod model;

const N_THREADS: usize = 2;
const PASS: usize = 32;

#[derive(Deserialize)]
struct Row {
    ids: Vec<u32>,
    n_prompt: usize,
}

/// Sums over the tokens of all rows.
#[derive(Default)]
struct Sums {
    all: f64,
    answers: f64,
    kl: f64,
    kl_answers: f64,
    same_best: usize,
}

/// `ln p` of each next token after each of `ids`, (ids, vocabulary).
fn log_probs(session: &mut Session, model: &Llama, ids: &[u32], out: &mut Vec<f32>) {
    out.clear();
    let mut tree = TokenTree::default();
    session.rewind(&tree);
    let mut parent = None;
    for pass in ids.chunks(PASS) {
        let segment = tree.push(parent, pass);
        parent = Some(segment);
        session.extend(model, None, &tree);
        let rows: Vec<usize> = tree.rows(segment).collect();
        for logits in session
            .logits(model, &rows)
            .chunks_exact(model.config.vocab_size)
        {
            let norm = log_sum_exp(logits);
            out.extend(logits.iter().map(|l| l - norm));
        }
    }
}

fn kl(p: &[f32], q: &[f32]) -> f64 {
    let terms = p.iter().zip(q).map(|(p, q)| p.exp() * (p - q));
    terms.map(f64::from).sum()
}

fn best(p: &[f32]) -> Option<usize> {
    (0..p.len()).max_by(|&a, &b| p[a].total_cmp(&p[b]))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, rows, n_rows] = &args[..] else {
        return Err("usage: perplexity MODEL.gguf ROWS.json N_ROWS".into());
    };
    let model = model::open(path, "f32")?;
    let mut rows: Vec<Row> = serde_json::from_str(&std::fs::read_to_string(rows)?)?;
    rows.truncate(n_rows.parse()?);
    let mut systems = Vec::new();
    let rounded = model::open(path, "bf16")?;
    for (name, model, bits) in [
        ("f32", &model, None),
        ("bf16", &rounded, None),
        ("8 bits", &model, Some(Bits::Eight)),
        ("4 bits", &model, Some(Bits::Four)),
    ] {
        let mut session = Session::default();
        session.pool = Pool::new(N_THREADS);
        if let Some(bits) = bits {
            let weights = Arc::new(QuantModel::new(model, bits)?);
            session.decoder = Some(Decoder::new(weights));
        }
        systems.push((name, model, session, Sums::default()));
    }
    let v = model.config.vocab_size;
    let (mut n, mut n_answers) = (0, 0);
    let (mut exact, mut own) = (Vec::new(), Vec::new());
    for row in &rows {
        let ids = &row.ids[..row.ids.len() - 1];
        n += ids.len();
        n_answers += row.ids.len() - row.n_prompt;
        for (i, (_, model, session, sums)) in systems.iter_mut().enumerate() {
            log_probs(session, model, ids, &mut own);
            if i == 0 {
                exact.clone_from(&own);
            }
            for (t, (p, q)) in exact.chunks_exact(v).zip(own.chunks_exact(v)).enumerate() {
                let loss = -f64::from(q[row.ids[t + 1] as usize]);
                let distance = kl(p, q);
                sums.all += loss;
                sums.kl += distance;
                sums.same_best += usize::from(best(p) == best(q));
                if t + 1 >= row.n_prompt {
                    sums.answers += loss;
                    sums.kl_answers += distance;
                }
            }
        }
    }
    let (all, answers) = (n as f64, n_answers as f64);
    let weights = systems.iter().map(|(name, _, _, sums)| {
        let of = serde_json::json!({
            "perplexity_answers": (sums.answers / answers).exp(),
            "perplexity_all": (sums.all / all).exp(),
            "kl_from_f32_answers": sums.kl_answers / answers,
            "kl_from_f32_all": sums.kl / all,
            "same_most_likely_token": sums.same_best as f64 / all,
        });
        ((*name).to_owned(), of)
    });
    println!(
        "{}",
        serde_json::json!({
            "rows": rows.len(),
            "tokens": n,
            "answer_tokens": n_answers,
            "weights": weights.collect::<serde_json::Map<_, _>>(),
        })
    );
    Ok(())
}
