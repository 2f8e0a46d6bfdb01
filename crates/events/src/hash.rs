//! Hashes that stay the same on every machine and in every version: what a sample, a partition
//! or a tie is decided by. Bytes and a seed in, 64 uniform bits or a uniform fraction out.

/// SplitMix64's finaliser: every input bit reaches every output bit.
pub(crate) fn mix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// FNV-1a over the bytes, then mixed with the seed.
pub(crate) fn bytes(seed: u64, bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |h, &b| {
        (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mix(fnv ^ mix(seed))
}

/// Uniform in (0, 1]: never 0, so that its logarithm is finite.
pub(crate) fn fraction(hash: u64) -> f64 {
    ((hash >> 11) + 1) as f64 / (1u64 << 53) as f64
}
