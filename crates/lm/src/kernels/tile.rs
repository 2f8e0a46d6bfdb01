//! The innermost loop of a matrix product: a tile of `MR` × up to 32 results kept in registers.
//!
//! `out = keep·out + scale · Σ_p a(i, p) b(p, j)`: `a` is read where it lies and broadcast, `b` is
//! packed, its panels `width` (16 or 32) wide. The result is stored as it is, or transposed.

#![allow(unsafe_code)]
// Indices of registers: an iterator would hide that both sides name the same one.
#![allow(clippy::needless_range_loop)]

use super::simd::Simd;

/// Columns of a narrow panel; a wide one has two of them.
pub(super) const LANES: usize = 16;

/// Where a tile goes: element (i, j) to `ptr + i·row_stride + j·col_stride`, one stride being 1.
#[derive(Clone, Copy)]
pub(super) struct Out {
    pub ptr: *mut f32,
    pub row_stride: usize,
    pub col_stride: usize,
    /// Columns that exist; the panel's others are padding.
    pub cols: usize,
    pub keep: f32,
    pub scale: f32,
}

/// `(k, a, row stride of a, column stride of a, panel, out)`.
pub(super) type Kernel = unsafe fn(usize, *const f32, usize, usize, *const f32, Out);

/// Rows of the largest tile of a level.
pub(super) fn max_rows(level: Simd) -> usize {
    match level {
        Simd::Avx512 => 12,
        Simd::Avx2 => 6,
        Simd::Portable => 4,
    }
}

/// Columns of the widest panel of a level.
pub(super) fn max_width(level: Simd) -> usize {
    if level == Simd::Avx512 {
        2 * LANES
    } else {
        LANES
    }
}

/// The kernel for `rows` (1 ..= [`max_rows`]) and a panel of `width`.
pub(super) fn kernel(level: Simd, rows: usize, width: usize) -> Kernel {
    macro_rules! table {
        ($f:ident, $panels:literal, $($rows:literal)*) => {
            [$($f::<$rows, $panels> as Kernel),*]
        };
    }
    match level {
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 if width == LANES => table!(avx512, 1, 1 2 3 4 5 6 7 8 9 10 11 12)[rows - 1],
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => table!(avx512, 2, 1 2 3 4 5 6 7 8 9 10 11 12)[rows - 1],
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => table!(avx2, 2, 1 2 3 4 5 6)[rows - 1],
        _ => table!(portable, 1, 1 2 3 4)[rows - 1],
    }
}

/// The kernel for pairs of bfloat16; the machine has AVX-512 and its bfloat16 products.
#[cfg(target_arch = "x86_64")]
pub(super) fn kernel_bf16(rows: usize, width: usize) -> Kernel {
    macro_rules! table {
        ($panels:literal, $($rows:literal)*) => {
            [$(avx512_bf16::<$rows, $panels> as Kernel),*]
        };
    }
    match width {
        LANES => table!(1, 1 2 3 4 5 6 7 8 9 10 11 12)[rows - 1],
        _ => table!(2, 1 2 3 4 5 6 7 8 9 10 11 12)[rows - 1],
    }
}

/// Writes a tile that lies in memory, `width` columns a row.
///
/// # Safety
/// `tile` has `rows · width` elements; `out` is valid for the elements that exist.
unsafe fn store(tile: *const f32, rows: usize, width: usize, out: Out) {
    for i in 0..rows {
        for j in 0..out.cols {
            // SAFETY: by the caller's promise.
            unsafe {
                let to = out.ptr.add(i * out.row_stride + j * out.col_stride);
                let value = out.scale * *tile.add(i * width + j);
                *to = if out.keep == 0.0 {
                    value
                } else {
                    out.keep * *to + value
                };
            }
        }
    }
}

