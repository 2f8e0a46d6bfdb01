//! Own choices and those of a cohort in one: (n_c + k · q_c) / (n + k) for n own choices, of which n_c are of
//! the category c, and the cohort's share q_c. This is the mean of a Dirichlet posterior whose prior is the
//! cohort (MacKay and Peto 1995), and shrinks towards the cohort as Efron and Morris (1973) do: one's own
//! weight is n / (n + k), 0 without a choice and near 1 with many.

/// The weight of `n` own choices against a cohort of strength `k`.
pub fn own_weight(n: u32, k: f32) -> f32 {
    match n {
        0 => 0.0,
        n => n as f32 / (n as f32 + k),
    }
}

/// Shares of `n_categories`: of one's own `choices` (category, count), and of a `cohort`, which may be empty.
pub(super) fn blended(
    choices: &[(u32, u32)],
    cohort: &[f32],
    k: f32,
    n_categories: usize,
) -> Vec<f32> {
    let n: u32 = choices.iter().map(|c| c.1).sum();
    let own = match cohort {
        [] => 1.0,
        _ => own_weight(n, k),
    };
    let mut shares = vec![0.0; n_categories];
    for (share, q) in shares.iter_mut().zip(cohort) {
        *share = (1.0 - own) * q;
    }
    for &(category, count) in choices {
        shares[category as usize] += own * count as f32 / n as f32;
    }
    shares
}
