//! `hkfr template`: are the templates sound, and what do they write about a person?

mod check;
mod preview;

pub use check::check;
pub use preview::preview;
