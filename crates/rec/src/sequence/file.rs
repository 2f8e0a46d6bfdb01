//! A sequence model on disk: one safetensors file, written beside its place and renamed.
//!
//! Tensors: the parameters under the names of the network's layout, `item_embeddings.weight` (items and
//! special tokens, dim), `item_counts` (items; exact up to 2²⁴). Metadata: the format's version, the
//! system, the number of items and what the network is built from.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use hkfr_lm::{Tensors, load_tensors, save_tensors};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bert4rec::{Bert4Rec, Bert4RecConfig};
use super::block::{Block, TransformerConfig};
use super::caser::{Caser, CaserConfig};
use super::gru4rec::{Gru4Rec, Gru4RecConfig};
use super::model::SequenceModel;
use super::network::Network;
use super::transformer::Transformer;
use crate::error::{Error, Result};

const VERSION: &str = "1";
const ITEMS: &str = "item_embeddings.weight";
const COUNTS: &str = "item_counts";

/// A network that can be built again from what a file says of it.
pub trait Saved: Network + Sized {
    type Config: Serialize + DeserializeOwned;
    const SYSTEM: &'static str;

    fn config(&self) -> &Self::Config;

    /// # Errors
    /// A setting out of its range.
    fn from_config(config: Self::Config) -> Result<Self>;
}

impl<B: Block> Saved for Transformer<B> {
    type Config = TransformerConfig;
    const SYSTEM: &'static str = B::NAME;

    fn config(&self) -> &TransformerConfig {
        &self.config
    }

    fn from_config(config: TransformerConfig) -> Result<Self> {
        Self::new(config)
    }
}

impl Saved for Bert4Rec {
    type Config = Bert4RecConfig;
    const SYSTEM: &'static str = "bert4rec";

    fn config(&self) -> &Bert4RecConfig {
        &self.config
    }

    fn from_config(config: Bert4RecConfig) -> Result<Self> {
        Self::new(config)
    }
}

impl Saved for Gru4Rec {
    type Config = Gru4RecConfig;
    const SYSTEM: &'static str = Self::NAME;

    fn config(&self) -> &Gru4RecConfig {
        &self.config
    }

    fn from_config(config: Gru4RecConfig) -> Result<Self> {
        Self::new(config)
    }
}

impl Saved for Caser {
    type Config = CaserConfig;
    const SYSTEM: &'static str = Self::NAME;

    fn config(&self) -> &CaserConfig {
        &self.config
    }

    fn from_config(config: CaserConfig) -> Result<Self> {
        Self::new(config)
    }
}

/// A model within another format: [`SequenceModel`] without what its configuration says.
#[derive(Serialize, Deserialize)]
struct Parts<C, P, U> {
    config: C,
    n_items: usize,
    params: P,
    items: P,
    counts: U,
}

impl<N: Saved> Serialize for SequenceModel<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        Parts {
            config: self.network.config(),
            n_items: self.n_items,
            params: &self.params,
            items: &self.items,
            counts: &self.counts,
        }
        .serialize(serializer)
    }
}

impl<'de, N: Saved> Deserialize<'de> for SequenceModel<N> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let parts: Parts<N::Config, Vec<f32>, Vec<u32>> = Parts::deserialize(from)?;
        let network = N::from_config(parts.config).map_err(D::Error::custom)?;
        let layout = network.layout().parameters.iter();
        let n_params = layout.map(|p| p.range.end).max().unwrap_or(0);
        let n_values = (parts.n_items + network.n_special()) * network.dim();
        let found = [parts.params.len(), parts.items.len(), parts.counts.len()];
        if found != [n_params, n_values, parts.n_items] {
            return Err(D::Error::custom("parameters that do not fit the network"));
        }
        Ok(Self {
            network,
            n_items: parts.n_items,
            params: parts.params,
            items: parts.items,
            counts: parts.counts,
        })
    }
}

