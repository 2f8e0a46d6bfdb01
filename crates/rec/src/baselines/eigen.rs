//! Eigenvalues and eigenvectors of a symmetric matrix by cyclic Jacobi rotations (Golub & Van Loan,
//! Matrix Computations, §8.5), in double precision. Sizes of some hundreds; a matrix that is nearly
//! diagonal already needs few rotations.

/// Off-diagonal elements below this share of the largest diagonal one are taken as 0.
const TOLERANCE: f64 = 1e-12;
const MAX_SWEEPS: usize = 30;

/// Eigenvalues (n) of `a` (n, n), and its eigenvectors as rows (n, n), in no order.
pub(super) fn symmetric_eigen(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut vectors = vec![0.0; n * n];
    vectors.iter_mut().step_by(n + 1).for_each(|v| *v = 1.0);
    let largest = a
        .iter()
        .step_by(n + 1)
        .fold(0.0, |m: f64, x| m.max(x.abs()));
    let floor = TOLERANCE * largest;
    for _ in 0..MAX_SWEEPS {
        let mut rotated = false;
        for p in 0..n {
            for q in p + 1..n {
                if a[p * n + q].abs() > floor {
                    rotate(&mut a, &mut vectors, n, p, q);
                    rotated = true;
                }
            }
        }
        if !rotated {
            break;
        }
    }
    (a.iter().step_by(n + 1).copied().collect(), vectors)
}

/// Makes the element (p, q) 0.
fn rotate(a: &mut [f64], vectors: &mut [f64], n: usize, p: usize, q: usize) {
    let (pp, qq, pq) = (a[p * n + p], a[q * n + q], a[p * n + q]);
    let theta = (qq - pp) / (2.0 * pq);
    let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    for rows in [&mut *a, vectors] {
        let (low, high) = rows.split_at_mut(q * n);
        for (x, y) in low[p * n..][..n].iter_mut().zip(&mut high[..n]) {
            (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
        }
    }
    for k in 0..n {
        a[k * n + p] = a[p * n + k];
        a[k * n + q] = a[q * n + k];
    }
    a[p * n + p] = pp - t * pq;
    a[q * n + q] = qq + t * pq;
    a[p * n + q] = 0.0;
    a[q * n + p] = 0.0;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_make_the_matrix_again() {
        for n in [1, 2, 3, 20, 65] {
            // MᵀM with more columns than rows: half of the eigenvalues are 0.
            let m: Vec<f64> = (0..n.div_ceil(2) * n)
                .map(|i| ((i * 7919 + 13) % 101) as f64 / 50.0 - 1.0)
                .collect();
            let gram = |i: usize, j: usize| {
                let rows = m.chunks_exact(n);
                rows.map(|r| r[i] * r[j]).sum::<f64>()
            };
            let a: Vec<f64> = (0..n * n).map(|ij| gram(ij / n, ij % n)).collect();
            let (values, vectors) = symmetric_eigen(a.clone(), n);
            let vector = |k: usize| &vectors[k * n..][..n];
            for i in 0..n {
                for j in 0..n {
                    let again = |k: usize| values[k] * vector(k)[i] * vector(k)[j];
                    let sum: f64 = (0..n).map(again).sum();
                    assert!((sum - a[i * n + j]).abs() < 1e-9, "{n}: ({i}, {j})");
                    let dot: f64 = vector(i).iter().zip(vector(j)).map(|(x, y)| x * y).sum();
                    assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-9);
                }
            }
        }
    }
}
