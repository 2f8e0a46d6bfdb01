//! Matrix products on one core: `dst = keep·dst + scale · a b`.
//!
//! The weights of a model are used by every product and never change, so they should neither be
//! copied nor repacked: one operand is broadcast from where it lies, and the other, the smaller
//! activations, is packed into panels that stay in the second-level cache. If the operand to
//! broadcast is the second one, the transposed product is computed and stored transposed. Either
//! way a result adds its products in the order of the inner dimension, block by block.

#![allow(unsafe_code)]

use std::cell::RefCell;

use super::simd::Simd;
use super::tile::{self, LANES, Out};
use super::vector::dots;
use super::{View, ViewMut};

/// The inner dimension is cut into blocks of at most this: a tile's rows then stay in the
/// first-level cache while it passes over all panels.
pub(super) const K_BLOCK: usize = 640;
/// With at most so many rows, packing costs more than it saves.
const FEW_ROWS: usize = 2;
/// Packed elements: half of a second-level cache of 1 MiB.
pub(super) const PACKED: usize = 128 * 1024;

thread_local! {
    /// Panels of this thread; kept, because fresh memory costs page faults.
    static PANELS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// A product whose first operand is broadcast and whose second one is packed.
#[derive(Clone, Copy)]
struct Job<'a> {
    a: View<'a>,
    b: View<'a>,
    /// Strides of the destination.
    row_stride: usize,
    col_stride: usize,
}

impl Job<'_> {
    /// Estimated cycles, to choose between the two ways.
    fn cost(&self, level: Simd) -> usize {
        let (m, k, n) = (self.a.rows, self.a.cols, self.b.cols);
        let mr = tile::max_rows(level);
        let products = m * n.div_ceil(LANES) * k;
        let tiles = m.div_ceil(mr) * n.div_ceil(LANES) * 24;
        let pack = if self.b.col_stride == 1 { 1 } else { 6 } * n.div_ceil(LANES) * k;
        let broadcast = if self.a.col_stride == 1 || self.a.rows <= mr {
            0
        } else {
            m * k / 8
        };
        let store = if self.col_stride == 1 { 0 } else { m * n / 4 };
        products + tiles + pack + broadcast + store
    }
}

/// `dst = keep * dst + scale * a b`, on the calling thread. With `keep == 0` the old content is not read.
///
/// # Panics
/// If the shapes do not fit; the message names both.
pub fn matmul(dst: ViewMut, keep: f32, scale: f32, a: View, b: View) {
    matmul_at(Simd::detect(), dst, keep, scale, a, b);
}

/// [`matmul`] with the instructions of a level, which this machine must have.
pub(crate) fn matmul_at(level: Simd, dst: ViewMut, keep: f32, scale: f32, a: View, b: View) {
    assert!(
        a.cols == b.rows && dst.rows == a.rows && dst.cols == b.cols,
        "matmul: ({}, {}) x ({}, {}) into ({}, {})",
        a.rows,
        a.cols,
        b.rows,
        b.cols,
        dst.rows,
        dst.cols
    );
    if dst.rows == 0 || dst.cols == 0 {
        return;
    }
    if a.rows <= FEW_ROWS && a.col_stride == 1 && b.row_stride == 1 && level == Simd::detect() {
        // Nothing to reuse: a row of one operand times every row of the other.
        for i in 0..a.rows {
            let x = &a.data[i * a.row_stride..][..a.cols];
            let out = &mut dst.data[i * dst.row_stride..][..b.cols];
            dots(out, keep, scale, x, b.data, b.col_stride);
        }
        return;
    }
    let as_is = Job {
        a,
        b,
        row_stride: dst.row_stride,
        col_stride: 1,
    };
    let transposed = Job {
        a: b.t(),
        b: a.t(),
        row_stride: 1,
        col_stride: dst.row_stride,
    };
    let job = if as_is.cost(level) <= transposed.cost(level) {
        as_is
    } else {
        transposed
    };
    let out = Out {
        ptr: dst.data.as_mut_ptr(),
        row_stride: job.row_stride,
        col_stride: job.col_stride,
        cols: 0,
        keep,
        scale,
    };
    PANELS.with_borrow_mut(|panels| run(level, job, out, panels));
}

