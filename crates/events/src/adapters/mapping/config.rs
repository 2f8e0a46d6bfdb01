//! The mapping itself: which column is what. Paths are relative to `dir`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MappingConfig {
    /// What the paths below are relative to.
    pub dir: PathBuf,
    pub name: String,
    /// The actions that are predicted.
    pub target_actions: Vec<String>,
    /// How much an action says of a preference; an action not listed counts 0.
    pub strengths: BTreeMap<String, f32>,
    /// Which of an item's categories the category task ranks, 0 the coarsest.
    pub category_level: usize,
    pub item_noun: String,
    pub user_noun: String,
    pub licence: String,
    pub events: Vec<EventsMapping>,
    pub items: Option<ItemsMapping>,
    pub users: Option<UsersMapping>,
}

impl Default for MappingConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::new(),
            name: "log".into(),
            target_actions: vec!["purchase".into()],
            strengths: [("purchase".to_owned(), 1.0)].into(),
            category_level: 0,
            item_noun: "item".into(),
            user_noun: "user".into(),
            licence: String::new(),
            events: Vec::new(),
            items: None,
            users: None,
        }
    }
}

/// How a file is read; by default what its extension says (`.csv`, `.tsv`, `.jsonl`/`.ndjson`, `.parquet`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    Csv,
    Tsv,
    Jsonl,
    Parquet,
}

/// One file of events. Of each pair `x` and `x_column` exactly one is given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsMapping {
    pub path: PathBuf,
    pub format: Option<FileFormat>,
    pub user: String,
    /// A row without an item needs a text.
    pub item: Option<String>,
    pub time: String,
    /// `seconds`, `millis` (since 1970), `iso`, or a pattern such as `%d/%m/%Y %H:%M:%S`. A
    /// timestamp column of Parquet is read as `seconds`.
    #[serde(default = "seconds")]
    pub time_format: String,
    /// Added to `seconds` and `millis`, so that an hour is the user's hour. Times with a written
    /// offset keep their own local time.
    #[serde(default)]
    pub utc_offset_minutes: i32,
    pub subject: Option<String>,
    pub subject_column: Option<String>,
    pub action: Option<String>,
    pub action_column: Option<String>,
    pub scenario: Option<String>,
    pub scenario_column: Option<String>,
    /// Rating, quantity or price paid.
    pub value: Option<String>,
    /// Query, review, tag.
    pub text: Option<String>,
    /// A store, a city, a page.
    pub place: Option<String>,
}

fn seconds() -> String {
    "seconds".into()
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemsMapping {
    pub path: PathBuf,
    pub format: Option<FileFormat>,
    pub id: String,
    pub title: Option<String>,
    /// Columns from coarse to fine.
    #[serde(default)]
    pub categories: Vec<String>,
    /// Splits a column that holds several categories. Empty: no split.
    #[serde(default)]
    pub separator: String,
    pub price: Option<String>,
    #[serde(default)]
    pub attributes: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsersMapping {
    pub path: PathBuf,
    pub format: Option<FileFormat>,
    pub id: String,
    #[serde(default)]
    pub attributes: Vec<String>,
}
