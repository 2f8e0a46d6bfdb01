//! Batch calibration (arXiv 2309.17249): what the model says of this user beyond what it says of anyone.
//!
//! A small model prefers some names whoever is asked about, and knows nothing of how often things
//! are chosen. With p̄(c) the mean of p(c | u) over training users and n(c) the orders that hold c in the
//! training histories, the evidence of a user for a category is `e(c) = ln p(c | u) − ln p̄(c)`, and
//!
//! `score(c) = ln n(c) + w·e(c)`, `score(i) = item head(i) + w·e(category of i)`:
//!
//! Bayes' rule with the popularity as the prior, and for items p(i | u) = p(c | u) p(i | c).

use super::case_scores::CaseScores;

pub struct Calibration {
    /// ln p̄ and ln n, by category.
    mean: Vec<f32>,
    prior: Vec<f32>,
    /// By catalogue position.
    category_of: Vec<Option<u32>>,
    weight: f32,
}

impl Calibration {
    /// `sample`: `ln p(c | u)` of some training users. `popularity`: choices of each category in the training
    /// histories, of items outside the catalogue too.
    ///
    /// # Panics
    /// If the sample is empty.
    pub fn new(
        sample: &[Vec<f32>],
        popularity: &[f32],
        category_of: &[Option<u32>],
        weight: f32,
    ) -> Self {
        let mut mean = vec![0.0; sample[0].len()];
        for log_probs in sample {
            mean.iter_mut()
                .zip(log_probs)
                .for_each(|(m, l)| *m += l.exp() / sample.len() as f32);
        }
        Self {
            mean: mean.iter().map(|m| m.max(1e-30).ln()).collect(),
            prior: popularity.iter().map(|n| (n + 1.0).ln()).collect(),
            category_of: category_of.to_vec(),
            weight,
        }
    }

    /// Turns raw scores into calibrated ones.
    pub fn apply(&self, scores: &mut CaseScores) {
        let evidence: Vec<f32> = scores
            .categories
            .iter()
            .zip(&self.mean)
            .map(|(l, m)| self.weight * (l - m))
            .collect();
        for (score, category) in scores.items.iter_mut().zip(&self.category_of) {
            *score += category.map_or(0.0, |c| evidence[c as usize]);
        }
        for ((score, prior), e) in scores.categories.iter_mut().zip(&self.prior).zip(evidence) {
            *score = prior + e;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_everyone_is_no_evidence() {
        let ln = |p: [f32; 3]| p.map(f32::ln).to_vec();
        // Category 0 is the model's favourite for everyone; 1 is chosen most.
        let sample = [ln([0.8, 0.1, 0.1]), ln([0.6, 0.1, 0.3])];
        let category_of = [Some(0), Some(1), Some(1), Some(2), None];
        let c = Calibration::new(&sample, &[9.0, 99.0, 9.0], &category_of, 1.0);
        let scores = |p| {
            let mut scores = CaseScores {
                categories: ln(p),
                items: vec![0.0; 5],
                user_vector: Vec::new(),
                prompt_tokens: 0,
            };
            c.apply(&mut scores);
            scores
        };
        let near = |a: f32, b: f32| assert!((a - b).abs() < 1e-5, "{a} and {b}");
        let typical = scores([0.7, 0.1, 0.2]);
        near(typical.categories[0], 10.0f32.ln());
        near(typical.categories[1], 100.0f32.ln());
        near(typical.items[3], 0.0);
        let fond_of_2 = scores([0.5, 0.1, 0.4]);
        near(fond_of_2.categories[2], 10.0f32.ln() + 2.0f32.ln());
        near(fond_of_2.items[3], 2.0f32.ln());
        near(fond_of_2.items[4], 0.0);
    }
}