fn run(level: Simd, job: Job, out: Out, panels: &mut Vec<f32>) {
    let (m, k, n) = (job.a.rows, job.a.cols, job.b.cols);
    let max_width = tile::max_width(level);
    let k_block = k.div_ceil(k.div_ceil(K_BLOCK).max(1)).max(1);
    let n_block = (PACKED / k_block / max_width * max_width).max(max_width);
    for n_first in (0..n).step_by(n_block) {
        let n_len = n_block.min(n - n_first);
        // A product without terms still writes its zeros.
        for k_first in (0..k.max(1)).step_by(k_block) {
            let k_len = k_block.min(k - k_first);
            pack(
                level,
                job.b,
                k_first..k_first + k_len,
                n_first..n_first + n_len,
                panels,
            );
            let keep = if k_first == 0 { out.keep } else { 1.0 };
            let a = Rows {
                ptr: job.a.data.as_ptr().wrapping_add(k_first * job.a.col_stride),
                rows: m,
                row_stride: job.a.row_stride,
                col_stride: job.a.col_stride,
            };
            let out = Out {
                ptr: out.ptr.wrapping_add(n_first * out.col_stride),
                keep,
                ..out
            };
            let kernel = |rows, width| tile::kernel(level, rows, width);
            let panel = |j, _| panels.as_ptr().wrapping_add(j * k_len);
            // SAFETY: every view was checked on construction to lie inside its slice, `dst` is
            // borrowed mutably and overlaps neither operand, and the panels were packed for `k_len`.
            unsafe { tiles(level, kernel, a, k_len, panel, n_len, out) }
        }
    }
}

/// The operand that is broadcast.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub ptr: *const f32,
    pub rows: usize,
    pub row_stride: usize,
    pub col_stride: usize,
}

/// All tiles of `a` and `n` columns; `panel(j, width)` is where the panel of column j begins.
///
/// # Safety
/// `a` is valid for its rows and `k` columns, a panel for `k` times its width, `out` for the results.
pub(super) unsafe fn tiles(
    level: Simd,
    kernel: impl Fn(usize, usize) -> tile::Kernel,
    a: Rows,
    k: usize,
    panel: impl Fn(usize, usize) -> *const f32,
    n: usize,
    out: Out,
) {
    let mut i = 0;
    // As even as can be: a tile of few rows takes as long as one of twice as many.
    for left in (1..=a.rows.div_ceil(tile::max_rows(level))).rev() {
        let rows = (a.rows - i).div_ceil(left);
        let kernels = [kernel(rows, LANES), kernel(rows, tile::max_width(level))];
        for (j, width) in panel_widths(n, tile::max_width(level)) {
            let to = j * out.col_stride + i * out.row_stride;
            let out = Out {
                ptr: out.ptr.wrapping_add(to),
                cols: width.min(n - j),
                ..out
            };
            let kernel = kernels[usize::from(width > LANES)];
            // SAFETY: by the caller's promise, the tile's rows and columns exist.
            unsafe {
                kernel(
                    k,
                    a.ptr.wrapping_add(i * a.row_stride),
                    a.row_stride,
                    a.col_stride,
                    panel(j, width),
                    out,
                );
            }
        }
        i += rows;
    }
}

/// First column and width of the panels of `n` columns: as wide as can be, the last one narrow if
/// that holds what is left.
pub(super) fn panel_widths(n: usize, max_width: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n)
        .step_by(max_width)
        .map(move |j| (j, if n - j <= LANES { LANES } else { max_width }))
}

/// Copies a block of `b` into panels, k-major, zeros beyond its last column.
fn pack(
    level: Simd,
    b: View,
    ks: std::ops::Range<usize>,
    ns: std::ops::Range<usize>,
    panels: &mut Vec<f32>,
) {
    let padded = ns.len().div_ceil(LANES) * LANES;
    let needed = ks.len() * (padded + tile::max_width(level));
    if panels.len() < needed {
        panels.resize(needed, 0.0);
    }
    let mut at = 0;
    for (j, width) in panel_widths(ns.len(), tile::max_width(level)) {
        let cols = width.min(ns.len() - j);
        let panel = &mut panels[at..at + ks.len() * width];
        let from = ks.start * b.row_stride + (ns.start + j) * b.col_stride;
        let source = &b.data[from.min(b.data.len())..];
        if b.col_stride == 1 {
            for (p, row) in panel.chunks_exact_mut(width).enumerate() {
                let source = &source[p * b.row_stride..][..cols];
                row[..cols].copy_from_slice(source);
                row[cols..].fill(0.0);
            }
        } else {
            pack_transposed(
                level,
                source,
                b.row_stride,
                b.col_stride,
                cols,
                width,
                panel,
            );
        }
        at += panel.len();
    }
}

