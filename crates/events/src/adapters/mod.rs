//! Log files → [`Dataset`]. One adapter a format; each counts what it did in an [`IngestReport`].
//!
//! | adapter | format |
//! |---|---|
//! | [`complete_journey`] | The Complete Journey as Parquet files: groceries |
//! | [`recbole`] | RecBole atomic files `.inter`, `.item`, `.user`: MovieLens and others |
//! | [`sequences`] | `user item item …` a line, and `items.tsv`: the leave-one-out benchmarks |
//! | [`entree`] | sessions of the Entree restaurant guide |
//! | [`mapping`] | any CSV, JSONL or Parquet, described by a mapping |

pub mod complete_journey;
pub mod entree;
mod lines;
pub mod mapping;
pub(crate) mod parquet_in;
pub mod recbole;
pub mod sequences;
mod sink;

pub use complete_journey::CompleteJourneyConfig;
pub use entree::EntreeConfig;
pub use mapping::MappingConfig;
pub use recbole::RecboleConfig;
pub use sequences::SequencesConfig;

use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;
use crate::error::Result;
use crate::report::IngestReport;

/// Which adapter, and its settings: in TOML a table with `format = "…"` beside the adapter's keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "format", rename_all = "kebab-case")]
pub enum IngestConfig {
    CompleteJourney(CompleteJourneyConfig),
    Recbole(RecboleConfig),
    Sequences(SequencesConfig),
    Entree(EntreeConfig),
    Mapping(MappingConfig),
}

/// Loads a data set with the adapter that the config names.
///
/// # Errors
/// Unreadable or foreign files, no usable row at all, or the first bad row if the report is strict.
pub fn load(config: &IngestConfig, report: &mut IngestReport) -> Result<Dataset> {
    match config {
        IngestConfig::CompleteJourney(c) => complete_journey::load(c, report),
        IngestConfig::Recbole(c) => recbole::load(c, report),
        IngestConfig::Sequences(c) => sequences::load(c, report),
        IngestConfig::Entree(c) => entree::load(c, report),
        IngestConfig::Mapping(c) => mapping::load(c, report),
    }
}
