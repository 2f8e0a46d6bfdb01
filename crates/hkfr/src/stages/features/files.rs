//! The three Parquet files, while lists come.

use std::path::{Path, PathBuf};

use anyhow::Result;
use hkfr_events::Dataset;
use hkfr_events::store::{Cells, FrameColumn, FrameWriter};
use hkfr_rec::baselines::Entities;
use hkfr_rec::method::{Column, HkfrConfig, LabelledList, Part, Scope, Window};
use hkfr_rec::systems::Fitting;

use super::{PAIRS, Vectors, schema};
use crate::digest;
use crate::stages::evaluate::segment_name;

const USERS: &str = "users.parquet";
const ITEMS: &str = "items.parquet";
const SCHEMA: &str = "schema.json";

/// Elements of a text vector.
const TEXT_DIM: usize = 64;

/// Where to, and what the ids are.
pub(super) struct Target<'a> {
    pub dir: &'a Path,
    pub dataset: &'a Dataset,
    pub entities: &'a Entities,
    pub texts: &'a Texts,
    pub vectors: &'a Vectors,
    /// Negatives a list; `None`: all.
    pub negatives: Option<usize>,
    pub seed: u64,
}

/// Text vectors by entity; empty where nothing is said of any.
pub(super) struct Texts(Vec<f32>);

impl Texts {
    pub fn of(from: &Fitting, seed: u64) -> Self {
        let texts = from.texts();
        if texts.vocabulary().is_empty() {
            return Self(Vec::new());
        }
        Self(texts.lsa(TEXT_DIM, seed))
    }

    fn get(&self, entity: usize) -> Option<Vec<f32>> {
        let row = self.0.chunks_exact(TEXT_DIM).nth(entity)?;
        row.iter().any(|&x| x != 0.0).then(|| row.to_vec())
    }
}

/// The places of the rows that stay when a list keeps `n` of its negatives: all positives, and the negatives whose items
/// have the least hashes. The same items of a list are kept whatever else is in it.
pub(in crate::stages) fn negatives(
    labels: &[u8],
    item: impl Fn(usize) -> u64,
    n: usize,
) -> Vec<usize> {
    let mut of_label: [Vec<usize>; 2] = [Vec::new(), Vec::new()];
    for (i, &label) in labels.iter().enumerate() {
        of_label[usize::from(label > 0)].push(i);
    }
    let [mut kept, positive] = of_label;
    if n < kept.len() {
        kept.sort_by_cached_key(|&i| item(i));
        kept.truncate(n);
    }
    kept.extend(positive);
    kept.sort_unstable();
    kept
}

pub(super) struct Tables {
    pairs: FrameWriter,
    users: FrameWriter,
    items: FrameWriter,
    of_pairs: Vec<FrameColumn>,
    of_users: Vec<FrameColumn>,
    of_items: Vec<FrameColumn>,
    /// Columns of the features that are the user's own.
    user_features: Vec<usize>,
    n_pairs: usize,
    n_lists: usize,
}

fn part_name(part: Part) -> &'static str {
    match part {
        Part::Train => "train",
        Part::Test => "test",
    }
}

impl Tables {
    pub fn create(target: &Target, columns: &[Column]) -> Result<Self> {
        let features = schema::feature_columns(columns);
        let of_scope = |scope: Scope| -> Vec<usize> {
            let all = columns.iter().enumerate();
            all.filter(|(_, c)| c.scope == scope).map(|c| c.0).collect()
        };
        let (user_features, item_features) = (of_scope(Scope::User), of_scope(Scope::Item));
        let with = |mut keys: Vec<FrameColumn>, of: &[usize]| {
            keys.extend(of.iter().map(|&c| features[c].clone()));
            keys
        };
        let all: Vec<usize> = (0..features.len()).collect();
        let of_pairs = with(schema::pair_keys(), &all);
        let of_users = with(schema::user_keys(), &user_features);
        let of_items = with(schema::item_keys(), &item_features);
        let create = |name: &str, columns: &[FrameColumn]| -> Result<FrameWriter> {
            Ok(FrameWriter::create(&target.dir.join(name), columns)?)
        };
        Ok(Self {
            pairs: create(PAIRS, &of_pairs)?,
            users: create(USERS, &of_users)?,
            items: create(ITEMS, &of_items)?,
            of_pairs,
            of_users,
            of_items,
            user_features,
            n_pairs: 0,
            n_lists: 0,
        })
    }

