//! The learned ranker that joins the signals of a candidate.

pub mod trees;
