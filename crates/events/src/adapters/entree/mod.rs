//! Entree: sessions of a restaurant guide, 1996–1999. A visitor enters from a restaurant of any
//! city, browses Chicago restaurants by "like this, but cheaper/nicer/…", and ends at one.
//!
//! In: a directory with `session/session.*` (date, visitor, entry, steps, end; tab-separated) and
//! `data/` (restaurants by city, features). Out: per session the events `entry`, one a step
//! (`browse`, `cheaper`, `nicer`, `closer`, `traditional`, `creative`, `livelier`, `quieter`,
//! `change-cuisine`) and `end`, the target.
//!
//! A session has one recorded time, and all its events get it: a history as-of a session holds
//! earlier sessions only. That is deliberate: the end is by definition the restaurant seen last,
//! which the steps of the same session would nearly give away. `seconds_between_steps` spreads
//! them for those who want recommendation within the session.

mod restaurants;

use std::path::{Path, PathBuf};

use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};

use self::restaurants::{CITIES, City};
use super::sink::Sink;
use super::text::lines::Lines;
use crate::dataset::{Dataset, DatasetInfo, Event, UserIdx};
use crate::error::{Error, Result};
use crate::report::IngestReport;

/// Position of Chicago in [`CITIES`].
const CHICAGO: usize = 2;
const SCENARIO: &str = "restaurant guide";
const SUBJECT: &str = "restaurant";

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EntreeConfig {
    /// The directory with `data/` and `session/`.
    pub dir: PathBuf,
    /// Seconds from one event of a session to the next. 0: all at the session's time.
    pub seconds_between_steps: u32,
}

/// # Errors
/// A missing file, no event at all, or the first bad row if strict.
pub fn load(config: &EntreeConfig, report: &mut IngestReport) -> Result<Dataset> {
    let mut sink = Sink::new(info(), report);
    let cities = restaurants::read(&mut sink, &config.dir.join("data"))?;
    let dir = config.dir.join("session");
    let mut files = Vec::new();
    for entry in fs_err::read_dir(&dir)? {
        let path = entry?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
        if name.is_some_and(|n| n.starts_with("session.")) {
            files.push(path);
        }
    }
    // `session.1996-Q3` sorts by time, and event ids must not depend on the file system.
    files.sort();
    if files.is_empty() {
        return Err(Error::BadFile {
            path: dir,
            reason: "no file named session.<year>-Q<quarter>".into(),
        });
    }
    for file in &files {
        sessions(&mut sink, file, &cities, config)?;
    }
    sink.finish(&dir)
}

fn info() -> DatasetInfo {
    DatasetInfo {
        name: "entree".into(),
        target_actions: vec!["end".into()],
        strengths: [
            ("end", 1.0),
            ("entry", 0.5),
            ("browse", 0.1),
            ("cheaper", 0.3),
            ("nicer", 0.3),
            ("closer", 0.3),
            ("traditional", 0.3),
            ("creative", 0.3),
            ("livelier", 0.3),
            ("quieter", 0.3),
            ("change-cuisine", 0.1),
        ]
        .map(|(action, strength)| (action.to_owned(), strength))
        .into(),
        category_level: 0,
        item_noun: "restaurant".into(),
        user_noun: "visitor".into(),
        licence: "Entree Chicago Recommendation Data, UCI Machine Learning Repository, CC BY 4.0"
            .into(),
    }
}

fn step_action(letter: char) -> Option<&'static str> {
    Some(match letter {
        'L' => "browse",
        'M' => "cheaper",
        'N' => "nicer",
        'O' => "closer",
        'P' => "traditional",
        'Q' => "creative",
        'R' => "livelier",
        'S' => "quieter",
        'T' => "change-cuisine",
        _ => return None,
    })
}

/// `110L` → (110, 'L').
fn coded(cell: &str) -> Option<(u32, char)> {
    let letter = cell.chars().last()?;
    let number = cell.strip_suffix(letter)?.trim().parse().ok()?;
    Some((number, letter))
}

