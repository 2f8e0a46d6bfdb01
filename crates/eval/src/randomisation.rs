//! Paired randomisation test and effect size of differences between two systems.
//!
//! In: one difference a case and metric. If the systems are exchangeable, every difference could
//! as well have the other sign: p is the share of sign assignments, drawn at random, whose mean is
//! at least as far from 0 as the one observed, with one added to numerator and denominator
//! (Smucker, Allan & Carterette 2007; Davison & Hinkley 1997, 4.2). A case has the same sign in
//! all metrics of a draw. The effect size is Cohen's d_z = mean / standard deviation of the
//! differences (n − 1).

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::bootstrap::Matrix;

/// Two-sided p-value of each column of `differences` (rows are cases). Draw b has the generator
/// ChaCha8(seed) on a stream of its own, apart from those of the bootstrap.
pub fn randomisation_p(differences: &Matrix, draws: usize, seed: u64) -> Vec<f64> {
    let (n_rows, n_cols) = (differences.n_rows(), differences.n_cols());
    let observed: Vec<f64> = differences.means().iter().map(|m| m.abs()).collect();
    let n = n_rows.max(1) as f64;
    let extreme = (0..draws as u64)
        .into_par_iter()
        .map(|b| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(u64::MAX - b);
            let mut sums = vec![0.0; n_cols];
            let mut signs = 0u64;
            for i in 0..n_rows {
                if i.is_multiple_of(64) {
                    signs = rng.next_u64();
                }
                let sign = if signs & 1 == 0 { 1.0 } else { -1.0 };
                signs >>= 1;
                for (sum, d) in sums.iter_mut().zip(differences.row(i)) {
                    *sum += sign * d;
                }
            }
            // Sums of the same terms in another order differ in the last digits.
            let reaches = |(sum, o): (f64, &f64)| (sum / n).abs() >= o - 1e-12;
            sums.into_iter().zip(&observed).map(reaches).collect()
        })
        .fold(
            || vec![0u64; n_cols],
            |counts, hits: Vec<bool>| add(counts, hits.into_iter().map(u64::from)),
        )
        .reduce(|| vec![0; n_cols], |a, b| add(a, b.into_iter()));
    let share = |count: u64| (count + 1) as f64 / (draws + 1) as f64;
    extreme.into_iter().map(share).collect()
}

/// Is this p-value the floor of the test: the smallest that this number of draws can give, corrected by
/// [`crate::holm()`] over `n_compared`? The true p-value is then at most that.
///
/// ```
/// use hkfr_eval::randomisation::is_floor;
/// let p = hkfr_eval::holm(&[1.0 / 2001.0, 1.0 / 2001.0, 0.2]);
/// assert!(is_floor(p[0], 3, 2000) && is_floor(p[1], 3, 2000) && !is_floor(p[2], 3, 2000));
/// ```
pub fn is_floor(p_holm: f64, n_compared: usize, draws: usize) -> bool {
    // No rounding reaches the next value, which is twice as large; p 1 says all there is to say.
    let floor = n_compared as f64 / (draws + 1) as f64;
    p_holm < 1.0 && p_holm < 1.5 * floor
}

/// Cohen's d_z of each column; `None` where all differences are equal or there is one alone.
pub fn effect_sizes(differences: &Matrix) -> Vec<Option<f64>> {
    let n = differences.n_rows();
    let means = differences.means();
    let mut squares = vec![0.0; differences.n_cols()];
    for i in 0..n {
        for ((square, d), mean) in squares.iter_mut().zip(differences.row(i)).zip(&means) {
            *square += (d - mean).powi(2);
        }
    }
    let effect = |(square, mean): (f64, &f64)| {
        let sd = (square / (n.max(2) - 1) as f64).sqrt();
        (sd > 1e-12).then(|| mean / sd)
    };
    squares.into_iter().zip(&means).map(effect).collect()
}

fn add(mut counts: Vec<u64>, more: impl Iterator<Item = u64>) -> Vec<u64> {
    counts.iter_mut().zip(more).for_each(|(c, m)| *c += m);
    counts
}
