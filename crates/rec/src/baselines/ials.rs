//! iALS (Hu, Koren & Volinsky, ICDM 2008) with the objective of Rendle et al. (arXiv 2110.14037):
//! `L = Σ_{(u,e) chosen} (1 − w_u·h_e)² + α Σ_{u,e} (w_u·h_e)² + λ (Σ_u |w_u|² n_u + Σ_e |h_e|² n_e)` with
//! `n_u = (|E_u| + α|E|)^ν` and `n_e = (|U_e| + α|U|)^ν`, minimised over the users, then over the
//! entities, and so on. Choices are binary.
//!
//! The minimiser of a row that chose n vectors H (n, d) of the other side is
//! `w = (M + HᵀH)⁻¹ Hᵀ1` with `M = αG + λ(n + α|E|)^ν I` and G the Gram matrix of the other side. That
//! side is first turned so that G is diagonal, which changes no product `w·h`. M is diagonal then, and a
//! row costs n²d operations, not d³: `w = M⁻¹Hᵀ (I + H M⁻¹ Hᵀ)⁻¹ 1`.
//!
//! Scores are `w·h_e` with w the minimiser for the history at hand: a new user is one more row.

use hkfr_events::{Dataset, History};
use hkfr_lm::{Pool, View, ViewMut, add_rows, dot, linear, matmul};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::Scorer;
use super::eigen::{self, symmetric_eigen};
use super::entities::Entities;
use super::interactions::{Interactions, choosers};
use crate::error::{Error, Result, at_least};
use crate::sequence::Init;
use crate::systems::Watch;
use crate::validation::{Progress, tell};

/// Rows that a thread solves at a time.
const ROWS: usize = 128;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IalsConfig {
    pub dim: usize,
    /// α: weight of a pair that was not chosen; one that was has 1 + α. Larger: it says more of what is not wanted.
    pub alpha: f32,
    /// λ: L2 regularisation, above 0.
    pub lambda: f32,
    /// ν: how much stronger a vector with many choices is regularised; 0 is alike, 1 in proportion.
    pub nu: f32,
    /// Times that users and entities are solved.
    pub epochs: usize,
    pub seed: u64,
}

impl Default for IalsConfig {
    fn default() -> Self {
        Self {
            dim: 256,
            alpha: 0.03,
            lambda: 0.003,
            nu: 1.0,
            epochs: 16,
            seed: 1,
        }
    }
}

impl IalsConfig {
    /// # Errors
    /// A value out of its range.
    pub fn check(&self) -> Result<()> {
        at_least("dim", self.dim as f32, 1.0)?;
        at_least("alpha", self.alpha, 0.0)?;
        at_least("lambda", self.lambda, 1e-9)?;
        at_least("nu", self.nu, 0.0)?;
        at_least("epochs", self.epochs as f32, 1.0)
    }

    /// λ (n + α|E|)^ν of a row that chose n of `n_vectors`.
    fn ridge(&self, n: usize, n_vectors: usize) -> f32 {
        let weight = n as f32 + self.alpha * n_vectors as f32;
        self.lambda * weight.powf(self.nu)
    }
}

/// The side that is held fixed while the other one is solved: vectors (n, d) in a basis in which their
/// Gram matrix is diagonal.
#[derive(Serialize, Deserialize)]
pub struct FixedSide {
    vectors: Vec<f32>,
    gram: Vec<f32>,
}

impl FixedSide {
    /// Turns `vectors` (n, d).
    pub fn new(vectors: &[f32], d: usize, pool: &mut Pool) -> Self {
        let (gram, basis) = symmetric_eigen(gram(vectors, d, pool), d);
        let basis: Vec<f32> = basis.into_iter().map(|x| x as f32).collect();
        let mut turned = vec![0.0; vectors.len()];
        let parts = vectors.chunks(ROWS * d).zip(turned.chunks_mut(ROWS * d));
        pool.each(parts.collect(), |(from, to)| {
            linear(to, 0.0, from, &basis, from.len() / d, d, d);
        });
        Self {
            vectors: turned,
            gram: gram.into_iter().map(|x| x.max(0.0) as f32).collect(),
        }
    }

    pub fn vectors(&self) -> &[f32] {
        &self.vectors
    }

