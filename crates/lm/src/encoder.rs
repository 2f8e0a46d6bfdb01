//! Sentence embeddings: a BERT encoder (Devlin et al., arXiv 1810.04805) with mean pooling, as
//! all-MiniLM-L6-v2 is used by sentence-transformers. Text → unit vector, so that a dot product is a cosine.

use std::collections::HashMap;
use std::path::Path;

use crate::error::{Error, Result};
use crate::kernels::{View, ViewMut, gelu, layer_norm, linear, matmul, softmax};

/// Texts that share one pass over the weights.
const BATCH: usize = 16;

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

/// A weight matrix (d_out, d_in) and its bias, or a layer norm's scale and shift.
struct Affine {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

struct Layer {
    query: Affine,
    key: Affine,
    value: Affine,
    attn_out: Affine,
    attn_norm: Affine,
    intermediate: Affine,
    output: Affine,
    output_norm: Affine,
}

pub struct Encoder {
    config: Config,
    tokenizer: tokenizers::Tokenizer,
    word: Vec<f32>,
    position: Vec<f32>,
    token_type: Vec<f32>,
    norm: Affine,
    layers: Vec<Layer>,
}

impl Encoder {
    /// From a Hugging Face directory: `config.json`, `tokenizer.json`, `model.safetensors`.
    pub fn open(dir: &Path) -> Result<Self> {
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
        let path = dir.join("tokenizer.json");
        let mut tokenizer =
            tokenizers::Tokenizer::from_file(&path).map_err(|e| Error::BadFile {
                path: path.clone(),
                reason: e.to_string(),
            })?;
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|e| Error::Tokenizer(e.to_string()))?;
        let path = dir.join("model.safetensors");
        let (mut tensors, _) = crate::tensors::load_tensors(&path)?;
        let mut source = Source {
            path: &path,
            tensors: &mut tensors,
        };
        let (d, f) = (config.hidden_size, config.intermediate_size);
        let mut layers = Vec::with_capacity(config.num_hidden_layers);
        for i in 0..config.num_hidden_layers {
            let at = |part: &str| format!("encoder.layer.{i}.{part}");
            layers.push(Layer {
                query: source.affine(&at("attention.self.query"), &[d, d])?,
                key: source.affine(&at("attention.self.key"), &[d, d])?,
                value: source.affine(&at("attention.self.value"), &[d, d])?,
                attn_out: source.affine(&at("attention.output.dense"), &[d, d])?,
                attn_norm: source.affine(&at("attention.output.LayerNorm"), &[d])?,
                intermediate: source.affine(&at("intermediate.dense"), &[f, d])?,
                output: source.affine(&at("output.dense"), &[d, f])?,
                output_norm: source.affine(&at("output.LayerNorm"), &[d])?,
            });
        }
        Ok(Self {
            word: source.take("embeddings.word_embeddings.weight", &[config.vocab_size, d])?,
            position: source.take(
                "embeddings.position_embeddings.weight",
                &[config.max_position_embeddings, d],
            )?,
            token_type: source.take("embeddings.token_type_embeddings.weight", &[2, d])?,
            norm: source.affine("embeddings.LayerNorm", &[d])?,
            layers,
            tokenizer,
            config,
        })
    }

    /// Width of an embedding.
    pub fn width(&self) -> usize {
        self.config.hidden_size
    }

    /// Unit vectors (texts, width), row-major, computed on `n_threads` threads. A text beyond the
    /// model's positions is cut there.
    pub fn embed(&self, texts: &[&str], n_threads: usize) -> Result<Vec<f32>> {
        let d = self.width();
        let mut out = vec![0.0; texts.len() * d];
        let share = texts.len().div_ceil(n_threads.max(1)).max(1);
        std::thread::scope(|scope| {
            let handles: Vec<_> = texts
                .chunks(share)
                .zip(out.chunks_mut(share * d))
                .map(|(texts, out)| {
                    scope.spawn(move || {
                        let mut buffers = Buffers::default();
                        // Several texts share a pass over the weights, which costs more than their arithmetic.
                        let batches = texts.chunks(BATCH).zip(out.chunks_mut(BATCH * d));
                        batches
                            .into_iter()
                            .try_for_each(|(texts, out)| self.embed_batch(texts, out, &mut buffers))
                    })
                })
                .collect();
            handles
                .into_iter()
                .try_for_each(|h| h.join().expect("an embedding thread panicked"))
        })?;
        Ok(out)
    }