/// # Safety
/// `a` is valid for the elements of `MR` rows and `k` columns, `b` for `k · 16`, `out` for the tile.
unsafe fn portable<const MR: usize, const NV: usize>(
    k: usize,
    a: *const f32,
    a_rs: usize,
    a_cs: usize,
    b: *const f32,
    out: Out,
) {
    let mut acc = [[0.0f32; LANES]; MR];
    for p in 0..k {
        // SAFETY: by the caller's promise.
        let row: &[f32; LANES] = unsafe { &*b.add(p * LANES).cast() };
        for (i, acc) in acc.iter_mut().enumerate() {
            let x = unsafe { *a.add(i * a_rs + p * a_cs) };
            acc.iter_mut().zip(row).for_each(|(s, b)| *s += x * b);
        }
    }
    unsafe { store(acc.as_ptr().cast(), MR, LANES, out) }
}

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// # Safety
/// As [`portable`]; the machine has AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const MR: usize, const NV: usize>(
    k: usize,
    a: *const f32,
    a_rs: usize,
    a_cs: usize,
    b: *const f32,
    out: Out,
) {
    let mut acc = [[_mm256_setzero_ps(); NV]; MR];
    for p in 0..k {
        // SAFETY: by the caller's promise.
        unsafe {
            let row: [__m256; NV] =
                std::array::from_fn(|v| _mm256_loadu_ps(b.add(p * 8 * NV + 8 * v)));
            for (i, acc) in acc.iter_mut().enumerate() {
                let x = _mm256_set1_ps(*a.add(i * a_rs + p * a_cs));
                for v in 0..NV {
                    acc[v] = _mm256_fmadd_ps(x, row[v], acc[v]);
                }
            }
        }
    }
    // SAFETY: an array of vectors is an array of their elements.
    unsafe { store(acc.as_ptr().cast(), MR, 8 * NV, out) }
}

