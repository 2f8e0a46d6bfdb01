//! What a split is asked for. Every key has a default; a misspelt key is an error.

use serde::{Deserialize, Serialize};

use super::Phase;

/// How the future is cut off from the past.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SplitKind {
    /// One cut-off for all users, `horizon_days` before the end of the log. Nobody's future is
    /// learnt from: what a team sees when it trains today and recommends tomorrow.
    #[default]
    GlobalTemporal,
    /// Every user's last order is asked for. Comparable with published tables, but one user's
    /// training events may be later than another's test order: it leaks the future across users.
    LeaveOneOut,
}

/// Configuration of [`super::build`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SplitConfig {
    /// `global-temporal` or `leave-one-out`.
    pub kind: SplitKind,
    /// Length of the test period in days (global temporal only); the validation period, as long,
    /// lies before it. Longer: more cases, less to learn from.
    pub horizon_days: u32,
    /// `test` or `validation`: choose on validation, report on test once.
    pub phase: Phase,
    /// Decides every sample below. The same seed on the same events gives the same split.
    pub seed: u64,
    /// Distinct users who chose an item in the training histories, for it to be in the catalogue.
    /// Higher: a smaller catalogue, and more targets that no list can reach.
    pub min_item_buyers: u32,
    /// At most this many cases, a sample of the users (simulated cold start not counted).
    /// Absent: all.
    pub max_cases: Option<usize>,
    /// At most this many training instances in all. Absent: all.
    pub max_train_instances: Option<usize>,
    /// At most this many training instances a user, recent orders more likely than old ones.
    pub instances_per_user: usize,
    /// A user with at most this many training events of a target action is a cold start.
    pub cold_start_max: usize,
    /// Simulated cold start: a case for each n, its history cut to the last n target events.
    pub simulated_cold_start: Vec<u32>,
    /// Warm users sampled for the simulated cold start, at most half of the warm users that have
    /// a case. They are held out of all training, and asked only as simulated cold starts.
    pub simulated_users: usize,
    /// Target events that a case or a training instance needs in its history. 0 also asks about
    /// users of whom nothing is known.
    pub min_history: usize,
}

impl Default for SplitConfig {
    fn default() -> Self {
        Self {
            kind: SplitKind::GlobalTemporal,
            horizon_days: 28,
            phase: Phase::Test,
            seed: 17,
            min_item_buyers: 5,
            max_cases: None,
            max_train_instances: None,
            instances_per_user: 10,
            cold_start_max: 5,
            simulated_cold_start: vec![1, 3, 5],
            simulated_users: 100,
            min_history: 1,
        }
    }
}
