//! Texts → unit vectors: the forward pass of [`Encoder`] on batches of texts of one length.
//!
//! Texts are tokenised, sorted by length and cut into batches of a number of tokens; the threads take
//! batches, longest texts first, until none is left. No row is padding: the texts of a batch lie one
//! after the other, matrices multiply all their rows at once, and attention stays within a text.
//! A text that occurs several times is computed once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Affine, Encoder, Norm};
use crate::error::{Error, Result};
use crate::kernels::{Pool, View, ViewMut, gelu, layer_norm, matmul, softmax};

/// Tokens that share one pass over the weights: of 64 to 1024 the least processor time, by 2 % against
/// 256 and 15 % against 64.
const BATCH_TOKENS: usize = 512;
/// Texts that a thread tokenises at a time.
const TOKENISED: usize = 64;

impl Encoder {
    /// Unit vectors (texts, width), row-major, computed on `n_threads` threads. A text beyond the
    /// model's positions is cut there; one without a token has the vector 0.
    pub fn embed(&self, texts: &[&str], n_threads: usize) -> Result<Vec<f32>> {
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut unique = Vec::new();
        let place: Vec<usize> = texts
            .iter()
            .map(|&text| {
                *places.entry(text).or_insert_with(|| {
                    unique.push(text);
                    unique.len() - 1
                })
            })
            .collect();
        let ids = self.tokenise(&unique, n_threads)?;
        let mut order: Vec<usize> = (0..ids.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(ids[i].len()));
        let batches = batches(&order, &ids);
        let d = self.width();
        let done = in_threads(n_threads, batches.len(), Buffers::default, |b, buffers| {
            let ids: Vec<&[u32]> = batches[b].iter().map(|&i| &ids[i][..]).collect();
            Ok(self.embed_batch(&ids, buffers))
        })?;
        let mut vectors = vec![0.0; unique.len() * d];
        for (b, rows) in done {
            for (&i, row) in batches[b].iter().zip(rows.chunks_exact(d)) {
                vectors[i * d..(i + 1) * d].copy_from_slice(row);
            }
        }
        if unique.len() == texts.len() {
            return Ok(vectors);
        }
        let mut out = Vec::with_capacity(texts.len() * d);
        place
            .iter()
            .for_each(|&i| out.extend_from_slice(&vectors[i * d..(i + 1) * d]));
        Ok(out)
    }

    fn tokenise(&self, texts: &[&str], n_threads: usize) -> Result<Vec<Vec<u32>>> {
        let chunks: Vec<&[&str]> = texts.chunks(TOKENISED).collect();
        let mut done = in_threads(
            n_threads,
            chunks.len(),
            || (),
            |c, ()| chunks[c].iter().map(|text| self.ids(text)).collect(),
        )?;
        done.sort_unstable_by_key(|(c, _): &(usize, Vec<Vec<u32>>)| *c);
        Ok(done.into_iter().flat_map(|(_, ids)| ids).collect())
    }

    fn ids(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.tokenizer.encode_fast(text, true);
        let encoding = encoding.map_err(|e| Error::Tokenizer(e.to_string()))?;
        let ids = encoding.get_ids();
        let ids = &ids[..ids.len().min(self.config.max_position_embeddings)];
        match ids
            .iter()
            .find(|&&id| id as usize >= self.config.vocab_size)
        {
            Some(id) => Err(Error::Tokenizer(format!(
                "tokenizer.json has the token {id}, config.json a vocab_size of {}: the files are not of one model",
                self.config.vocab_size
            ))),
            None => Ok(ids.to_vec()),
        }
    }

    /// Vectors (texts, width) of texts that are given as tokens.
    fn embed_batch(&self, texts: &[&[u32]], b: &mut Buffers) -> Vec<f32> {
        let (d, f) = (self.config.hidden_size, self.config.intermediate_size);
        let eps = self.config.layer_norm_eps;
        let n = texts.iter().map(|ids| ids.len()).sum();
        b.resize(n, d, f);
        let tokens = texts.iter().flat_map(|ids| ids.iter().enumerate());
        for (x, (i, &id)) in b.x.chunks_exact_mut(d).zip(tokens) {
            let (word, position) = (&self.word[id as usize * d..], &self.position[i * d..]);
            for j in 0..d {
                x[j] = word[j] + position[j] + self.token_type[j];
            }
        }
        normalise(&mut b.x, &self.norm, eps);
        for layer in &self.layers {
            affine(&mut b.pool, &mut b.qkv, &b.x, &layer.qkv);
            self.attention(texts, b);
            add_affine(&mut b.pool, &mut b.x, &b.mixed, &layer.attn_out);
            normalise(&mut b.x, &layer.attn_norm, eps);
            affine(&mut b.pool, &mut b.inner, &b.x, &layer.intermediate);
            gelu(&mut b.inner);
            add_affine(&mut b.pool, &mut b.x, &b.inner, &layer.output);
            normalise(&mut b.x, &layer.output_norm, eps);
        }
        let mut out = vec![0.0; texts.len() * d];
        let mut rows = b.x.chunks_exact(d);
        for (out, ids) in out.chunks_exact_mut(d).zip(texts) {
            rows.by_ref().take(ids.len()).for_each(|x| add(out, x));
            let norm = out.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
            out.iter_mut().for_each(|x| *x /= norm);
        }
        out
    }

