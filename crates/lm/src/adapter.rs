//! Adapters on disk: PEFT's directory (`adapter_config.json`, `adapter_model.safetensors`), so that
//! Python's `peft` loads what is written here, and the other way round.
//!
//! Where a model file fuses gate_proj and up_proj, so does its adapter: `gate_up_proj` of rank 2r
//! with A = [A_gate; A_up] and B = diag(B_gate, B_up), and 2α (√2 α in rank-stabilised LoRA), which is
//! the same update.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::LlamaConfig;
use crate::error::{Error, Result};
use crate::lora::{Lora, LoraConfig};
use crate::targets::{Target, Targets};
use crate::tensors::{save_tensors, tensors_from_bytes, write_atomically};

const PREFIX: &str = "base_model.model.model.layers.";
const FUSED: &str = "gate_up_proj";

fn weight_name(layer: usize, parent: &str, module: &str, side: char) -> String {
    format!("{PREFIX}{layer}.{parent}.{module}.lora_{side}.weight")
}

/// Is the target a half of a fused projection?
fn is_fused(target: Target, model: &LlamaConfig) -> bool {
    model.architecture.fused_gate_up && matches!(target, Target::Gate | Target::Up)
}

/// The file that [`save_adapter`] writes last.
pub const ADAPTER_CONFIG: &str = "adapter_config.json";

/// Writes a PEFT adapter directory.
pub fn save_adapter(dir: &Path, lora: &Lora, model: &LlamaConfig, base_model: &str) -> Result<()> {
    fs_err::create_dir_all(dir)?;
    let r = lora.config.rank;
    let mut tensors = Vec::new();
    for layer in 0..lora.n_layers() {
        for target in lora.config.targets.iter() {
            if is_fused(target, model) {
                continue;
            }
            let (d_in, d_out) = target.shape(model);
            let (a, b) = lora.ranges(layer, target);
            let name = |side| weight_name(layer, target.parent(), target.module(), side);
            tensors.push((name('A'), vec![r, d_in], lora.params[a].to_vec()));
            tensors.push((name('B'), vec![d_out, r], lora.params[b].to_vec()));
        }
    }
    let mut modules: BTreeSet<&str> = BTreeSet::new();
    let (mut ranks, mut alphas) = (json!({}), json!({}));
    for target in lora.config.targets.iter() {
        if is_fused(target, model) {
            modules.insert(FUSED);
        } else {
            modules.insert(target.module());
        }
    }
    if modules.contains(FUSED) {
        for layer in 0..lora.n_layers() {
            let (a, b) = fuse(lora, layer, model);
            let name = |side| weight_name(layer, "mlp", FUSED, side);
            tensors.push((name('A'), vec![2 * r, model.hidden_size], a));
            tensors.push((name('B'), vec![2 * model.intermediate_size, 2 * r], b));
        }
        ranks = json!({ FUSED: 2 * r });
        alphas = json!({ FUSED: fused_alpha(lora.config.alpha, lora.config.rslora) });
    }
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(name, shape, data)| (name.clone(), shape.clone(), &data[..]))
        .collect();
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
        "lora_dropout": lora.config.dropout,
        "use_rslora": lora.config.rslora,
        "rank_pattern": ranks,
        "alpha_pattern": alphas,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "target_modules": modules,
    });
    write_atomically(
        &dir.join(ADAPTER_CONFIG),
        serde_json::to_string_pretty(&config)
            .expect("plain JSON")
            .as_bytes(),
    )
}

/// The α that scales a module of rank 2r as `alpha` scales one of rank r.
fn fused_alpha(alpha: f32, rslora: bool) -> f32 {
    alpha
        * if rslora {
            std::f32::consts::SQRT_2
        } else {
            2.0
        }
}

/// A (2r, d) and B (2f, 2r) of `gate_up_proj`; a half that is no target stays zero.
fn fuse(lora: &Lora, layer: usize, model: &LlamaConfig) -> (Vec<f32>, Vec<f32>) {
    let (r, d, f) = (lora.config.rank, model.hidden_size, model.intermediate_size);
    let (mut a, mut b) = (vec![0.0; 2 * r * d], vec![0.0; 2 * f * 2 * r]);
    for (half, target) in [Target::Gate, Target::Up].into_iter().enumerate() {
        if lora.config.targets.contains(target) {
            let (from_a, from_b) = lora.ranges(layer, target);
            a[half * r * d..][..r * d].copy_from_slice(&lora.params[from_a]);
            let rows = b.chunks_exact_mut(2 * r).skip(half * f);
            for (to, from) in rows.zip(lora.params[from_b].chunks_exact(r)) {
                to[half * r..][..r].copy_from_slice(from);
            }
        }
    }
    (a, b)
}

