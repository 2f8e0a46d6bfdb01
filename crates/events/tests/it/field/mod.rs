//! What teams reported about logs that were read wrong, and the right value of each.

mod columns;
mod joins;
mod text_files;
mod times;

use std::path::Path;

use hkfr_events::adapters::{IngestConfig, load};
use hkfr_events::{AsOf, Dataset, Error, IngestReport};

use crate::fixtures::write;

/// 2023-11-14T22:13:20Z.
const NOW: i64 = 1_700_000_000;

/// A mapping of `file` with the columns `user`, `item` and `at`, and more lines for it.
fn config(dir: &Path, file: &str, more: &str) -> Result<IngestConfig, toml::de::Error> {
    let (events, tables) = more.split_once("---").unwrap_or((more, ""));
    toml::from_str(&format!(
        r#"
        format = "mapping"
        dir = "{}"
        target_actions = ["buy"]
        [[events]]
        path = "{file}"
        user = "user"
        item = "item"
        time = "at"
        subject = "thing"
        action = "buy"
        scenario = "shop"
        {events}
        {tables}
        "#,
        dir.display()
    ))
}

fn read_at(dir: &Path, file: &str, more: &str) -> (Result<Dataset, Error>, IngestReport) {
    let mut report = IngestReport::new(false);
    let loaded = load(&config(dir, file, more).unwrap(), &mut report);
    (loaded, report)
}

fn read(bytes: impl AsRef<[u8]>, file: &str, more: &str) -> (Result<Dataset, Error>, IngestReport) {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), file, bytes);
    read_at(dir.path(), file, more)
}

/// Items of a user in the order of the data set.
fn items<'d>(d: &'d Dataset, user: &str) -> Vec<&'d str> {
    let history = d.history(d.user_by_id(user).unwrap(), AsOf::new(i64::MAX));
    let items = history.events().iter().map(|e| e.item.unwrap() as usize);
    items.map(|i| d.items[i].id.as_str()).collect()
}

fn seconds(d: &Dataset, user: &str) -> Vec<i64> {
    let history = d.history(d.user_by_id(user).unwrap(), AsOf::new(i64::MAX));
    history.events().iter().map(|e| e.ts).collect()
}

fn refused(bytes: impl AsRef<[u8]>, file: &str, more: &str, with: &[&str]) {
    refusal(read(bytes, file, more).0, file, with);
}

fn refusal(loaded: Result<Dataset, Error>, file: &str, with: &[&str]) {
    let message = loaded.expect_err(file).to_string();
    for part in with {
        assert!(
            message.contains(part),
            "{file}: `{part}` is not in: {message}"
        );
    }
    assert!(
        !message.contains(|c: char| c.is_control() && c != '\n'),
        "{message:?}"
    );
}
