//! The result of an evaluation as plain values: task × segment × system × metric.
//!
//! In: what [`crate::evaluate`] measured. Out: serde JSON, and the input of [`crate::table`] and
//! [`crate::html`].

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::beyond::ListMetrics;
use crate::bootstrap::Interval;
use crate::config::EvalConfig;
use crate::error::Result;
use crate::jsonl::write_atomically;
use crate::metric::{Metric, MetricAt};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub version: u32,
    pub config: EvalConfig,
    /// In the order of the truths.
    pub tasks: Vec<TaskReport>,
    /// What a reader of the numbers must know, in sentences.
    pub warnings: Vec<String>,
    /// What the systems took, where somebody measured it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub costs: Vec<SystemCost>,
}

/// What one system took for one task; of several seeds the mean of the times and the highest peak.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SystemCost {
    pub system: String,
    pub task: String,
    #[serde(default)]
    pub fit_seconds: Option<f64>,
    /// For all cases.
    #[serde(default)]
    pub score_seconds: Option<f64>,
    /// Highest resident memory, in MB (10⁶ bytes).
    #[serde(default)]
    pub peak_mb: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskReport {
    pub task: String,
    pub n_cases: usize,
    pub n_catalogue: usize,
    pub n_targets: usize,
    /// Targets outside the catalogue, which no system can hit. They stay in the denominator.
    pub n_unreachable_targets: usize,
    /// [`ALL`](crate::ALL) first.
    pub segments: Vec<SegmentReport>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentReport {
    pub segment: String,
    pub n_cases: usize,
    /// In the order of the runs.
    pub systems: Vec<SystemRow>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SystemRow {
    pub system: String,
    /// Runs that were averaged.
    pub n_seeds: usize,
    pub metrics: Vec<MetricValue>,
    /// One a cut-off.
    pub lists: Vec<ListMetrics>,
    /// Cases without a list; they score 0. This and what follows are sums over the seeds.
    pub n_missing: usize,
    /// Listed items, over all lists, and how many of them are outside the catalogue.
    pub n_listed: usize,
    pub n_invalid: usize,
    /// This system minus the reference; empty for the reference itself and without one.
    pub versus_reference: Vec<Difference>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricValue {
    #[serde(flatten)]
    pub at: MetricAt,
    pub mean: f64,
    #[serde(flatten)]
    /// Over cases; the seeds are averaged before.
    pub interval: Interval,
    /// Standard deviation of the means of the seeds; `None` for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed_sd: Option<f64>,
}

/// A paired difference. `p_holm` is corrected over the systems compared with the reference on
/// the same task, segment and metric; `p` and `effect` are those of [`crate::randomisation`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    #[serde(flatten)]
    pub at: MetricAt,
    pub diff: f64,
    #[serde(flatten)]
    pub interval: Interval,
    pub p: f64,
    pub p_holm: f64,
    /// `p_holm` is the floor of the test with this number of draws and systems. The true p-value is at most that.
    #[serde(default)]
    pub p_is_floor: bool,
    /// Cohen's d_z; `None` where all differences are equal.
    pub effect: Option<f64>,
}

impl Difference {
    /// Is p below .05 after Holm's correction?
    pub fn is_significant(&self) -> bool {
        self.p_holm < 0.05
    }
}

impl SystemRow {
    /// What the lists are like at a cut-off.
    pub fn lists_at(&self, k: usize) -> Option<&ListMetrics> {
        self.lists.iter().find(|l| l.k == k)
    }

    pub fn value(&self, metric: Metric, k: usize) -> Option<&MetricValue> {
        self.metrics.iter().find(|v| v.at == MetricAt { metric, k })
    }

    pub fn difference(&self, metric: Metric, k: usize) -> Option<&Difference> {
        self.versus_reference
            .iter()
            .find(|d| d.at == MetricAt { metric, k })
    }
}

impl SegmentReport {
    pub fn system(&self, name: &str) -> Option<&SystemRow> {
        self.systems.iter().find(|row| row.system == name)
    }

    /// Is some system compared with the reference?
    pub fn is_compared(&self) -> bool {
        let compared = |row: &SystemRow| !row.versus_reference.is_empty();
        self.systems.iter().any(compared)
    }

    /// The highest mean of a metric, if any is above 0.
    pub fn best(&self, at: MetricAt) -> Option<f64> {
        let means = self
            .systems
            .iter()
            .filter_map(|row| row.value(at.metric, at.k));
        means
            .map(|v| v.mean)
            .filter(|&m| m > 0.0)
            .max_by(f64::total_cmp)
    }
}

impl TaskReport {
    pub fn segment(&self, name: &str) -> Option<&SegmentReport> {
        self.segments.iter().find(|s| s.segment == name)
    }
}

impl Report {
    pub fn task(&self, name: &str) -> Option<&TaskReport> {
        self.tasks.iter().find(|t| t.task == name)
    }

    /// Was some system run with several seeds?
    pub fn has_seeds(&self) -> bool {
        let mut rows = self
            .tasks
            .iter()
            .flat_map(|t| &t.segments)
            .flat_map(|s| &s.systems);
        rows.any(|row| row.n_seeds > 1)
    }

    pub fn cost(&self, task: &str, system: &str) -> Option<&SystemCost> {
        let of = |c: &&SystemCost| c.task == task && c.system == system;
        self.costs.iter().find(of)
    }

    /// Writes the report as indented JSON, in one step.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_atomically(path, |out| {
            serde_json::to_writer_pretty(&mut *out, self)?;
            out.write_all(b"\n")
        })
    }

    /// Reads what [`Report::write`] wrote.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs_err::read_to_string(path)?;
        serde_json::from_str(&text).map_err(|e| crate::Error::Line {
            path: path.to_owned(),
            line: e.line(),
            fault: crate::Fault::Json(e),
        })
    }
}
