//! Scores that say "no candidate": tools fill lists with masked items where too few are left.
//!
//! RecBole masks with −∞, implicit with the lowest 32-bit float, others with the lowest 64-bit or bfloat16 one.
//! Such rows are dropped when lists are read, and counted.

/// Just above the lowest bfloat16 (−3.39e38); no ranker scores a real candidate so low.
const MASKED: f64 = -3.38e38;

/// Is it the score of a masked item? Not for NaN.
pub(crate) fn is_masked(score: f64) -> bool {
    score <= MASKED
}

/// The sentence for readers of the figures; `None` where nothing was masked.
pub(crate) fn note(path: &std::path::Path, system: &str, n_masked: usize) -> Option<String> {
    let items = if n_masked == 1 { "item" } else { "items" };
    (n_masked > 0).then(|| {
        format!(
            "{n_masked} {items} of `{system}` in {} have the score of a masked item (-inf, or the lowest that a float \
             has); they are no candidates and are left out.",
            path.display()
        )
    })
}