    fn embed_batch(&self, texts: &[&str], out: &mut [f32], b: &mut Buffers) -> Result<()> {
        let mut ids: Vec<u32> = Vec::new();
        let mut ends = vec![0];
        for text in texts {
            let encoding = self
                .tokenizer
                .encode(*text, true)
                .map_err(|e| Error::Tokenizer(e.to_string()))?;
            ids.extend(
                encoding
                    .get_ids()
                    .iter()
                    .take(self.config.max_position_embeddings),
            );
            ends.push(ids.len());
        }
        let rows = |i: usize| ends[i]..ends[i + 1];
        let (n, d, f) = (
            ids.len(),
            self.config.hidden_size,
            self.config.intermediate_size,
        );
        let (heads, eps) = (self.config.num_attention_heads, self.config.layer_norm_eps);
        let hd = d / heads;
        for v in [&mut b.x, &mut b.q, &mut b.k, &mut b.v, &mut b.mixed] {
            v.resize(n * d, 0.0);
        }
        b.inner.resize(n * f, 0.0);
        let positions = (0..texts.len()).flat_map(|t| 0..rows(t).len());
        for ((x, &id), i) in b.x.chunks_exact_mut(d).zip(&ids).zip(positions) {
            let (word, position) = (&self.word[id as usize * d..], &self.position[i * d..]);
            for j in 0..d {
                x[j] = word[j] + position[j] + self.token_type[j];
            }
        }
        layer_norm(&mut b.x, &self.norm.weight, &self.norm.bias, eps);
        for layer in &self.layers {
            affine(&mut b.q, &b.x, &layer.query, n, d, d);
            affine(&mut b.k, &b.x, &layer.key, n, d, d);
            affine(&mut b.v, &b.x, &layer.value, n, d, d);
            for (rows, h) in (0..texts.len())
                .flat_map(|t| (0..heads).map(move |h| (t, h)))
                .map(|(t, h)| (rows(t), h))
            {
                let (at, n) = (rows.start * d + h * hd, rows.len());
                let (q, k, v) = (
                    View::new(&b.q[at..], n, hd, d),
                    View::new(&b.k[at..], n, hd, d),
                    View::new(&b.v[at..], n, hd, d),
                );
                b.scores.resize(n * n, 0.0);
                matmul(
                    ViewMut::new(&mut b.scores, n, n, n),
                    0.0,
                    1.0 / (hd as f32).sqrt(),
                    q,
                    k.t(),
                );
                b.scores.chunks_exact_mut(n).for_each(softmax);
                matmul(
                    ViewMut::new(&mut b.mixed[at..], n, hd, d),
                    0.0,
                    1.0,
                    View::new(&b.scores, n, n, n),
                    v,
                );
            }
            affine(&mut b.q, &b.mixed, &layer.attn_out, n, d, d);
            b.x.iter_mut().zip(&b.q).for_each(|(x, y)| *x += y);
            layer_norm(
                &mut b.x,
                &layer.attn_norm.weight,
                &layer.attn_norm.bias,
                eps,
            );
            affine(&mut b.inner, &b.x, &layer.intermediate, n, d, f);
            gelu(&mut b.inner);
            affine(&mut b.q, &b.inner, &layer.output, n, f, d);
            b.x.iter_mut().zip(&b.q).for_each(|(x, y)| *x += y);
            layer_norm(
                &mut b.x,
                &layer.output_norm.weight,
                &layer.output_norm.bias,
                eps,
            );
        }
        for (t, out) in out.chunks_exact_mut(d).enumerate() {
            out.fill(0.0);
            for x in b.x[ends[t] * d..ends[t + 1] * d].chunks_exact(d) {
                out.iter_mut().zip(x).for_each(|(o, x)| *o += x);
            }
            let norm = out.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
            out.iter_mut().for_each(|x| *x /= norm);
        }
        Ok(())
    }
}

#[derive(Default)]
struct Buffers {
    x: Vec<f32>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    mixed: Vec<f32>,
    inner: Vec<f32>,
    scores: Vec<f32>,
}

struct Source<'a> {
    path: &'a Path,
    tensors: &'a mut HashMap<String, (Vec<usize>, Vec<f32>)>,
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

    fn affine(&mut self, name: &str, shape: &[usize]) -> Result<Affine> {
        Ok(Affine {
            weight: self.take(&format!("{name}.weight"), shape)?,
            bias: self.take(&format!("{name}.bias"), &shape[..1])?,
        })
    }
}

fn affine(ys: &mut [f32], xs: &[f32], a: &Affine, n: usize, d_in: usize, d_out: usize) {
    ys.chunks_exact_mut(d_out)
        .for_each(|y| y.copy_from_slice(&a.bias));
    linear(ys, 1.0, xs, &a.weight, n, d_in, d_out);
}
