//! Sentence embeddings: a BERT encoder (Devlin et al., arXiv 1810.04805) with mean pooling, as
//! all-MiniLM-L6-v2 is used by sentence-transformers. Text → unit vector, so that a dot product is a cosine.

mod embed;

use std::collections::HashMap;
use std::path::Path;

use crate::error::{Error, Result};
use crate::kernels::{Matrix, Precision};
use crate::untrusted::tokenizer_from_file;

#[derive(serde::Deserialize)]
struct Config {
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    layer_norm_eps: f32,
    max_position_embeddings: usize,
    vocab_size: usize,
    hidden_act: String,
}

impl Config {
    /// Sizes that no weights could have.
    fn check(&self) -> std::result::Result<(), String> {
        let sizes = [
            ("hidden_size", self.hidden_size, 1 << 16),
            ("intermediate_size", self.intermediate_size, 1 << 18),
            ("num_hidden_layers", self.num_hidden_layers, 1 << 10),
            ("num_attention_heads", self.num_attention_heads, 1 << 10),
            (
                "max_position_embeddings",
                self.max_position_embeddings,
                1 << 20,
            ),
            ("vocab_size", self.vocab_size, 1 << 24),
        ];
        if let Some((key, n, limit)) = sizes.iter().find(|(_, n, limit)| !(1..=*limit).contains(n))
        {
            return Err(format!(
                "{key} is {n}, not between 1 and {limit}: fetch the model again"
            ));
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(format!(
                "{} heads do not divide a width of {}: fetch the model again",
                self.num_attention_heads, self.hidden_size
            ));
        }
        if !(self.layer_norm_eps.is_finite() && self.layer_norm_eps >= 0.0) {
            return Err(format!(
                "layer_norm_eps is {}: fetch the model again",
                self.layer_norm_eps
            ));
        }
        Ok(())
    }
}

struct Affine {
    weight: Matrix,
    bias: Vec<f32>,
}

struct Norm {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

struct Layer {
    /// Queries, keys and values one beside the other.
    qkv: Affine,
    attn_out: Affine,
    attn_norm: Norm,
    intermediate: Affine,
    output: Affine,
    output_norm: Norm,
}

pub struct Encoder {
    config: Config,
    tokenizer: tokenizers::Tokenizer,
    word: Vec<f32>,
    position: Vec<f32>,
    token_type: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

impl Encoder {
    /// From a Hugging Face directory: `config.json`, `tokenizer.json`, `model.safetensors`.
    pub fn open(dir: &Path) -> Result<Self> {
        Self::open_with(dir, Precision::F32)
    }

    /// [`Encoder::open`] with the matrices rounded to `precision`.
    pub fn open_with(dir: &Path, precision: Precision) -> Result<Self> {
        let path = dir.join("config.json");
        let config: Config =
            serde_json::from_slice(&fs_err::read(&path)?).map_err(|e| Error::BadFile {
                path: path.clone(),
                reason: e.to_string(),
            })?;
        if config.hidden_act != "gelu" {
            return Err(Error::BadFile {
                path,
                reason: format!(
                    "activation {:?}; only \"gelu\" is supported",
                    config.hidden_act
                ),
            });
        }
        config.check().map_err(|reason| Error::BadFile {
            path: path.clone(),
            reason,
        })?;
        let path = dir.join("tokenizer.json");
        let (mut tokenizer, ()) = tokenizer_from_file(&path, |_| ())?;
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|e| Error::Tokenizer(e.to_string()))?;
        let path = dir.join("model.safetensors");
        let (mut tensors, _) = crate::tensors::load_tensors(&path)?;
        let mut source = Source {
            path: &path,
            tensors: &mut tensors,
            precision,
        };
        let (d, f) = (config.hidden_size, config.intermediate_size);
        let mut layers = Vec::new();
        for i in 0..config.num_hidden_layers {
            let at = |part: &str| format!("encoder.layer.{i}.{part}");
            layers.push(Layer {
                qkv: source.beside(
                    &["query", "key", "value"].map(|part| at(&format!("attention.self.{part}"))),
                    (d, d),
                )?,
                attn_out: source.affine(&at("attention.output.dense"), (d, d))?,
                attn_norm: source.norm(&at("attention.output.LayerNorm"), d)?,
                intermediate: source.affine(&at("intermediate.dense"), (f, d))?,
                output: source.affine(&at("output.dense"), (d, f))?,
                output_norm: source.norm(&at("output.LayerNorm"), d)?,
            });
        }
        Ok(Self {
            word: source.take("embeddings.word_embeddings.weight", &[config.vocab_size, d])?,
            position: source.take(
                "embeddings.position_embeddings.weight",
                &[config.max_position_embeddings, d],
            )?,
            token_type: source.take("embeddings.token_type_embeddings.weight", &[2, d])?,
            norm: source.norm("embeddings.LayerNorm", d)?,
            layers,
            tokenizer,
            config,
        })
    }

    /// Width of an embedding.
    pub fn width(&self) -> usize {
        self.config.hidden_size
    }
}

struct Source<'a> {
    path: &'a Path,
    tensors: &'a mut HashMap<String, (Vec<usize>, Vec<f32>)>,
    precision: Precision,
}

impl Source<'_> {
    fn take(&mut self, name: &str, expected: &[usize]) -> Result<Vec<f32>> {
        let (found, data) = self.tensors.remove(name).ok_or_else(|| Error::BadFile {
            path: self.path.into(),
            reason: format!("lacks the f32 tensor {name:?}"),
        })?;
        if found != expected {
            return Err(Error::Shape {
                name: name.into(),
                expected: expected.into(),
                found,
            });
        }
        Ok(data)
    }

    /// Weights (d_out, d_in) and bias of one module.
    fn affine(&mut self, name: &str, shape: (usize, usize)) -> Result<Affine> {
        self.beside(&[name.to_owned()], shape)
    }

    /// Modules of one input as one matrix, its outputs one module after the other.
    fn beside(&mut self, names: &[String], (d_out, d_in): (usize, usize)) -> Result<Affine> {
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for name in names {
            weight.extend(self.take(&format!("{name}.weight"), &[d_out, d_in])?);
            bias.extend(self.take(&format!("{name}.bias"), &[d_out])?);
        }
        let weight = Matrix::new(&weight, d_in, self.precision);
        Ok(Affine { weight, bias })
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<Norm> {
        Ok(Norm {
            scale: self.take(&format!("{name}.weight"), &[width])?,
            shift: self.take(&format!("{name}.bias"), &[width])?,
        })
    }
}
