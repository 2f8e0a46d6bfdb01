//! The systems of a table that are HKFR or a language model, by name.
//!
//! | name | ranks by | the language model |
//! |---|---|---|
//! | `hkfr` | candidates, features, trees | reads knowledge, tuned |
//! | `hkfr-no-fusion` | the same | reads behaviours as they are, tuned |
//! | `hkfr-no-tuning` | the same | reads knowledge, as it comes |
//! | `hkfr-no-semantic` | the same, no semantic features | is not asked |
//! | `hkfr-no-own`, `-counts`, `-neighbours`, `-order`, `-text`, `-behaviours` | the same without a [`Group`] | as in `hkfr` |
//! | `llm-tuned` | the model alone | reads knowledge, tuned |
//! | `llm-untuned` | the model alone | reads behaviours as they are, as it comes |
//! | `p5` | the model alone | reads numbers, tuned ([`crate::llm::Numbers`]) |

use super::Group;

/// What a language model is told of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Input {
    /// Knowledge.
    Fusion,
    /// Behaviours as they are: the paper's ablation.
    NoFusion,
    /// Numbers of items, as in P5.
    Numbers,
}

impl Input {
    pub const ALL: [Self; 3] = [Self::Fusion, Self::NoFusion, Self::Numbers];

    /// Directory of its instructions and its adapter.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fusion => "fusion",
            Self::NoFusion => "no-fusion",
            Self::Numbers => "numbers",
        }
    }

    /// Whether items are ranked by the user vector and a head that is tuned with the adapter.
    pub fn has_item_head(self) -> bool {
        self != Self::Numbers
    }
}

/// A language model and what it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Llm {
    pub input: Input,
    pub tuned: bool,
}

impl Llm {
    /// Of files.
    pub fn name(self) -> String {
        let tuned = if self.tuned { "tuned" } else { "untuned" };
        format!("{}-{tuned}", self.input.name())
    }

    /// The published systems are left as they are: no calibration.
    pub fn is_calibrated(self) -> bool {
        self.input == Input::Fusion || (self.tuned && self.input == Input::NoFusion)
    }
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// The model alone ranks.
    Llm(Llm),
    /// The ranker, with what the model says as features; `without`: an ablation.
    Hkfr { llm: Llm, without: Option<Group> },
}

const FUSED: Llm = Llm {
    input: Input::Fusion,
    tuned: true,
};

const fn hkfr(llm: Llm, without: Option<Group>) -> System {
    System::Hkfr { llm, without }
}

impl System {
    pub const ALL: [(&'static str, Self); 13] = [
        (
            "llm-untuned",
            Self::Llm(Llm {
                input: Input::NoFusion,
                tuned: false,
            }),
        ),
        (
            "p5",
            Self::Llm(Llm {
                input: Input::Numbers,
                tuned: true,
            }),
        ),
        ("llm-tuned", Self::Llm(FUSED)),
        ("hkfr-no-own", hkfr(FUSED, Some(Group::Own))),
        ("hkfr-no-counts", hkfr(FUSED, Some(Group::Counts))),
        ("hkfr-no-neighbours", hkfr(FUSED, Some(Group::Neighbours))),
        ("hkfr-no-order", hkfr(FUSED, Some(Group::Order))),
        ("hkfr-no-text", hkfr(FUSED, Some(Group::Text))),
        ("hkfr-no-behaviours", hkfr(FUSED, Some(Group::Behaviours))),
        ("hkfr-no-semantic", hkfr(FUSED, Some(Group::Semantic))),
        (
            "hkfr-no-tuning",
            hkfr(
                Llm {
                    input: Input::Fusion,
                    tuned: false,
                },
                None,
            ),
        ),
        (
            "hkfr-no-fusion",
            hkfr(
                Llm {
                    input: Input::NoFusion,
                    tuned: true,
                },
                None,
            ),
        ),
        ("hkfr", hkfr(FUSED, None)),
    ];

    /// `None`: a ranker of [`crate::systems`].
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|s| s.0 == name).map(|s| s.1)
    }

    /// The model that is asked.
    pub fn llm(self) -> Option<Llm> {
        match self {
            Self::Hkfr {
                without: Some(Group::Semantic),
                ..
            } => None,
            Self::Llm(llm) | Self::Hkfr { llm, .. } => Some(llm),
        }
    }

    /// Whether no list can be made without a tuned model: the ranker goes on without what the model says, its
    /// ablations of the model would then be the ranker itself.
    pub fn needs_tuning(self) -> bool {
        match self {
            Self::Llm(llm) => llm.tuned,
            Self::Hkfr { llm, without: None } => llm.tuned && llm != FUSED,
            Self::Hkfr { without, .. } => without == Some(Group::Semantic),
        }
    }
}
