//! The projections that LoRA can adapt, and sets of them.

use serde::{Deserialize, Serialize};

use crate::config::LlamaConfig;

/// A projection of a layer, in the order in which adapter parameters lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Q,
    K,
    V,
    O,
    Gate,
    Up,
    Down,
}

impl Target {
    pub const ALL: [Self; 7] = [
        Self::Q,
        Self::K,
        Self::V,
        Self::O,
        Self::Gate,
        Self::Up,
        Self::Down,
    ];

    /// Hugging Face module name.
    pub fn module(self) -> &'static str {
        match self {
            Self::Q => "q_proj",
            Self::K => "k_proj",
            Self::V => "v_proj",
            Self::O => "o_proj",
            Self::Gate => "gate_proj",
            Self::Up => "up_proj",
            Self::Down => "down_proj",
        }
    }

    /// The module that holds it.
    pub fn parent(self) -> &'static str {
        match self {
            Self::Q | Self::K | Self::V | Self::O => "self_attn",
            Self::Gate | Self::Up | Self::Down => "mlp",
        }
    }

    /// (d_in, d_out).
    pub fn shape(self, c: &LlamaConfig) -> (usize, usize) {
        match self {
            Self::Q => (c.hidden_size, c.q_size()),
            Self::K | Self::V => (c.hidden_size, c.kv_size()),
            Self::O => (c.q_size(), c.hidden_size),
            Self::Gate | Self::Up => (c.hidden_size, c.intermediate_size),
            Self::Down => (c.intermediate_size, c.hidden_size),
        }
    }
}

/// A set of [`Target`]s; as JSON the list of their module names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Targets(u8);

impl Targets {
    /// q, k, v and o: what the LoRA paper adapts.
    pub const ATTENTION: Self = Self(0b0000_1111);
    pub const ALL: Self = Self(0b0111_1111);

    pub fn contains(self, target: Target) -> bool {
        self.0 & 1 << target as u8 != 0
    }

    pub fn iter(self) -> impl Iterator<Item = Target> {
        Target::ALL.into_iter().filter(move |&t| self.contains(t))
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Target> for Targets {
    fn from_iter<I: IntoIterator<Item = Target>>(targets: I) -> Self {
        Self(targets.into_iter().fold(0, |set, t| set | 1 << t as u8))
    }
}

impl TryFrom<Vec<String>> for Targets {
    type Error = String;

    fn try_from(names: Vec<String>) -> Result<Self, String> {
        names
            .iter()
            .map(|name| {
                let found = Target::ALL.into_iter().find(|t| t.module() == name);
                found.ok_or_else(|| {
                    let all = Target::ALL.map(Target::module).join(", ");
                    format!("target module {name:?} is not supported; {all} are")
                })
            })
            .collect()
    }
}

impl From<Targets> for Vec<String> {
    fn from(targets: Targets) -> Self {
        targets.iter().map(|t| t.module().to_owned()).collect()
    }
}