#[derive(Deserialize)]
struct ConfigJson {
    r: usize,
    lora_alpha: f32,
    #[serde(default)]
    lora_dropout: f32,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    rank_pattern: HashMap<String, usize>,
    #[serde(default)]
    alpha_pattern: HashMap<String, f32>,
}

/// Reads a PEFT adapter directory. Its targets are the modules that the file has tensors for; each
/// must be there in every layer, in the right shape.
pub fn load_adapter(dir: &Path, model: &LlamaConfig) -> Result<Lora> {
    let config = fs_err::read(dir.join(ADAPTER_CONFIG))?;
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
        path: dir.join(ADAPTER_CONFIG),
        reason: format!("{reason}; save the adapter again"),
    };
    let value: Value = serde_json::from_slice(config).map_err(|e| bad(e.to_string()))?;
    refuse_other_methods(&value).map_err(&bad)?;
    let json: ConfigJson = serde_json::from_value(value).map_err(|e| bad(e.to_string()))?;
    let r = json.r;
    let fused = json.rank_pattern.get(FUSED).copied();
    let widened = json.alpha_pattern.get(FUSED).copied();
    let expected = fused_alpha(json.lora_alpha, json.use_rslora);
    let ours = fused == r.checked_mul(2)
        && widened.is_some_and(|alpha| (alpha - expected).abs() <= 1e-6 * expected.abs());
    let plain = json.rank_pattern.is_empty() && json.alpha_pattern.is_empty();
    let only_fused = json.rank_pattern.len() == 1 && json.alpha_pattern.len() == 1;
    let uniform = plain || ours && only_fused;
    if r == 0
        || !uniform
        || !json.lora_alpha.is_finite()
        || !(0.0..1.0).contains(&json.lora_dropout)
    {
        return Err(bad(
            "needs one rank above zero, one finite alpha for all modules and a dropout below 1; rank_pattern and alpha_pattern are not supported".into(),
        ));
    }
    let path = dir.join("adapter_model.safetensors");
    let (mut tensors, _) = tensors_from_bytes(&path, weights)?;
    let bad = |reason: String| Error::BadFile {
        path: path.clone(),
        reason,
    };
    // An adapter is as large as its rank says, which the weights of every layer must bear out.
    let borne_out = tensors.iter().filter(|(name, (shape, _))| {
        name.contains("lora_A") && shape.first().is_some_and(|n| n / 2 == r || *n == r)
    });
    if borne_out.count() < model.n_layers {
        return Err(bad(format!(
            "lacks a matrix of rank {r} in every layer, which adapter_config.json promises"
        )));
    }
    let config = LoraConfig {
        rank: r,
        alpha: json.lora_alpha,
        rslora: json.use_rslora,
        targets: targets_of(tensors.keys(), model).map_err(&bad)?,
        dropout: json.lora_dropout,
    };
    let mut lora = Lora::new(config, model, 0);
    let mut take = |name: String, expected: Vec<usize>| -> Result<Vec<f32>> {
        let found = tensors.remove(&name);
        let (shape, data) = found.ok_or_else(|| bad(format!("lacks the tensor {name:?}")))?;
        if shape != expected {
            return Err(Error::Shape {
                name,
                expected,
                found: shape,
            });
        }
        Ok(data)
    };
    for layer in 0..model.n_layers {
        for target in config.targets.iter().filter(|&t| !is_fused(t, model)) {
            let (d_in, d_out) = target.shape(model);
            let name = |side| weight_name(layer, target.parent(), target.module(), side);
            let (a, b) = lora.ranges(layer, target);
            lora.params[a].copy_from_slice(&take(name('A'), vec![r, d_in])?);
            lora.params[b].copy_from_slice(&take(name('B'), vec![d_out, r])?);
        }
        if model.architecture.fused_gate_up && config.targets.contains(Target::Gate) {
            let (d, f, wide) = (
                model.hidden_size,
                model.intermediate_size,
                fused.unwrap_or(r),
            );
            let name = |side| weight_name(layer, "mlp", FUSED, side);
            let a = take(name('A'), vec![wide, d])?;
            let b = take(name('B'), vec![2 * f, wide])?;
            split(&mut lora, layer, &a, &b, (d, f, wide)).map_err(&bad)?;
        }
    }
    match tensors.keys().min() {
        Some(name) => Err(bad(format!(
            "has the tensor {name:?}, which the model of {} layers has no place for; it was tuned on another model",
            model.n_layers
        ))),
        None => Ok(lora),
    }
}

