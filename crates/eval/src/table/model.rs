//! A table before it is written: what stands where, not how it looks.

use crate::bootstrap::Interval;

pub(super) struct Table {
    pub title: String,
    /// The first table of a task.
    pub leads: bool,
    pub header: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
}

pub(super) enum Cell {
    /// Of a system: text from anyone's file.
    Name(String),
    Mean {
        mean: f64,
        interval: Option<Interval>,
        best: bool,
        significant: bool,
    },
    Difference {
        diff: f64,
        p: f64,
        p_is_floor: bool,
    },
    Text(String),
}
