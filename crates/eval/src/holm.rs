//! Holm's step-down correction of a family of p-values (Holm 1979).
//!
//! Sorted rising, p₍ᵢ₎ becomes max_{j ≤ i} min(1, (m − j + 1) · p₍ⱼ₎). Rejecting where the result is
//! at most α keeps the chance of any false rejection in the family at α, whatever the dependence.
//!
//! ```
//! assert_eq!(hkfr_eval::holm(&[0.01, 0.04, 0.03]), [0.03, 0.06, 0.06]);
//! ```

/// The adjusted p-values, in the order of `p`.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut highest = 0.0f64;
    for (i, &idx) in order.iter().enumerate() {
        highest = highest.max(((p.len() - i) as f64 * p[idx]).min(1.0));
        adjusted[idx] = highest;
    }
    adjusted
}
