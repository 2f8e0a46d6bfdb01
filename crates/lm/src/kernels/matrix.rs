//! Weights laid out for products: once at loading, so that no product copies them or turns its input.
//!
//! Outputs are cut into panels of 32 (of 16 below AVX-512); within a panel the weights of one input
//! lie together. A product reads panels one after the other and broadcasts the inputs from where they
//! lie. In bfloat16 two neighbouring inputs make one element of 32 bits.

#![allow(unsafe_code)]

use std::cell::RefCell;

use half::bf16;

use super::gemm::{K_BLOCK, PACKED, Rows, panel_widths, tiles};
use super::pool::Pool;
use super::simd::Simd;
use super::tile::{self, Out};
use super::vector;
use crate::error::{Error, Result};

/// How the weights of a [`Matrix`] are kept and multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    #[default]
    F32,
    /// Weights and inputs rounded to 8 bits of mantissa, sums in `f32`: half the memory and, where
    /// the machine has such instructions ([`Precision::is_fast`]), twice the speed.
    Bf16,
}

impl Precision {
    /// Whether this machine multiplies it; elsewhere [`Precision::Bf16`] is kept as `f32`.
    pub fn is_fast(self) -> bool {
        match self {
            Self::F32 => true,
            #[cfg(target_arch = "x86_64")]
            Self::Bf16 => Simd::detect() == Simd::Avx512 && is_x86_feature_detected!("avx512bf16"),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Bf16 => false,
        }
    }
}

impl std::str::FromStr for Precision {
    type Err = Error;

    /// As the config writes it: f32 or bf16.
    fn from_str(name: &str) -> Result<Self> {
        match name {
            "f32" => Ok(Self::F32),
            "bf16" => Ok(Self::Bf16),
            _ => Err(Error::Config(format!(
                "precision {name:?} is neither f32 nor bf16"
            ))),
        }
    }
}

