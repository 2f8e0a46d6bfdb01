//! Ranks the whole catalogue by the LLM's user vector.
//!
//! `s(u, i) = τ·(h_u · e_i) + (W h_u)·m_i / √(d_h d_m) + b_i`: h_u is the final hidden state where the answer to
//! the item instruction begins, scaled to unit mean square; e_i the mean output embedding of the
//! tokens of item i's title (the LLM's own idea of the item); m_i a sentence embedding of its
//! description; W (width of m × width of h), b and τ are learnt with the adapter by a softmax over
//! the whole catalogue. Untuned, only the first term is there. Nothing outside the catalogue has a score.

use std::sync::Mutex;

use hkfr_lm::{AdamW, Llama, TapLoss, Tokenizer, View, ViewMut, log_sum_exp, matmul};

/// What is fixed about the catalogue's items, by catalogue position.
pub struct ItemVectors {
    pub n_items: usize,
    /// (items, d_h): mean output embeddings of title tokens.
    title: Vec<f32>,
    d_h: usize,
    /// (items, d_m): sentence embeddings.
    sentence: Vec<f32>,
    d_m: usize,
    /// Brings h to unit mean square.
    h_scale: f32,
}

impl ItemVectors {
    /// `titles` and their `sentence` embeddings (items, d_m) in the order of the catalogue.
    pub fn new(model: &Llama, tokenizer: &Tokenizer, titles: &[&str], sentence: Vec<f32>) -> Self {
        let d_h = model.config.hidden_size;
        let mut title = vec![0.0; titles.len() * d_h];
        for (row, text) in title.chunks_exact_mut(d_h).zip(titles) {
            let ids = tokenizer.encode(text);
            for &id in &ids {
                row.iter_mut()
                    .zip(model.output_embedding(id))
                    .for_each(|(r, e)| *r += e / ids.len() as f32);
            }
        }
        let d_m = sentence.len() / titles.len().max(1);
        Self {
            n_items: titles.len(),
            title,
            d_h,
            sentence,
            d_m,
            h_scale: hidden_scale(model),
        }
    }
}

/// `√d_h / |g|`, g the gains of the final norm: what brings a hidden state to unit mean square.
fn hidden_scale(model: &Llama) -> f32 {
    let gains = model.final_norm();
    let norm = gains.iter().map(|g| g * g).sum::<f32>().sqrt();
    (gains.len() as f32).sqrt() / norm
}

/// The vector that other rankers may use: h_u scaled to unit mean square (d_h).
pub(super) fn user_vector(model: &Llama, hidden: &[f32]) -> Vec<f32> {
    let scale = hidden_scale(model);
    hidden.iter().map(|h| h * scale).collect()
}

impl ItemVectors {
    /// Keeps the rate of W in step with that of τ and b: its gradient sums over both widths.
    fn w_scale(&self) -> f32 {
        1.0 / ((self.d_h * self.d_m.max(1)) as f32).sqrt()
    }
}

/// The learnt part: τ, then W, then b in one vector.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemHead {
    pub params: Vec<f32>,
}

impl ItemHead {
    /// The LLM's own scores only.
    pub fn untuned(vectors: &ItemVectors) -> Self {
        let mut params = vec![0.0; 1 + vectors.d_m * vectors.d_h + vectors.n_items];
        params[0] = 1.0;
        Self { params }
    }

    /// Begins at the popularity of the items in the training period: `b = ln(count + 1)`.
    pub fn at_popularity(vectors: &ItemVectors, counts: &[f32]) -> Self {
        let mut head = Self::untuned(vectors);
        head.params[0] = 0.0;
        let bias = 1 + vectors.d_m * vectors.d_h;
        head.params[bias..]
            .iter_mut()
            .zip(counts)
            .for_each(|(b, c)| *b = (c + 1.0).ln());
        head
    }

    fn parts(&self, v: &ItemVectors) -> (f32, &[f32], &[f32]) {
        let (w, b) = self.params[1..].split_at(v.d_m * v.d_h);
        (self.params[0], w, b)
    }

    fn scaled(v: &ItemVectors, hidden: &[f32]) -> Vec<f32> {
        hidden.iter().map(|h| h * v.h_scale).collect()
    }

    /// A score for every catalogue position. `h`: the user vector ([`CaseScores::user_vector`](super::CaseScores)).
    pub fn scores(&self, v: &ItemVectors, h: &[f32]) -> Vec<f32> {
        let (tau, w, b) = self.parts(v);
        let mut scores = b.to_vec();
        product(&mut scores, 1.0, tau, &v.title, h, v.n_items, v.d_h);
        let mut u = vec![0.0; v.d_m];
        product(&mut u, 0.0, v.w_scale(), w, h, v.d_m, v.d_h);
        product(&mut scores, 1.0, 1.0, &v.sentence, &u, v.n_items, v.d_m);
        scores
    }
}

