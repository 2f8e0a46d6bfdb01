//! The texts that the models are told, out of the store of the stage `fuse` where they are kept there.

use std::rc::Rc;

use anyhow::{Context, Result};
use hkfr_events::{Dataset, Instance, Split};
use hkfr_fuse::{COHORT_SLOT, FusionMode, KnowledgeKey, KnowledgeStore, Known, TemplateSet};
use hkfr_rec::llm::Numbers;

use super::{Model, Session};
use crate::config::Config;
use hkfr_rec::method::Input;

/// The database in the directory of the stage `fuse`.
pub const KNOWLEDGE: &str = "knowledge.sqlite";

/// The models of which the knowledge of an input may be, each of which is in its key.
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

/// Gives the texts of an input.
pub struct Texts<'a> {
    dataset: &'a Dataset,
    from: From<'a>,
}

enum From<'a> {
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
        input: Input,
        dataset: &'a Dataset,
        split: &'a Split,
    ) -> Result<Self> {
        let model = session.model()?;
        let from = match session.config.fusion_mode(input) {
            Some(mode) => From::Stored {
                store: KnowledgeStore::open(&session.dir("fuse").join(KNOWLEDGE))?,
                source: Source::new(&session.config, &model, &session.templates()?, mode),
            },
            None => From::Numbers {
                numbers: Numbers::new(dataset, &split.catalogue, session.config.seed),
                model,
                budget: session.config.fusion.knowledge_tokens as usize,
            },
        };
        Ok(Self { dataset, from })
    }

    /// Of [`Input::Numbers`].
    pub fn numbers(&self) -> Option<&Numbers<'a>> {
        match &self.from {
            From::Numbers { numbers, .. } => Some(numbers),
            From::Stored { .. } => None,
        }
    }

    pub fn of(&self, instance: &Instance) -> Result<String> {
        match &self.from {
            From::Numbers {
                numbers,
                model,
                budget,
            } => {
                let history = instance.history(self.dataset);
                let count = |text: &str| model.tokenizer.count(text);
                Ok(numbers.input(&history, &count, *budget))
            }
            From::Stored { store, source } => {
                let known = source.of(store, self.dataset, instance)?;
                Ok(known.into_record().text)
            }
        }
    }

    /// The text of an instance, and what its claims are about.
    pub fn told(&self, instance: &Instance) -> Result<(String, Vec<String>)> {
        match &self.from {
            From::Numbers { .. } => Ok((self.of(instance)?, Vec::new())),
            From::Stored { store, source } => {
                let record = source.of(store, self.dataset, instance)?.into_record();
                let own = record.claims.into_iter().filter(|c| c.slot != COHORT_SLOT);
                Ok((record.text, own.map(|c| c.value).collect()))
            }
        }
    }

    /// The ids of the user's events that the text of an instance is said to rest on. (Those of a cohort are
    /// held to its cut-off by [`super::cut_offs`].)
    pub fn cited(&self, instance: &Instance) -> Result<Vec<u32>> {
        match &self.from {
            From::Numbers { .. } => Ok(Vec::new()),
            From::Stored { store, source } => {
                let record = source.of(store, self.dataset, instance)?.into_record();
                let own = record.claims.into_iter().filter(|c| c.slot != COHORT_SLOT);
                Ok(own.flat_map(|c| c.evidence).collect())
            }
        }
    }
}
