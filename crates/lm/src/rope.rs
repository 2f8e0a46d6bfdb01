//! Rotary position embedding (Su et al., arXiv 2104.09864): a pair of dimensions of a query or key
//! turns by `position / θ^(2i/d)`, so that a product of the two sees only their distance.
//!
//! Angles are tabulated in blocks of positions when one is first needed: a model that could read a
//! million tokens doesn't pay for them when it reads a thousand.

use std::f64::consts::TAU;
use std::sync::OnceLock;

use crate::config::{LlamaConfig, RopeScaling};

/// Positions of a block of the table.
const BLOCK: usize = 256;

pub(crate) struct Rope {
    /// By pair of dimensions: positions in which it turns by one radian.
    periods: Vec<f64>,
    head_dim: usize,
    interleaved: bool,
    /// (cos, sin) by position and pair.
    blocks: Vec<OnceLock<Vec<(f32, f32)>>>,
}

impl Rope {
    pub fn new(config: &LlamaConfig) -> Self {
        let half = config.rotary_dim() / 2;
        let theta = f64::from(config.rope_theta);
        let mut periods: Vec<f64> = (0..half)
            .map(|i| theta.powf(i as f64 / half as f64))
            .collect();
        match &config.rope_scaling {
            None => {}
            Some(RopeScaling::Divisors(divisors)) => {
                for (period, divisor) in periods.iter_mut().zip(divisors) {
                    *period *= f64::from(*divisor);
                }
            }
            Some(RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_positions,
            }) => {
                for period in &mut periods {
                    // Full turns within the original context.
                    let turns = *original_max_positions as f64 / (TAU * *period);
                    let kept = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor);
                    let kept = kept.clamp(0.0, 1.0);
                    *period /= (1.0 - kept) / factor + kept;
                }
            }
        }
        let n_blocks = config.max_positions.div_ceil(BLOCK);
        Self {
            periods,
            head_dim: config.head_dim(),
            interleaved: config.architecture.interleaved_rope,
            blocks: std::iter::repeat_with(OnceLock::new)
                .take(n_blocks)
                .collect(),
        }
    }

    fn angles(&self, position: usize) -> &[(f32, f32)] {
        let half = self.periods.len();
        let block = self.blocks[position / BLOCK].get_or_init(|| {
            let first = position / BLOCK * BLOCK;
            (first..first + BLOCK)
                .flat_map(|p| self.periods.iter().map(move |period| p as f64 / period))
                .map(|angle| (angle.cos() as f32, angle.sin() as f32))
                .collect()
        });
        &block[position % BLOCK * half..][..half]
    }

    /// Rotates every head of every row; `sign` 1 forward, −1 for the gradient (the inverse rotation).
    pub fn rotate(&self, xs: &mut [f32], width: usize, positions: &[u32], sign: f32) {
        let half = self.periods.len();
        for (row, &p) in xs.chunks_exact_mut(width).zip(positions) {
            let angles = self.angles(p as usize);
            for head in row.chunks_exact_mut(self.head_dim) {
                let turning = &mut head[..2 * half];
                if self.interleaved {
                    for (pair, &(cos, sin)) in turning.chunks_exact_mut(2).zip(angles) {
                        let (x, y, s) = (pair[0], pair[1], sin * sign);
                        pair[0] = x * cos - y * s;
                        pair[1] = y * cos + x * s;
                    }
                } else {
                    let (a, b) = turning.split_at_mut(half);
                    for ((a, b), &(cos, sin)) in a.iter_mut().zip(b).zip(angles) {
                        let (x, y, s) = (*a, *b, sin * sign);
                        *a = x * cos - y * s;
                        *b = y * cos + x * s;
                    }
                }
            }
        }
    }
}
