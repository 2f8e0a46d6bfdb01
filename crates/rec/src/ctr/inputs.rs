//! Features → inputs of a network: `(x − mean) / deviation` kept within ±[`LIMIT`]; a missing value is the mean, and an
//! input of its own says that it is missing.

use super::Rows;

/// Deviations from the mean beyond which a value is cut: products of three inputs must stay finite.
const LIMIT: f32 = 5.0;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Inputs {
    n_features: usize,
    /// (column, mean, 1 / deviation).
    scaled: Vec<(usize, f32, f32)>,
    /// Columns with an input that says whether they are missing.
    indicators: Vec<usize>,
}

impl Inputs {
    /// Of these columns over the rows that are learnt from. A column that is constant there has no input.
    pub fn fit(rows: &Rows, columns: &[usize], learnt: &[u32]) -> Self {
        let mut scaled = Vec::new();
        let mut indicators = Vec::new();
        for &column in columns {
            let value = |&row: &u32| rows.values[row as usize * rows.n_features + column];
            let known = || learnt.iter().map(value).filter(|x| x.is_finite());
            let n = known().count();
            let mean = known().map(f64::from).sum::<f64>() / n as f64;
            let squares: f64 = known().map(|x| (f64::from(x) - mean).powi(2)).sum();
            let deviation = (squares / n as f64).sqrt();
            if n > 0 && deviation > 1e-6 * mean.abs().max(1e-6) {
                scaled.push((column, mean as f32, (1.0 / deviation) as f32));
            }
            let missing = learnt.iter().map(value).filter(|x| x.is_nan()).count();
            if missing > 0 && missing < learnt.len() {
                indicators.push(column);
            }
        }
        Self {
            n_features: rows.n_features,
            scaled,
            indicators,
        }
    }

    pub fn n_features(&self) -> usize {
        self.n_features
    }

    pub fn width(&self) -> usize {
        self.scaled.len() + self.indicators.len()
    }

    /// Inputs of one row.
    pub fn write(&self, row: &[f32], out: &mut [f32]) {
        let (scaled, indicators) = out.split_at_mut(self.scaled.len());
        for (x, &(column, mean, scale)) in scaled.iter_mut().zip(&self.scaled) {
            let value = row[column];
            *x = if value.is_nan() {
                0.0
            } else {
                ((value - mean) * scale).clamp(-LIMIT, LIMIT)
            };
        }
        for (x, &column) in indicators.iter_mut().zip(&self.indicators) {
            *x = f32::from(u8::from(row[column].is_nan()));
        }
    }
}
