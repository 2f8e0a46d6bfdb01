//! Weights in 4 or 8 bits for decoding, where reading the weights is what takes the time.
//!
//! A row of weights is cut into blocks of 32, and `w ≈ d·q + m` with q of 0 … 15 (or 255) and d, m
//! in half precision, a block each, as in GGUF's Q4_1. Inputs are rounded to `x ≈ s·p`, p of
//! −127 … 127 and s a block each, so that
//!
//! `y = Σ_blocks s·(d Σ q p + m Σ p)`
//!
//! needs products of bytes only. Sixteen rows lie together, four inputs of each side by side: one
//! AVX-512 VNNI instruction multiplies 64 bytes and adds them by fours.

#![allow(unsafe_code)]

use half::f16;

use super::pool::Pool;
use super::simd::Simd;

/// Inputs of a block.
pub const BLOCK: usize = 32;
/// Rows that lie together.
const ROWS: usize = 16;
/// Tokens that one pass over the weights serves.
const TOKENS: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bits {
    Four,
    Eight,
}

/// A weight matrix (d_out, d_in) in blocks.
pub struct QuantMatrix {
    bits: Bits,
    d_in: usize,
    d_out: usize,
    /// For each 16 rows and block: 16 scales and 16 offsets as half floats, then the codes.
    data: Vec<u8>,
}

impl QuantMatrix {
    /// Rounds `w` (d_out, d_in). A matrix that was dequantised from Q4_1 loses nothing in 4 bits.
    ///
    /// # Panics
    /// If `d_in` is not a multiple of 32.
    pub fn new(w: &[f32], d_in: usize, bits: Bits) -> Self {
        assert!(
            d_in.is_multiple_of(BLOCK),
            "rows of {d_in} weights do not divide into blocks of {BLOCK}"
        );
        let d_out = w.len() / d_in;
        let mut matrix = Self {
            bits,
            d_in,
            d_out,
            data: Vec::new(),
        };
        let record = matrix.record();
        let n_blocks = d_in / BLOCK;
        matrix.data = vec![0; d_out.div_ceil(ROWS) * n_blocks * record];
        for (row, w) in w.chunks_exact(d_in).enumerate() {
            for (b, w) in w.chunks_exact(BLOCK).enumerate() {
                let at = (row / ROWS * n_blocks + b) * record;
                round_block(&mut matrix.data[at..at + record], bits, row % ROWS, w);
            }
        }
        matrix
    }

    /// Bytes of 16 rows of a block.
    fn record(&self) -> usize {
        let codes = match self.bits {
            Bits::Four => ROWS * BLOCK / 2,
            Bits::Eight => ROWS * BLOCK,
        };
        4 * ROWS + codes
    }

    /// Bytes in memory.
    pub fn size(&self) -> usize {
        self.data.len()
    }

    /// The weights as they are multiplied.
    #[cfg(test)]
    fn dequantise(&self) -> Vec<f32> {
        let n_blocks = self.d_in / BLOCK;
        let mut w = vec![0.0; self.d_out * self.d_in];
        for (row, w) in w.chunks_exact_mut(self.d_in).enumerate() {
            for (b, w) in w.chunks_exact_mut(BLOCK).enumerate() {
                let record = &self.data[(row / ROWS * n_blocks + b) * self.record()..];
                let (d, m) = scales(record, row % ROWS);
                for (i, w) in w.iter_mut().enumerate() {
                    *w = d * f32::from(code(record, self.bits, row % ROWS, i)) + m;
                }
            }
        }
        w
    }
}

fn scales(record: &[u8], row: usize) -> (f32, f32) {
    let half = |at: usize| f16::from_le_bytes([record[at], record[at + 1]]).to_f32();
    (half(2 * row), half(2 * ROWS + 2 * row))
}

/// Where the code of an input lies: byte and shift. Inputs 8j … 8j+3 are the low halves of the j-th
/// 64 bytes, the next four the high ones; in 8 bits every four inputs have 64 bytes of their own.
fn place(bits: Bits, row: usize, input: usize) -> (usize, u32) {
    let (quad, within) = (input / 4, input % 4);
    let (chunk, shift) = match bits {
        Bits::Four => (quad / 2, quad as u32 % 2 * 4),
        Bits::Eight => (quad, 0),
    };
    (4 * ROWS + chunk * 64 + row * 4 + within, shift)
}

#[cfg(test)]
fn code(record: &[u8], bits: Bits, row: usize, input: usize) -> u8 {
    let (at, shift) = place(bits, row, input);
    match bits {
        Bits::Four => record[at] >> shift & 15,
        Bits::Eight => record[at],
    }
}

