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
    let ranking = Ranking::new(p, labels);
    let auc = ranking.figures(&|_| 1.0)[0];
    (!auc.is_nan()).then_some(auc)
}

/// Mean negative log-likelihood, natural logarithm; NaN without rows.
pub fn log_loss(p: &[f64], labels: &[u8]) -> f64 {
    Ranking::new(p, labels).figures(&|_| 1.0)[1]
}

/// Expected calibration error over bins of equal size.
pub fn calibration_error(p: &[f64], labels: &[u8]) -> f64 {
    Ranking::new(p, labels).figures(&|_| 1.0)[2]
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
            Ranking::new(&p, &labels)
        })
        .collect();
    let values: Vec<[f64; 3]> = rankings.iter().map(|r| r.figures(&|_| 1.0)).collect();
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
            let weight = |row: usize| drawn[users[row] as usize];
            rankings.iter().map(|r| r.figures(&weight)).collect()
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

/// The rows of one model, sorted once for all resamples.
struct Ranking {
    /// Rows by rising probability.
    order: Vec<u32>,
    /// By place in `order`: probability and label.
    sorted: Vec<(f64, bool)>,
    /// By place: the log-loss of the row.
    losses: Vec<f64>,
    /// Ends of the bins, places in `order`.
    bins: Vec<usize>,
}

impl Ranking {
    fn new(p: &[f64], labels: &[u8]) -> Self {
        let mut order: Vec<u32> = (0..p.len() as u32).collect();
        order.sort_unstable_by(|&a, &b| p[a as usize].total_cmp(&p[b as usize]).then(a.cmp(&b)));
        let at = |&row: &u32| (p[row as usize], labels[row as usize] > 0);
        let sorted: Vec<(f64, bool)> = order.iter().map(at).collect();
        let losses = sorted.iter().map(|&(p, y)| {
            let p = p.clamp(1e-15, 1.0 - 1e-15);
            -(if y { p } else { 1.0 - p }).ln()
        });
        let n = sorted.len();
        let mut bins: Vec<usize> = (1..=BINS)
            .map(|b| {
                let end = b * n / BINS;
                // Equal probabilities stay together.
                let same = |at: &usize| *at > 0 && sorted[*at].0 == sorted[*at - 1].0;
                (end..n).find(|at| !same(at)).unwrap_or(n)
            })
            .collect();
        bins.dedup();
        Self {
            losses: losses.collect(),
            order,
            bins,
            sorted,
        }
    }

    /// AUC, log-loss and calibration error of the rows with these weights; NaN: it cannot be computed.
    fn figures(&self, weight: &dyn Fn(usize) -> f64) -> [f64; 3] {
        // Pairs (positive, negative) in order, and the weights so far.
        let (mut pairs, mut positive, mut negative, mut loss) = (0.0, 0.0, 0.0, 0.0);
        let (mut tied, mut last) = ([0.0; 2], f64::NAN);
        let (mut error, mut gap, mut bin) = (0.0, 0.0, 0);
        for (place, &(p, y)) in self.sorted.iter().enumerate() {
            if p != last {
                // Of those tied, each positive beats what is below, and half of its like.
                pairs += tied[1] * (negative + tied[0] / 2.0);
                negative += tied[0];
                positive += tied[1];
                (tied, last) = ([0.0; 2], p);
            }
            if self.bins[bin] == place {
                error += f64::abs(gap);
                (gap, bin) = (0.0, bin + 1);
            }
            let w = weight(self.order[place] as usize);
            tied[usize::from(y)] += w;
            loss += w * self.losses[place];
            gap += w * (p - f64::from(u8::from(y)));
        }
        pairs += tied[1] * (negative + tied[0] / 2.0);
        negative += tied[0];
        positive += tied[1];
        error += f64::abs(gap);
        let total = positive + negative;
        [pairs / (positive * negative), loss / total, error / total]
    }
}
