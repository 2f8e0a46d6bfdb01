//! A histogram of lengths with the budget marked, and its summary in words.
//!
//! In: a [`Histogram`] of raw lengths. Out: an SVG of bars of equal, round width.

use plotters::style::Color;
use plotters::style::text_anchor::HPos;

use super::canvas::{Scale, draw, round_step};
use super::colour::{ACCENT, INK, LIMIT};
use crate::bootstrap::quantile;
use crate::error::Result;
use crate::html::Histogram;
use crate::table::thousands;

const SIZE: (i32, i32) = (500, 220);
const LEFT: i32 = 46;
const RIGHT: i32 = 14;
const TOP: i32 = 22;
const BOTTOM: i32 = 44;

pub(in crate::html) fn histogram(histogram: &Histogram) -> Result<String> {
    let longest = histogram.values.iter().copied().max().unwrap_or(0);
    let longest = f64::from(longest.max(histogram.limit.unwrap_or(0)).max(1));
    let width = round_step(longest / 30.0).ceil();
    let n_bins = (longest / width).floor() as usize + 1;
    let mut bins = vec![0usize; n_bins];
    for &value in &histogram.values {
        bins[(f64::from(value) / width) as usize] += 1;
    }
    let most = bins.iter().copied().max().unwrap_or(0).max(1) as f64;
    let xs = Scale {
        lo: 0.0,
        hi: n_bins as f64 * width,
        from: LEFT,
        to: SIZE.0 - RIGHT,
    };
    let ys = Scale {
        lo: 0.0,
        hi: most * 1.05,
        from: SIZE.1 - BOTTOM,
        to: TOP,
    };
    draw((SIZE.0 as u32, SIZE.1 as u32), |canvas| {
        for (y, text) in ys.ticks(4).into_iter().filter(|(y, _)| y.fract() == 0.0) {
            let px = ys.px(y);
            canvas.line(&[(xs.from, px), (xs.to, px)], INK.mix(0.12), 1)?;
            canvas.text(&text, (xs.from - 8, px), 11.0, HPos::Right, 0.65)?;
        }
        for (i, &n) in bins.iter().enumerate().filter(|(_, n)| **n > 0) {
            let (x0, x1) = (xs.px(i as f64 * width), xs.px((i + 1) as f64 * width));
            canvas.rect(
                (x0 + 1, ys.px(n as f64)),
                ((x1 - 1).max(x0 + 2), ys.from),
                ACCENT,
            )?;
        }
        canvas.line(&[(xs.from, ys.from), (xs.to, ys.from)], INK.mix(0.35), 1)?;
        for (x, text) in xs.ticks(6).into_iter().filter(|(x, _)| x.fract() == 0.0) {
            canvas.text(&text, (xs.px(x), ys.from + 14), 11.0, HPos::Center, 0.65)?;
        }
        let middle = ((xs.from + xs.to) / 2, SIZE.1 - 8);
        canvas.text(&histogram.unit, middle, 11.5, HPos::Center, 0.65)?;
        if let Some(limit) = histogram.limit {
            let px = xs.px(f64::from(limit));
            canvas.dashed((px, TOP), (px, ys.from), LIMIT)?;
            // Towards the side with more room.
            let right = px < (xs.from + xs.to) / 2;
            let (at, h) = if right {
                (px + 4, HPos::Left)
            } else {
                (px - 4, HPos::Right)
            };
            canvas.text(&format!("budget {limit}"), (at, TOP - 10), 11.0, h, 0.8)?;
        }
        Ok(())
    })
}

/// Count, median, 95 % quantile, longest, and how many exceed the budget.
pub(in crate::html) fn summary(histogram: &Histogram) -> String {
    let mut sorted: Vec<f64> = histogram.values.iter().copied().map(f64::from).collect();
    sorted.sort_by(f64::total_cmp);
    let Some(longest) = sorted.last() else {
        return "No values.".into();
    };
    let (n, unit) = (thousands(sorted.len()), &histogram.unit);
    let (median, p95) = (quantile(&sorted, 0.5), quantile(&sorted, 0.95));
    let mut out =
        format!("{n} texts; median {median:.0}, 95 % below {p95:.0}, longest {longest} {unit}.");
    if let Some(limit) = histogram.limit {
        let over = histogram.values.iter().filter(|&&v| v > limit).count();
        out += &format!(" {} above the budget.", thousands(over));
    }
    out
}