impl<N: Saved> SequenceModel<N> {
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let counts: Vec<f32> = self.counts.iter().map(|&c| c as f32).collect();
        let rows = self.n_items + self.network.n_special();
        let layout = self.network.layout().parameters.iter();
        let mut tensors: Vec<(String, Vec<usize>, &[f32])> = layout
            .map(|p| {
                (
                    p.name.clone(),
                    p.shape.clone(),
                    &self.params[p.range.clone()],
                )
            })
            .collect();
        tensors.push((ITEMS.into(), vec![rows, self.network.dim()], &self.items));
        tensors.push((COUNTS.into(), vec![self.n_items], &counts));
        let config = serde_json::to_string(self.network.config()).expect("plain JSON");
        let metadata = [
            ("format_version", VERSION.to_string()),
            ("system", N::SYSTEM.to_string()),
            ("n_items", self.n_items.to_string()),
            ("config", config),
        ];
        let metadata = metadata.map(|(key, value)| (key.to_string(), value));
        Ok(save_tensors(path, &tensors, HashMap::from(metadata))?)
    }

    /// # Errors
    /// A file that is no sequence model, is damaged, or holds one of another version, system or shape.
    pub fn load(path: &Path) -> Result<Self> {
        SavedModel::open(path)?.into_model()
    }
}

/// A file that has been read, whatever its system.
pub struct SavedModel {
    path: PathBuf,
    tensors: Tensors,
}

impl SavedModel {
    /// # Errors
    /// A file that is no sequence model, is damaged or of another version.
    pub fn open(path: &Path) -> Result<Self> {
        let saved = Self {
            path: path.into(),
            tensors: load_tensors(path)?,
        };
        let found = saved.metadata("format_version")?;
        if found != VERSION {
            return Err(Error::ModelVersion {
                path: path.into(),
                found: found.into(),
                supported: VERSION,
            });
        }
        saved.metadata("system")?;
        Ok(saved)
    }

    /// [`Saved::SYSTEM`] of the network that was saved.
    pub fn system(&self) -> &str {
        &self.tensors.1["system"]
    }

    /// # Errors
    /// A model of another system, or tensors that do not fit its configuration.
    pub fn into_model<N: Saved>(mut self) -> Result<SequenceModel<N>> {
        if self.system() != N::SYSTEM {
            return Err(Error::ModelSystem {
                found: self.system().into(),
                path: self.path,
                expected: N::SYSTEM,
            });
        }
        let config = serde_json::from_str(self.metadata("config")?)
            .map_err(|e| self.bad(format!("its configuration: {e}")))?;
        let network = N::from_config(config).map_err(|e| self.bad(e.to_string()))?;
        let n_items: u32 = self
            .metadata("n_items")?
            .parse()
            .map_err(|e| self.bad(format!("its n_items: {e}")))?;
        let n_items = n_items as usize;
        if network.n_items().is_some_and(|n| n != n_items) {
            return Err(self.bad("its configuration has another number of items".into()));
        }
        let mut params = Vec::new();
        for p in &network.layout().parameters {
            params.extend(self.take(&p.name, &p.shape)?);
        }
        let rows = n_items + network.n_special();
        let items = self.take(ITEMS, &[rows, network.dim()])?;
        let counts = self.take(COUNTS, &[n_items])?;
        Ok(SequenceModel {
            network,
            n_items,
            params,
            items,
            counts: counts.iter().map(|&c| c as u32).collect(),
        })
    }

    fn metadata(&self, key: &str) -> Result<&str> {
        let found = self.tensors.1.get(key).map(String::as_str);
        found.ok_or_else(|| self.bad(format!("is no sequence model: its metadata lack {key:?}")))
    }

    fn take(&mut self, name: &str, expected: &[usize]) -> Result<Vec<f32>> {
        let found = self.tensors.0.remove(name);
        let (shape, data) = found.ok_or_else(|| self.bad(format!("lacks the tensor {name:?}")))?;
        if shape != expected {
            return Err(Error::Lm(hkfr_lm::Error::Shape {
                name: name.into(),
                expected: expected.into(),
                found: shape,
            }));
        }
        if data.iter().any(|x| !x.is_finite()) {
            return Err(self.bad(format!("{name:?} holds what is not a number")));
        }
        Ok(data)
    }

    fn bad(&self, reason: String) -> Error {
        Error::BadModel {
            path: self.path.clone(),
            reason,
        }
    }
}
