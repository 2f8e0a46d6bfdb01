//! Lists with a planted relation, and how well scores rank them.

use hkfr_rec::method::trees::{Lists, Trees};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub const N_FEATURES: usize = 6;
pub const SIZE: usize = 20;

/// Lists of one size.
#[derive(Clone)]
pub struct Data {
    pub n_features: usize,
    pub size: usize,
    pub rows: Vec<f32>,
    pub labels: Vec<u8>,
    pub sizes: Vec<u32>,
}

impl Data {
    pub fn new(n_features: usize, size: usize, rows: Vec<f32>, labels: Vec<u8>) -> Self {
        let sizes = vec![size as u32; labels.len() / size];
        Self {
            n_features,
            size,
            rows,
            labels,
            sizes,
        }
    }

    pub fn lists(&self) -> Lists<'_> {
        Lists {
            n_features: self.n_features,
            rows: &self.rows,
            labels: &self.labels,
            sizes: &self.sizes,
        }
    }

    /// Lists of which one row was chosen, by four of the features:
    /// 0 and 1 are worth something if one of them alone is above a half, 2 by its value where it is not missing and
    /// most of all where it is, 3 says whether 2 counts at all, 4 is noise, 5 constant.
    pub fn planted(n_lists: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut rows, mut labels) = (Vec::new(), Vec::new());
        for _ in 0..n_lists {
            let counts: f32 = rng.random();
            let mut best = (f32::NEG_INFINITY, 0);
            for i in 0..SIZE {
                let mut row: [f32; N_FEATURES] = std::array::from_fn(|_| rng.random());
                (row[3], row[5]) = (counts, 3.0);
                if rng.random_bool(0.2) {
                    row[2] = f32::NAN;
                }
                let alone = (row[0] > 0.5) != (row[1] > 0.5);
                let own = if row[2].is_nan() { 1.3 } else { row[2] };
                let worth = f32::from(u8::from(alone)) + if counts > 0.3 { own } else { 0.0 };
                let noisy = worth + 0.3 * rng.random::<f32>();
                if noisy > best.0 {
                    best = (noisy, i);
                }
                rows.extend(row);
            }
            labels.extend((0..SIZE).map(|i| u8::from(i == best.1)));
        }
        Self::new(N_FEATURES, SIZE, rows, labels)
    }

    /// Mean NDCG@10; equal scores by row.
    pub fn ndcg(&self, scores: &[f32]) -> f64 {
        let lists = scores.chunks(self.size).zip(self.labels.chunks(self.size));
        let of_list = |(scores, labels): (&[f32], &[u8])| {
            let mut order: Vec<usize> = (0..scores.len()).collect();
            order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
            let mut best: Vec<usize> = (0..scores.len()).collect();
            best.sort_by_key(|&i| std::cmp::Reverse(labels[i]));
            dcg(&order, labels, 10) / dcg(&best, labels, 10)
        };
        lists.map(of_list).sum::<f64>() / self.sizes.len() as f64
    }

    pub fn scores(&self, trees: &Trees) -> Vec<f32> {
        let mut scores = vec![0.0; self.labels.len()];
        trees.score(&self.rows, &mut scores);
        scores
    }
}

/// DCG@k of the rows in that order.
pub fn dcg(order: &[usize], labels: &[u8], k: usize) -> f64 {
    let terms = order.iter().take(k).enumerate();
    let term = |(rank, &row): (usize, &usize)| {
        (f64::from(labels[row]).exp2() - 1.0) / (rank as f64 + 2.0).log2()
    };
    terms.map(term).sum()
}
