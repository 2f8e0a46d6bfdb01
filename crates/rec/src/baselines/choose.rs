//! Settings by validation: four points a system, the best mean NDCG@10 on a validation split wins.
//!
//! Every system has the same budget. Popularity has nothing to set and appears with one point.

use std::collections::BTreeSet;

use hkfr_events::{Dataset, Phase, Segment, Split};

use super::{BaselineConfig, Entities, Interactions, RepeatPolicy, fit_one};
use crate::error::{Error, Result};
use crate::scores::rank;

/// One point of a grid, and how it did.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    pub system: &'static str,
    /// `key = value`, for the report.
    pub setting: String,
    pub ndcg_at_10: f64,
    pub chosen: bool,
}

type Set = fn(&mut BaselineConfig);

/// By system: four (description, setter).
const GRIDS: [(&str, [(&str, Set); 4]); 4] = [
    (
        "recent-popularity",
        [
            ("recent_half_life_days = 3", |c| {
                c.recent_half_life_days = 3.0
            }),
            ("recent_half_life_days = 14", |c| {
                c.recent_half_life_days = 14.0
            }),
            ("recent_half_life_days = 60", |c| {
                c.recent_half_life_days = 60.0
            }),
            ("recent_half_life_days = 240", |c| {
                c.recent_half_life_days = 240.0
            }),
        ],
    ),
    (
        "own-frequency",
        [
            ("own_half_life_days = 30", |c| c.own_half_life_days = 30.0),
            ("own_half_life_days = 90", |c| c.own_half_life_days = 90.0),
            ("own_half_life_days = 180", |c| c.own_half_life_days = 180.0),
            ("own_half_life_days = 720", |c| c.own_half_life_days = 720.0),
        ],
    ),
    (
        "item-knn",
        [
            ("knn_neighbours = 50, knn_include_self = false", |c| {
                (c.knn_neighbours, c.knn_include_self) = (50, false)
            }),
            ("knn_neighbours = 50, knn_include_self = true", |c| {
                (c.knn_neighbours, c.knn_include_self) = (50, true)
            }),
            ("knn_neighbours = 300, knn_include_self = false", |c| {
                (c.knn_neighbours, c.knn_include_self) = (300, false)
            }),
            ("knn_neighbours = 300, knn_include_self = true", |c| {
                (c.knn_neighbours, c.knn_include_self) = (300, true)
            }),
        ],
    ),
    (
        "ease",
        [
            ("ease_lambda = 100", |c| c.ease_lambda = 100.0),
            ("ease_lambda = 500", |c| c.ease_lambda = 500.0),
            ("ease_lambda = 2000", |c| c.ease_lambda = 2000.0),
            ("ease_lambda = 8000", |c| c.ease_lambda = 8000.0),
        ],
    ),
];

/// The config with the best point of each grid, and all points. Points are tried from `base`, so
/// keys outside the grids keep their values.
///
/// # Errors
/// A test split, or a setting of `base` out of its range.
pub fn choose_on_validation(
    ds: &Dataset,
    validation: &Split,
    entities: &Entities,
    repeats: RepeatPolicy,
    base: &BaselineConfig,
    seed: u64,
) -> Result<(BaselineConfig, Vec<Choice>)> {
    if validation.phase != Phase::Validation {
        return Err(Error::Config(
            "settings are chosen on a validation split, never on the test split".into(),
        ));
    }
    let interactions = Interactions::fit(ds, validation, entities);
    let evaluate = |system, config: &BaselineConfig| -> Result<f64> {
        let scorer = fit_one(system, ds, validation, entities, &interactions, config)?;
        let mut scores = vec![0.0; entities.n()];
        let (mut sum, mut n) = (0.0, 0usize);
        for case in validation
            .cases
            .iter()
            .filter(|c| !matches!(c.segment, Segment::SimulatedColdStart(_)))
        {
            let history = case.instance.history(ds);
            scorer.score(ds, &history, &mut scores);
            let excluded = repeats.excluded(ds, entities, &history);
            let list = rank(&scores, 10, &case.case_id, seed, excluded.as_deref())?;
            // A target without an entity is one more that no list can reach.
            let targets: BTreeSet<_> = case
                .instance
                .targets
                .iter()
                .map(|&i| {
                    (
                        entities.of_item(i),
                        entities.of_item(i).map_or(Some(i), |_| None),
                    )
                })
                .collect();
            let gain = |k: usize| 1.0 / (k as f64 + 2.0).log2();
            let dcg: f64 = list
                .iter()
                .enumerate()
                .filter(|(_, (e, _))| targets.contains(&(Some(*e), None)))
                .map(|(k, _)| gain(k))
                .sum();
            sum += dcg / (0..targets.len().min(10)).map(gain).sum::<f64>();
            n += 1;
        }
        Ok(sum / n.max(1) as f64)
    };
    let mut best = base.clone();
    let popularity = evaluate("popularity", base)?;
    let mut choices = vec![Choice {
        system: "popularity",
        setting: String::new(),
        ndcg_at_10: popularity,
        chosen: true,
    }];
    for (system, grid) in GRIDS {
        let mut winner = (f64::NEG_INFINITY, 0);
        for (i, (setting, set)) in grid.iter().enumerate() {
            let mut config = base.clone();
            set(&mut config);
            let ndcg_at_10 = evaluate(system, &config)?;
            if ndcg_at_10 > winner.0 {
                winner = (ndcg_at_10, i);
            }
            choices.push(Choice {
                system,
                setting: (*setting).into(),
                ndcg_at_10,
                chosen: false,
            });
        }
        let at = choices.len() - grid.len() + winner.1;
        choices[at].chosen = true;
        grid[winner.1].1(&mut best);
    }
    Ok((best, choices))
}
