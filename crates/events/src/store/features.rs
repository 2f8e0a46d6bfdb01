//! Semantic features as Parquet: a vector a user and time, for anyone's ranker.
//!
//! Columns: `case` and `user_id` (text), `as_of` (seconds; the vector was made from events before
//! it), `vector` (list of 32-bit floats, the same length in every row).

use std::path::Path;
use std::sync::Arc;

use arrow_array::types::Float32Type;
use arrow_array::{Int64Array, ListArray};

use super::tables::{batch, texts, write_chunks};
use crate::atomic;
use crate::error::Result;
use crate::history::AsOf;

/// What a model made of a user's history.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureRow {
    pub case_id: String,
    pub user_id: String,
    pub as_of: AsOf,
    pub vector: Vec<f32>,
}

/// # Errors
/// I/O and Parquet errors; an older file of this name is untouched then.
pub fn write_features(rows: &[FeatureRow], path: &Path) -> Result<()> {
    let tmp = atomic::temporary(path);
    let written = write_chunks(rows, &tmp, |rows| {
        let vectors = rows
            .iter()
            .map(|r| Some(r.vector.iter().map(|&x| Some(x)).collect::<Vec<_>>()));
        batch(
            path,
            vec![
                ("case", texts(rows.iter().map(|r| Some(r.case_id.as_str())))),
                (
                    "user_id",
                    texts(rows.iter().map(|r| Some(r.user_id.as_str()))),
                ),
                (
                    "as_of",
                    Arc::new(Int64Array::from_iter_values(
                        rows.iter().map(|r| r.as_of.seconds()),
                    )),
                ),
                (
                    "vector",
                    Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(vectors)),
                ),
            ],
        )
    })
    .and_then(|()| Ok(fs_err::rename(&tmp, path)?));
    if written.is_err() {
        // The first error is the one to report; a leftover temporary file does no harm.
        let _ = fs_err::remove_file(&tmp);
    }
    written
}
