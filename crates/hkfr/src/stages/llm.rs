//! What the stages with a language model share: the variants, the texts and the item vectors.

use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result};
use hkfr_events::{Catalogue, Dataset, Instance, Split};
use hkfr_fuse::{FusionMode, KnowledgeKey, KnowledgeRecord, KnowledgeStore, TemplateSet, sanitise};
use hkfr_lm::{Encoder, load_tensors, save_tensors};
use hkfr_rec::llm::{ItemVectors, Numbers};

use super::{Model, Session};
use crate::config::Config;

/// The database in the directory of the stage `fuse`.
pub const KNOWLEDGE: &str = "knowledge.sqlite";

/// Characters of a name in a prompt; the same in instructions and in candidates.
pub const MAX_NAME: usize = 80;

/// What the input of an instruction is made of: the paper's full method, its no-fusion ablation, or
/// numbers as in P5 ([`hkfr_rec::llm::Numbers`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    Fusion,
    NoFusion,
    Numbers,
}

impl Variant {
    pub const ALL: [Self; 3] = [Self::Fusion, Self::NoFusion, Self::Numbers];

    /// Directory of its instructions and its adapter.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fusion => "fusion",
            Self::NoFusion => "no-fusion",
            Self::Numbers => "numbers",
        }
    }

    /// How its texts are made; `None`: they are not kept by the stage `fuse`.
    pub fn mode(self, config: &Config) -> Option<FusionMode> {
        match self {
            Self::Fusion => Some(config.fusion.mode),
            Self::NoFusion => Some(FusionMode::None),
            Self::Numbers => None,
        }
    }

    /// Whether items are ranked by the user vector and a head that is tuned with the adapter.
    pub fn has_item_head(self) -> bool {
        self != Self::Numbers
    }
}

/// What a system of the table is: its input, and whether it is tuned. `None`: it has no language model.
pub fn system(name: &str) -> Option<(Variant, bool)> {
    match name {
        "llm-untuned" => Some((Variant::NoFusion, false)),
        "hkfr-no-tuning" => Some((Variant::Fusion, false)),
        "hkfr-no-fusion" => Some((Variant::NoFusion, true)),
        "hkfr" => Some((Variant::Fusion, true)),
        "p5" => Some((Variant::Numbers, true)),
        _ => None,
    }
}

/// The variants that the systems of the config need, for tuning only if `tuned`.
pub fn variants(config: &Config, tuned: bool) -> Vec<Variant> {
    let systems: Vec<_> = config
        .systems()
        .filter_map(system)
        .filter(|s| s.1 || !tuned)
        .collect();
    Variant::ALL
        .into_iter()
        .filter(|v| systems.iter().any(|s| s.0 == *v))
        .collect()
}

impl Session {
    pub fn templates(&self) -> Result<TemplateSet> {
        let fusion = &self.config.fusion;
        Ok(TemplateSet::load(
            &fusion.templates,
            fusion.template_dir.as_deref(),
        )?)
    }
}

/// The models of which the knowledge of a variant may be, each of which is in its key.
pub fn knowledge_models(mode: FusionMode, config: &Config, model: &Model) -> Vec<String> {
    match mode {
        FusionMode::Embedded => vec![model.llama.name.clone()],
        FusionMode::Service => config.fusion.service_models().map(str::to_owned).collect(),
        FusionMode::None => vec!["none".into()],
    }
}

