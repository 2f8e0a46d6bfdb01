//! The mapping itself: which column is what. Paths are relative to `dir`; each is a file, a directory of files, or a pattern
//! such as `2024-*.csv.gz`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::adapters::ids::IdRule;
use crate::adapters::table::FileOptions;

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

/// One file of events, or several alike. Of each pair `x` and `x_column` exactly one is given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsMapping {
    pub path: PathBuf,
    /// Columns are called by their names; a field of a struct or of a JSON object by its path: `meta.brand`.
    pub user: String,
    /// A row without an item needs a text.
    pub item: Option<String>,
    pub time: String,
    /// `seconds`, `millis`, `micros`, `nanos` (since 1970), `iso`, or a pattern such as `%d/%m/%Y %H:%M:%S`. Absent: what
    /// the type of a Parquet column says, else `seconds`.
    pub time_format: Option<String>,
    /// Minutes that are added to times in UTC and to times without an offset, so that an hour is the user's hour. A time
    /// with another written offset is local already.
    #[serde(default)]
    pub utc_offset_minutes: i32,
    /// A column with these minutes, row by row.
    pub utc_offset_column: Option<String>,
    /// In place of minutes: the IANA zone of the users, `America/New_York`, summer time included. Times without an offset
    /// are in UTC.
    pub time_zone: Option<String>,
    /// Times before 1990 or in the future are meant, and no wrong unit.
    #[serde(default)]
    pub any_time: bool,
    /// A column that orders events of one time: a sequence number, a second time, a time of day.
    pub tie_breaker: Option<String>,
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
    /// What is done to ids so that they are those of the other tables: `integer` (`1000.0` is `1000`), `lowercase`,
    /// `no-leading-zeros`, `no-spaces`, `without:PREFIX`.
    #[serde(default)]
    pub user_ids: Vec<IdRule>,
    #[serde(default)]
    pub item_ids: Vec<IdRule>,
    #[serde(flatten)]
    pub file: FileOptions,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemsMapping {
    pub path: PathBuf,
    pub id: String,
    pub title: Option<String>,
    /// Columns from coarse to fine; a list holds several.
    #[serde(default)]
    pub categories: Vec<String>,
    /// Splits a text that holds several categories. Empty: no split.
    #[serde(default)]
    pub separator: String,
    pub price: Option<String>,
    #[serde(default)]
    pub attributes: Vec<String>,
    /// As `item_ids` of events.
    #[serde(default)]
    pub ids: Vec<IdRule>,
    /// The table may know hardly any item of the log.
    #[serde(default)]
    pub few_match: bool,
    #[serde(flatten)]
    pub file: FileOptions,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsersMapping {
    pub path: PathBuf,
    pub id: String,
    #[serde(default)]
    pub attributes: Vec<String>,
    /// As `user_ids` of events.
    #[serde(default)]
    pub ids: Vec<IdRule>,
    /// The table may know hardly any user of the log.
    #[serde(default)]
    pub few_match: bool,
    #[serde(flatten)]
    pub file: FileOptions,
}
