//! Block formats of GGML: packed weights → `f32`.
//!
//! Layouts and arithmetic are those of `dequantize_row_*` in
//! <https://github.com/ggml-org/ggml/blob/master/src/ggml-quants.c>, bit for bit. A block of 32 has
//! one scale d (and a minimum m): Q4_0 d·(q−8), Q4_1 d·q+m, Q5_0 d·(q−16), Q5_1 d·q+m, Q8_0 d·q. A
//! block of 256 (K-quants) has scales of its parts that are themselves quantised: Q4_K and Q5_K
//! (d·s)·q − dmin·m with 6 bits for s and m of every 32 weights, Q6_K (d·s)·(q−32) with 8 bits for s
//! of every 16.

use half::{bf16, f16};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Block {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4K,
    Q5K,
    Q6K,
}

impl Block {
    /// Names of all formats, for messages.
    pub const NAMES: &str = "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K and Q6_K";

    /// From the number of a `ggml_type`.
    pub fn from_ggml(kind: u32) -> Option<Self> {
        Some(match kind {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            12 => Self::Q4K,
            13 => Self::Q5K,
            14 => Self::Q6K,
            30 => Self::Bf16,
            _ => return None,
        })
    }

    /// Weights of a block.
    pub fn weights(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 => 32,
            Self::Q4K | Self::Q5K | Self::Q6K => 256,
        }
    }

    /// Bytes of a block.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q8_0 => 34,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
        }
    }

    /// Appends the weights of whole blocks to `out`.
    pub fn dequantise(self, bytes: &[u8], out: &mut Vec<f32>) {
        let blocks = bytes.chunks_exact(self.bytes());
        out.reserve_exact(blocks.len() * self.weights());
        for b in blocks {
            match self {
                Self::F32 => out.push(f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
                Self::F16 => out.push(half(b)),
                Self::Bf16 => out.push(bf16::from_le_bytes([b[0], b[1]]).to_f32()),
                Self::Q4_0 => nibbles(out, &b[2..], 0, |q| half(b) * (q as f32 - 8.0)),
                Self::Q4_1 => nibbles(out, &b[4..], 0, |q| half(b) * q as f32 + half(&b[2..])),
                Self::Q5_0 => nibbles(out, &b[6..], bits(&b[2..]), |q| half(b) * (q as f32 - 16.0)),
                Self::Q5_1 => nibbles(out, &b[8..], bits(&b[4..]), |q| {
                    half(b) * q as f32 + half(&b[2..])
                }),
                Self::Q8_0 => out.extend(b[2..].iter().map(|q| half(b) * f32::from(*q as i8))),
                Self::Q4K => q4_q5_k(out, b, None, &b[16..]),
                Self::Q5K => q4_q5_k(out, b, Some(&b[16..48]), &b[48..]),
                Self::Q6K => q6_k(out, b),
            }
        }
    }
}

fn half(b: &[u8]) -> f32 {
    f16::from_le_bytes([b[0], b[1]]).to_f32()
}

fn bits(b: &[u8]) -> u32 {
    u32::from_le_bytes([b[0], b[1], b[2], b[3]])
}

/// 32 weights: the low nibbles of 16 bytes, then the high ones, each with its fifth bit from `high`.
fn nibbles(out: &mut Vec<f32>, qs: &[u8], high: u32, f: impl Fn(u32) -> f32) {
    for shift in [0, 4] {
        out.extend(qs.iter().enumerate().map(|(j, q)| {
            let fifth = high >> (j as u32 + 4 * shift) & 1;
            f(u32::from(q >> shift & 15) | fifth << 4)
        }));
    }
}

/// Scale and minimum of the i-th of eight parts: 6 bits each, in 12 bytes.
fn scale_and_min(s: &[u8], i: usize) -> (f32, f32) {
    let (scale, min) = if i < 4 {
        (s[i] & 63, s[i + 4] & 63)
    } else {
        (
            s[i + 4] & 15 | s[i - 4] >> 6 << 4,
            s[i + 4] >> 4 | s[i] >> 6 << 4,
        )
    };
    (f32::from(scale), f32::from(min))
}

/// d, dmin, 12 bytes of scales, for Q5_K 32 bytes with a fifth bit of every weight, then nibbles.
fn q4_q5_k(out: &mut Vec<f32>, b: &[u8], fifth: Option<&[u8]>, qs: &[u8]) {
    let (d, dmin) = (half(b), half(&b[2..]));
    for i in 0..8 {
        let (scale, min) = scale_and_min(&b[4..16], i);
        let (scale, min) = (d * scale, dmin * min);
        let qs = &qs[i / 2 * 32..][..32];
        out.extend(qs.iter().enumerate().map(|(j, q)| {
            let high = fifth.map_or(0, |h| h[j] >> i & 1);
            scale * f32::from(q >> (i % 2 * 4) & 15 | high << 4) - min
        }));
    }
}

/// Low nibbles (128 bytes), high pairs of bits (64 bytes), 16 signed scales, d.
fn q6_k(out: &mut Vec<f32>, b: &[u8]) {
    let d = half(&b[208..]);
    for i in 0..8 {
        let low = &b[i / 4 * 64 + i % 2 * 32..][..32];
        let high = &b[128 + i / 4 * 32..][..32];
        let (low_shift, high_shift) = (i % 4 / 2 * 4, i % 4 * 2);
        out.extend(low.iter().zip(high).enumerate().map(|(j, (l, h))| {
            let scale = d * f32::from(b[192 + i * 2 + j / 16] as i8);
            let q = l >> low_shift & 15 | (h >> high_shift & 3) << 4;
            scale * (f32::from(q) - 32.0)
        }));
    }
}