/// The knowledge of an instance, whichever of the models wrote it.
pub fn knowledge_of(
    store: &KnowledgeStore,
    dataset: &Dataset,
    instance: &Instance,
    template_hash: &str,
    models: &[String],
    mode: FusionMode,
) -> Result<Option<KnowledgeRecord>> {
    for model in models {
        let key = KnowledgeKey {
            user: &dataset.users[instance.user as usize].id,
            as_of: instance.as_of.seconds(),
            keep_last: instance.keep_last,
            template_hash,
            model,
            mode,
        };
        if let Some(record) = store.get(&key)? {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

/// Gives the input texts of a variant.
pub struct Texts<'a> {
    dataset: &'a Dataset,
    source: Source<'a>,
}

enum Source<'a> {
    Stored {
        store: KnowledgeStore,
        template_hash: String,
        models: Vec<String>,
        mode: FusionMode,
    },
    Numbers {
        numbers: Numbers<'a>,
        model: Rc<Model>,
        budget: usize,
    },
}

impl<'a> Texts<'a> {
    pub fn open(
        session: &mut Session,
        variant: Variant,
        dataset: &'a Dataset,
        split: &'a Split,
    ) -> Result<Self> {
        let model = session.model()?;
        let source = match variant.mode(&session.config) {
            Some(mode) => Source::Stored {
                store: KnowledgeStore::open(&session.dir("fuse").join(KNOWLEDGE))?,
                template_hash: session.templates()?.hash().to_owned(),
                models: knowledge_models(mode, &session.config, &model),
                mode,
            },
            None => Source::Numbers {
                numbers: Numbers::new(dataset, &split.catalogue, session.config.seed),
                model,
                budget: session.config.fusion.knowledge_tokens as usize,
            },
        };
        Ok(Self { dataset, source })
    }

    /// Of the variant [`Variant::Numbers`].
    pub fn numbers(&self) -> Option<&Numbers<'a>> {
        match &self.source {
            Source::Numbers { numbers, .. } => Some(numbers),
            Source::Stored { .. } => None,
        }
    }

    pub fn of(&self, instance: &Instance) -> Result<String> {
        match &self.source {
            Source::Numbers {
                numbers,
                model,
                budget,
            } => {
                let history = instance.history(self.dataset);
                let count = |text: &str| model.tokenizer.count(text);
                Ok(numbers.input(&history, &count, *budget))
            }
            Source::Stored { .. } => Ok(self.record(instance)?.text),
        }
    }

    /// The ids of the events that the text of an instance is said to rest on.
    pub fn cited(&self, instance: &Instance) -> Result<Vec<u32>> {
        match &self.source {
            Source::Numbers { .. } => Ok(Vec::new()),
            Source::Stored { .. } => {
                let claims = self.record(instance)?.claims;
                Ok(claims.into_iter().flat_map(|c| c.evidence).collect())
            }
        }
    }

    fn record(&self, instance: &Instance) -> Result<KnowledgeRecord> {
        let Source::Stored {
            store,
            template_hash,
            models,
            mode,
        } = &self.source
        else {
            unreachable!("numbers are not stored");
        };
        let record = knowledge_of(store, self.dataset, instance, template_hash, models, *mode)?;
        let user = &self.dataset.users[instance.user as usize].id;
        record.with_context(|| format!("no knowledge of user {user}; run with --force fuse"))
    }
}

/// Whether a system of the config ranks items by the user vector.
pub fn has_item_head(config: &Config) -> bool {
    let all = variants(config, false);
    all.into_iter().any(Variant::has_item_head)
}

/// Titles as the language model reads them, in the order of the catalogue.
pub fn titles(dataset: &Dataset, catalogue: &Catalogue) -> Vec<String> {
    catalogue
        .items
        .iter()
        .map(|&i| sanitise(&dataset.title(i), MAX_NAME).0)
        .collect()
}

/// The fixed vectors of the catalogue's items. Sentence embeddings cost half a minute, so they are
/// kept in `path`.
pub fn item_vectors(session: &mut Session, path: &Path) -> Result<ItemVectors> {
    let (dataset, split, model) = (session.dataset()?, session.split()?, session.model()?);
    let titles = titles(&dataset, &split.catalogue);
    let sentence = if path.exists() {
        let (mut tensors, _) = load_tensors(path)?;
        tensors
            .remove("sentence")
            .context("the item vectors are damaged; run with --force tune")?
            .1
    } else {
        let encoder =
            Encoder::open_with(&session.encoder_path()?, session.config.models.precision)?;
        let describe = |(title, &item): (&String, &u32)| {
            let category = dataset.category(item).unwrap_or_default();
            format!("{title}. {}", sanitise(category, MAX_NAME).0)
        };
        let texts: Vec<String> = titles
            .iter()
            .zip(&split.catalogue.items)
            .map(describe)
            .collect();
        let mut sentence = Vec::new();
        let progress = crate::progress::Progress::new(
            "embedding items",
            crate::progress::Unit::Things("items"),
            Some(texts.len() as u64),
        );
        for chunk in texts.chunks(256) {
            session.stop.check()?;
            let refs: Vec<&str> = chunk.iter().map(String::as_str).collect();
            sentence.extend(encoder.embed(&refs, n_threads())?);
            progress.inc(chunk.len() as u64);
        }
        let shape = vec![texts.len(), encoder.width()];
        save_tensors(
            path,
            &[("sentence".into(), shape, &sentence)],
            std::collections::HashMap::new(),
        )?;
        sentence
    };
    let refs: Vec<&str> = titles.iter().map(String::as_str).collect();
    Ok(ItemVectors::new(
        &model.llama,
        &model.tokenizer,
        &refs,
        sentence,
    ))
}

pub fn n_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Choices of each catalogue item in the training histories.
pub fn popularity(dataset: &Dataset, split: &Split) -> Vec<f32> {
    let mut counts = vec![0.0; split.catalogue.items.len()];
    for user in 0..dataset.n_users() as u32 {
        for e in split
            .training_history(dataset, user)
            .into_iter()
            .flat_map(|h| h.events())
        {
            if let Some(p) = e
                .item
                .filter(|_| dataset.is_target(e))
                .and_then(|i| split.catalogue.position(i))
            {
                counts[p] += 1.0;
            }
        }
    }
    counts
}
