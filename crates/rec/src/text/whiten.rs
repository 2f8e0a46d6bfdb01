//! Dense rows → whitened rows: centred, turned to their principal components, each of the same variance. Vectors of
//! texts lie close together, along few directions; a network then learns those alone (WhitenRec, arXiv 2402.10602).

use hkfr_lm::linear;

use super::lsa::sorted_eigen;

/// A component with less than this share of the largest variance is rounding, and becomes 0.
const NOTHING: f64 = 1e-6;

/// The first `dim` principal components (n, dim) of `rows` (n, width), with a mean squared norm of a row of 1; 0 where
/// there are fewer components.
///
/// ```
/// // Two elements that say the same, and one that says a tenth as much.
/// let rows = [1., 1., 0., -1., -1., 0., 0., 0., 0.1, 0., 0., -0.1];
/// let white = hkfr_rec::text::whiten(&rows, 3, 2);
/// let of = |component: usize| white.iter().skip(component).step_by(2).map(|x| x * x).sum::<f32>();
/// assert!((of(0) - 2.0).abs() < 1e-5 && (of(1) - 2.0).abs() < 1e-5);
/// ```
pub fn whiten(rows: &[f32], width: usize, dim: usize) -> Vec<f32> {
    let n = rows.len() / width;
    let mut mean = vec![0f64; width];
    for row in rows.chunks_exact(width) {
        let sums = mean.iter_mut().zip(row);
        sums.for_each(|(sum, &x)| *sum += f64::from(x));
    }
    let mean: Vec<f32> = mean.into_iter().map(|m| (m / n as f64) as f32).collect();
    let centred: Vec<f32> = rows
        .chunks_exact(width)
        .flat_map(|row| row.iter().zip(&mean).map(|(x, m)| x - m))
        .collect();
    let (values, vectors) = sorted_eigen(&centred, width);
    let is_kept = |value: &&f64| **value > NOTHING * values[0];
    let n_kept = values.iter().take(dim).take_while(is_kept).count();
    let mut out = vec![0.0; n * dim];
    if n_kept == 0 {
        return out;
    }
    let components: Vec<f32> = vectors
        .chunks_exact(width)
        .zip(&values)
        .take(n_kept)
        .flat_map(|(v, value)| {
            let scale = (n as f64 / value / n_kept as f64).sqrt();
            v.iter().map(move |x| (scale * x) as f32)
        })
        .collect();
    let mut kept = vec![0.0; n * n_kept];
    linear(&mut kept, 0.0, &centred, &components, n, width, n_kept);
    for (out, row) in out.chunks_exact_mut(dim).zip(kept.chunks_exact(n_kept)) {
        out[..n_kept].copy_from_slice(row);
    }
    out
}