/// A kernel of AVX-512: its features, and how a row of the panel times a broadcast element is added.
#[cfg(target_arch = "x86_64")]
macro_rules! avx512_kernel {
    ($(#[$meta:meta])* $name:ident, $features:literal, $madd:expr) => {
        $(#[$meta])*
        ///
        /// # Safety
        /// As [`portable`], with `k · 16 · NV` elements of `b`; the machine has the features.
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        unsafe fn $name<const MR: usize, const NV: usize>(
            k: usize,
            a: *const f32,
            a_rs: usize,
            a_cs: usize,
            b: *const f32,
            out: Out,
        ) {
            let mut acc = [[_mm512_setzero_ps(); NV]; MR];
            for p in 0..k {
                // SAFETY: by the caller's promise.
                unsafe {
                    let row: [__m512; NV] =
                        std::array::from_fn(|v| _mm512_loadu_ps(b.add(p * LANES * NV + LANES * v)));
                    for (i, acc) in acc.iter_mut().enumerate() {
                        let x = _mm512_set1_ps(*a.add(i * a_rs + p * a_cs));
                        for v in 0..NV {
                            acc[v] = $madd(x, row[v], acc[v]);
                        }
                    }
                }
            }
            // SAFETY: by the caller's promise.
            unsafe { store_avx512(&acc, out) }
        }
    };
}

#[cfg(target_arch = "x86_64")]
avx512_kernel!(
    /// Elements are `f32`.
    avx512,
    "avx512f,avx512vl,avx512bw,avx512dq",
    |x, y, sum| _mm512_fmadd_ps(x, y, sum)
);
#[cfg(target_arch = "x86_64")]
avx512_kernel!(
    /// Elements are pairs of bfloat16, neighbours in the inner dimension; sums are `f32`.
    avx512_bf16,
    "avx512f,avx512vl,avx512bw,avx512dq,avx512bf16",
    |x, y, sum| {
        let pairs = |v: __m512| std::mem::transmute::<__m512, __m512bh>(v);
        _mm512_dpbf16_ps(sum, pairs(x), pairs(y))
    }
);

/// # Safety
/// `out` is valid for the tile.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq")]
#[inline]
unsafe fn store_avx512<const MR: usize, const NV: usize>(acc: &[[__m512; NV]; MR], out: Out) {
    let (keep, scale) = (_mm512_set1_ps(out.keep), _mm512_set1_ps(out.scale));
    let blend = |value: __m512, mask: __mmask16, to: *mut f32| {
        // SAFETY: only the elements of the mask are touched, and those exist.
        unsafe {
            let value = _mm512_mul_ps(scale, value);
            let value = if out.keep == 0.0 {
                value
            } else {
                _mm512_fmadd_ps(keep, _mm512_maskz_loadu_ps(mask, to), value)
            };
            _mm512_mask_storeu_ps(to, mask, value);
        }
    };
    if out.col_stride == 1 {
        for (i, acc) in acc.iter().enumerate() {
            for (v, &acc) in acc.iter().enumerate() {
                let cols = out.cols.saturating_sub(LANES * v).min(LANES);
                let to = out.ptr.wrapping_add(i * out.row_stride + LANES * v);
                blend(acc, mask(cols), to);
            }
        }
        return;
    }
    for v in 0..NV {
        let mut block = [_mm512_setzero_ps(); LANES];
        for i in 0..MR {
            block[i] = acc[i][v];
        }
        let cols = out.cols.saturating_sub(LANES * v).min(LANES);
        let block = transpose(block);
        for (j, &row) in block.iter().enumerate().take(cols) {
            let to = out.ptr.wrapping_add((LANES * v + j) * out.col_stride);
            blend(row, mask(MR), to);
        }
    }
}

/// The first `n` of 16 elements.
#[cfg(target_arch = "x86_64")]
fn mask(n: usize) -> __mmask16 {
    if n >= LANES { !0 } else { (1 << n) - 1 }
}

/// 16 rows of 16 elements to 16 columns.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn transpose(rows: [__m512; LANES]) -> [__m512; LANES] {
    let zero = _mm512_setzero_ps();
    let (mut t, mut u) = ([zero; LANES], [zero; LANES]);
    // Within each quarter: pairs of rows, then quadruples.
    for i in 0..8 {
        t[2 * i] = _mm512_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
    }
    for i in 0..4 {
        let at = |n: usize| _mm512_castps_pd(t[4 * i + n]);
        u[4 * i] = _mm512_castpd_ps(_mm512_unpacklo_pd(at(0), at(2)));
        u[4 * i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(at(0), at(2)));
        u[4 * i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(at(1), at(3)));
        u[4 * i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(at(1), at(3)));
    }
    // u[4g + c] holds column 4q + c of rows 4g … 4g+3 in its quarter q: gather the quarters.
    let mut columns = [zero; LANES];
    for c in 0..4 {
        let low = _mm512_shuffle_f32x4::<0x88>(u[c], u[4 + c]);
        let low2 = _mm512_shuffle_f32x4::<0x88>(u[8 + c], u[12 + c]);
        let high = _mm512_shuffle_f32x4::<0xdd>(u[c], u[4 + c]);
        let high2 = _mm512_shuffle_f32x4::<0xdd>(u[8 + c], u[12 + c]);
        columns[c] = _mm512_shuffle_f32x4::<0x88>(low, low2);
        columns[8 + c] = _mm512_shuffle_f32x4::<0xdd>(low, low2);
        columns[4 + c] = _mm512_shuffle_f32x4::<0x88>(high, high2);
        columns[12 + c] = _mm512_shuffle_f32x4::<0xdd>(high, high2);
    }
    columns
}

/// Copies `rows` ≤ 16 rows of 16 elements, `from_stride` apart, as columns of 16 rows that lie
/// `to_stride` apart; columns beyond `rows` become zeros.
///
/// # Safety
/// `from` is valid for `rows` rows, `to` for 16 rows; the machine has AVX-512.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn transpose_block(
    from: *const f32,
    from_stride: usize,
    rows: usize,
    to: *mut f32,
    to_stride: usize,
) {
    let mut block = [_mm512_setzero_ps(); LANES];
    for (i, row) in block.iter_mut().enumerate().take(rows) {
        // SAFETY: by the caller's promise.
        *row = unsafe { _mm512_loadu_ps(from.add(i * from_stride)) };
    }
    for (i, row) in transpose(block).into_iter().enumerate() {
        // SAFETY: by the caller's promise.
        unsafe { _mm512_storeu_ps(to.add(i * to_stride), row) };
    }
}
