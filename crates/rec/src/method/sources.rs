//! Other rankers as sources: of candidates, and of features.
//!
//! Of a source that scores the catalogue with s, a candidate e has four features:
//!
//! ```text
//! s_e                          the score itself
//! (s_e − mean s) / deviation   its place in the catalogue, as other sources would say it
//! ln p_e                       p: shares of the sum where no score is below 0, else a softmax
//! 1 / rank of e                among the candidates, equal scores sharing the best
//! ```

use hkfr_events::Dataset;
use serde::{Deserialize, Serialize};

use super::features::{Feature, Group, Rows};
use super::{Fitting, Settings, Watch};
use crate::baselines::{Entities, Scorer};
use crate::error::Result;
use crate::systems;

/// A ranker that is asked for candidates. In a config a name is enough: of a system, `last-rules` or `last-text`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Form")]
pub struct SourceConfig {
    /// How the features call it.
    pub name: String,
    pub system: String,
    pub group: Group,
    pub settings: Settings,
}

/// As it is written in a config.
#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Name(String),
    #[serde(rename_all = "kebab-case")]
    Whole {
        name: String,
        system: String,
        group: Group,
        #[serde(default)]
        settings: Settings,
    },
}

impl From<Form> for SourceConfig {
    fn from(form: Form) -> Self {
        match form {
            Form::Name(name) => Self::named(&name),
            Form::Whole {
                name,
                system,
                group,
                settings,
            } => Self {
                name,
                system,
                group,
                settings,
            },
        }
    }
}

impl SourceConfig {
    /// | name | system | settings |
    /// |---|---|---|
    /// | `last-rules` | `sequential-rules` | the last choice alone, three orders ahead at most |
    /// | `last-text` | `text-knn` | the last choice alone |
    /// | of a system | itself | its own |
    pub fn named(name: &str) -> Self {
        let (system, settings): (&str, &[(&str, f64)]) = match name {
            "last-rules" => (
                "sequential-rules",
                &[
                    ("distance_power", 1.0),
                    ("shrinkage", 5.0),
                    ("history_decay", 0.0),
                ],
            ),
            "last-text" => ("text-knn", &[("history_decay", 0.0)]),
            name => (name, &[]),
        };
        let mut settings: Settings = settings
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.into()))
            .collect();
        if name == "last-rules" {
            settings.insert("window".into(), 3.into());
        }
        Self {
            name: name.into(),
            system: system.into(),
            group: group(system),
            settings,
        }
    }

    /// Without what it reads of texts and attributes.
    pub(super) fn without_text(mut self) -> Self {
        if self.system == READS_TEXT {
            self.system = "sasrec".into();
        }
        self.settings.remove("text_dim");
        self.settings.remove("attributes");
        self
    }
}

/// SASRec whose item vectors read texts: it learns from order too.
const READS_TEXT: &str = "sasrec-text";

fn group(system: &str) -> Group {
    match system {
        "popularity" | "recent-popularity" => Group::Counts,
        "own-frequency" => Group::Own,
        "text-knn" => Group::Text,
        "item-knn" | "ease" | "ials" | "bpr-mf" | "lightgcn" => Group::Neighbours,
        _ => Group::Order,
    }
}

/// Fitted, in the order of the config.
#[derive(Serialize, Deserialize)]
pub(super) struct Sources {
    all: Vec<Source>,
}

#[derive(Serialize, Deserialize)]
struct Source {
    name: String,
    group: Group,
    scorer: Box<dyn Scorer>,
}

/// Columns of a source.
const WIDTH: usize = 4;

impl Sources {
    pub fn fit(from: &Fitting, configs: &[SourceConfig], seed: u64, watch: Watch) -> Result<Self> {
        let mut all = Vec::with_capacity(configs.len());
        for config in configs {
            let recipe = systems::recipe(&config.system, &config.settings, seed)?;
            all.push(Source {
                name: config.name.clone(),
                group: config.group,
                scorer: recipe.fit(from, watch)?,
            });
        }
        Ok(Self { all })
    }

