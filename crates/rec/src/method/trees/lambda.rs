//! The gradients of LambdaRank: what each row of a list would have to move by.
//!
//! For a pair of which i has the higher label, with ranks r from 0 and scores s,
//! `|ΔNDCG| = (2^l_i − 2^l_j) |D(r_i) − D(r_j)| / maxDCG@K`, `D(r) = 1 / log2(2 + r)`, and
//! `λ = |ΔNDCG| / (.01 + |s_i − s_j|)`, `ρ = 1 / (1 + exp(s_i − s_j))`:
//! i gets the gradient −λρ, j gets λρ, both get the second derivative λρ(1 − ρ).
//! Pairs without a row among the first K have none. At last both are multiplied by `log2(1 + L) / L`, L the sum of
//! the absolute gradients, so that a list with many pairs does not outweigh the others. The division by the
//! difference of scores (absent while all scores are equal) and by L are LightGBM's `lambdarank_norm`.

/// Scores of one list → gradients and second derivatives, for row after row.
///
/// `truncation` is K. Equal scores are ranked in the order of the rows.
///
/// ```
/// use hkfr_rec::method::trees::lambdas;
/// // Two rows, the second was chosen and stands below: ΔNDCG = 1 − 1 / log2(3), ρ = .5, L = ΔNDCG.
/// let (gradients, seconds) = lambdas(&[0.0, 0.0], &[0, 1], 20);
/// assert!((gradients[0] - 0.22660).abs() < 1e-5 && gradients[1] == -gradients[0]);
/// assert!((seconds[0] - 0.11330).abs() < 1e-5 && seconds[1] == seconds[0]);
/// ```
///
/// # Panics
/// If the lengths differ.
pub fn lambdas(scores: &[f32], labels: &[u8], truncation: usize) -> (Vec<f32>, Vec<f32>) {
    assert_eq!(scores.len(), labels.len(), "a label a score");
    let discounts = discounts(labels.len());
    let inverse = 1.0 / max_dcg(labels, truncation, &discounts);
    let mut out = vec![[0.0; 4]; labels.len()];
    let objective = LambdaRank {
        truncation,
        discounts: &discounts,
    };
    objective.gradients(scores, labels, inverse, &mut Scratch::default(), &mut out);
    out.iter().map(|row| (row[0], row[1])).unzip()
}

/// D(r) of ranks below `n`.
pub(in crate::method) fn discounts(n: usize) -> Vec<f64> {
    (0..n).map(|r| 1.0 / (2.0 + r as f64).log2()).collect()
}

fn gain(label: u8) -> f64 {
    f64::from(label).exp2() - 1.0
}

/// DCG@truncation of the rows in the order of their labels.
pub(in crate::method) fn max_dcg(labels: &[u8], truncation: usize, discounts: &[f64]) -> f64 {
    let mut best = labels.to_vec();
    best.sort_unstable_by(|a, b| b.cmp(a));
    dcg(best.into_iter().take(truncation), discounts)
}

/// DCG of labels by rank, as far as there are discounts.
pub(in crate::method) fn dcg(labels: impl Iterator<Item = u8>, discounts: &[f64]) -> f64 {
    labels.zip(discounts).map(|(l, d)| gain(l) * d).sum()
}

/// Buffers of one thread.
#[derive(Default)]
pub(super) struct Scratch {
    /// Rows by rank: the score's bits in reverse order, then the row.
    order: Vec<u64>,
    /// By rank.
    labels: Vec<u8>,
    scores: Vec<f64>,
    sums: Vec<[f64; 2]>,
}

/// What all lists share.
pub(super) struct LambdaRank<'a> {
    pub truncation: usize,
    /// By rank, as long as the longest list.
    pub discounts: &'a [f64],
}

impl LambdaRank<'_> {
    /// Writes (gradient, second derivative, 1, 0) by row: the 1 counts rows in a histogram.
    pub fn gradients(
        &self,
        scores: &[f32],
        labels: &[u8],
        inverse_max_dcg: f64,
        scratch: &mut Scratch,
        out: &mut [[f32; 4]],
    ) {
        let n = scores.len();
        let Scratch {
            order,
            labels: ranked,
            scores: s,
            sums,
        } = scratch;
        order.clear();
        order.extend(
            (0u64..)
                .zip(scores)
                .map(|(row, &x)| u64::from(descending(x)) << 32 | row),
        );
        order.sort_unstable();
        let row_at = |key: &u64| (*key & 0xffff_ffff) as usize;
        ranked.clear();
        ranked.extend(order.iter().map(|key| labels[row_at(key)]));
        s.clear();
        s.extend(order.iter().map(|key| f64::from(scores[row_at(key)])));
        sums.clear();
        sums.resize(n, [0.0; 2]);
        let regularised = n > 0 && s[0] != s[n - 1];
        let mut total = 0.0;
        for high in 0..n {
            if ranked[high] == 0 {
                continue;
            }
            let reach = if high < self.truncation {
                n
            } else {
                self.truncation
            };
            let mut own = [0.0; 2];
            for low in 0..reach {
                if ranked[low] >= ranked[high] {
                    continue;
                }
                let delta = (self.discounts[high] - self.discounts[low]).abs();
                let mut lambda = (gain(ranked[high]) - gain(ranked[low])) * delta * inverse_max_dcg;
                let apart = s[high] - s[low];
                if regularised {
                    lambda /= 0.01 + apart.abs();
                }
                let rho = 1.0 / (1.0 + apart.exp());
                let (g, h) = (lambda * rho, lambda * rho * (1.0 - rho));
                own[0] += g;
                own[1] += h;
                sums[low][0] += g;
                sums[low][1] += h;
            }
            sums[high][0] -= own[0];
            sums[high][1] += own[1];
            total += 2.0 * own[0];
        }
        let norm = if total > 0.0 {
            (1.0 + total).log2() / total
        } else {
            1.0
        };
        for (key, [g, h]) in order.iter().zip(sums) {
            out[row_at(key)] = [(*g * norm) as f32, (*h * norm) as f32, 1.0, 0.0];
        }
    }
}

/// Bits that ascend as the number descends; −0 is 0.
fn descending(x: f32) -> u32 {
    let bits = (x + 0.0).to_bits();
    let ascending = if bits >> 31 == 0 {
        bits | 1 << 31
    } else {
        !bits
    };
    !ascending
}
