//! P5's view of the data (Geng et al., arXiv 2203.13366, the sequential task): items and categories
//! are numbers in the prompt, and the answer is a number.
//!
//! The published numbers follow the order of the sequences, so that the next item is often the next
//! number: the label leaks (arXiv 2305.06569). Here they are a random permutation. There is no number
//! of the user, whom nothing was learnt of where it is asked.

use hkfr_events::{Catalogue, Dataset, History, Instance};
use hkfr_fuse::CountTokens;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::scores::hash;
use crate::tasks::Answer;

/// The tasks, and what is asked in each.
pub const NUMBER_TASKS: [(&str, &str); 2] = [
    (
        "next_category",
        "Of which category is this user's next choice? Answer with its number.",
    ),
    (
        "next_item",
        "Which item does this user choose next? Answer with its number.",
    ),
];

/// A number, from 1, for every item and every category of a catalogue.
pub struct Numbers<'a> {
    ds: &'a Dataset,
    catalogue: &'a Catalogue,
    items: Vec<u32>,
    categories: Vec<u32>,
    seed: u64,
}

impl<'a> Numbers<'a> {
    pub fn new(ds: &'a Dataset, catalogue: &'a Catalogue, seed: u64) -> Self {
        let shuffled = |n: usize, of: &str| {
            let mut numbers: Vec<u32> = (1..=n as u32).collect();
            numbers.shuffle(&mut ChaCha8Rng::seed_from_u64(hash(seed, of)));
            numbers
        };
        Self {
            items: shuffled(catalogue.items.len(), "items"),
            categories: shuffled(catalogue.categories.len(), "categories"),
            ds,
            catalogue,
            seed,
        }
    }

    /// As they stand in prompts and answers, by catalogue position.
    pub fn items(&self) -> Vec<String> {
        self.items.iter().map(u32::to_string).collect()
    }

    /// By category position.
    pub fn categories(&self) -> Vec<String> {
        self.categories.iter().map(u32::to_string).collect()
    }

    /// The numbers of an item of the catalogue, and of its category.
    fn of(&self, item: u32) -> Option<(u32, Option<u32>)> {
        let position = self.catalogue.position(item)?;
        let category = self.catalogue.category_of[position];
        let category = category.map(|c| self.categories[c as usize]);
        Some((self.items[position], category))
    }

    /// The last choices of a history, as many as `budget` tokens hold: their numbers, oldest first,
    /// and those of their categories. Items outside the catalogue have none.
    pub fn input(&self, history: &History, count: CountTokens, budget: usize) -> String {
        let chosen = history.events().iter().filter(|e| self.ds.is_target(e));
        let chosen: Vec<_> = chosen.filter_map(|e| self.of(e.item?)).collect();
        let text = |n: usize| {
            let last = &chosen[chosen.len() - n..];
            let list = |numbers: &mut dyn Iterator<Item = u32>| {
                let all: Vec<String> = numbers.map(|n| n.to_string()).collect();
                match all.is_empty() {
                    true => "none".into(),
                    false => all.join(", "),
                }
            };
            format!(
                "Items chosen, oldest first: {}. Their categories: {}.",
                list(&mut last.iter().map(|c| c.0)),
                list(&mut last.iter().filter_map(|c| c.1))
            )
        };
        // A text of more choices has more tokens; one of more choices than tokens is too long.
        let (mut fits, mut too_many) = (0, chosen.len().min(budget) + 1);
        while too_many - fits > 1 {
            let n = usize::midpoint(fits, too_many);
            match count(&text(n)) <= budget {
                true => fits = n,
                false => too_many = n,
            }
        }
        text(fits)
    }

    /// What is asked about an instance: for each of [`NUMBER_TASKS`] at most `labels` distinct numbers of its
    /// next order.
    pub fn answers(&self, instance: &Instance, labels: usize) -> Vec<Answer> {
        let mut all = Vec::new();
        for (task, instruction) in NUMBER_TASKS {
            let user = &self.ds.users[instance.user as usize].id;
            let key = format!("{user}@{}/{task}", instance.as_of.seconds());
            let mut targets = instance.targets.clone();
            targets.shuffle(&mut ChaCha8Rng::seed_from_u64(hash(self.seed, &key)));
            let mut answers: Vec<u32> = Vec::new();
            for (item, category) in targets.into_iter().filter_map(|t| self.of(t)) {
                let answer = match task {
                    "next_item" => Some(item),
                    _ => category,
                };
                answers.extend(answer.filter(|a| !answers.contains(a)));
            }
            answers.truncate(labels);
            all.extend(answers.into_iter().enumerate().map(|(n, answer)| Answer {
                task,
                n,
                wording: 0,
                instruction: instruction.to_owned(),
                output: answer.to_string(),
            }));
        }
        all
    }
}