/// `y = keep y + scale · m x` with m (rows, cols).
fn product(y: &mut [f32], keep: f32, scale: f32, m: &[f32], x: &[f32], rows: usize, cols: usize) {
    matmul(
        ViewMut::new(y, rows, 1, 1),
        keep,
        scale,
        View::new(m, rows, cols, cols),
        View::new(x, cols, 1, 1),
    );
}

/// `y = keep y + scale · mᵀ x`.
fn product_t(y: &mut [f32], keep: f32, scale: f32, m: &[f32], x: &[f32], rows: usize, cols: usize) {
    matmul(
        ViewMut::new(y, cols, 1, 1),
        keep,
        scale,
        View::new(m, rows, cols, cols).t(),
        View::new(x, rows, 1, 1),
    );
}

/// The head in training: mean cross-entropy of the next order's items against the whole catalogue.
pub(super) struct HeadLoss<'a> {
    pub vectors: &'a ItemVectors,
    pub head: &'a ItemHead,
    /// Targets by example of the batch.
    pub targets: Vec<&'a [u32]>,
    /// What the gradient of the parameters is made of, by example.
    pub factors: Mutex<Vec<Option<Factors>>>,
    /// Multiplies the gradient that goes on into the LLM.
    pub weight: f32,
}

/// One example's part in the gradient of the parameters: dτ, dW = d_u hᵀ, db.
pub(super) struct Factors {
    d_tau: f32,
    d_u: Vec<f32>,
    h: Vec<f32>,
    d_b: Vec<f32>,
}

impl HeadLoss<'_> {
    /// Sum over the batch of the gradient of the parameters, in the order of the examples: the
    /// order in which threads finish them does not show.
    pub fn into_grads(self) -> Vec<f32> {
        let v = self.vectors;
        let mut grads = vec![0.0; self.head.params.len()];
        let factors = self.factors.into_inner().expect("a worker panicked");
        for f in factors.into_iter().flatten() {
            grads[0] += f.d_tau;
            let (d_w, d_b) = grads[1..].split_at_mut(v.d_m * v.d_h);
            matmul(
                ViewMut::new(d_w, v.d_m, v.d_h, v.d_h),
                1.0,
                1.0,
                View::new(&f.d_u, v.d_m, 1, 1),
                View::new(&f.h, 1, v.d_h, v.d_h),
            );
            d_b.iter_mut().zip(&f.d_b).for_each(|(b, s)| *b += s);
        }
        grads
    }
}

impl TapLoss for HeadLoss<'_> {
    fn loss(&self, example: usize, hidden: &[f32], grad: &mut [f32]) -> f32 {
        let v = self.vectors;
        let targets = self.targets[example];
        let mut d_scores = self.head.scores(v, hidden);
        let norm = log_sum_exp(&d_scores);
        let share = 1.0 / targets.len() as f32;
        let loss = targets
            .iter()
            .map(|&t| norm - d_scores[t as usize])
            .sum::<f32>()
            * share;
        d_scores.iter_mut().for_each(|s| *s = (*s - norm).exp());
        targets.iter().for_each(|&t| d_scores[t as usize] -= share);

        let h = ItemHead::scaled(v, hidden);
        let (tau, w, _) = self.head.parts(v);
        // s = τ E h + M W h + b, so dh = τ Eᵀds + Wᵀ(Mᵀds), dW = (Mᵀds) hᵀ, dτ = ds·E h.
        let mut d_u = vec![0.0; v.d_m];
        let scale = v.w_scale();
        product_t(
            &mut d_u,
            0.0,
            scale,
            &v.sentence,
            &d_scores,
            v.n_items,
            v.d_m,
        );
        let mut d_title = vec![0.0; v.d_h];
        product_t(
            &mut d_title,
            0.0,
            1.0,
            &v.title,
            &d_scores,
            v.n_items,
            v.d_h,
        );
        product_t(grad, 0.0, self.weight * v.h_scale, w, &d_u, v.d_m, v.d_h);
        grad.iter_mut()
            .zip(&d_title)
            .for_each(|(g, t)| *g += self.weight * v.h_scale * tau * t);

        let d_tau = d_title.iter().zip(&h).map(|(a, b)| a * b).sum::<f32>();
        self.factors.lock().expect("a worker panicked")[example] = Some(Factors {
            d_tau,
            d_u,
            h,
            d_b: d_scores,
        });
        loss
    }
}

/// The optimiser of the head, beside that of the adapter.
pub(super) fn optimiser(head: &ItemHead) -> AdamW {
    AdamW::new(head.params.len(), 0.01)
}
