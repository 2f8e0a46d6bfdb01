//! Colours that can be told apart on a white and on a dark card alike.

use plotters::style::RGBColor;

/// Stands for the page's text colour; [`super::canvas::draw`] replaces it by `currentColor`.
pub(super) const INK: RGBColor = RGBColor(1, 2, 3);
pub(super) const ACCENT: RGBColor = RGBColor(59, 125, 221);
pub(super) const PLAIN: RGBColor = RGBColor(128, 141, 158);
pub(super) const LIMIT: RGBColor = RGBColor(214, 92, 84);

const SERIES: [RGBColor; 6] = [
    ACCENT,
    RGBColor(224, 131, 43),
    RGBColor(46, 158, 107),
    RGBColor(146, 98, 214),
    RGBColor(211, 72, 84),
    RGBColor(24, 160, 178),
];

/// The colour of the i-th line; after six they repeat.
pub(in crate::html) fn series(i: usize) -> RGBColor {
    SERIES[i % SERIES.len()]
}

pub(in crate::html) fn css(colour: RGBColor) -> String {
    format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2)
}
