//! Who is nearest by what was chosen: the cosine of the sets of items and categories, each weighted by
//! ln(1 + N / n) of the N people of whom n chose it, so that what everyone buys tells nobody apart.

use hkfr_events::UserIdx;

pub(super) struct Features {
    /// Rising users by feature.
    users: Vec<Vec<UserIdx>>,
    /// Squared weight by feature.
    weights: Vec<f32>,
    /// Length by user; 0: has none.
    norms: Vec<f32>,
    n_users: usize,
}

impl Features {
    pub fn new(n: usize) -> Self {
        Self {
            users: vec![Vec::new(); n],
            weights: Vec::new(),
            norms: Vec::new(),
            n_users: 0,
        }
    }

    /// Users must come in rising order, each once.
    pub fn add(&mut self, user: UserIdx, features: Vec<u32>) {
        self.n_users += 1;
        self.norms.resize(user as usize + 1, 0.0);
        for f in features {
            self.users[f as usize].push(user);
        }
    }

    /// When all are added.
    pub fn finish(&mut self) {
        let n = self.n_users as f32;
        let weight = |users: &Vec<UserIdx>| (1.0 + n / users.len().max(1) as f32).ln().powi(2);
        self.weights = self.users.iter().map(weight).collect();
        for (users, weight) in self.users.iter().zip(&self.weights) {
            for &user in users {
                self.norms[user as usize] += weight;
            }
        }
        self.norms.iter_mut().for_each(|n| *n = n.sqrt());
    }

    /// The `n` others who share most with `own`, nearest first; who shares nothing is not among them.
    pub fn nearest(&self, own: &[u32], but: Option<UserIdx>, n: usize) -> Vec<UserIdx> {
        let mut shared = vec![0f32; self.norms.len()];
        for &f in own {
            for &user in &self.users[f as usize] {
                shared[user as usize] += self.weights[f as usize];
            }
        }
        let alike = |user: usize| shared[user] / self.norms[user];
        let others = (0..shared.len()).filter(|&u| Some(u as UserIdx) != but && shared[u] > 0.0);
        let mut others: Vec<usize> = others.collect();
        others.sort_by(|&a, &b| alike(b).total_cmp(&alike(a)).then(a.cmp(&b)));
        others.truncate(n);
        others.into_iter().map(|u| u as UserIdx).collect()
    }
}