    /// What is known of every item at the cut-off of a window.
    pub fn window(&mut self, target: &Target, window: &Window) -> Result<()> {
        let n = target.entities.n();
        let ids = (0..n as u32).map(|e| Some(target.entities.id(e).to_owned()));
        let part = part_name(window.part);
        let mut cells = vec![
            Cells::Texts(ids.collect()),
            Cells::Texts(vec![Some(part.to_owned()); n]),
            Cells::Integers(vec![i64::from(window.back); n]),
            Cells::Integers(vec![window.as_of; n]),
            Cells::Vectors((0..n).map(|e| target.texts.get(e)).collect()),
        ];
        let width = window.columns.iter();
        let width = width.filter(|c| c.scope == Scope::Item).count();
        let values = window.of_entities;
        for column in 0..width {
            let of_column = values.iter().skip(column).step_by(width);
            cells.push(Cells::Floats(of_column.copied().collect()));
        }
        Ok(self.items.write(cells)?)
    }

    pub fn list(&mut self, target: &Target, window: &Window, list: &LabelledList) -> Result<()> {
        let question = list.question;
        let user = &target.dataset.users[question.user as usize].id;
        let as_of = question.as_of.seconds();
        let segment = list.segment.map(segment_name);
        let part = part_name(window.part);
        let width = window.columns.len();
        let text = |text: &str, n: usize| Cells::Texts(vec![Some(text.to_owned()); n]);

        let key = (user.clone(), as_of, question.keep_last);
        let mut cells = vec![
            text(&list.id, 1),
            text(user, 1),
            Cells::Integers(vec![as_of]),
            text(part, 1),
            Cells::Texts(vec![segment.clone()]),
            Cells::Vectors(vec![target.vectors.get(&key).cloned()]),
        ];
        for &column in &self.user_features {
            let value = list.rows.get(column).copied().unwrap_or(f32::NAN);
            cells.push(Cells::Floats(vec![value]));
        }
        self.users.write(cells)?;
        self.n_lists += 1;

        let id = |i: usize| target.entities.id(list.candidates[i]);
        let rows: Vec<usize> = match target.negatives {
            Some(n) => negatives(
                list.labels,
                |i| digest::number(target.seed, &[&list.id, id(i)]),
                n,
            ),
            None => (0..list.labels.len()).collect(),
        };
        let n = rows.len();
        let mut cells = vec![
            text(&list.id, n),
            text(user, n),
            Cells::Texts(rows.iter().map(|&i| Some(id(i).to_owned())).collect()),
            Cells::Integers(vec![as_of; n]),
            text(part, n),
            Cells::Texts(vec![segment; n]),
            Cells::Small(rows.iter().map(|&i| list.labels[i]).collect()),
        ];
        for column in 0..width {
            let values = rows.iter().map(|&i| list.rows[i * width + column]);
            cells.push(Cells::Floats(values.collect()));
        }
        self.n_pairs += n;
        Ok(self.pairs.write(cells)?)
    }

    /// Ends the files, and says what is in them; what was counted.
    pub fn finish(
        self,
        target: &Target,
        task: &str,
        ranker: &HkfrConfig,
    ) -> Result<[(&'static str, usize); 3]> {
        let described = schema::describe(
            task,
            ranker,
            target.negatives,
            &[
                (PAIRS, self.of_pairs.as_slice()),
                (USERS, self.of_users.as_slice()),
                (ITEMS, self.of_items.as_slice()),
            ],
        );
        let n_features = self.of_pairs.len() - schema::pair_keys().len();
        self.pairs.finish()?;
        self.users.finish()?;
        self.items.finish()?;
        let path: PathBuf = target.dir.join(SCHEMA);
        crate::atomic::write_json(&path, &described)?;
        Ok([
            ("pairs", self.n_pairs),
            ("lists", self.n_lists),
            ("features", n_features),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positives_stay_and_a_list_keeps_the_same_negatives() {
        let labels = [0, 1, 0, 0, 1, 0, 0];
        let hash = |i: usize| [5, 0, 3, 9, 1, 7, 2][i];
        assert_eq!(negatives(&labels, hash, 2), [1, 2, 4, 6]);
        assert_eq!(negatives(&labels, hash, 0), [1, 4]);
        assert_eq!(negatives(&labels, hash, 9), [0, 1, 2, 3, 4, 5, 6]);
    }
}
