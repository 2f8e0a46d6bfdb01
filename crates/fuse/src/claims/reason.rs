//! Why a claim does not stand.

use serde::{Deserialize, Serialize};

/// Why a claim does not stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It cites nothing.
    NoEvidence,
    /// It cites an event that was not shown.
    UnknownEvent,
    /// It cites an event after the last one.
    FutureEvent,
    /// No category or item of the catalogue is called so.
    NotInCatalogue,
    /// No weekday, part of the day, price band or scenario is called so.
    UnknownValue,
    /// A cited event is no choice.
    NotChosen,
    /// A cited event is of another category.
    CategoryDiffers,
    ItemDiffers,
    PriceDiffers,
    WeekdayDiffers,
    DaypartDiffers,
    ScenarioDiffers,
    /// A cited event is not about what is said to be wanted.
    IntentDiffers,
    /// A cited event is an exposure or a low rating: it shows no wish of the user's.
    NoIntent,
    /// A cited event, or for a rising trend every one, is older than the latest third.
    NotRecent,
    NumberDiffers,
    PercentDiffers,
    TrendDiffers,
    /// It holds of less than a quarter: no habit.
    Rare,
    /// What is said to be avoided was chosen.
    AvoidedChosen,
    /// A cited event is neither an exposure nor a low rating.
    NotAvoided,
    /// It says what a claim before it says.
    Repeated,
}

impl Reason {
    pub const ALL: [Self; 22] = [
        Self::NoEvidence,
        Self::UnknownEvent,
        Self::FutureEvent,
        Self::NotInCatalogue,
        Self::UnknownValue,
        Self::NotChosen,
        Self::CategoryDiffers,
        Self::ItemDiffers,
        Self::PriceDiffers,
        Self::WeekdayDiffers,
        Self::DaypartDiffers,
        Self::ScenarioDiffers,
        Self::IntentDiffers,
        Self::NoIntent,
        Self::NotRecent,
        Self::NumberDiffers,
        Self::PercentDiffers,
        Self::TrendDiffers,
        Self::Rare,
        Self::AvoidedChosen,
        Self::NotAvoided,
        Self::Repeated,
    ];
}

/// `number-differs`.
impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        self.serialize(f)
    }
}