/// From `gate_up_proj` to its halves: of rank r both share A; of rank 2r each has its own block.
fn split(
    lora: &mut Lora,
    layer: usize,
    a: &[f32],
    b: &[f32],
    (d, f, wide): (usize, usize, usize),
) -> std::result::Result<(), String> {
    let r = lora.config.rank;
    for (half, target) in [Target::Gate, Target::Up].into_iter().enumerate() {
        let own = if wide == r { 0 } else { half * r };
        let (to_a, to_b) = lora.ranges(layer, target);
        lora.params[to_a].copy_from_slice(&a[own * d..][..r * d]);
        let to = lora.params[to_b].chunks_exact_mut(r);
        for (to, row) in to.zip(b.chunks_exact(wide).skip(half * f)) {
            to.copy_from_slice(&row[own..own + r]);
            let others = row[..own].iter().chain(&row[own + r..]);
            if others.into_iter().any(|&w| w != 0.0) {
                return Err(format!(
                    "{FUSED} of rank {wide} mixes gate and up; train it with the rank {r} of the other modules"
                ));
            }
        }
    }
    Ok(())
}

/// What changes the arithmetic of an adapter and is not computed here.
fn refuse_other_methods(config: &Value) -> std::result::Result<(), String> {
    let kind = config["peft_type"].as_str().unwrap_or("LORA");
    if kind != "LORA" {
        return Err(format!("peft_type {kind:?} is not supported; \"LORA\" is"));
    }
    if let Some(bias) = config["bias"].as_str().filter(|&b| b != "none") {
        return Err(format!("bias {bias:?} is not supported; \"none\" is"));
    }
    let refuse = |key: &str| Err(format!("{key} is not supported; train the adapter without"));
    for (key, value) in config.as_object().into_iter().flatten() {
        let variant = key.starts_with("use_") && key != "use_rslora" || key == "lora_bias";
        if variant && *value == true {
            return refuse(key);
        }
    }
    for key in [
        "alora_invocation_tokens",
        "layer_replication",
        "layers_to_transform",
        "modules_to_save",
        "target_parameters",
        "trainable_token_indices",
    ] {
        let empty = config[key].as_array().is_some_and(Vec::is_empty);
        if !config[key].is_null() && !empty {
            return refuse(key);
        }
    }
    Ok(())
}

/// The targets that tensors of these names adapt.
fn targets_of<'a>(
    names: impl Iterator<Item = &'a String>,
    model: &LlamaConfig,
) -> std::result::Result<Targets, String> {
    let mut targets = Vec::new();
    for name in names {
        let parts: Vec<&str> = name
            .strip_prefix(PREFIX)
            .unwrap_or_default()
            .split('.')
            .collect();
        let found: Vec<Target> = match parts[..] {
            [_, parent, module, "lora_A" | "lora_B", "weight"] => Target::ALL
                .into_iter()
                .filter(|&t| {
                    let expected = if is_fused(t, model) {
                        FUSED
                    } else {
                        t.module()
                    };
                    (t.parent(), expected) == (parent, module)
                })
                .collect(),
            _ => Vec::new(),
        };
        if found.is_empty() {
            let all = Target::ALL.map(Target::module).join(", ");
            return Err(format!(
                "the tensor {name:?} is no LoRA weight of this model; {all} can be adapted"
            ));
        }
        targets.extend(found);
    }
    if targets.is_empty() {
        return Err("has no LoRA weights".into());
    }
    Ok(targets.into_iter().collect())
}
