//! The plots of the page as inline SVG.
//!
//! In: plain values. Out: one `<svg>` element each, without a background and with its text in
//! `currentColor`, so that it stands on a light and on a dark page.

mod canvas;
pub(super) mod colour;
mod curves;
mod dots;
mod lengths;

pub(super) use curves::losses;
pub(super) use dots::{metrics, segments};
pub(super) use lengths::{histogram, summary};