    /// Length of [`table`](Self::table).
    pub fn width(&self) -> usize {
        WIDTH * self.all.len()
    }

    pub fn table(&self) -> Vec<Feature> {
        let of = |source: &Source| {
            ["score", "place", "ln p", "1 / rank"].map(|what| Feature {
                name: format!("{}: {what}", source.name),
                group: source.group,
            })
        };
        self.all.iter().flat_map(of).collect()
    }

    /// [`Scorer::bind`] of each.
    pub fn bind(&mut self, ds: &Dataset, entities: &Entities) {
        for source in &mut self.all {
            source.scorer.bind(ds, entities);
        }
    }

    /// By column of [`table`](Self::table).
    pub fn meanings(&self) -> Vec<String> {
        let table = self.table();
        let names = table.iter().map(|f| f.name.split(": ").next());
        let of = |(i, name): (usize, Option<&str>)| {
            let name = name.unwrap_or_default();
            match i % WIDTH {
                0 => format!("score by the ranker {name}"),
                1 => format!(
                    "score by {name}, less its mean over the catalogue, over its standard deviation"
                ),
                2 => format!(
                    "ln of the candidate's share of the scores of {name} over the catalogue, of their softmax if some are below 0"
                ),
                _ => format!(
                    "1 / rank among the candidates by {name}, equal scores sharing the best"
                ),
            }
        };
        names.enumerate().map(of).collect()
    }

    /// By source the scores of all entities.
    pub fn score(&self, user: &super::Context, n: usize, out: &mut Vec<Vec<f32>>) {
        out.resize_with(self.all.len(), Vec::new);
        for (source, out) in self.all.iter().zip(out) {
            out.resize(n, 0.0);
            source.scorer.score(user.ds, user.history, out);
        }
    }

    /// Fills the columns of [`table`](Self::table) from `rows.column` on.
    pub fn fill(&self, scores: &[Vec<f32>], candidates: &[u32], rows: &mut Rows) {
        let mut order: Vec<(f32, usize)> = Vec::with_capacity(candidates.len());
        let mut ranks = vec![0.0; candidates.len()];
        for scores in scores {
            let scale = Scale::of(scores);
            order.clear();
            let of = candidates.iter().map(|&e| scores[e as usize]);
            order.extend(of.zip(0..));
            order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let mut rank = 1;
            for (place, &(score, i)) in (1..).zip(&order) {
                if place > 1 && score < order[place - 2].0 {
                    rank = place;
                }
                ranks[i] = 1.0 / rank as f32;
            }
            for (i, &candidate) in candidates.iter().enumerate() {
                let s = scores[candidate as usize];
                let place = (s - scale.mean) / scale.deviation;
                rows.set(i, &[s, place, scale.ln_p(s), ranks[i]]);
            }
            rows.column += WIDTH;
        }
    }
}

struct Scale {
    mean: f32,
    deviation: f32,
    /// Of the softmax, or of the sum.
    ln_total: f32,
    is_share: bool,
}

impl Scale {
    fn of(scores: &[f32]) -> Self {
        let n = scores.len() as f64;
        let (mut sum, mut squares) = (0.0, 0.0);
        let (mut least, mut most) = (f32::INFINITY, f32::NEG_INFINITY);
        for &s in scores {
            sum += f64::from(s);
            squares += f64::from(s) * f64::from(s);
            least = least.min(s);
            most = most.max(s);
        }
        let mean = sum / n;
        let deviation = (squares / n - mean * mean).max(1e-18).sqrt();
        let is_share = least >= 0.0;
        let ln_total = if is_share {
            (sum as f32).max(f32::MIN_POSITIVE).ln()
        } else {
            let exps: f32 = scores.iter().map(|s| (s - most).exp()).sum();
            most + exps.ln()
        };
        Self {
            mean: mean as f32,
            deviation: deviation as f32,
            ln_total,
            is_share,
        }
    }

    fn ln_p(&self, score: f32) -> f32 {
        if self.is_share {
            score.max(1e-12).ln() - self.ln_total
        } else {
            score - self.ln_total
        }
    }
}