fn sessions(sink: &mut Sink, path: &Path, cities: &[City], config: &EntreeConfig) -> Result<()> {
    let mut lines = Lines::open(path, None)?;
    while let Some((line, text)) = lines.next_line(sink.report)? {
        sink.report.rows_read += 1;
        let cells: Vec<&str> = text.split('\t').map(str::trim).collect();
        let [date, visitor, entry, steps @ .., end] = &cells[..] else {
            sink.report.bad_row(
                path,
                line,
                "fewer than 4 columns (date, visitor, entry, end)",
                text,
            )?;
            continue;
        };
        let Ok(date) = NaiveDateTime::parse_from_str(date, "%d/%b/%Y:%H:%M:%S") else {
            sink.report
                .bad_row(path, line, "no date like 07/Sep/1996:12:17:05", date)?;
            continue;
        };
        if visitor.is_empty() {
            sink.report.bad_row(path, line, "visitor is empty", text)?;
            continue;
        }
        let mut session = Vec::with_capacity(steps.len() + 2);
        // A cell at fault makes the session bad as a whole: half a session would misstate it.
        if let Err((reason, cell)) = read_session(&mut session, entry, steps, end, cities) {
            sink.report.bad_row(path, line, reason, cell)?;
            continue;
        }
        if sink.is_repeated(text) {
            continue;
        }
        if session.is_empty() {
            sink.report.skip("session without any known restaurant");
            continue;
        }
        sink.report.rows_kept += 1;
        let user = sink.builder.user(visitor);
        let mut ts = date.and_utc().timestamp();
        sink.see_time(user, ts);
        for step in session {
            push(sink, user, ts, &step, cities);
            ts += i64::from(config.seconds_between_steps);
        }
    }
    Ok(())
}

struct Step {
    action: &'static str,
    city: usize,
    restaurant: u32,
}

type Fault<'c> = (&'static str, &'c str);

fn read_session<'c>(
    session: &mut Vec<Step>,
    entry: &'c str,
    steps: &[&'c str],
    end: &'c str,
    cities: &[City],
) -> std::result::Result<(), Fault<'c>> {
    let mut known = |action, city: usize, restaurant, cell| {
        if !cities[city].restaurants.contains_key(&restaurant) {
            return Err(("restaurant is not in its city's file", cell));
        }
        session.push(Step {
            action,
            city,
            restaurant,
        });
        Ok(())
    };
    if entry != "0" {
        let (number, letter) = coded(entry).ok_or(("entry is not 0 or like 12C", entry))?;
        let city = CITIES.iter().position(|c| c.0 == letter);
        known(
            "entry",
            city.ok_or(("entry names no city A to H", entry))?,
            number,
            entry,
        )?;
    }
    for &cell in steps {
        let step = coded(cell).and_then(|(number, letter)| Some((number, step_action(letter)?)));
        let (number, action) = step.ok_or(("step is not like 12L, with a letter L to T", cell))?;
        known(action, CHICAGO, number, cell)?;
    }
    if end != "-1" {
        let number = end
            .parse()
            .map_err(|_| ("end is not -1 or a number", end))?;
        known("end", CHICAGO, number, end)?;
    }
    Ok(())
}

/// Only Chicago's restaurants can be recommended; an entry from elsewhere is a text with a place.
fn push(sink: &mut Sink, user: UserIdx, ts: i64, step: &Step, cities: &[City]) {
    let city = &cities[step.city];
    let here = step.city == CHICAGO;
    let event = Event {
        user,
        item: here.then(|| sink.builder.item(&step.restaurant.to_string())),
        kind: sink.builder.kind(SUBJECT, step.action, SCENARIO),
        ts,
        value: None,
        place: Some(sink.builder.place(city.name)),
        text: (!here).then(|| city.restaurants[&step.restaurant].as_str().into()),
        row: 0,
    };
    sink.builder.push(event);
}
