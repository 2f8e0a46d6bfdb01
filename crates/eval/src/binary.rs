//! Is what a model says a probability? In: a predicted probability, a label and a user a row. Out: AUC, log-loss and
//! calibration error with intervals, over all rows and by segment, and paired differences from a reference.
//!
//! ```text
//! AUC      = P(p_i > p_j) + P(p_i = p_j) / 2          i a positive row, j a negative one; exact, by ranks
//! log-loss = −mean [ y ln p + (1 − y) ln (1 − p) ]    p kept within [1e-15, 1 − 1e-15]
//! ECE      = Σ_b |Σ_{i in b} (p_i − y_i)| / n         bins of equal size by p (arXiv 1904.01685), equal p in one bin
//! ```
//!
//! Intervals are percentiles of a bootstrap over users: a resample draws users with replacement, each with all its rows,
//! since the rows of a user are not independent. All models see the same resamples. AUC needs both labels: a segment, or
//! a resample of it, that lacks one has none.
//!
//! ```
//! use hkfr_eval::binary::{auc, log_loss};
//!
//! let (labels, p) = ([1, 0, 1, 0], [0.9, 0.3, 0.3, 0.1]);
//! // Of four pairs three are in order and one is tied.
//! assert_eq!(auc(&p, &labels), Some(0.875));
//! assert!((log_loss(&p, &labels) - 0.4428).abs() < 1e-4);
//! ```

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bootstrap::{Interval, percentile_interval};
use crate::error::{Error, Result};

/// Bins of the calibration error.
const BINS: usize = 20;

/// The rows that all models are asked about.
pub struct Rows<'a> {
    /// 1: it happened.
    pub labels: &'a [u8],
    /// Whose row it is, as a number.
    pub users: &'a [u32],
    /// By row its segment, a position in `names`; above all of them: in none.
    pub segments: &'a [u32],
    pub names: &'a [String],
}

/// Probabilities, a row each.
pub struct Predictions<'a> {
    pub model: &'a str,
    pub p: &'a [f64],
    /// The model that it is compared with, a position in the list of models.
    pub reference: Option<usize>,
}

/// How intervals are made.
#[derive(Debug, Clone, Copy)]
pub struct BinaryConfig {
    pub confidence: f64,
    pub resamples: usize,
    pub seed: u64,
}

/// A figure with its interval; NaN where it cannot be computed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    pub value: f64,
    pub interval: Interval,
}

