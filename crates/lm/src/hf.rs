//! A model directory as Hugging Face lays it out: `model.safetensors`, or shards named by
//! `model.safetensors.index.json`, beside a `config.json`.
//!
//! A tensor is read when it is asked for and widened from BF16 or F16 to `f32`: never more than one
//! is in memory twice.

use std::collections::{BTreeSet, HashMap};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::Deserialize;

use crate::config::LlamaConfig;
use crate::error::{Error, Result};
use crate::hf_config;
use crate::tensors::to_f32;
use crate::weights::Weights;

/// No header of a real file is longer; a damaged length must not allocate the machine's memory.
const MAX_HEADER: u64 = 100 << 20;

struct Shard {
    path: PathBuf,
    file: fs_err::File,
    header: Metadata,
    data_start: u64,
    /// Of the file: no offset is believed beyond it.
    len: u64,
}

pub(crate) struct Directory {
    dir: PathBuf,
    shards: Vec<Shard>,
}

impl Directory {
    pub fn open(dir: &Path) -> Result<Self> {
        let index = dir.join("model.safetensors.index.json");
        let names = if index.exists() {
            #[derive(Deserialize)]
            struct Index {
                weight_map: HashMap<String, String>,
            }
            let bytes = fs_err::read(&index)?;
            let parsed: Index = serde_json::from_slice(&bytes).map_err(|e| Error::BadFile {
                path: index,
                reason: format!("{e}; fetch it again"),
            })?;
            parsed.weight_map.into_values().collect()
        } else {
            BTreeSet::from(["model.safetensors".to_owned()])
        };
        let shards = names.into_iter().map(|n| Shard::open(dir.join(n)));
        Ok(Self {
            dir: dir.into(),
            shards: shards.collect::<Result<_>>()?,
        })
    }

    pub fn config(&self) -> Result<LlamaConfig> {
        hf_config::read(&self.dir.join("config.json"), self.has("lm_head.weight"))
    }

    /// The directory's own name: what its maker called the model.
    pub fn name(&self) -> String {
        let full = fs_err::canonicalize(&self.dir).unwrap_or_else(|_| self.dir.clone());
        let name = full.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    fn has(&self, name: &str) -> bool {
        self.shards.iter().any(|s| s.header.info(name).is_some())
    }
}

impl Weights for Directory {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        for shard in &mut self.shards {
            if let Some(info) = shard.header.info(name).cloned() {
                return shard.tensor(name, &info, shape);
            }
        }
        Err(Error::BadFile {
            path: self.dir.clone(),
            reason: format!(
                "no safetensors file has the tensor {name:?}; fetch all files of the model"
            ),
        })
    }
}

impl Shard {
    fn open(path: PathBuf) -> Result<Self> {
        let mut file = fs_err::File::open(&path)?;
        let bad = |reason: String| Error::BadFile {
            path: path.clone(),
            reason: format!("{reason}; the file is damaged: fetch it again"),
        };
        let mut length = [0; 8];
        file.read_exact(&mut length)
            .map_err(|e| bad(e.to_string()))?;
        let length = u64::from_le_bytes(length);
        let len = file.metadata()?.len();
        if length > MAX_HEADER || length > len - 8 {
            return Err(bad(format!("says its header has {length} bytes")));
        }
        let mut header = vec![0; length as usize];
        file.read_exact(&mut header)
            .map_err(|e| bad(e.to_string()))?;
        let header: Metadata = serde_json::from_slice(&header).map_err(|e| bad(e.to_string()))?;
        Ok(Self {
            path,
            file,
            header,
            data_start: 8 + length,
            len,
        })
    }

    fn tensor(&mut self, name: &str, info: &TensorInfo, shape: &[usize]) -> Result<Vec<f32>> {
        let path = self.path.clone();
        let bad = |reason: String| Error::BadFile { path, reason };
        if info.shape != shape {
            return Err(Error::Shape {
                name: name.into(),
                expected: shape.into(),
                found: info.shape.clone(),
            });
        }
        let n: usize = shape.iter().product();
        let size = match info.dtype {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::BF16 => 2,
            other => {
                return Err(bad(format!(
                    "the tensor {name:?} has dtype {other:?}; F32, F16 and BF16 are read: convert the model"
                )));
            }
        };
        let (start, end) = info.data_offsets;
        let last = self.data_start.checked_add(end as u64);
        let fits = last.is_some_and(|last| last <= self.len)
            && end.checked_sub(start) == n.checked_mul(size);
        let mut bytes = vec![0; if fits { end - start } else { 0 }];
        let read = if fits {
            let start = SeekFrom::Start(self.data_start + start as u64);
            self.file
                .seek(start)
                .and_then(|_| self.file.read_exact(&mut bytes))
        } else {
            Err(std::io::ErrorKind::InvalidData.into())
        };
        read.map_err(|e| {
            bad(format!(
                "the tensor {name:?} cannot be read ({e}); the file is damaged: fetch it again"
            ))
        })?;
        Ok(to_f32(info.dtype, &bytes).expect("the dtype was matched above"))
    }
}
