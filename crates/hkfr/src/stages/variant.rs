//! The variants of the method: what a language model is told of a user, and whether it is tuned.

use hkfr_fuse::FusionMode;

use crate::config::Config;

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

/// Whether a system of the config ranks items by the user vector.
pub fn has_item_head(config: &Config) -> bool {
    let all = variants(config, false);
    all.into_iter().any(Variant::has_item_head)
}
