//! A fitted ranker with all that it takes to rank one user: what a service loads.
//!
//! A ranker is fitted on one data set and may be asked with another that holds its entities: items, categories and
//! kinds of behaviour are found by name ([`Scorer::bind`]). Users need not have been there when it was fitted. A
//! loaded ranker gives the scores of the fitted one, to the bit.
//!
//! In memory: what was fitted, and while loading the file as well.

mod encode;
mod file;
mod training;

use std::path::Path;

use hkfr_events::{Dataset, History};
use serde::{Deserialize, Serialize};

pub use encode::Encode;
pub use training::training_hash;

use crate::baselines::{Entities, RepeatPolicy, Scorer};
use crate::error::{Error, Result};
use crate::scores::rank;

/// What a file says of its ranker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// As the table of systems calls it.
    pub system: String,
    /// What is ranked, "item" or "category".
    pub task: String,
    /// Hash of what it was fitted on, such as [`training_hash`].
    pub fitted_on: String,
    /// Whether [`Ranker::rank_one`] leaves out what the user chose before.
    pub repeats: RepeatPolicy,
    /// Decides between equal scores.
    pub seed: u64,
}

pub struct Ranker {
    about: About,
    entities: Entities,
    scorer: Box<dyn Scorer>,
}

impl Ranker {
    /// `entities` are those that the scorer was fitted on.
    pub fn new(about: About, entities: &Entities, scorer: Box<dyn Scorer>) -> Self {
        Self {
            about,
            entities: entities.clone(),
            scorer,
        }
    }

    pub fn about(&self) -> &About {
        &self.about
    }

    /// What is ranked, as the data set numbers it that the ranker was fitted on or loaded with.
    pub fn entities(&self) -> &Entities {
        &self.entities
    }

    pub fn scorer(&self) -> &dyn Scorer {
        &*self.scorer
    }

    /// The best `k` entities with their scores, best first: the list that a run has of the user's uncut history.
    ///
    /// # Errors
    /// A score that is not a number.
    pub fn rank_one(&self, ds: &Dataset, history: &History, k: usize) -> Result<Vec<(u32, f32)>> {
        let mut scores = vec![0.0; self.entities.n()];
        self.scorer.score(ds, history, &mut scores);
        let excluded = self.about.repeats.excluded(ds, &self.entities, history);
        let case = &history.profile().id;
        rank(&scores, k, case, self.about.seed, excluded.as_deref())
    }

    /// Bytes of its file.
    pub fn n_bytes(&self) -> u64 {
        file::n_bytes(|out| self.encode(out))
    }

    /// Writes the file beside its place and renames it.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        file::write(path, |out| self.encode(out))
    }

    fn encode(&self, out: &mut dyn std::io::Write) -> std::io::Result<()> {
        let entities = (self.entities.are_categories(), self.entities.ids());
        (&self.about, entities, self.scorer.name()).encode(out)?;
        // The scorer itself: a box of one is encoded with its name, for a ranker within another.
        (*self.scorer).encode(out)
    }

    /// Reads a ranker, to be asked with `ds`.
    ///
    /// # Errors
    /// A file that is no ranker, is damaged or of another format version; a data set that lacks some of its entities.
    pub fn load(path: &Path, ds: &Dataset) -> Result<Self> {
        let bad = |reason: String| Error::BadRanker {
            path: path.into(),
            reason,
        };
        let bytes = fs_err::read(path)?;
        let body = file::body(path, &bytes)?;
        type Head = (About, (bool, Vec<String>), String);
        let undecodable = |e| bad(format!("cannot be decoded ({e}): fit the ranker again"));
        let (head, body) = postcard::take_from_bytes::<Head>(body).map_err(undecodable)?;
        let (about, (of_categories, ids), name) = head;
        let n = ids.len();
        let entities =
            Entities::find(ds, ids, of_categories).map_err(|missing| Error::OtherCatalogue {
                path: path.into(),
                missing: missing.len(),
                n,
                example: missing.into_iter().next().unwrap_or_default(),
            })?;
        let scorer = crate::systems::decode(&name, body).ok_or_else(|| {
            bad(format!(
                "holds a {name:?}, which this program does not know"
            ))
        })?;
        let mut scorer = scorer.map_err(undecodable)?;
        scorer.bind(ds, &entities);
        Ok(Self {
            about,
            entities,
            scorer,
        })
    }
}
