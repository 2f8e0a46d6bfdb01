//! Loss by step: every step faint, a moving average in full colour, validation as
//! circles.
//!
//! In: one [`Series`] a tuning. Out: an SVG; the names stand in the page's legend.

use plotters::style::Color;
use plotters::style::text_anchor::HPos;

use super::canvas::{Canvas, Point, Scale, draw};
use super::colour::{self, INK};
use crate::bootstrap::quantile;
use crate::error::Result;
use crate::html::Series;

const SIZE: (i32, i32) = (1040, 300);
const LEFT: i32 = 52;
const RIGHT: i32 = 12;
const TOP: i32 = 26;
const BOTTOM: i32 = 44;
/// More points than pixels only make the file large.
const MOST_POINTS: usize = 1000;

pub(in crate::html) fn losses(series: &[Series]) -> Result<String> {
    let all = || {
        series
            .iter()
            .flat_map(|s| s.train.iter().chain(&s.validation))
            .copied()
    };
    let steps = all().map(|(step, _)| step);
    let (first, last) = (steps.clone().min().unwrap_or(0), steps.max().unwrap_or(1));
    let xs = Scale {
        lo: first as f64,
        hi: last.max(first + 1) as f64,
        from: LEFT,
        to: SIZE.0 - RIGHT,
    };
    let ys = loss_scale(
        all()
            .map(|(_, loss)| loss)
            .filter(|l| l.is_finite())
            .collect(),
    );
    draw((SIZE.0 as u32, SIZE.1 as u32), |canvas| {
        axes(canvas, xs, ys)?;
        for (i, s) in series.iter().enumerate() {
            let colour = colour::series(i);
            let raw = thin(&s.train);
            let place = |points: &[(f64, f64)]| -> Vec<Point> {
                points
                    .iter()
                    .map(|&(x, y)| (xs.px(x), ys.px(y.clamp(ys.lo, ys.hi))))
                    .collect()
            };
            canvas.line(&place(&raw), colour.mix(0.22), 1)?;
            canvas.line(&place(&smooth(&raw)), colour, 2)?;
            for at in place(&thin(&s.validation)) {
                canvas.ring(at, 4, colour)?;
            }
        }
        Ok(())
    })
}

/// From just below the lowest loss to the highest; single spikes beyond the 99.5 % quantile are
/// cut at the frame, so that they do not flatten everything else.
fn loss_scale(mut losses: Vec<f64>) -> Scale {
    losses.sort_by(f64::total_cmp);
    let (lo, hi) = match losses.as_slice() {
        [] => (0.0, 1.0),
        sorted => (sorted[0], quantile(sorted, 0.995)),
    };
    let margin = if hi > lo { 0.05 * (hi - lo) } else { 0.5 };
    let lo = if lo >= 0.0 {
        (lo - margin).max(0.0)
    } else {
        lo - margin
    };
    Scale {
        lo,
        hi: hi + margin,
        from: SIZE.1 - BOTTOM,
        to: TOP,
    }
}

fn axes(canvas: &Canvas, xs: Scale, ys: Scale) -> Result<()> {
    for (y, text) in ys.ticks(7) {
        let px = ys.px(y);
        canvas.line(&[(xs.from, px), (xs.to, px)], INK.mix(0.12), 1)?;
        canvas.text(&text, (xs.from - 8, px), 11.0, HPos::Right, 0.65)?;
    }
    for (x, text) in xs.ticks(8).into_iter().filter(|(x, _)| x.fract() == 0.0) {
        let px = xs.px(x);
        canvas.line(&[(px, ys.from), (px, ys.from + 4)], INK.mix(0.35), 1)?;
        canvas.text(&text, (px, ys.from + 15), 11.0, HPos::Center, 0.65)?;
    }
    canvas.line(&[(xs.from, ys.from), (xs.to, ys.from)], INK.mix(0.35), 1)?;
    canvas.text("loss", (xs.from - 8, ys.to - 12), 11.5, HPos::Right, 0.65)?;
    let middle = ((xs.from + xs.to) / 2, SIZE.1 - 8);
    canvas.text("step", middle, 11.5, HPos::Center, 0.65)
}

/// At most [`MOST_POINTS`] finite points: means of equal runs of steps.
fn thin(points: &[(u64, f64)]) -> Vec<(f64, f64)> {
    let finite: Vec<(f64, f64)> = points
        .iter()
        .filter(|p| p.1.is_finite())
        .map(|&(x, y)| (x as f64, y))
        .collect();
    let run = finite.len().div_ceil(MOST_POINTS).max(1);
    let mean = |chunk: &[(f64, f64)]| {
        let n = chunk.len() as f64;
        let sum = chunk.iter().fold((0.0, 0.0), |s, p| (s.0 + p.0, s.1 + p.1));
        (sum.0 / n, sum.1 / n)
    };
    finite.chunks(run).map(mean).collect()
}

/// Centred moving average over about a twentieth of the points: unlike an exponential one it does
/// not lag behind a falling loss. At the ends the window is cut.
fn smooth(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let half = points.len() / 40;
    let mean = |i: usize| {
        let window = &points[i.saturating_sub(half)..(i + half + 1).min(points.len())];
        window.iter().map(|p| p.1).sum::<f64>() / window.len() as f64
    };
    points
        .iter()
        .enumerate()
        .map(|(i, &(x, _))| (x, mean(i)))
        .collect()
}