/// The figures of one model on one segment, or their differences from those of another model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    pub auc: Figure,
    pub log_loss: Figure,
    pub calibration_error: Figure,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRow {
    pub model: String,
    pub figures: Figures,
    /// The model that `difference` is taken from.
    pub reference: Option<String>,
    /// This model less the reference, by the same resamples.
    pub difference: Option<Figures>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentRows {
    /// [`crate::ALL`] for all rows.
    pub segment: String,
    pub n_rows: usize,
    pub n_positive: usize,
    pub n_users: usize,
    pub models: Vec<ModelRow>,
}

/// Area under the ROC curve, ties counted half; `None` without both labels.
pub fn auc(p: &[f64], labels: &[u8]) -> Option<f64> {
    let auc = of_one(p, labels)[0];
    (!auc.is_nan()).then_some(auc)
}

/// Mean negative log-likelihood, natural logarithm; NaN without rows.
pub fn log_loss(p: &[f64], labels: &[u8]) -> f64 {
    of_one(p, labels)[1]
}

/// Expected calibration error over bins of equal size.
pub fn calibration_error(p: &[f64], labels: &[u8]) -> f64 {
    of_one(p, labels)[2]
}

/// As if all rows were of one user.
fn of_one(p: &[f64], labels: &[u8]) -> [f64; 3] {
    Ranking::new(p, labels, &vec![0; labels.len()]).figures(&[1.0])
}

/// All models on all rows and on each segment.
///
/// # Errors
/// Lengths that do not fit, a probability outside [0, 1], a reference that is no model.
pub fn evaluate(
    rows: &Rows,
    models: &[Predictions],
    config: &BinaryConfig,
) -> Result<Vec<SegmentRows>> {
    let n = rows.labels.len();
    let fits = |what: &str, len: usize| {
        if len == n {
            return Ok(());
        }
        Err(Error::Config(format!("{n} labels but {len} {what}")))
    };
    fits("users", rows.users.len())?;
    fits("segments", rows.segments.len())?;
    for model in models {
        fits(&format!("predictions of {}", model.model), model.p.len())?;
        if let Some(i) = model.p.iter().position(|p| !(0.0..=1.0).contains(p)) {
            return Err(Error::Config(format!(
                "row {i}: {} predicts {}, which is no probability",
                model.model, model.p[i]
            )));
        }
        if model.reference.is_some_and(|r| r >= models.len()) {
            return Err(Error::Config(format!(
                "{} is compared with a model that is not there",
                model.model
            )));
        }
    }
    let all = segment(rows, models, config, crate::ALL, &|_| true);
    let parts = (0u32..)
        .zip(rows.names)
        .map(|(number, name)| segment(rows, models, config, name, &|i| rows.segments[i] == number));
    let parts: Vec<SegmentRows> = parts.filter(|s| s.n_rows > 0).collect();
    Ok(std::iter::once(all).chain(parts).collect())
}

fn segment(
    rows: &Rows,
    models: &[Predictions],
    config: &BinaryConfig,
    name: &str,
    is_in: &dyn Fn(usize) -> bool,
) -> SegmentRows {
    let kept: Vec<usize> = (0..rows.labels.len()).filter(|&i| is_in(i)).collect();
    let labels: Vec<u8> = kept.iter().map(|&i| rows.labels[i]).collect();
    let mut ids: Vec<u32> = kept.iter().map(|&i| rows.users[i]).collect();
    ids.sort_unstable();
    ids.dedup();
    let user_of = |&i: &usize| ids.partition_point(|&u| u < rows.users[i]) as u32;
    let users: Vec<u32> = kept.iter().map(user_of).collect();
    let rankings: Vec<Ranking> = models
        .iter()
        .map(|m| {
            let p: Vec<f64> = kept.iter().map(|&i| m.p[i]).collect();
            Ranking::new(&p, &labels, &users)
        })
        .collect();
    let once = vec![1.0; ids.len()];
    let values: Vec<[f64; 3]> = rankings.iter().map(|r| r.figures(&once)).collect();
    // [resample][model].
    let resampled: Vec<Vec<[f64; 3]>> = (0..config.resamples as u64)
        .into_par_iter()
        .map(|b| {
            let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
            rng.set_stream(b);
            let mut drawn = vec![0.0; ids.len()];
            for _ in 0..ids.len() {
                drawn[rng.random_range(0..ids.len() as u32) as usize] += 1.0;
            }
            rankings.iter().map(|r| r.figures(&drawn)).collect()
        })
        .collect();
    let figures = |of: &dyn Fn(&[[f64; 3]], usize) -> f64| {
        let figure = |at: usize| {
            let mut samples: Vec<f64> = resampled.iter().map(|models| of(models, at)).collect();
            samples.retain(|x| !x.is_nan());
            Figure {
                value: of(&values, at),
                interval: percentile_interval(&samples, config.confidence),
            }
        };
        Figures {
            auc: figure(0),
            log_loss: figure(1),
            calibration_error: figure(2),
        }
    };
    let row = |(m, model): (usize, &Predictions)| ModelRow {
        model: model.model.to_owned(),
        figures: figures(&|models, at| models[m][at]),
        reference: model.reference.map(|r| models[r].model.to_owned()),
        difference: model
            .reference
            .map(|r| figures(&|models, at| models[m][at] - models[r][at])),
    };
    SegmentRows {
        segment: name.to_owned(),
        n_rows: labels.len(),
        n_positive: labels.iter().filter(|&&y| y > 0).count(),
        n_users: ids.len(),
        models: models.iter().enumerate().map(row).collect(),
    }
}

/// The rows of one model by rising probability, sorted once for all resamples.
struct Ranking {
    rows: Vec<Ranked>,
    /// Ends of the bins, places in `rows`.
    bins: Vec<usize>,
}

struct Ranked {
    p: f64,
    loss: f64,
    user: u32,
    is_positive: bool,
}

impl Ranking {
    fn new(p: &[f64], labels: &[u8], users: &[u32]) -> Self {
        let ranked = |row: usize| {
            let (p, is_positive) = (p[row], labels[row] > 0);
            let kept = p.clamp(1e-15, 1.0 - 1e-15);
            Ranked {
                p,
                loss: -(if is_positive { kept } else { 1.0 - kept }).ln(),
                user: users[row],
                is_positive,
            }
        };
        let mut rows: Vec<Ranked> = (0..p.len()).map(ranked).collect();
        rows.sort_by(|a, b| a.p.total_cmp(&b.p));
        let n = rows.len();
        // Equal probabilities stay together.
        let is_tied = |at: usize| at > 0 && rows[at].p == rows[at - 1].p;
        let end = |b: usize| (b * n / BINS..n).find(|&at| !is_tied(at)).unwrap_or(n);
        let mut bins: Vec<usize> = (1..=BINS).map(end).collect();
        bins.dedup();
        Self { rows, bins }
    }

    /// AUC, log-loss and calibration error with these weights of the users; NaN: it cannot be computed.
    fn figures(&self, weights: &[f64]) -> [f64; 3] {
        // Pairs (positive, negative) in order, and the weights so far.
        let (mut pairs, mut positive, mut negative, mut loss) = (0.0, 0.0, 0.0, 0.0);
        let (mut tied, mut last) = ([0.0; 2], f64::NAN);
        let (mut error, mut gap, mut bin) = (0.0, 0.0, 0);
        for (place, row) in self.rows.iter().enumerate() {
            if row.p != last {
                // Of those tied, each positive beats what is below, and half of its like.
                pairs += tied[1] * (negative + tied[0] / 2.0);
                negative += tied[0];
                positive += tied[1];
                (tied, last) = ([0.0; 2], row.p);
            }
            if self.bins[bin] == place {
                error += f64::abs(gap);
                (gap, bin) = (0.0, bin + 1);
            }
            let w = weights[row.user as usize];
            tied[usize::from(row.is_positive)] += w;
            loss += w * row.loss;
            gap += w * (row.p - f64::from(u8::from(row.is_positive)));
        }
        pairs += tied[1] * (negative + tied[0] / 2.0);
        negative += tied[0];
        positive += tied[1];
        error += f64::abs(gap);
        let total = positive + negative;
        [pairs / (positive * negative), loss / total, error / total]
    }
}
