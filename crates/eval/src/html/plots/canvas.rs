//! What all plots share: a canvas in pixels, linear scales, round ticks.
//!
//! plotters' own chart frame places labels by font metrics, which need fonts on the machine; the
//! canvas places them by SVG anchors instead, so that the page is the same everywhere.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::colour::{self, INK};
use crate::error::{Error, Result};

pub(super) type Point = (i32, i32);

pub(super) struct Canvas<'a> {
    root: DrawingArea<SVGBackend<'a>, Shift>,
}

/// Draws on a canvas of `size` pixels and gives the SVG.
pub(super) fn draw(size: (u32, u32), paint: impl FnOnce(&Canvas) -> Result<()>) -> Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let canvas = Canvas { root };
        paint(&canvas)?;
        canvas.root.present().map_err(plot_error)?;
    }
    // Text is escaped, quotes included, so that only attributes can match.
    let ink = format!("=\"{}\"", colour::css(INK));
    Ok(svg
        .replace(&ink, "=\"currentColor\"")
        .replacen("<svg ", "<svg role=\"img\" ", 1))
}

fn plot_error(error: impl std::fmt::Display) -> Error {
    Error::Plot(error.to_string())
}

impl Canvas<'_> {
    pub fn line(&self, points: &[Point], colour: impl Into<RGBAColor>, width: u32) -> Result<()> {
        let style = colour.into().stroke_width(width);
        self.root
            .draw(&PathElement::new(points.to_vec(), style))
            .map_err(plot_error)
    }

    pub fn dashed(&self, from: Point, to: Point, colour: impl Into<RGBAColor>) -> Result<()> {
        let colour = colour.into();
        let (mut y, end) = (from.1.min(to.1), from.1.max(to.1));
        while y < end {
            self.line(&[(from.0, y), (from.0, (y + 4).min(end))], colour, 1)?;
            y += 8;
        }
        Ok(())
    }

    pub fn rect(&self, from: Point, to: Point, colour: impl Into<RGBAColor>) -> Result<()> {
        self.root
            .draw(&Rectangle::new([from, to], colour.into().filled()))
            .map_err(plot_error)
    }

    pub fn dot(&self, at: Point, radius: i32, colour: impl Into<RGBAColor>) -> Result<()> {
        self.root
            .draw(&Circle::new(at, radius, colour.into().filled()))
            .map_err(plot_error)
    }

    pub fn ring(&self, at: Point, radius: i32, colour: impl Into<RGBAColor>) -> Result<()> {
        let style = colour.into().stroke_width(2);
        self.root
            .draw(&Circle::new(at, radius, style))
            .map_err(plot_error)
    }

    /// `opacity` of the page's text colour; vertically centred on `at`.
    pub fn text(&self, text: &str, at: Point, px: f64, h: HPos, opacity: f64) -> Result<()> {
        self.write(text, at, h, ("sans-serif", px * 1.24).into_font(), opacity)
    }

    pub fn bold(&self, text: &str, at: Point, px: f64, h: HPos) -> Result<()> {
        let font = ("sans-serif", px * 1.24).into_font().style(FontStyle::Bold);
        self.write(text, at, h, font, 1.0)
    }

    // The SVG backend divides font sizes by 1.24; the callers above undo that.
    fn write(&self, text: &str, at: Point, h: HPos, font: FontDesc, opacity: f64) -> Result<()> {
        let ink = INK.mix(opacity);
        let style = TextStyle::from(font)
            .color(&ink)
            .pos(Pos::new(h, VPos::Center));
        self.root
            .draw(&Text::new(text.to_owned(), at, style))
            .map_err(plot_error)
    }
}

/// A linear map of values to pixels.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    pub lo: f64,
    pub hi: f64,
    pub from: i32,
    pub to: i32,
}

impl Scale {
    pub fn px(&self, x: f64) -> i32 {
        let span = if self.hi > self.lo {
            self.hi - self.lo
        } else {
            1.0
        };
        let share = (x - self.lo) / span;
        self.from + (share * f64::from(self.to - self.from)).round() as i32
    }

    /// Round values within the scale, about `n` of them, with their labels.
    pub fn ticks(&self, n: usize) -> Vec<(f64, String)> {
        let step = round_step((self.hi - self.lo) / n.max(1) as f64);
        let decimals = (-step.log10().floor()).max(0.0) as usize
            + usize::from((step / 10f64.powf(step.log10().floor()) - 2.5).abs() < 1e-6);
        let first = (self.lo / step - 1e-9).ceil() as i64;
        let last = (self.hi / step + 1e-9).floor() as i64;
        (first..=last)
            .map(|i| i as f64 * step)
            .map(|x| (x, format!("{:.decimals$}", x + 0.0)))
            .collect()
    }
}

/// The smallest of 1, 2, 2.5, 5 × 10ⁿ that is at least `x`.
pub(super) fn round_step(x: f64) -> f64 {
    if x.is_nan() || x <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(x.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    power
        * steps
            .into_iter()
            .find(|s| s * power >= x * 0.999_999)
            .unwrap_or(10.0)
}
