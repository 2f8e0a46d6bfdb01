//! The policy on items that were consumed before.

use std::fmt;

use serde::{Deserialize, Serialize};

/// May an item be right, and take a place, that the user consumed before? One policy for all
/// systems of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Repeats {
    /// Lists and targets as they are: people buy milk again.
    #[default]
    Allow,
    /// [`TruthCase::consumed`](crate::TruthCase::consumed) is taken out of every list, whoever made it, and out of the
    /// targets: nobody rents a film twice.
    Exclude,
}

/// As tables say it.
impl fmt::Display for Repeats {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "repeats: allowed",
            Self::Exclude => "items consumed before are excluded",
        })
    }
}