    /// The minimisers (rows, d), each row being the vectors that it chose.
    pub fn solve(&self, rows: &[Vec<u32>], config: &IalsConfig, pool: &mut Pool) -> Vec<f32> {
        let d = config.dim;
        let mut out = vec![0.0; rows.len() * d];
        let parts = rows.chunks(ROWS).zip(out.chunks_mut(ROWS * d));
        pool.each(parts.collect(), |(rows, out)| {
            let mut solver = Solver::default();
            for (row, w) in rows.iter().zip(out.chunks_exact_mut(d)) {
                solver.solve(self, row, config, w);
            }
        });
        out
    }

    /// L of these users and the items (items, d) that were solved for them; `rows` and `columns` are the
    /// choices of the users and of the items.
    pub fn loss(
        &self,
        items: &[f32],
        rows: &[Vec<u32>],
        columns: &[Vec<u32>],
        config: &IalsConfig,
    ) -> f64 {
        let d = config.dim;
        let mut sum = 0.0;
        for (row, w) in rows.iter().zip(self.vectors.chunks_exact(d)) {
            for &e in row {
                sum += f64::from(1.0 - dot(w, &items[e as usize * d..][..d])).powi(2);
            }
            sum += f64::from(config.ridge(row.len(), columns.len()) * dot(w, w));
        }
        for (column, h) in columns.iter().zip(items.chunks_exact(d)) {
            sum += f64::from(config.ridge(column.len(), rows.len()) * dot(h, h));
            let all: f32 = h.iter().zip(&self.gram).map(|(h, g)| g * h * h).sum();
            sum += f64::from(config.alpha * all);
        }
        sum
    }
}

/// Σ v vᵀ over the rows v: in single precision within 16 blocks, in double over them.
fn gram(vectors: &[f32], d: usize, pool: &mut Pool) -> Vec<f64> {
    let rows = (vectors.len() / d).div_ceil(16).max(1024);
    let blocks: Vec<&[f32]> = vectors.chunks(rows * d).collect();
    let mut grams = vec![0f32; blocks.len() * d * d];
    let parts = blocks.into_iter().zip(grams.chunks_mut(d * d));
    pool.each(parts.collect(), |(block, gram)| {
        let v = View::new(block, block.len() / d, d, d);
        matmul(ViewMut::new(gram, d, d, d), 0.0, 1.0, v.t(), v);
    });
    let mut sum = vec![0.0; d * d];
    for gram in grams.chunks_exact(d * d) {
        sum.iter_mut()
            .zip(gram)
            .for_each(|(s, &g)| *s += f64::from(g));
    }
    sum
}

/// Buffers of one thread.
#[derive(Default)]
struct Solver {
    /// M^(−½).
    scale: Vec<f32>,
    /// H M^(−½).
    h: Vec<f32>,
    product: Vec<f32>,
    system: Vec<f64>,
    x: Vec<f64>,
}

impl Solver {
    /// With K = H M^(−½): `w = M^(−½) Kᵀ (I + KKᵀ)⁻¹ 1` for few choices, which is
    /// `M^(−½) (I + KᵀK)⁻¹ Kᵀ1` for many.
    fn solve(&mut self, fixed: &FixedSide, chosen: &[u32], config: &IalsConfig, w: &mut [f32]) {
        let (n, d) = (chosen.len(), w.len());
        let ridge = config.ridge(n, fixed.vectors.len() / d);
        self.scale.clear();
        let m = fixed.gram.iter().map(|g| config.alpha * g + ridge);
        self.scale.extend(m.map(|m| 1.0 / m.sqrt()));
        self.h.clear();
        for &e in chosen {
            let h = fixed.vectors[e as usize * d..][..d].iter();
            self.h.extend(h.zip(&self.scale).map(|(h, s)| h * s));
        }
        let size = n.min(d);
        self.product.resize(size * size, 0.0);
        self.x.clear();
        let h = View::new(&self.h, n, d, d);
        let (a, b) = if n < d { (h, h.t()) } else { (h.t(), h) };
        matmul(
            ViewMut::new(&mut self.product, size, size, size),
            0.0,
            1.0,
            a,
            b,
        );
        self.system.clear();
        self.system
            .extend(self.product.iter().map(|&x| f64::from(x)));
        self.system
            .iter_mut()
            .step_by(size + 1)
            .for_each(|x| *x += 1.0);
        w.fill(0.0);
        if n < d {
            self.x.resize(n, 1.0);
            cholesky_solve(&mut self.system, &mut self.x);
            for (h, &x) in self.h.chunks_exact(d).zip(&self.x) {
                w.iter_mut().zip(h).for_each(|(w, h)| *w += x as f32 * h);
            }
        } else {
            add_rows(w, &self.h);
            self.x.extend(w.iter().map(|&w| f64::from(w)));
            cholesky_solve(&mut self.system, &mut self.x);
            w.iter_mut().zip(&self.x).for_each(|(w, &x)| *w = x as f32);
        }
        w.iter_mut().zip(&self.scale).for_each(|(w, s)| *w *= s);
    }
}

