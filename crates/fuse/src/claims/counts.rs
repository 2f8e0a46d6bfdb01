//! What became of a service's answer, counted: kept with the knowledge, summed up in the report.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Form;
use super::reason::Reason;
use super::unusable::Unusable;

/// Of one history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateCounts {
    /// Claims that the model made, and those that stand.
    pub made: u32,
    pub supported: u32,
    /// What could be said ([`super::coverable`]), and what of it was.
    pub facts: u32,
    pub covered: u32,
    /// Sentences of the text, and those that do not stand or do not fit.
    pub sentences: u32,
    pub sentences_cut: u32,
    /// Answers that were asked for again, and answers that were mended before they were JSON.
    pub reasks: u32,
    pub repairs: u32,
    /// No answer was of use: the text says what the facts say.
    pub unusable: bool,
    /// Why the last one was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Unusable>,
    /// Answers that stood among what the model thought.
    #[serde(default, skip_serializing_if = "is_default")]
    pub from_reasoning: u32,
    /// The form that was asked for last.
    #[serde(default, skip_serializing_if = "is_default")]
    pub form: Form,
    pub cut: ReasonCounts,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Claims cut by their reasons.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReasonCounts([u32; Reason::ALL.len()]);

impl ReasonCounts {
    pub fn add(&mut self, reason: Reason, n: u32) {
        self.0[reason as usize] += n;
    }

    /// Those that are not zero, the most frequent first.
    pub fn ranked(&self) -> Vec<(Reason, u32)> {
        let all = Reason::ALL.into_iter().map(|r| (r, self.0[r as usize]));
        let mut all: Vec<_> = all.filter(|(_, n)| *n > 0).collect();
        all.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        all
    }
}

/// As `{"number-differs": 3}`.
impl Serialize for ReasonCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.ranked())
    }
}

impl<'de> Deserialize<'de> for ReasonCounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = std::collections::BTreeMap::<Reason, u32>::deserialize(deserializer)?;
        let mut counts = Self::default();
        map.into_iter()
            .for_each(|(reason, n)| counts.add(reason, n));
        Ok(counts)
    }
}
