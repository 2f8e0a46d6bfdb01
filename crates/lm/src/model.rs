//! The weights of a decoder in `f32`, from a GGUF file or a Hugging Face directory.
//!
//! Names are Hugging Face's; matrices are (d_out, d_in). Whatever holds weights answers to
//! these names ([`Weights`]), so that an adapter means the same here and in `peft`.

use std::path::Path;
use std::sync::OnceLock;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::config::LlamaConfig;
use crate::error::{Error, Result};
use crate::gguf::Gguf;
use crate::gguf_model::GgufModel;
use crate::hf::Directory;
use crate::kernels::{Matrix, Precision};
use crate::rope::Rope;
use crate::targets::Target;
use crate::tokenizer::Tokenizer;
use crate::weights::Weights;

pub(crate) struct Layer {
    /// In the order of [`Target::ALL`].
    pub projections: [Matrix; 7],
    pub input_layernorm: Vec<f32>,
    pub post_attention_layernorm: Vec<f32>,
    /// What only some architectures have; see [`crate::Architecture`].
    pub q_bias: Option<Vec<f32>>,
    pub k_bias: Option<Vec<f32>>,
    pub v_bias: Option<Vec<f32>>,
    pub q_norm: Option<Vec<f32>>,
    pub k_norm: Option<Vec<f32>>,
    pub post_self_attn_layernorm: Option<Vec<f32>>,
    pub post_mlp_layernorm: Option<Vec<f32>>,
}

impl Layer {
    /// `get(name below the layer, shape)`.
    fn load(
        c: &LlamaConfig,
        mut get: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>,
    ) -> Result<Self> {
        let (d, f, q, kv) = (c.hidden_size, c.intermediate_size, c.q_size(), c.kv_size());
        let a = c.architecture;
        let layout = |w: &[f32], d_in| Matrix::new(w, d_in, Precision::F32);
        let (gate_proj, up_proj) = if a.fused_gate_up {
            let both = get("mlp.gate_up_proj.weight", &[2 * f, d])?;
            let (gate, up) = both.split_at(f * d);
            (layout(gate, d), layout(up, d))
        } else {
            (
                layout(&get("mlp.gate_proj.weight", &[f, d])?, d),
                layout(&get("mlp.up_proj.weight", &[f, d])?, d),
            )
        };
        let down_proj = layout(&get("mlp.down_proj.weight", &[d, f])?, f);
        let q_proj = layout(&get("self_attn.q_proj.weight", &[q, d])?, d);
        let k_proj = layout(&get("self_attn.k_proj.weight", &[kv, d])?, d);
        let v_proj = layout(&get("self_attn.v_proj.weight", &[kv, d])?, d);
        let o_proj = layout(&get("self_attn.o_proj.weight", &[d, q])?, q);
        let mut maybe = |has: bool, name: &str, width: usize| -> Result<Option<Vec<f32>>> {
            has.then(|| get(name, &[width])).transpose()
        };
        Ok(Self {
            q_bias: maybe(a.qkv_bias, "self_attn.q_proj.bias", q)?,
            k_bias: maybe(a.qkv_bias, "self_attn.k_proj.bias", kv)?,
            v_bias: maybe(a.qkv_bias, "self_attn.v_proj.bias", kv)?,
            q_norm: maybe(a.qk_norm, "self_attn.q_norm.weight", c.head_dim())?,
            k_norm: maybe(a.qk_norm, "self_attn.k_norm.weight", c.head_dim())?,
            post_self_attn_layernorm: maybe(a.post_norms, "post_self_attn_layernorm.weight", d)?,
            post_mlp_layernorm: maybe(a.post_norms, "post_mlp_layernorm.weight", d)?,
            input_layernorm: get("input_layernorm.weight", &[d])?,
            post_attention_layernorm: get("post_attention_layernorm.weight", &[d])?,
            projections: [
                q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj,
            ],
        })
    }
}

pub struct Llama {
    pub config: LlamaConfig,
    pub(crate) embed_tokens: Vec<f32>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) norm: Vec<f32>,
    /// `None` if the embeddings are tied.
    pub(crate) lm_head: Option<Vec<f32>>,
    /// The output embeddings again, for products with the whole vocabulary.
    pub(crate) output: Matrix,
    pub(crate) rope: Rope,
    pub(crate) transposed: OnceLock<Transposed>,
    precision: Precision,
    /// Name for manifests and `adapter_config.json`.
    pub name: String,
}

impl Layer {
    /// The matrix of a projection, (d_out, d_in).
    pub fn projection(&self, target: Target) -> &Matrix {
        &self.projections[target as usize]
    }
}

/// The matrices that carry gradients back.
pub(crate) struct Transposed {
    /// By layer, in the order of [`Target::ALL`].
    pub layers: Vec<[Matrix; 7]>,
    pub output: Matrix,
}

