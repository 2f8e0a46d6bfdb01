//! Who is asked what, as-of when: training instances and evaluation cases.

mod build;
mod config;
mod earlier;
mod file;
mod sample;

use serde::{Deserialize, Serialize};

pub use build::build;
pub use config::{SplitConfig, SplitKind};

use crate::dataset::{Dataset, ItemIdx, UserIdx};
use crate::history::{AsOf, History};

/// Choose on validation, report on test once. The validation phase shifts every cut-off back by
/// one horizon (global temporal) or one order (leave-one-out).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    Validation,
    Test,
}

/// What sort of user a case is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Segment {
    /// At most `cold_start_max` training events of a target action.
    ColdStart,
    Warm,
    /// A warm user whose history is cut to the last n target events. Not part of "all".
    SimulatedColdStart(u32),
}

/// Whose next order, from what history: shared by training instances and evaluation cases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    pub user: UserIdx,
    pub as_of: AsOf,
    /// Cut the history to the last n target events (simulated cold start).
    pub keep_last: Option<u32>,
    /// The items of the next order at or after `as_of`: all target events of that one timestamp.
    pub targets: Vec<ItemIdx>,
    /// Seconds (local) of that order: what time-of-day and scenario tasks ask about.
    pub target_ts: i64,
    /// Scenario of that order.
    pub target_scenario: String,
}

impl Instance {
    pub fn history<'a>(&self, dataset: &'a Dataset) -> History<'a> {
        let history = dataset.history(self.user, self.as_of);
        match self.keep_last {
            Some(n) => history.keep_last(n as usize, |e| dataset.is_target(e)),
            None => history,
        }
    }
}

/// One question of the evaluation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// `<user id>` or `<user id>@<n>` for a simulated cold start: the key of runs and truth.
    pub case_id: String,
    pub instance: Instance,
    pub segment: Segment,
}

/// The items that may be recommended, and their categories: every list of a run is over these.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Catalogue {
    /// Sorted, unique. A position in this list is a "catalogue position".
    pub items: Vec<ItemIdx>,
    /// Sorted, unique names of the items' categories at the data set's category level.
    pub categories: Vec<String>,
    /// For each catalogue position the position of its category; `None` if the item has none.
    pub category_of: Vec<Option<u32>>,
}

impl Catalogue {
    pub fn position(&self, item: ItemIdx) -> Option<usize> {
        self.items.binary_search(&item).ok()
    }
}

/// A split of a data set: what may be learnt from, and what is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Split {
    pub phase: Phase,
    /// Seconds that the cases' orders lie after the one cut-off of all users; `None`: leave-one-out.
    pub horizon: Option<i64>,
    /// By user: nothing at or after this may be learnt from. `None`: held out of all training.
    pub fit_before: Vec<Option<AsOf>>,
    pub catalogue: Catalogue,
    /// Training instances for instruction tuning (a sample, if the config says so).
    pub train: Vec<Instance>,
    pub cases: Vec<Case>,
}

impl Split {
    /// What may be learnt from a user; `None` if the user is held out.
    pub fn training_history<'a>(&self, dataset: &'a Dataset, user: UserIdx) -> Option<History<'a>> {
        self.fit_before[user as usize].map(|t| dataset.history(user, t))
    }

    /// (targets outside the catalogue, all targets) over the cases, simulated ones not counted:
    /// no list can reach the former, which bounds every hit rate.
    pub fn unreachable_targets(&self) -> (usize, usize) {
        let targets = self
            .cases
            .iter()
            .filter(|c| !matches!(c.segment, Segment::SimulatedColdStart(_)))
            .flat_map(|c| &c.instance.targets);
        let unreachable = targets
            .clone()
            .filter(|&&i| self.catalogue.position(i).is_none());
        (unreachable.count(), targets.count())
    }
}
