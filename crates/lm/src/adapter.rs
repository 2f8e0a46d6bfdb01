//! Adapters and checkpoints on disk.
//!
//! An adapter directory is PEFT's (`adapter_config.json`, `adapter_model.safetensors`), so that
//! Python's `peft` loads it. A checkpoint is one safetensors file with everything a training needs
//! to continue as if it had not stopped. Both are written beside and renamed.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::json;

use crate::error::{Error, Result};
use crate::lora::{Lora, LoraConfig, Target};
use crate::model::LlamaConfig;

/// Named vectors and metadata as one safetensors file, written atomically.
pub fn save_tensors(
    path: &Path,
    tensors: &[(String, Vec<usize>, &[f32])],
    metadata: HashMap<String, String>,
) -> Result<()> {
    let views: Vec<(&str, TensorView)> = tensors
        .iter()
        .map(|(name, shape, data)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(data));
            Ok((
                name.as_str(),
                view.map_err(|e| Error::BadFile {
                    path: path.into(),
                    reason: e.to_string(),
                })?,
            ))
        })
        .collect::<Result<_>>()?;
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| Error::BadFile {
        path: path.into(),
        reason: e.to_string(),
    })?;
    write_atomically(path, &bytes)
}

fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let temp = path.with_extension("partial");
    fs_err::write(&temp, bytes)?;
    fs_err::rename(&temp, path)?;
    Ok(())
}

/// All `f32` tensors of a safetensors file with their shapes, and its metadata.
pub type Tensors = (
    HashMap<String, (Vec<usize>, Vec<f32>)>,
    HashMap<String, String>,
);

pub fn load_tensors(path: &Path) -> Result<Tensors> {
    tensors_from_bytes(path, &fs_err::read(path)?)
}

/// [`load_tensors`] of a file that is in memory already; `path` names it in errors.
pub fn tensors_from_bytes(path: &Path, bytes: &[u8]) -> Result<Tensors> {
    parse_tensors(bytes).map_err(|reason| Error::BadFile {
        path: path.into(),
        reason: format!("{reason}; the file is damaged: fetch or make it again"),
    })
}

fn parse_tensors(bytes: &[u8]) -> std::result::Result<Tensors, String> {
    // Parsed JSON takes up to a dozen times its text, which is in proportion only if it describes
    // tensors that are there.
    let header = bytes.first_chunk().map(|n| u64::from_le_bytes(*n));
    let limit = SMALL_HEADER.max(bytes.len() as u64 / 2);
    if let Some(n) = header.filter(|n| *n > limit) {
        return Err(format!(
            "its header of {n} bytes is out of proportion to its size of {}",
            bytes.len()
        ));
    }
    let (n, header) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
    let data = &bytes[8 + n..];
    let mut tensors = HashMap::new();
    for (name, info) in header.tensors() {
        if info.dtype == Dtype::F32 {
            let (start, end) = info.data_offsets;
            let values = data[start..end]
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect();
            tensors.insert(name, (info.shape.clone(), values));
        }
    }
    Ok((tensors, header.metadata().clone().unwrap_or_default()))
}

/// Bytes of a header that are parsed whatever the size of the file.
const SMALL_HEADER: u64 = 64 << 10;

fn weight_name(layer: usize, target: Target, side: char) -> String {
    format!(
        "base_model.model.model.layers.{layer}.self_attn.{}.lora_{side}.weight",
        target.module()
    )
}

/// Writes a PEFT adapter directory.
pub fn save_adapter(dir: &Path, lora: &Lora, model: &LlamaConfig, base_model: &str) -> Result<()> {
    fs_err::create_dir_all(dir)?;
    let r = lora.config.rank;
    let mut tensors = Vec::new();
    for layer in 0..lora.n_layers() {
        for target in Target::ALL {
            let (d_in, d_out) = target.shape(model);
            let (a, b) = lora.ranges(layer, target);
            tensors.push((
                weight_name(layer, target, 'A'),
                vec![r, d_in],
                &lora.params[a],
            ));
            tensors.push((
                weight_name(layer, target, 'B'),
                vec![d_out, r],
                &lora.params[b],
            ));
        }
    }
    save_tensors(
        &dir.join("adapter_model.safetensors"),
        &tensors,
        HashMap::from([("format".into(), "pt".into())]),
    )?;
    let config = json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_model,
        "r": r,
        "lora_alpha": lora.config.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "target_modules": Target::ALL.map(Target::module),
    });
    write_atomically(
        &dir.join("adapter_config.json"),
        serde_json::to_string_pretty(&config)
            .expect("plain JSON")
            .as_bytes(),
    )
}

#[derive(serde::Deserialize)]
struct PeftConfig {
    r: u32,
    lora_alpha: f64,
}

/// Reads a PEFT adapter directory; every projection of every layer must be there in the right shape.
pub fn load_adapter(dir: &Path, model: &LlamaConfig) -> Result<Lora> {
    let config = fs_err::read(dir.join("adapter_config.json"))?;
    let weights = fs_err::read(dir.join("adapter_model.safetensors"))?;
    adapter_from_bytes(dir, &config, &weights, model)
}

/// [`load_adapter`] of files that are in memory already; `dir` names them in errors.
pub fn adapter_from_bytes(
    dir: &Path,
    config: &[u8],
    weights: &[u8],
    model: &LlamaConfig,
) -> Result<Lora> {
    let bad = |reason: String| Error::BadFile {
        path: dir.join("adapter_config.json"),
        reason: format!("{reason}; save the adapter again"),
    };
    let config: PeftConfig = serde_json::from_slice(config).map_err(|e| bad(e.to_string()))?;
    let config = LoraConfig {
        rank: config.r as usize,
        alpha: config.lora_alpha as f32,
    };
    if config.rank == 0 || !config.alpha.is_finite() {
        return Err(bad(format!(
            "r {} and lora_alpha {} are not those of an adapter",
            config.rank, config.alpha
        )));
    }
    let path = dir.join("adapter_model.safetensors");
    let (mut tensors, _) = tensors_from_bytes(&path, weights)?;
    // All shapes first: an adapter is as large as its rank says, which the weights must bear out.
    let mut weights = Vec::new();
    for layer in 0..model.n_layers {
        for target in Target::ALL {
            let (d_in, d_out) = target.shape(model);
            for (side, expected) in [
                ('A', vec![config.rank, d_in]),
                ('B', vec![d_out, config.rank]),
            ] {
                let name = weight_name(layer, target, side);
                let found = tensors.remove(&name);
                let (shape, data) = found.ok_or_else(|| Error::BadFile {
                    path: path.clone(),
                    reason: format!("lacks the tensor {name:?}: save the adapter again"),
                })?;
                if shape != expected {
                    return Err(Error::Shape {
                        name,
                        expected,
                        found: shape,
                    });
                }
                weights.push(data);
            }
        }
    }
    let mut lora = Lora::new(config, model, 0);
    let mut weights = weights.iter();
    for layer in 0..model.n_layers {
        for target in Target::ALL {
            let (a, b) = lora.ranges(layer, target);
            for (range, data) in [a, b].into_iter().zip(&mut weights) {
                lora.params[range].copy_from_slice(data);
            }
        }
    }
    Ok(lora)
}