impl Llama {
    /// Weights and tokenizer of one GGUF file, or of a directory as Hugging Face lays it out
    /// (`config.json`, `tokenizer.json`, `model.safetensors` or its shards and their index).
    pub fn open(path: &Path) -> Result<(Self, Tokenizer)> {
        if path.is_dir() {
            let tokenizer = Tokenizer::from_json(&path.join("tokenizer.json"))?;
            let model = Self::from_dir(path)?;
            let (has, needs) = (model.config.vocab_size, tokenizer.vocab_size());
            if needs > has {
                return Err(Error::BadFile {
                    path: path.into(),
                    reason: format!(
                        "tokenizer.json has {needs} tokens, the model {has}: they belong to different models; fetch both from one"
                    ),
                });
            }
            return Ok((model, tokenizer));
        }
        Self::from_gguf(&Gguf::open(path)?)
    }

    /// Weights and tokenizer of an open GGUF file.
    pub fn from_gguf(gguf: &Gguf) -> Result<(Self, Tokenizer)> {
        let path = gguf.path();
        let tokenizer = Tokenizer::from_gguf(gguf)?;
        let mut source = GgufModel::new(gguf, path, tokenizer.vocab_size())?;
        let (config, name) = (source.config.clone().check()?, source.name());
        // Sines and cosines of every position: not in the file, so not bounded by it.
        if !gguf.affords(config.max_positions as u64 * config.head_dim() as u64 * 4) {
            return Err(Error::BadFile {
                path: path.into(),
                reason: format!(
                    "a context of {} positions is out of proportion to the file; it is damaged: fetch it again",
                    config.max_positions
                ),
            });
        }
        Ok((Self::load(config, name, &mut source)?, tokenizer))
    }

    /// Weights of a Hugging Face directory, without its tokenizer.
    pub fn from_dir(dir: &Path) -> Result<Self> {
        let mut source = Directory::open(dir)?;
        let (config, name) = (source.config()?, source.name());
        Self::load(config, name, &mut source)
    }

    fn load(config: LlamaConfig, name: String, weights: &mut dyn Weights) -> Result<Self> {
        let config = config.check()?;
        let (v, d) = (config.vocab_size, config.hidden_size);
        let mut layers = Vec::new();
        for i in 0..config.n_layers {
            layers.push(Layer::load(&config, |name, shape| {
                weights.tensor(&format!("model.layers.{i}.{name}"), shape)
            })?);
        }
        let embed_tokens = weights.tensor("model.embed_tokens.weight", &[v, d])?;
        let lm_head = (!config.tie_word_embeddings)
            .then(|| weights.tensor("lm_head.weight", &[v, d]))
            .transpose()?;
        let output = lm_head.as_ref().unwrap_or(&embed_tokens);
        Ok(Self {
            output: Matrix::new(output, d, Precision::F32),
            embed_tokens,
            norm: weights.tensor("model.norm.weight", &[d])?,
            lm_head,
            layers,
            rope: Rope::new(&config),
            transposed: OnceLock::new(),
            precision: Precision::F32,
            name,
            config,
        })
    }

    /// Random weights: a model for tests, of any geometry, that needs no file.
    pub fn random(config: LlamaConfig, seed: u64) -> Result<Self> {
        Self::load(
            config,
            "random".into(),
            &mut Random(ChaCha8Rng::seed_from_u64(seed)),
        )
    }

    /// The scale of the final RMSNorm, width `hidden_size`.
    pub fn final_norm(&self) -> &[f32] {
        &self.norm
    }

    /// The input embedding of a token, width `hidden_size`.
    pub fn embedding(&self, token: u32) -> &[f32] {
        let d = self.config.hidden_size;
        &self.embed_tokens[token as usize * d..(token as usize + 1) * d]
    }

    /// What a final hidden state is multiplied with for the logit of a token: the input embedding if
    /// the two are tied.
    pub fn output_embedding(&self, token: u32) -> &[f32] {
        let d = self.config.hidden_size;
        let rows = self.lm_head.as_ref().unwrap_or(&self.embed_tokens);
        &rows[token as usize * d..(token as usize + 1) * d]
    }

    /// Rounds all matrices; embeddings and norms stay in `f32`. What a matrix loses cannot be had
    /// back: a copy of the model comes from its file.
    pub fn set_precision(&mut self, precision: Precision) {
        if precision == self.precision {
            return;
        }
        self.precision = precision;
        self.transposed = OnceLock::new();
        let projections = self.layers.iter_mut().flat_map(|l| &mut l.projections);
        for matrix in projections.chain([&mut self.output]) {
            *matrix = Matrix::new(&matrix.to_rows(), matrix.d_in(), precision);
        }
    }

    /// Made when the first gradient is asked for; as large as the weights.
    pub(crate) fn transposed(&self) -> &Transposed {
        self.transposed.get_or_init(|| Transposed {
            layers: self
                .layers
                .iter()
                .map(|l| l.projections.each_ref().map(Matrix::transposed))
                .collect(),
            output: self.output.transposed(),
        })
    }
}

/// Matrices uniform with unit gain, norms one, biases small.
struct Random(ChaCha8Rng);

impl Weights for Random {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let n = shape.iter().product();
        let bound = match shape {
            [_] if name.ends_with(".bias") => 0.5,
            [_] => return Ok(vec![1.0; n]),
            // Hidden states of unit size from the first layer on.
            _ if name == "model.embed_tokens.weight" => 1.0,
            _ => (3.0 / shape[1] as f32).sqrt(),
        };
        Ok((0..n).map(|_| self.0.random_range(-bound..bound)).collect())
    }
}