/// `x ← A⁻¹x` for a symmetric positive definite A (n, n), which its factor L overwrites: `A = LLᵀ`.
fn cholesky_solve(a: &mut [f64], x: &mut [f64]) {
    let n = x.len();
    for i in 0..n {
        let (above, row) = a.split_at_mut(i * n);
        let row = &mut row[..n];
        for j in 0..i {
            let other = &above[j * n..][..n];
            row[j] = (row[j] - eigen::dot(&row[..j], &other[..j])) / other[j];
        }
        row[i] = (row[i] - eigen::dot(&row[..i], &row[..i])).sqrt();
        x[i] = (x[i] - eigen::dot(&row[..i], &x[..i])) / row[i];
    }
    for i in (0..n).rev() {
        let row = &a[i * n..][..n];
        x[i] /= row[i];
        let (before, last) = x[..i + 1].split_at_mut(i);
        before
            .iter_mut()
            .zip(row)
            .for_each(|(x, l)| *x -= l * last[0]);
    }
}

#[derive(Serialize, Deserialize)]
pub struct Ials {
    #[serde(skip)]
    entities: Entities,
    config: IalsConfig,
    items: FixedSide,
    /// Users by entity: what a user without a history is shown.
    counts: Vec<f32>,
}

impl Ials {
    /// Tells `watch` the loss by choice after each epoch.
    ///
    /// # Errors
    /// [`Error::Interrupted`] if `watch` says so; a loss that is not a number.
    pub fn fit(
        entities: &Entities,
        interactions: &Interactions,
        config: &IalsConfig,
        n_threads: usize,
        watch: Watch,
    ) -> Result<Self> {
        let (d, pool) = (config.dim, &mut Pool::new(n_threads));
        // Only who chose something: a user without a choice, held out or not, is no part of |U|.
        let chosen = interactions.rows.iter().filter(|row| !row.is_empty());
        let rows: Vec<Vec<u32>> = chosen
            .map(|row| row.iter().map(|x| x.0).collect())
            .collect();
        let columns = choosers(&rows, entities.n());
        let n_choices = rows.iter().map(Vec::len).sum::<usize>().max(1);
        let mut items = vec![0.0; columns.len() * d];
        Init::Normal(0.1 / (d as f32).sqrt())
            .fill(&mut items, &mut ChaCha8Rng::seed_from_u64(config.seed));
        let mut fixed = FixedSide::new(&items, d, pool);
        for epoch in 1..=config.epochs {
            let users = FixedSide::new(&fixed.solve(&rows, config, pool), d, pool);
            items = users.solve(&columns, config, pool);
            let loss = users.loss(&items, &rows, &columns, config) / n_choices as f64;
            fixed = FixedSide::new(&items, d, pool);
            if !loss.is_finite() {
                return Err(Error::Config(format!("ials: the loss is {loss}")));
            }
            tell(
                watch,
                Progress::Trained {
                    epoch,
                    max_epochs: config.epochs,
                    loss,
                },
            )?;
        }
        Ok(Self {
            entities: entities.clone(),
            config: config.clone(),
            items: fixed,
            counts: columns.iter().map(|c| c.len() as f32).collect(),
        })
    }
}

impl Scorer for Ials {
    fn name(&self) -> &str {
        "ials"
    }

    fn score(&self, ds: &Dataset, history: &History, out: &mut [f32]) {
        let row = Interactions::row(ds, &self.entities, history);
        let chosen: Vec<u32> = row.into_iter().map(|x| x.0).collect();
        if chosen.is_empty() {
            return out.copy_from_slice(&self.counts);
        }
        let d = self.config.dim;
        let mut w = vec![0.0; d];
        Solver::default().solve(&self.items, &chosen, &self.config, &mut w);
        linear(out, 0.0, &w, &self.items.vectors, 1, d, self.entities.n());
    }

    fn bind(&mut self, _: &Dataset, entities: &Entities) {
        self.entities = entities.clone();
    }
}