fn round_block(record: &mut [u8], bits: Bits, row: usize, w: &[f32]) {
    let (min, max) = w
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), &x| {
            (a.min(x), b.max(x))
        });
    let top = match bits {
        Bits::Four => 15.0,
        Bits::Eight => 255.0,
    };
    let (d, m) = (f16::from_f32((max - min) / top), f16::from_f32(min));
    record[2 * row..2 * row + 2].copy_from_slice(&d.to_le_bytes());
    record[2 * (ROWS + row)..2 * (ROWS + row) + 2].copy_from_slice(&m.to_le_bytes());
    let (d, m) = (d.to_f32(), m.to_f32());
    for (i, x) in w.iter().enumerate() {
        let q = if d == 0.0 {
            0.0
        } else {
            ((x - m) / d).round().clamp(0.0, top)
        };
        let (at, shift) = place(bits, row, i);
        record[at] |= (q as u8) << shift;
    }
}

/// Inputs rounded to bytes, n tokens at a time; the buffers are reused.
#[derive(Default)]
pub struct QuantInput {
    n: usize,
    d_in: usize,
    /// (n, d_in)
    codes: Vec<i8>,
    /// (n, blocks): s, and s Σ p.
    scales: Vec<f32>,
    sums: Vec<f32>,
}

impl QuantInput {
    /// Rounds `xs` (n, d_in), d_in a multiple of 32.
    pub fn round(&mut self, xs: &[f32], d_in: usize) {
        (self.n, self.d_in) = (xs.len() / d_in, d_in);
        self.codes.resize(xs.len(), 0);
        self.scales.resize(xs.len() / BLOCK, 0.0);
        self.sums.resize(xs.len() / BLOCK, 0.0);
        let blocks = xs
            .chunks_exact(BLOCK)
            .zip(self.codes.chunks_exact_mut(BLOCK));
        for (b, (xs, codes)) in blocks.enumerate() {
            let largest = xs.iter().fold(0.0f32, |m, x| m.max(x.abs()));
            let s = largest / 127.0;
            let inv = if s > 0.0 { 1.0 / s } else { 0.0 };
            let mut sum = 0;
            for (x, p) in xs.iter().zip(codes) {
                // Adding and subtracting 1.5·2²³ rounds to the nearest whole number.
                *p = (x * inv + 12_582_912.0 - 12_582_912.0) as i8;
                sum += i32::from(*p);
            }
            self.scales[b] = s;
            self.sums[b] = s * sum as f32;
        }
    }
}

/// `ys = keep·ys + xs wᵀ`, ys (n, d_out), the rows of `w` shared out to the pool.
///
/// # Panics
/// If the widths differ.
pub fn quant_linear(pool: &mut Pool, ys: &mut [f32], keep: f32, xs: &QuantInput, w: &QuantMatrix) {
    assert!(
        xs.d_in == w.d_in && ys.len() == xs.n * w.d_out,
        "quant_linear: ({}, {}) x ({}, {})ᵀ into {}",
        xs.n,
        xs.d_in,
        w.d_out,
        w.d_in,
        ys.len()
    );
    let groups = w.d_out.div_ceil(ROWS);
    let team = pool.size();
    let out = Out(ys.as_mut_ptr());
    let level = level();
    pool.run(&|rank| {
        let out = &out;
        for g in groups * rank / team..groups * (rank + 1) / team {
            for first in (0..xs.n).step_by(TOKENS) {
                let n = TOKENS.min(xs.n - first);
                let mut tile = [[0.0f32; ROWS]; TOKENS];
                sums(level, w, g, xs, first, n, &mut tile);
                let rows = ROWS.min(w.d_out - g * ROWS);
                for (t, tile) in tile[..n].iter().enumerate() {
                    // SAFETY: (token, rows of this group) lie inside `ys`, whose length was
                    // checked, and no two ranks have a group in common.
                    let y = unsafe {
                        let at = (first + t) * w.d_out + g * ROWS;
                        std::slice::from_raw_parts_mut(out.0.add(at), rows)
                    };
                    for (y, sum) in y.iter_mut().zip(tile) {
                        *y = if keep == 0.0 { *sum } else { keep * *y + sum };
                    }
                }
            }
        }
    });
}

struct Out(*mut f32);
// SAFETY: ranks write disjoint elements.
unsafe impl Sync for Out {}

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Vnni,
}

