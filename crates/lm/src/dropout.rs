//! Dropout on the input of LoRA (Srivastava et al., JMLR 2014, scaled at training time):
//! `x ← x · m / (1 − p)`, m = 0 with probability p.
//!
//! A mask is a function of its key (seed, step, example), the layer, the module and the element. It
//! is never stored: backward asks for the same one again, and no thread changes another's.

use crate::targets::Target;

/// What one example's masks are drawn from, and a buffer for a masked input.
#[derive(Default)]
pub(crate) struct Dropout {
    /// `None`: not training, nothing is dropped.
    pub key: Option<u64>,
    pub(crate) buffer: Vec<f32>,
}

/// One module's mask.
#[derive(Clone, Copy)]
pub(crate) struct Mask {
    key: u64,
    /// Kept if a random 32-bit number is at least this.
    threshold: u64,
    scale: f32,
}

impl Dropout {
    /// The mask of a module at rate `p`, if anything is dropped.
    pub fn mask(&self, p: f32, layer: usize, target: Target) -> Option<Mask> {
        let key = self.key.filter(|_| p > 0.0)?;
        Some(Mask {
            key: mix(key ^ mix((layer as u64) << 8 | target as u64)),
            threshold: (f64::from(p) * 2f64.powi(32)) as u64,
            scale: 1.0 / (1.0 - p),
        })
    }
}

impl Mask {
    pub fn apply(self, xs: &mut [f32]) {
        // One draw serves two elements.
        for (i, pair) in xs.chunks_mut(2).enumerate() {
            let bits = mix(self.key.wrapping_add(i as u64));
            for (x, bits) in pair.iter_mut().zip([bits >> 32, bits & 0xffff_ffff]) {
                *x *= if bits >= self.threshold {
                    self.scale
                } else {
                    0.0
                };
            }
        }
    }
}

/// The key of an example's masks.
pub(crate) fn key(seed: u64, step: u64, example: usize) -> u64 {
    mix(mix(mix(seed) ^ step) ^ example as u64)
}

/// SplitMix64 (Steele, Lea & Flood, OOPSLA 2014): every bit of the result depends on every bit of `x`.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
