//! Beyond accuracy: what all lists of a system are like together, whoever is right.
//!
//! With L_u the first k places of the list of case u (after [`Repeats`]), n the size of the
//! catalogue, c_i how often item i stands in any L_u, and w_i its interactions in training:
//! - coverage@k = |{i : c_i > 0}| / n
//! - Gini@k = Σ_j (2j − n − 1) c₍ⱼ₎ / (n Σ c), c₍₁₎ ≤ c₍₂₎ ≤ …: 0 if all items are listed equally
//!   often, (n − 1)/n if there is only one
//! - novelty@k = mean over cases of the mean over L_u of −log₂ p_i, in bits, with
//!   p_i = (w_i + 1) / (Σ w + n) so that a new item is finite (Zhou et al. 2010, smoothed)
//! - ARP@k, average recommendation popularity = mean over cases of the mean over L_u of w_i (Yin et al. 2012)
//! - popularity lift@k = ARP@k / ARP of the targets − 1: above 0 the system prefers the popular more
//!   than its users do (after Abdollahpouri et al. 2019, who compare with the history)
//! - invalid@k = places of L_u outside the catalogue / all places, over all cases
//!
//! Invalid items count in the last alone. Cases without a valid item have no novelty and no
//! popularity; they are left out of those means. Among equal scores the order is that of the list, and with
//! [`Ties::Trec`](crate::Ties) that of trec_eval.
//!
//! ```
//! use hkfr_eval::beyond::gini;
//! assert_eq!(gini(&[3, 3, 3]), Some(0.0));
//! assert_eq!(gini(&[0, 0, 0, 8]), Some(0.75));
//! ```

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::policy::Policy;
use crate::ranks::dropped;
use crate::run::RankedList;
use crate::truth::{Truth, TruthCase};

/// Of one system at one cut-off. `None` where the truth lacks what it takes: the catalogue
/// (coverage, Gini, invalid) or the popularity (novelty, ARP, lift).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ListMetrics {
    pub k: usize,
    pub coverage: Option<f64>,
    pub gini: Option<f64>,
    pub novelty: Option<f64>,
    pub arp: Option<f64>,
    pub popularity_lift: Option<f64>,
    pub invalid: Option<f64>,
}

impl ListMetrics {
    /// Name and value, e.g. `coverage@10`.
    pub fn named(&self) -> [(String, Option<f64>); 6] {
        [
            ("coverage", self.coverage),
            ("gini", self.gini),
            ("novelty", self.novelty),
            ("arp", self.arp),
            ("popularity_lift", self.popularity_lift),
            ("invalid", self.invalid),
        ]
        .map(|(name, value)| (format!("{name}@{}", self.k), value))
    }

    /// The mean of each over several seeds; `None` where one lacks it.
    pub(crate) fn mean(of: &[Self]) -> Self {
        let mean = |get: fn(&Self) -> Option<f64>| {
            let values: Option<Vec<f64>> = of.iter().map(get).collect();
            values.and_then(|v| average(v.into_iter()))
        };
        Self {
            k: of.first().map_or(0, |m| m.k),
            coverage: mean(|m| m.coverage),
            gini: mean(|m| m.gini),
            novelty: mean(|m| m.novelty),
            arp: mean(|m| m.arp),
            popularity_lift: mean(|m| m.popularity_lift),
            invalid: mean(|m| m.invalid),
        }
    }
}

/// Of `lists`, each with its case, at `k`.
pub fn list_metrics<'a>(
    truth: &Truth,
    lists: impl Iterator<Item = (&'a TruthCase, &'a RankedList)>,
    k: usize,
    policy: impl Into<Policy>,
) -> ListMetrics {
    let Policy { repeats, ties } = policy.into();
    let index: HashMap<&str, usize> = truth
        .catalogue
        .iter()
        .enumerate()
        .map(|(i, id)| (id.as_str(), i))
        .collect();
    let popularity = Popularity::of(truth);
    let mut counts = vec![0u64; index.len()];
    let (mut n_places, mut n_invalid) = (0usize, 0usize);
    let (mut novelty, mut arp, mut chosen) = (Vec::new(), Vec::new(), Vec::new());
    for (case, list) in lists {
        let dropped = dropped(case, repeats);
        let mut valid: Vec<&str> = Vec::with_capacity(k.min(list.items.len()));
        let kept = |item: &&str| dropped.binary_search(item).is_err();
        for item in ties.items(list).into_iter().filter(kept).take(k) {
            n_places += 1;
            match index.get(item) {
                Some(&i) => counts[i] += 1,
                None if !index.is_empty() => {
                    n_invalid += 1;
                    continue;
                }
                None => {}
            }
            valid.push(item);
        }
        if let Some(popularity) = &popularity {
            novelty.extend(average(valid.iter().map(|i| popularity.bits(i))));
            arp.extend(average(valid.iter().map(|i| popularity.weight(i))));
            chosen.extend(average(case.targets.iter().map(|i| popularity.weight(i))));
        }
    }
    let arp = average(arp.into_iter());
    let known = |value: f64| (!index.is_empty()).then_some(value);
    let covered = counts.iter().filter(|&&c| c > 0).count();
    ListMetrics {
        k,
        coverage: known(covered as f64 / index.len().max(1) as f64),
        gini: gini(&counts),
        novelty: average(novelty.into_iter()),
        arp,
        popularity_lift: arp
            .zip(average(chosen.into_iter()).filter(|&c| c > 0.0))
            .map(|(listed, chosen)| listed / chosen - 1.0),
        invalid: known(n_invalid as f64 / n_places.max(1) as f64),
    }
}

/// Gini coefficient of counts; `None` if they are all 0.
pub fn gini(counts: &[u64]) -> Option<f64> {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let n = sorted.len() as f64;
    let total: u64 = sorted.iter().sum();
    let weighted: f64 = sorted
        .iter()
        .enumerate()
        .map(|(j, &c)| (2.0 * (j as f64 + 1.0) - n - 1.0) * c as f64)
        .sum();
    (total > 0).then(|| weighted / (n * total as f64))
}

struct Popularity<'a> {
    weights: &'a std::collections::BTreeMap<String, u64>,
    total: f64,
}

impl<'a> Popularity<'a> {
    fn of(truth: &'a Truth) -> Option<Self> {
        let weights = &truth.popularity;
        let n = truth.catalogue.len().max(weights.len());
        (!weights.is_empty()).then(|| Self {
            weights,
            total: weights.values().sum::<u64>() as f64 + n as f64,
        })
    }

    fn weight(&self, item: &str) -> f64 {
        self.weights.get(item).copied().unwrap_or(0) as f64
    }

    fn bits(&self, item: &str) -> f64 {
        -((self.weight(item) + 1.0) / self.total).log2()
    }
}

fn average(values: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let n = values.len();
    (n > 0).then(|| values.sum::<f64>() / n as f64)
}