fn level() -> Level {
    #[cfg(target_arch = "x86_64")]
    match Simd::detect() {
        Simd::Avx512 if is_x86_feature_detected!("avx512vnni") => return Level::Vnni,
        Simd::Avx512 | Simd::Avx2 => return Level::Avx2,
        Simd::Portable => {}
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = Simd::detect();
    Level::Portable
}

/// The outputs of 16 rows for `n` tokens from `first` on.
fn sums(
    level: Level,
    w: &QuantMatrix,
    group: usize,
    xs: &QuantInput,
    first: usize,
    n: usize,
    tile: &mut [[f32; ROWS]; TOKENS],
) {
    match level {
        // SAFETY: the level was detected on this machine.
        #[cfg(target_arch = "x86_64")]
        Level::Vnni => unsafe {
            match n {
                1 => vnni::<1>(w, group, xs, first, tile),
                2 => vnni::<2>(w, group, xs, first, tile),
                3 => vnni::<3>(w, group, xs, first, tile),
                4 => vnni::<4>(w, group, xs, first, tile),
                5 => vnni::<5>(w, group, xs, first, tile),
                6 => vnni::<6>(w, group, xs, first, tile),
                7 => vnni::<7>(w, group, xs, first, tile),
                _ => vnni::<8>(w, group, xs, first, tile),
            }
        },
        // SAFETY: the level was detected on this machine.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { avx2(w, group, xs, first, n, tile) },
        Level::Portable => portable(w, group, xs, first, n, tile),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
fn avx2(
    w: &QuantMatrix,
    group: usize,
    xs: &QuantInput,
    first: usize,
    n: usize,
    tile: &mut [[f32; ROWS]; TOKENS],
) {
    portable(w, group, xs, first, n, tile);
}

#[inline(always)]
fn portable(
    w: &QuantMatrix,
    group: usize,
    xs: &QuantInput,
    first: usize,
    n: usize,
    tile: &mut [[f32; ROWS]; TOKENS],
) {
    let (n_blocks, record) = (w.d_in / BLOCK, w.record());
    for b in 0..n_blocks {
        let record = &w.data[(group * n_blocks + b) * record..][..record];
        let mut codes = [[0u8; 64]; 8];
        for (quad, out) in codes.iter_mut().enumerate() {
            let (chunk, shift) = match w.bits {
                Bits::Four => (quad / 2, quad % 2 * 4),
                Bits::Eight => (quad, 0),
            };
            let mask = if w.bits == Bits::Four { 15 } else { 255 };
            for (o, c) in out.iter_mut().zip(&record[4 * ROWS + chunk * 64..][..64]) {
                *o = c >> shift & mask;
            }
        }
        let (mut d, mut m) = ([0.0; ROWS], [0.0; ROWS]);
        for row in 0..ROWS {
            (d[row], m[row]) = scales(record, row);
        }
        for (t, tile) in tile[..n].iter_mut().enumerate() {
            let at = (first + t) * n_blocks + b;
            let p = &xs.codes[at * BLOCK..][..BLOCK];
            let mut dots = [0i32; ROWS];
            for (codes, p) in codes.iter().zip(p.chunks_exact(4)) {
                for (row, dot) in dots.iter_mut().enumerate() {
                    for i in 0..4 {
                        *dot += i32::from(codes[row * 4 + i]) * i32::from(p[i]);
                    }
                }
            }
            for row in 0..ROWS {
                tile[row] += xs.scales[at] * d[row] * dots[row] as f32 + xs.sums[at] * m[row];
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512vnni")]
fn vnni<const N: usize>(
    w: &QuantMatrix,
    group: usize,
    xs: &QuantInput,
    first: usize,
    tile: &mut [[f32; ROWS]; TOKENS],
) {
    use std::arch::x86_64::*;
    let (n_blocks, record) = (w.d_in / BLOCK, w.record());
    let records = &w.data[group * n_blocks * record..][..n_blocks * record];
    let codes = &xs.codes[first * w.d_in..][..N * w.d_in];
    let scales = &xs.scales[first * n_blocks..][..N * n_blocks];
    let sums = &xs.sums[first * n_blocks..][..N * n_blocks];
    let low = _mm512_set1_epi8(15);
    let mut acc = [_mm512_setzero_ps(); N];
    for b in 0..n_blocks {
        // SAFETY: a record has 64 bytes of scales and its codes; a token has 32 codes, one scale
        // and one sum a block; the slices above hold all blocks.
        unsafe {
            let at = records.as_ptr().add(b * record);
            let d = _mm512_cvtph_ps(_mm256_loadu_si256(at.cast()));
            let m = _mm512_cvtph_ps(_mm256_loadu_si256(at.add(2 * ROWS).cast()));
            let mut q = [_mm512_setzero_si512(); 8];
            match w.bits {
                Bits::Four => {
                    for j in 0..4 {
                        let packed = _mm512_loadu_si512(at.add(4 * ROWS + 64 * j).cast());
                        q[2 * j] = _mm512_and_si512(packed, low);
                        q[2 * j + 1] = _mm512_and_si512(_mm512_srli_epi16::<4>(packed), low);
                    }
                }
                Bits::Eight => {
                    for (j, q) in q.iter_mut().enumerate() {
                        *q = _mm512_loadu_si512(at.add(4 * ROWS + 64 * j).cast());
                    }
                }
            }
            for (t, acc) in acc.iter_mut().enumerate() {
                let p = codes.as_ptr().add(t * w.d_in + b * BLOCK).cast::<i32>();
                let quad = |i: usize| _mm512_set1_epi32(p.add(i).read_unaligned());
                let mut even = _mm512_dpbusd_epi32(_mm512_setzero_si512(), q[0], quad(0));
                let mut odd = _mm512_dpbusd_epi32(_mm512_setzero_si512(), q[1], quad(1));
                for j in 1..4 {
                    even = _mm512_dpbusd_epi32(even, q[2 * j], quad(2 * j));
                    odd = _mm512_dpbusd_epi32(odd, q[2 * j + 1], quad(2 * j + 1));
                }
                let dots = _mm512_cvtepi32_ps(_mm512_add_epi32(even, odd));
                let s = _mm512_set1_ps(*scales.get_unchecked(t * n_blocks + b));
                let sum = _mm512_set1_ps(*sums.get_unchecked(t * n_blocks + b));
                *acc = _mm512_fmadd_ps(_mm512_mul_ps(s, d), dots, *acc);
                *acc = _mm512_fmadd_ps(sum, m, *acc);
            }
        }
    }
    for (acc, tile) in acc.iter().zip(tile) {
        // SAFETY: a row of the tile has 16 elements.
        unsafe { _mm512_storeu_ps(tile.as_mut_ptr(), *acc) };
    }
}

#[cfg(test)]
mod tests {
    use super::super::numbers;
    use super::*;

    #[test]
    fn rounding_is_as_fine_as_the_bits_and_exact_for_what_was_rounded_before() {
        let w = numbers(20 * 64, 1);
        for (bits, step) in [(Bits::Four, 2.0 / 15.0), (Bits::Eight, 2.0 / 255.0)] {
            let once = QuantMatrix::new(&w, 64, bits).dequantise();
            for (a, b) in w.iter().zip(&once) {
                assert!(
                    (a - b).abs() <= 0.51 * step + 1e-3,
                    "{bits:?}: {a} became {b}"
                );
            }
            let twice = QuantMatrix::new(&once, 64, bits).dequantise();
            for (a, b) in once.iter().zip(&twice) {
                assert!((a - b).abs() < 2e-3, "{bits:?}: {a} became {b}");
            }
        }
    }

    #[test]
    fn products_equal_those_of_the_rounded_numbers_at_every_level() {
        let mut levels = vec![Level::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            let best = level();
            if best != Level::Portable {
                levels.extend([Level::Avx2, best]);
            }
        }
        for bits in [Bits::Four, Bits::Eight] {
            for (n, d_in, d_out) in [(1, 32, 16), (3, 96, 33), (8, 64, 5), (19, 160, 48)] {
                let w = QuantMatrix::new(&numbers(d_out * d_in, 7), d_in, bits);
                let xs = numbers(n * d_in, 9);
                let mut input = QuantInput::default();
                input.round(&xs, d_in);
                let plain = w.dequantise();
                for &level in &levels {
                    for g in 0..d_out.div_ceil(ROWS) {
                        for first in (0..n).step_by(TOKENS) {
                            let count = TOKENS.min(n - first);
                            let mut tile = [[0.0; ROWS]; TOKENS];
                            sums(level, &w, g, &input, first, count, &mut tile);
                            for t in first..first + count {
                                for row in g * ROWS..d_out.min((g + 1) * ROWS) {
                                    let expected: f64 = (0..d_in)
                                        .map(|i| {
                                            let x = f64::from(input.codes[t * d_in + i])
                                                * f64::from(input.scales[(t * d_in + i) / BLOCK]);
                                            x * f64::from(plain[row * d_in + i])
                                        })
                                        .sum();
                                    let found = f64::from(tile[t - first][row % ROWS]);
                                    assert!(
                                        (found - expected).abs() < 1e-3,
                                        "{bits:?} {n}x{d_in}x{d_out}: {found}, not {expected}"
                                    );
                                }
                            }
                        }
                    }
                }
                let mut ys = vec![1.0; n * d_out];
                quant_linear(&mut Pool::new(2), &mut ys, 0.5, &input, &w);
                for (t, ys) in ys.chunks_exact(d_out).enumerate() {
                    for (row, y) in ys.iter().enumerate() {
                        let exact: f32 = (0..d_in)
                            .map(|i| xs[t * d_in + i] * plain[row * d_in + i])
                            .sum();
                        assert!((y - 0.5 - exact).abs() < 0.02 * (d_in as f32).sqrt());
                    }
                }
            }
        }
    }
}