    /// Every token of a text attends to every token of it: `mixed = softmax(q kᵀ / √d) v` by head.
    fn attention(&self, texts: &[&[u32]], b: &mut Buffers) {
        let (d, heads) = (self.config.hidden_size, self.config.num_attention_heads);
        let hd = d / heads;
        let scale = 1.0 / (hd as f32).sqrt();
        let mut start = 0;
        for n in texts.iter().map(|ids| ids.len()).filter(|&n| n > 0) {
            b.scores.resize(n * n, 0.0);
            for column in (0..heads).map(|h| h * hd) {
                let [q, k, v] = [0, d, 2 * d]
                    .map(|part| View::new(&b.qkv[start * 3 * d + part + column..], n, hd, 3 * d));
                matmul(ViewMut::new(&mut b.scores, n, n, n), 0.0, scale, q, k.t());
                b.scores.chunks_exact_mut(n).for_each(softmax);
                matmul(
                    ViewMut::new(&mut b.mixed[start * d + column..], n, hd, d),
                    0.0,
                    1.0,
                    View::new(&b.scores, n, n, n),
                    v,
                );
            }
            start += n;
        }
    }
}

/// Runs of `order` with at most [`BATCH_TOKENS`] tokens, or one text.
fn batches<'a>(order: &'a [usize], ids: &[Vec<u32>]) -> Vec<&'a [usize]> {
    let mut batches = Vec::new();
    let mut rest = order;
    while !rest.is_empty() {
        let mut tokens = 0;
        let fits = rest.iter().take_while(|&&i| {
            tokens += ids[i].len();
            tokens <= BATCH_TOKENS
        });
        let n = fits.count().max(1);
        let (batch, others) = rest.split_at(n);
        batches.push(batch);
        rest = others;
    }
    batches
}

/// `f(job, state)` for every job, each thread with a state of its own; results in any order.
fn in_threads<S, T: Send>(
    n_threads: usize,
    n_jobs: usize,
    state: impl Fn() -> S + Sync,
    f: impl Fn(usize, &mut S) -> Result<T> + Sync,
) -> Result<Vec<(usize, T)>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut state = state();
        let mut done = Vec::new();
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            if job >= n_jobs {
                return Ok(done);
            }
            done.push((job, f(job, &mut state)?));
        }
    };
    let parts: Vec<Result<Vec<_>>> = std::thread::scope(|scope| {
        let threads = n_threads.clamp(1, n_jobs.max(1));
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let join =
            |h: std::thread::ScopedJoinHandle<_>| h.join().expect("an embedding thread panicked");
        handles.into_iter().map(join).collect()
    });
    Ok(parts
        .into_iter()
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect())
}

#[derive(Default)]
struct Buffers {
    x: Vec<f32>,
    /// (n, 3 d)
    qkv: Vec<f32>,
    mixed: Vec<f32>,
    inner: Vec<f32>,
    scores: Vec<f32>,
    /// This thread alone: texts are shared out, and not their products.
    pool: Pool,
}

impl Buffers {
    fn resize(&mut self, n: usize, d: usize, f: usize) {
        self.x.resize(n * d, 0.0);
        self.qkv.resize(n * 3 * d, 0.0);
        self.mixed.resize(n * d, 0.0);
        self.inner.resize(n * f, 0.0);
    }
}

fn add(xs: &mut [f32], ys: &[f32]) {
    xs.iter_mut().zip(ys).for_each(|(x, y)| *x += y);
}

fn normalise(xs: &mut [f32], norm: &Norm, eps: f32) {
    layer_norm(xs, &norm.scale, &norm.shift, eps);
}

/// `ys = xs Wᵀ + b`, row by row.
fn affine(pool: &mut Pool, ys: &mut [f32], xs: &[f32], a: &Affine) {
    ys.chunks_exact_mut(a.bias.len())
        .for_each(|y| y.copy_from_slice(&a.bias));
    a.weight.multiply(pool, ys, 1.0, xs);
}

/// `ys += xs Wᵀ + b`, row by row.
fn add_affine(pool: &mut Pool, ys: &mut [f32], xs: &[f32], a: &Affine) {
    ys.chunks_exact_mut(a.bias.len())
        .for_each(|y| add(y, &a.bias));
    a.weight.multiply(pool, ys, 1.0, xs);
}
