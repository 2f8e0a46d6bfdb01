//! Truncated singular value decomposition by randomised subspace iteration (Halko, Martinsson & Tropp,
//! arXiv 0909.4061, algorithms 4.4 and 5.1): a random basis is multiplied by A and Aᵀ in turns, which turns it towards
//! the largest singular directions; what is left is an eigenvalue problem of the basis' size.

use hkfr_lm::{View, ViewMut, linear, matmul};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::sparse::Sparse;
use crate::baselines::symmetric_eigen;
use crate::sequence::Init;

/// Directions beyond those that are asked for: they make those converge faster.
const EXTRA: usize = 16;
const ITERATIONS: usize = 6;
/// A direction whose share of the largest eigenvalue is less cannot be told from rounding.
const NOTHING: f64 = 1e-6;

/// `U S` (rows, dim) of `a` (rows, columns), whose transpose is `at`.
pub(super) fn lsa(a: &Sparse, at: &Sparse, dim: usize, seed: u64) -> Vec<f32> {
    let (n, width) = (a.n_rows(), a.n_columns());
    let k = (dim + EXTRA).min(n).min(width);
    let mut out = vec![0.0; n * dim];
    if k == 0 {
        return out;
    }
    let mut basis = vec![0.0; width * k];
    Init::Normal(1.0).fill(&mut basis, &mut ChaCha8Rng::seed_from_u64(seed));
    for _ in 0..ITERATIONS {
        let left = orthonormal(a.times(&basis, k), k);
        basis = orthonormal(at.times(&left, k), k);
    }
    // A ≈ A Q Qᵀ with the basis Q. With (A Q)ᵀ A Q = W Λ Wᵀ, A Q W is U S.
    let projected = a.times(&basis, k);
    let (values, vectors) = sorted_eigen(&projected, k);
    let turn: Vec<f32> = vectors
        .chunks_exact(k)
        .zip(&values)
        .take(dim)
        .flat_map(|(v, &value)| {
            let kept = f32::from(u8::from(value > NOTHING * values[0]));
            v.iter().map(move |&x| kept * x as f32)
        })
        .collect();
    let found = turn.len() / k;
    let mut dense = vec![0.0; n * found];
    linear(&mut dense, 0.0, &projected, &turn, n, k, found);
    for (out, row) in out.chunks_exact_mut(dim).zip(dense.chunks_exact(found)) {
        out[..found].copy_from_slice(row);
    }
    out
}

/// The columns of `x` (n, k) turned and scaled to norm 1, each at right angles to the others; 0 where there are
/// fewer directions.
fn orthonormal(mut x: Vec<f32>, k: usize) -> Vec<f32> {
    // A second time for what rounding left.
    for _ in 0..2 {
        let (values, vectors) = sorted_eigen(&x, k);
        let scaled: Vec<f32> = vectors
            .chunks_exact(k)
            .zip(&values)
            .flat_map(|(v, &value)| {
                let kept = value > NOTHING * values[0];
                let scale = if kept { value.sqrt().recip() } else { 0.0 };
                v.iter().map(move |x| (scale * x) as f32)
            })
            .collect();
        let n = x.len() / k;
        let mut turned = vec![0.0; x.len()];
        linear(&mut turned, 0.0, &x, &scaled, n, k, k);
        x = turned;
    }
    x
}

/// Eigenvalues of xᵀx (k, k), the largest first, and its eigenvectors as rows.
pub(super) fn sorted_eigen(x: &[f32], k: usize) -> (Vec<f64>, Vec<f64>) {
    let n = x.len() / k;
    let mut gram = vec![0.0; k * k];
    let view = View::new(x, n, k, k);
    matmul(ViewMut::new(&mut gram, k, k, k), 0.0, 1.0, view.t(), view);
    let gram = gram.into_iter().map(f64::from).collect();
    let (values, vectors) = symmetric_eigen(gram, k);
    let mut order: Vec<usize> = (0..k).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    let rows = order.iter().flat_map(|&i| &vectors[i * k..(i + 1) * k]);
    (
        order.iter().map(|&i| values[i]).collect(),
        rows.copied().collect(),
    )
}
