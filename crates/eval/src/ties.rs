//! Ties: where candidates of one score stand.
//!
//! | rule | order among equal scores |
//! |---|---|
//! | [`Ties::Against`] | every other item first, then the targets, those of low gain before those of high |
//! | [`Ties::Trec`] | by id, falling, byte by byte: that of trec_eval, which also compares scores as 32-bit floats |
//! | [`Ties::Random`] | each order equally likely: metrics are exact expected values, without a seed |
//!
//! ranx does none of these: it keeps the order of the file in short lists, and in longer ones that of an unstable sort.
//! The range from `Against` to [`Ties::For`] holds every order.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::run::RankedList;

/// The order among equal scores. One rule for all systems of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ties {
    /// The targets come last, so that a system which gives all items one score gains nothing from its index.
    #[default]
    Against,
    /// Falling id, with scores compared as 32-bit floats: `comp_sim_docno` in trec_eval's `form_res_rels.c`.
    Trec,
    /// The expected value over all orders.
    Random,
    /// The targets come first: the most that any order gives. It is shown beside the others and cannot be chosen.
    #[serde(skip)]
    For,
}

impl Ties {
    /// Those that can be chosen.
    pub const CHOICES: [&str; 3] = ["against", "trec", "random"];

    /// Are two scores one?
    pub(crate) fn tie(self, a: f64, b: f64) -> bool {
        match self {
            Self::Trec => a as f32 == b as f32,
            Self::Against | Self::Random | Self::For => a == b,
        }
    }

    /// Puts items of one score into their order, where the rule says it of the items alone.
    pub(crate) fn sort(self, items: &mut [&str]) {
        if self == Self::Trec {
            items.sort_unstable_by(|a, b| b.cmp(a));
        }
    }

    /// The items of a list, place by place. Where the order is one against, for or by chance, that of the list.
    pub(crate) fn items(self, list: &RankedList) -> Vec<&str> {
        let mut items: Vec<&str> = list.items.iter().map(String::as_str).collect();
        let mut start = 0;
        for block in list.scores.chunk_by(|a, b| self.tie(*a, *b)) {
            self.sort(&mut items[start..start + block.len()]);
            start += block.len();
        }
        items
    }
}

/// As tables say it.
impl fmt::Display for Ties {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Against => "ties count against the targets",
            Self::Trec => "ties in trec_eval's order",
            Self::Random => "ties in random order (expected values)",
            Self::For => "ties count for the targets",
        })
    }
}

impl FromStr for Ties {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "against" => Ok(Self::Against),
            "trec" => Ok(Self::Trec),
            "random" => Ok(Self::Random),
            _ => Err(Error::Config(format!(
                "`{text}` is no rule for ties; write one of {}",
                Self::CHOICES.join(", ")
            ))),
        }
    }
}