thread_local! {
    /// Inputs in bfloat16; kept, because fresh memory costs page faults.
    static ROUNDED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// A weight matrix (d_out, d_in) in panels.
#[derive(Clone)]
pub struct Matrix {
    d_in: usize,
    d_out: usize,
    level: Simd,
    precision: Precision,
    /// `f32`, or pairs of bfloat16 in its bits.
    panels: Vec<f32>,
}

impl Matrix {
    /// Lays out `w` (d_out, d_in), row-major.
    pub fn new(w: &[f32], d_in: usize, precision: Precision) -> Self {
        Self::at(Simd::detect(), w, d_in, precision)
    }

    fn at(level: Simd, w: &[f32], d_in: usize, precision: Precision) -> Self {
        // A pair needs two inputs.
        let precision = match precision {
            Precision::Bf16 if precision.is_fast() && d_in.is_multiple_of(2) => Precision::Bf16,
            _ => Precision::F32,
        };
        let d_out = w.len().checked_div(d_in).unwrap_or(0);
        let mut matrix = Self {
            d_in,
            d_out,
            level,
            precision,
            panels: Vec::new(),
        };
        let depth = matrix.depth();
        let widths = panel_widths(d_out, tile::max_width(level));
        matrix.panels = vec![0.0; depth * widths.map(|(_, width)| width).sum::<usize>()];
        for (j, width) in panel_widths(d_out, tile::max_width(level)) {
            let panel = &mut matrix.panels[j * depth..][..depth * width];
            for (o, row) in (j..d_out).zip(w[j * d_in..].chunks_exact(d_in)).take(width) {
                for p in 0..depth {
                    panel[p * width + o - j] = match precision {
                        Precision::F32 => row[p],
                        Precision::Bf16 => pair(row[2 * p], row[2 * p + 1]),
                    };
                }
            }
        }
        matrix
    }

    /// Elements of a column.
    fn depth(&self) -> usize {
        match self.precision {
            Precision::F32 => self.d_in,
            Precision::Bf16 => self.d_in / 2,
        }
    }

    pub fn precision(&self) -> Precision {
        self.precision
    }

    pub fn d_in(&self) -> usize {
        self.d_in
    }

    #[cfg(test)]
    pub fn d_out(&self) -> usize {
        self.d_out
    }

    /// The weights (d_out, d_in), row-major, as they are multiplied.
    pub fn to_rows(&self) -> Vec<f32> {
        let mut w = vec![0.0; self.d_out * self.d_in];
        self.each(|o, i, x| w[o * self.d_in + i] = x);
        w
    }

    /// The matrix of the gradient: (d_in, d_out).
    pub fn transposed(&self) -> Self {
        let mut w = vec![0.0; self.d_out * self.d_in];
        self.each(|o, i, x| w[i * self.d_out + o] = x);
        Self::at(self.level, &w, self.d_out, self.precision)
    }

    /// Calls `f(output, input, weight)` for every weight.
    fn each(&self, mut f: impl FnMut(usize, usize, f32)) {
        let depth = self.depth();
        for (j, width) in panel_widths(self.d_out, tile::max_width(self.level)) {
            let panel = self.panels[j * depth..].chunks_exact(width).take(depth);
            for (p, row) in panel.enumerate() {
                for (o, &x) in (j..self.d_out).zip(row) {
                    match self.precision {
                        Precision::F32 => f(o, p, x),
                        Precision::Bf16 => {
                            let (a, b) = unpair(x);
                            f(o, 2 * p, a);
                            f(o, 2 * p + 1, b);
                        }
                    }
                }
            }
        }
    }

    /// `ys = keep·ys + xs Wᵀ`: xs (n, d_in), ys (n, d_out), the outputs shared out to the pool. With
    /// `keep == 0` the old content is not read.
    ///
    /// # Panics
    /// If the sizes do not fit.
    pub fn multiply(&self, pool: &mut Pool, ys: &mut [f32], keep: f32, xs: &[f32]) {
        let n = ys.len().checked_div(self.d_out).unwrap_or(0);
        assert!(
            ys.len() == n * self.d_out && xs.len() == n * self.d_in,
            "a matrix ({}, {}) times {} inputs into {} outputs",
            self.d_out,
            self.d_in,
            xs.len(),
            ys.len()
        );
        match self.precision {
            Precision::F32 => self.share(pool, ys, keep, xs, |rows, width| {
                tile::kernel(self.level, rows, width)
            }),
            Precision::Bf16 => ROUNDED.with_borrow_mut(|rounded| {
                round(rounded, xs);
                self.share(pool, ys, keep, &rounded[..xs.len() / 2], kernel_bf16);
            }),
        }
    }

    /// The product with inputs that are laid out as the panels' elements.
    fn share(
        &self,
        pool: &mut Pool,
        ys: &mut [f32],
        keep: f32,
        xs: &[f32],
        kernel: impl Fn(usize, usize) -> tile::Kernel + Copy + Sync,
    ) {
        let (rows, team) = (ys.len().checked_div(self.d_out).unwrap_or(0), pool.size());
        let out = Shared(ys.as_mut_ptr());
        let width = tile::max_width(self.level);
        let n_panels = self.d_out.div_ceil(width);
        pool.run(&|rank| {
            let out = &out;
            let end = |rank: usize| (n_panels * rank / team * width).min(self.d_out);
            // SAFETY: the sizes of `xs` and `ys` were checked, and no two ranks have a column in common.
            unsafe { self.tiles(out.0, rows, end(rank)..end(rank + 1), keep, xs, kernel) }
        });
    }

    /// The columns `range` of the product of `rows` rows.
    ///
    /// # Safety
    /// `ys` is valid for all rows of these columns, and `xs` holds `rows` inputs; the range begins at a panel.
    unsafe fn tiles(
        &self,
        ys: *mut f32,
        rows: usize,
        range: std::ops::Range<usize>,
        keep: f32,
        xs: &[f32],
        kernel: impl Fn(usize, usize) -> tile::Kernel + Copy,
    ) {
        let (k, n) = (self.depth(), self.d_out);
        let max_width = tile::max_width(self.level);
        let k_block = k.div_ceil(k.div_ceil(K_BLOCK).max(1)).max(1);
        let n_block = (PACKED / k_block / max_width * max_width).max(max_width);
        for n_first in range.clone().step_by(n_block) {
            for k_first in (0..k).step_by(k_block) {
                let a = Rows {
                    ptr: xs.as_ptr().wrapping_add(k_first),
                    rows,
                    row_stride: k,
                    col_stride: 1,
                };
                let out = Out {
                    ptr: ys.wrapping_add(n_first),
                    row_stride: n,
                    col_stride: 1,
                    cols: 0,
                    keep: if k_first == 0 { keep } else { 1.0 },
                    scale: 1.0,
                };
                let panel = |j: usize, width: usize| {
                    let at = (n_first + j) * k + k_first * width;
                    self.panels.as_ptr().wrapping_add(at)
                };
                let (k_len, n_len) = (k_block.min(k - k_first), n_block.min(range.end - n_first));
                // SAFETY: by the caller's promise; a panel holds `k` elements for each of its columns.
                unsafe { tiles(self.level, kernel, a, k_len, panel, n_len, out) }
            }
        }
    }
}

struct Shared(*mut f32);
// SAFETY: ranks write disjoint elements.
unsafe impl Sync for Shared {}

/// Two numbers in bfloat16, the first one in the low half.
fn pair(a: f32, b: f32) -> f32 {
    let bits = |x: f32| u32::from(bf16::from_f32(x).to_bits());
    f32::from_bits(bits(a) | bits(b) << 16)
}

fn unpair(x: f32) -> (f32, f32) {
    let bits = x.to_bits();
    (
        f32::from_bits(bits << 16),
        f32::from_bits(bits & 0xffff_0000),
    )
}

/// Rounds to the nearest, pair by pair.
fn round(rounded: &mut Vec<f32>, xs: &[f32]) {
    if rounded.len() < xs.len() / 2 {
        rounded.resize(xs.len() / 2, 0.0);
    }
    vector::round_bf16(rounded, xs);
}

#[cfg(target_arch = "x86_64")]
use super::tile::kernel_bf16;

#[cfg(not(target_arch = "x86_64"))]
fn kernel_bf16(_: usize, _: usize) -> tile::Kernel {
    unreachable!("Precision::is_fast keeps such matrices off this machine")
}

#[cfg(test)]
mod tests {
    use super::super::numbers;
    use super::*;

    const SHAPES: [(usize, usize, usize); 6] = [
        (1, 1, 1),
        (2, 6, 17),
        (5, 40, 49),
        (13, 700, 33),
        (29, 64, 200),
        (3, 1300, 640),
    ];

    fn exact(xs: &[f32], w: &[f32], d_in: usize) -> Vec<f64> {
        let dot = |x: &[f32], w: &[f32]| -> f64 {
            x.iter()
                .zip(w)
                .map(|(&x, &w)| f64::from(x) * f64::from(w))
                .sum()
        };
        xs.chunks_exact(d_in)
            .flat_map(|x| w.chunks_exact(d_in).map(move |w| dot(x, w)))
            .collect()
    }

    #[test]
    fn products_equal_the_sums_at_every_level_and_precision() {
        for level in Simd::levels() {
            for precision in [Precision::F32, Precision::Bf16] {
                for (n, d_in, d_out) in SHAPES {
                    let (w, xs) = (numbers(d_out * d_in, 1), numbers(n * d_in, 2));
                    let precision = match level {
                        _ if level == Simd::detect() => precision,
                        _ => Precision::F32,
                    };
                    let matrix = Matrix::at(level, &w, d_in, precision);
                    let mut rounded = xs.clone();
                    if matrix.precision == Precision::Bf16 {
                        rounded
                            .iter_mut()
                            .for_each(|x| *x = bf16::from_f32(*x).to_f32());
                    }
                    let old = numbers(n * d_out, 3);
                    let mut ys = old.clone();
                    matrix.multiply(&mut Pool::new(1 + n % 3), &mut ys, 0.5, &xs);
                    let expected = exact(&rounded, &matrix.to_rows(), d_in);
                    for ((y, old), expected) in ys.iter().zip(&old).zip(&expected) {
                        let error = (f64::from(*y) - 0.5 * f64::from(*old) - expected).abs();
                        assert!(
                            error < 2e-5 * (d_in as f64).sqrt(),
                            "{level:?} {precision:?} {n}x{d_in}x{d_out}: off by {error}"
                        );
                    }
                    let mut fresh = vec![f32::NAN; n * d_out];
                    matrix.multiply(&mut Pool::default(), &mut fresh, 0.0, &xs);
                    assert!(fresh.iter().all(|y| y.is_finite()), "read what was there");
                }
            }
        }
    }

    #[test]
    fn rows_come_back_as_they_went_in_or_rounded() {
        for (_, d_in, d_out) in SHAPES {
            let w = numbers(d_out * d_in, 5);
            let matrix = Matrix::new(&w, d_in, Precision::F32);
            assert_eq!(matrix.to_rows(), w);
            let back = matrix.transposed();
            assert_eq!((back.d_in(), back.d_out()), (d_out, d_in));
            assert_eq!(back.transposed().to_rows(), w);
            let halves = Matrix::new(&w, d_in, Precision::Bf16).to_rows();
            assert!(
                halves
                    .iter()
                    .zip(&w)
                    .all(|(a, b)| (a - b).abs() <= b.abs() / 256.0)
            );
        }
    }
}
