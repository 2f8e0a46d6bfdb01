//! What happened? Events, catalogue, file formats, splits, histories and the Parquet event store.
//!
//! Data flows one way through this crate: log files → [`adapters`] → [`Dataset`] → [`store`]
//! (Parquet) → [`split`] → [`Case`]s. Outside this crate events are reachable only as a
//! [`History`], whose type carries the cut-off ([`AsOf`]) that everything in it precedes.

pub mod adapters;
mod altered;
mod atomic;
mod dataset;
mod error;
mod forget;
pub mod generate;
mod hash;
mod history;
mod order;
mod report;
pub mod split;
pub mod store;

pub use altered::{MARKER, mark_future, shuffle_time};
pub use dataset::{
    Dataset, DatasetBuilder, DatasetInfo, Event, Item, ItemIdx, Kind, KindIdx, Profile, SOURCE_ID,
    UserIdx,
};
pub use error::{Error, Result};
pub use history::{AsOf, History};
pub use report::{BadRow, IngestReport, Joined, MAX_SHOWN, MAX_TEXT_CHARS};
pub use split::{Case, Catalogue, Instance, Phase, Segment, Split, SplitConfig, SplitKind};
