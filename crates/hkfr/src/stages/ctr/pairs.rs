//! `pairs.parquet` → rows in memory: all positives of a list and some negatives.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use hkfr_events::store::FrameReader;

use crate::digest;
use crate::stages::features::{FEATURE, GROUP, negatives};

/// Rows of one part.
#[derive(Default)]
pub(super) struct Part {
    /// (rows, features), missing = NaN.
    pub values: Vec<f32>,
    pub labels: Vec<u8>,
    /// A number of each user, the same in both parts.
    pub users: Vec<u32>,
}

#[derive(Default)]
pub(super) struct Pairs {
    /// By feature its group.
    pub groups: Vec<String>,
    pub train: Part,
    pub test: Part,
    /// By test row; `u32::MAX`: none.
    pub segments: Vec<u32>,
    pub segment_names: Vec<String>,
}

/// The rows of a list, until the next list begins.
#[derive(Default)]
struct List {
    id: String,
    user: String,
    segment: Option<String>,
    is_test: bool,
    items: Vec<String>,
    values: Vec<f32>,
    labels: Vec<u8>,
}

impl Pairs {
    /// `n`: negatives a list, at most.
    pub fn read(path: &Path, n: usize, seed: u64) -> Result<Self> {
        let mut reader = FrameReader::open(path)?;
        let columns = reader.columns();
        let features: Vec<&(String, _)> = columns
            .iter()
            .filter(|(_, notes)| notes.contains_key(FEATURE))
            .collect();
        let names: Vec<String> = features.iter().map(|f| f.0.clone()).collect();
        let groups = features.iter().map(|f| f.1.get(GROUP).cloned());
        let mut pairs = Self {
            groups: groups.map(Option::unwrap_or_default).collect(),
            ..Self::default()
        };
        let mut users: HashMap<String, u32> = HashMap::new();
        let mut list = List::default();
        let bad = || path.display().to_string();
        while let Some(batch) = reader.next_batch()? {
            let (ids, of_user) = (batch.texts("list_id")?, batch.texts("user_id")?);
            let (items, parts) = (batch.texts("item_id")?, batch.texts("part")?);
            let (segments, labels) = (batch.texts("segment")?, batch.integers("label")?);
            let values: Vec<Vec<f32>> = names
                .iter()
                .map(|name| batch.floats(name))
                .collect::<Result<_, _>>()?;
            for row in 0..batch.n_rows() {
                let id = ids[row].with_context(bad)?;
                if id != list.id {
                    pairs.add(std::mem::take(&mut list), n, seed, &mut users);
                    list.id = id.to_owned();
                    list.user = of_user[row].with_context(bad)?.to_owned();
                    list.segment = segments[row].map(str::to_owned);
                    list.is_test = parts[row] == Some("test");
                }
                list.items.push(items[row].with_context(bad)?.to_owned());
                list.labels.push(u8::from(labels[row] == Some(1)));
                list.values.extend(values.iter().map(|of| of[row]));
            }
        }
        pairs.add(list, n, seed, &mut users);
        for (what, part) in [("train", &pairs.train), ("test", &pairs.test)] {
            ensure!(
                part.labels.contains(&1) && part.labels.contains(&0),
                "{}: its {what} part lacks rows of one label, so that nothing can be learnt or measured",
                path.display()
            );
        }
        Ok(pairs)
    }

    fn add(&mut self, list: List, n: usize, seed: u64, users: &mut HashMap<String, u32>) {
        if list.items.is_empty() {
            return;
        }
        let next = users.len() as u32;
        let user = *users.entry(list.user).or_insert(next);
        let item = |i: usize| digest::number(seed, &[&list.id, &list.items[i]]);
        let kept = negatives(&list.labels, item, n);
        let width = self.groups.len();
        let part = if list.is_test {
            &mut self.test
        } else {
            &mut self.train
        };
        for &i in &kept {
            part.values.extend(&list.values[i * width..][..width]);
            part.labels.push(list.labels[i]);
            part.users.push(user);
        }
        if list.is_test {
            let number = list.segment.map_or(u32::MAX, |name| {
                let known = self.segment_names.iter().position(|s| *s == name);
                known.unwrap_or_else(|| {
                    self.segment_names.push(name);
                    self.segment_names.len() - 1
                }) as u32
            });
            self.segments.extend(kept.iter().map(|_| number));
        }
    }
}
