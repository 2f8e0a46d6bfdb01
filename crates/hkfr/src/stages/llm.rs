//! What the stages with a language model share: the variants, the texts and the item vectors.

use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result};
use hkfr_events::{Catalogue, Dataset, Instance, Split};
use hkfr_fuse::{
    COHORT_SLOT, FusionMode, KnowledgeKey, KnowledgeStore, Known, TemplateSet, sanitise,
};
use hkfr_lm::{Encoder, load_tensors, save_tensors};
use hkfr_rec::llm::{ItemVectors, Numbers};
use hkfr_rec::tasks::TaskSet;

use super::{Model, Session};
use crate::config::Config;
use crate::digest;

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

    /// What is asked of a user, and the hash of all its texts.
    pub fn tasks(&self) -> Result<(TaskSet, String)> {
        let fusion = &self.config.fusion;
        let tasks = TaskSet::load(&fusion.templates, fusion.template_dir.as_deref())?;
        let hash = digest::of_text(tasks.source());
        Ok((tasks, hash))
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

/// Whose knowledge it may be: what its key holds besides user and time.
pub struct Source {
    pub template_hash: String,
    pub models: Vec<String>,
    pub mode: FusionMode,
    /// Whether that of an earlier time may stand for a whole history's own.
    pub reuses: bool,
}

impl Source {
    pub fn new(config: &Config, model: &Model, templates: &TemplateSet, mode: FusionMode) -> Self {
        Self {
            template_hash: templates.hash().to_owned(),
            models: knowledge_models(mode, config, model),
            mode,
            reuses: mode != FusionMode::None && config.fusion.refresh_threshold > 0.0,
        }
    }

    /// Knowledge of an instance's own time, whichever of the models wrote it.
    pub fn own(
        &self,
        store: &KnowledgeStore,
        dataset: &Dataset,
        instance: &Instance,
    ) -> Result<Option<Known>> {
        for model in &self.models {
            let key = KnowledgeKey {
                user: &dataset.users[instance.user as usize].id,
                as_of: instance.as_of.seconds(),
                keep_last: instance.keep_last,
                template_hash: &self.template_hash,
                model,
                mode: self.mode,
            };
            if let Some(record) = store.get(&key)? {
                return Ok(Some(Known::at(record, instance.as_of)?));
            }
        }
        Ok(None)
    }

    /// The knowledge that an instance is told: its own or, where that may be, the latest before.
    ///
    /// # Errors
    /// There is none, or all there is is of a later time.
    pub fn of(
        &self,
        store: &KnowledgeStore,
        dataset: &Dataset,
        instance: &Instance,
    ) -> Result<Known> {
        if let Some(known) = self.own(store, dataset, instance)? {
            return Ok(known);
        }
        let user = &dataset.users[instance.user as usize].id;
        let mut records = store.of_user(user)?;
        records.retain(|r| {
            r.keep_last == instance.keep_last
                && r.mode == self.mode
                && r.template_hash == self.template_hash
                && self.models.contains(&r.model)
        });
        let reuses = self.reuses && instance.keep_last.is_none();
        // What is left, if nothing earlier may be taken, is refused by its time.
        records.retain(|r| reuses || r.as_of > instance.as_of.seconds());
        let known = Known::latest(records, instance.as_of)?;
        known.with_context(|| format!("no knowledge of user {user}; run with --force fuse"))
    }
}

/// Gives the input texts of a variant.
pub struct Texts<'a> {
    dataset: &'a Dataset,
    from: Input<'a>,
}

enum Input<'a> {
    Stored {
        store: KnowledgeStore,
        source: Source,
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
        let from = match variant.mode(&session.config) {
            Some(mode) => Input::Stored {
                store: KnowledgeStore::open(&session.dir("fuse").join(KNOWLEDGE))?,
                source: Source::new(&session.config, &model, &session.templates()?, mode),
            },
            None => Input::Numbers {
                numbers: Numbers::new(dataset, &split.catalogue, session.config.seed),
                model,
                budget: session.config.fusion.knowledge_tokens as usize,
            },
        };
        Ok(Self { dataset, from })
    }

    /// Of the variant [`Variant::Numbers`].
    pub fn numbers(&self) -> Option<&Numbers<'a>> {
        match &self.from {
            Input::Numbers { numbers, .. } => Some(numbers),
            Input::Stored { .. } => None,
        }
    }

    pub fn of(&self, instance: &Instance) -> Result<String> {
        match &self.from {
            Input::Numbers {
                numbers,
                model,
                budget,
            } => {
                let history = instance.history(self.dataset);
                let count = |text: &str| model.tokenizer.count(text);
                Ok(numbers.input(&history, &count, *budget))
            }
            Input::Stored { store, source } => {
                let known = source.of(store, self.dataset, instance)?;
                Ok(known.into_record().text)
            }
        }
    }

    /// The ids of the user's events that the text of an instance is said to rest on. (Those of a cohort are
    /// held to its cut-off by [`super::cut_offs`].)
    pub fn cited(&self, instance: &Instance) -> Result<Vec<u32>> {
        match &self.from {
            Input::Numbers { .. } => Ok(Vec::new()),
            Input::Stored { store, source } => {
                let record = source.of(store, self.dataset, instance)?.into_record();
                let own = record.claims.into_iter().filter(|c| c.slot != COHORT_SLOT);
                Ok(own.flat_map(|c| c.evidence).collect())
            }
        }
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