/// A panel from columns that lie `col_stride` apart.
fn pack_transposed(
    level: Simd,
    source: &[f32],
    row_stride: usize,
    col_stride: usize,
    cols: usize,
    width: usize,
    panel: &mut [f32],
) {
    let k = panel.len() / width;
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    if level == Simd::Avx512 && row_stride == 1 {
        done = k / LANES * LANES;
        for v in (0..width).step_by(LANES) {
            let cols = cols.saturating_sub(v).min(LANES);
            for p in (0..done).step_by(LANES) {
                // SAFETY: the level was detected; the last row read ends at column p + 16 ≤ k of
                // the last of `cols` columns, which the view holds.
                unsafe {
                    tile::transpose_block(
                        source.as_ptr().wrapping_add(v * col_stride + p),
                        col_stride,
                        cols,
                        panel.as_mut_ptr().add(p * width + v),
                        width,
                    );
                }
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = level;
    for j in 0..width {
        for p in done..k {
            panel[p * width + j] = if j < cols {
                source[j * col_stride + p * row_stride]
            } else {
                0.0
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::numbers;
    use super::*;

    /// All levels, all four layouts of the operands, sizes around every tile and block edge.
    #[test]
    fn every_level_equals_the_sum_of_products() {
        let sizes = [1, 2, 5, 12, 13, 16, 17, 31, 33, 50];
        let mut cases = Vec::new();
        for &m in &sizes {
            for &n in &sizes {
                cases.push((m, n, [1, 7, 16, 40][(m + n) % 4]));
            }
        }
        cases.extend([(3, 200, 1300), (70, 5, 700), (2, 300, 641), (4, 4, 0)]);
        for level in Simd::levels() {
            for &(m, n, k) in &cases {
                for (a_t, b_t) in [(false, false), (false, true), (true, false), (true, true)] {
                    let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
                    let view = |data, rows, cols, t: bool| match t {
                        false => View::new(data, rows, cols, cols),
                        true => View::new(data, cols, rows, rows).t(),
                    };
                    let (va, vb) = (view(&a, m, k, a_t), view(&b, k, n, b_t));
                    let old = numbers(m * (n + 3), 3);
                    let mut out = old.clone();
                    matmul_at(level, ViewMut::new(&mut out, m, n, n + 3), 0.5, 2.0, va, vb);
                    let at = |v: View, i, j| v.data[i * v.row_stride + j * v.col_stride];
                    for i in 0..m {
                        for j in 0..n {
                            let sum: f64 = (0..k)
                                .map(|p| f64::from(at(va, i, p)) * f64::from(at(vb, p, j)))
                                .sum();
                            let before = f64::from(old[i * (n + 3) + j]);
                            let expected = 0.5 * before + 2.0 * sum;
                            let found = f64::from(out[i * (n + 3) + j]);
                            assert!(
                                (found - expected).abs() < 1e-4 * (1.0 + k as f64).sqrt(),
                                "{level:?} {m}x{k}x{n} {a_t} {b_t} at ({i}, {j}): {found}, not {expected}"
                            );
                        }
                        let beyond = i * (n + 3) + n..(i + 1) * (n + 3);
                        assert_eq!(out[beyond.clone()], old[beyond], "written beside the view");
                    }
                }
            }
        }
    }

    #[test]
    fn with_keep_zero_the_old_content_is_not_read() {
        for level in Simd::levels() {
            let mut out = vec![f32::NAN; 6];
            let (a, b) = ([1.0, 2.0, 3.0], [4.0, 5.0]);
            let (a, b) = (View::new(&a, 3, 1, 1), View::new(&b, 1, 2, 2));
            matmul_at(level, ViewMut::new(&mut out, 3, 2, 2), 0.0, 1.0, a, b);
            assert_eq!(out, [4.0, 5.0, 8.0, 10.0, 12.0, 15.0], "{level:?}");
        }
    }
}
