//! Eigenvalues and eigenvectors of a symmetric matrix, in double precision: Householder reflections
//! make it tridiagonal, implicit QL steps diagonal (Golub & Van Loan, Matrix Computations, §8.3).
//! About 9n³ operations, all along rows.

/// QL steps for one eigenvalue; a handful is usual.
const MAX_STEPS: usize = 60;
/// What is less than this share of the largest element is 0: of a matrix of low rank nothing else
/// remains in the end, down to numbers whose squares underflow.
const NOTHING: f64 = 1e-18;

/// Eigenvalues (n) of `a` (n, n), and its eigenvectors as rows (n, n), in no order.
pub(crate) fn symmetric_eigen(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut vectors = vec![0.0; n * n];
    vectors.iter_mut().step_by(n + 1).for_each(|v| *v = 1.0);
    let largest = a.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
    let floor = NOTHING * largest;
    let mut off_diagonal = tridiagonal(&mut a, &mut vectors, n, floor);
    let mut diagonal: Vec<f64> = a.iter().step_by(n + 1).copied().collect();
    ql(&mut diagonal, &mut off_diagonal, &mut vectors, n, floor);
    (diagonal, vectors)
}

/// Turns `a` into a tridiagonal matrix and `vectors` with it; returns what stands beside the diagonal,
/// and a 0.
fn tridiagonal(a: &mut [f64], vectors: &mut [f64], n: usize, floor: f64) -> Vec<f64> {
    let mut off_diagonal = vec![0.0; n];
    let mut w = vec![0.0; n];
    for k in 0..n.saturating_sub(1) {
        let first = k + 1;
        let mut v = a[k * n + first..(k + 1) * n].to_vec();
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm <= floor {
            continue;
        }
        let beside = -norm.copysign(v[0]);
        off_diagonal[k] = beside;
        v[0] -= beside;
        let square: f64 = v.iter().map(|x| x * x).sum();
        // H = I − β v vᵀ; H A H = A − v wᵀ − w vᵀ.
        let beta = 2.0 / square;
        let w = &mut w[..v.len()];
        for (w, row) in w.iter_mut().zip(a.chunks_exact(n).skip(first)) {
            *w = beta * dot(&row[first..], &v);
        }
        let half = 0.5 * beta * dot(w, &v);
        w.iter_mut().zip(&v).for_each(|(w, v)| *w -= half * v);
        for (i, row) in a.chunks_exact_mut(n).skip(first).enumerate() {
            let (vi, wi) = (v[i], w[i]);
            let columns = row[first..].iter_mut().zip(v.iter().zip(&*w));
            columns.for_each(|(a, (v, w))| *a -= vi * w + wi * v);
        }
        let mut sums = vec![0.0; n];
        for (v, row) in v.iter().zip(vectors.chunks_exact(n).skip(first)) {
            sums.iter_mut().zip(row).for_each(|(s, x)| *s += v * x);
        }
        for (v, row) in v.iter().zip(vectors.chunks_exact_mut(n).skip(first)) {
            let step = beta * v;
            row.iter_mut().zip(&sums).for_each(|(x, s)| *x -= step * s);
        }
    }
    off_diagonal
}

/// Makes the tridiagonal matrix of diagonal `d` and off-diagonal `e` diagonal.
fn ql(d: &mut [f64], e: &mut [f64], vectors: &mut [f64], n: usize, floor: f64) {
    for l in 0..n {
        for _ in 0..MAX_STEPS {
            let near = |m: usize| f64::EPSILON * (d[m].abs() + d[m + 1].abs());
            let is_split = |&m: &usize| e[m].abs() <= near(m).max(floor);
            let m = (l..n - 1).find(is_split).unwrap_or(n - 1);
            if m == l {
                break;
            }
            let g = (d[l + 1] - d[l]) / (2.0 * e[l]);
            let mut g = d[m] - d[l] + e[l] / (g + g.hypot(1.0).copysign(g));
            let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
            let mut is_zero = false;
            for i in (l..m).rev() {
                let (f, b) = (s * e[i], c * e[i]);
                let r = f.hypot(g);
                e[i + 1] = r;
                if r == 0.0 {
                    d[i + 1] -= p;
                    e[m] = 0.0;
                    is_zero = true;
                    break;
                }
                (s, c) = (f / r, g / r);
                g = d[i + 1] - p;
                let r = (d[i] - g) * s + 2.0 * c * b;
                p = s * r;
                d[i + 1] = g + p;
                g = c * r - b;
                let (low, high) = vectors[i * n..(i + 2) * n].split_at_mut(n);
                for (x, y) in low.iter_mut().zip(high) {
                    (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
                }
            }
            if !is_zero {
                d[l] -= p;
                e[l] = g;
                e[m] = 0.0;
            }
        }
    }
}

/// `a · b` in eight sums, which the compiler can keep in vectors.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in a.0.iter().zip(b.0) {
        for k in 0..8 {
            sums[k] += a[k] * b[k];
        }
    }
    let rest = a.1.iter().zip(b.1).map(|(a, b)| a * b);
    sums.iter().sum::<f64>() + rest.sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_make_the_matrix_again() {
        for (n, rank) in [(1, 1), (2, 2), (3, 3), (20, 20), (65, 40), (128, 7), (9, 0)] {
            let m: Vec<f64> = (0..rank * n)
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
