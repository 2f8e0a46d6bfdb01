//! A sparse matrix, row after row (CSR).

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Sparse {
    n_columns: usize,
    /// Row i lies at `offsets[i]..offsets[i + 1]`.
    offsets: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f32>,
}

impl Sparse {
    pub fn from_rows(n_columns: usize, rows: impl Iterator<Item = Vec<(u32, f32)>>) -> Self {
        let mut matrix = Self {
            n_columns,
            offsets: vec![0],
            columns: Vec::new(),
            values: Vec::new(),
        };
        for row in rows {
            matrix.columns.extend(row.iter().map(|x| x.0));
            matrix.values.extend(row.iter().map(|x| x.1));
            matrix.offsets.push(matrix.columns.len());
        }
        matrix
    }

    pub fn n_rows(&self) -> usize {
        self.offsets.len() - 1
    }

    pub fn n_columns(&self) -> usize {
        self.n_columns
    }

    /// (column, value) of a row.
    pub fn row(&self, i: usize) -> impl Iterator<Item = (u32, f32)> {
        let at = self.offsets[i]..self.offsets[i + 1];
        let columns = self.columns[at.clone()].iter();
        columns.copied().zip(self.values[at].iter().copied())
    }

    pub fn transpose(&self) -> Self {
        let mut rows = vec![Vec::new(); self.n_columns];
        for i in 0..self.n_rows() {
            for (column, value) in self.row(i) {
                rows[column as usize].push((i as u32, value));
            }
        }
        Self::from_rows(self.n_rows(), rows.into_iter())
    }

    /// The product (rows, d) with `x` (columns, d).
    pub fn times(&self, x: &[f32], d: usize) -> Vec<f32> {
        let mut out = vec![0.0; self.n_rows() * d];
        for (i, out) in out.chunks_exact_mut(d).enumerate() {
            for (column, value) in self.row(i) {
                let x = &x[column as usize * d..][..d];
                out.iter_mut().zip(x).for_each(|(out, x)| *out += value * x);
            }
        }
        out
    }
}
