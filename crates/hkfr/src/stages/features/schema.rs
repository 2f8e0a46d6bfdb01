//! Columns of the files, and `schema.json`, which says what each of them is.

use std::collections::{BTreeMap, HashSet};

use hkfr_events::store::{CellType, FrameColumn};
use hkfr_rec::method::{Column, HkfrConfig, Scope};
use serde_json::{Value, json};

/// Raised when a column changes its meaning.
const FORMAT_VERSION: u32 = 1;

/// Notes of a column of features: its name in the ranker, and its group.
pub(in crate::stages) const FEATURE: &str = "feature";
pub(in crate::stages) const GROUP: &str = "group";

/// A column that is no feature.
fn key(name: &str, cells: CellType, meaning: &str) -> FrameColumn {
    FrameColumn {
        name: name.into(),
        cells,
        notes: BTreeMap::from([("meaning".into(), meaning.into())]),
    }
}

const AS_OF: &str = "seconds since 1970-01-01 in the local time of the log: features of the user see what is strictly before";
const PART: &str = "train: lists to learn from; test: the cases of the split";

pub(super) fn pair_keys() -> Vec<FrameColumn> {
    vec![
        key(
            "list_id",
            CellType::Text,
            "a user as of a time; of test lists the case's id",
        ),
        key("user_id", CellType::Text, "the user's id in the log"),
        key(
            "item_id",
            CellType::Text,
            "the candidate: an item's id, or a category's name",
        ),
        key("as_of", CellType::Integer, AS_OF),
        key("part", CellType::Text, PART),
        key(
            "segment",
            CellType::Text,
            "of test lists: cold-start, warm, or cut to N (a warm user's history cut to the last N choices; not part of all cases)",
        ),
        key(
            "label",
            CellType::Small,
            "1 if the order that followed as_of holds the candidate, else 0",
        ),
    ]
}

pub(super) fn user_keys() -> Vec<FrameColumn> {
    let mut keys = pair_keys();
    keys.retain(|k| !["item_id", "label"].contains(&k.name.as_str()));
    keys.push(key(
        "vector",
        CellType::Vector,
        "the language model's vector of the user as of that time; missing where it was not asked",
    ));
    keys
}

pub(super) fn item_keys() -> Vec<FrameColumn> {
    vec![
        key(
            "item_id",
            CellType::Text,
            "an item of the catalogue, or a category",
        ),
        key("part", CellType::Text, PART),
        key(
            "back",
            CellType::Integer,
            "periods before the split's own cut-off; 0 in the test part",
        ),
        key(
            "as_of",
            CellType::Integer,
            "seconds: the latest end of the training histories that the statistics are taken from",
        ),
        key(
            "text",
            CellType::Vector,
            "LSA of title, categories and attributes by tf-idf; missing where nothing is said",
        ),
    ]
}

/// Columns of features under names that every tool takes.
pub(super) fn feature_columns(columns: &[Column]) -> Vec<FrameColumn> {
    let mut taken: HashSet<String> = pair_keys().into_iter().map(|k| k.name).collect();
    let name = |column: &Column| {
        let plain = safe(&column.name);
        let numbered = (2..).map(|n| format!("{plain}_{n}"));
        let free = std::iter::once(plain.clone())
            .chain(numbered)
            .find(|name| !taken.contains(name))
            .expect("numbers do not end");
        taken.insert(free.clone());
        free
    };
    let names: Vec<String> = columns.iter().map(name).collect();
    let of = |(column, name): (&Column, String)| {
        let as_of = match column.scope {
            Scope::Item => "the cut-off of the window: training histories alone",
            Scope::User | Scope::Pair => "the row's as_of",
        };
        let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
        let notes = [
            (FEATURE, column.name.clone()),
            (GROUP, text(json!(column.group))),
            ("scope", text(json!(column.scope))),
            ("as_of", as_of.to_owned()),
            ("meaning", column.meaning.clone()),
        ];
        FrameColumn {
            name,
            cells: CellType::Float,
            notes: notes.map(|(key, value)| (key.to_owned(), value)).into(),
        }
    };
    columns.iter().zip(names).map(of).collect()
}

/// Lower case letters, digits and single underscores.
fn safe(name: &str) -> String {
    let lower = name.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric());
    let words: Vec<&str> = words.filter(|w| !w.is_empty()).collect();
    words.join("_")
}

/// What `schema.json` holds.
pub(super) fn describe(
    task: &str,
    ranker: &HkfrConfig,
    negatives: Option<usize>,
    files: &[(&str, &[FrameColumn])],
) -> Value {
    let column = |c: &FrameColumn| {
        let mut told = json!({ "name": c.name, "type": c.cells.name() });
        for (key, value) in &c.notes {
            told[key] = value.as_str().into();
        }
        told
    };
    let files: serde_json::Map<String, Value> = files
        .iter()
        .map(|(file, columns)| {
            let columns: Vec<Value> = columns.iter().map(column).collect();
            ((*file).to_owned(), columns.into())
        })
        .collect();
    json!({
        "format_version": FORMAT_VERSION,
        "task": task,
        "negatives": negatives,
        "ranker": ranker.as_settings(),
        "files": files,
    })
}

#[cfg(test)]
mod tests {
    use hkfr_rec::method::Group;

    use super::*;

    #[test]
    fn names_are_safe_and_unique() {
        let column = |name: &str| Column {
            name: name.into(),
            group: Group::Own,
            scope: Scope::Pair,
            meaning: String::new(),
        };
        let names = [
            "rules: 1 / rank",
            "own item choices",
            "Own item: choices",
            "label",
        ];
        let columns = feature_columns(&names.map(column));
        let found: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(
            found,
            [
                "rules_1_rank",
                "own_item_choices",
                "own_item_choices_2",
                "label_2"
            ]
        );
        assert_eq!(columns[2].notes[FEATURE], "Own item: choices");
        assert_eq!(columns[0].notes[GROUP], "own");
    }
}
