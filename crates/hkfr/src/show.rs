//! `hkfr show user ID`: what is known of one person, from log to recommendation, as text.
//!
//! In: the run directory of a config. Out: wrapped text with a heading per step. Steps that have
//! not run are named with the command that runs them.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use hkfr_events::{Case, Dataset, Event, Split, UserIdx, store};
use hkfr_fuse::claims::{Form, GateCounts};
use hkfr_fuse::{FusionMode, KnowledgeStore};
use hkfr_rec::tasks::read_messages;

use crate::config::Config;
use crate::stages::texts::KNOWLEDGE;
use crate::stages::{SPLIT_FILE, read_runs};

/// Events that are shown, the latest of the history.
const SHOWN_EVENTS: usize = 25;
/// Places of a ranked list that are shown.
const SHOWN_RANKS: usize = 5;
/// Instruction rows that are shown.
const SHOWN_ROWS: usize = 9;
const WIDTH: usize = 96;

pub fn user(config: &Config, id: &str) -> Result<String> {
    let run = config.run_dir();
    let (dataset, user) = person(config, id)?;
    let mut text = profile(&dataset, user);
    let split_path = run.join("split").join(SPLIT_FILE);
    if !split_path.exists() {
        text += "\nNot split yet: `hkfr split CONFIG` comes next.\n";
        return Ok(text);
    }
    let split = Split::load(&split_path)?;
    let cases: Vec<&Case> = split
        .cases
        .iter()
        .filter(|c| c.instance.user == user)
        .collect();
    let Some(case) = cases.first() else {
        text += "\nThis person is in no evaluation case: no target event in the test period, or not in the sample.\n";
        return Ok(text);
    };
    text += &history(&dataset, case);
    text += &knowledge(&run, id, case)?;
    text += &instructions(&run, id)?;
    text += &truth(&dataset, case);
    let runs = run.join("recommend");
    if runs.join(crate::stage::MANIFEST).exists() {
        for case in &cases {
            text += &recommendations(&dataset, case, &runs)?;
        }
    } else {
        text += "\nNo recommendations yet: `hkfr recommend CONFIG` makes them.\n";
    }
    Ok(text)
}

/// The data set of a run, and a person in it.
///
/// # Errors
/// No data set yet, or an unknown id: the first ones are named.
pub(crate) fn person(config: &Config, id: &str) -> Result<(Dataset, UserIdx)> {
    let run = config.run_dir();
    let ingest = run.join("ingest");
    ensure!(
        ingest.join(crate::stage::MANIFEST).exists(),
        "{} holds no data set yet: `hkfr ingest CONFIG` comes first",
        run.display()
    );
    let dataset = store::read(&ingest)?;
    let Some(user) = dataset.user_by_id(id) else {
        bail!(
            "no {} \"{id}\" among {} in {} (the first ones: {})",
            dataset.info.user_noun,
            dataset.n_users(),
            ingest.display(),
            first_ids(&dataset)
        );
    };
    Ok((dataset, user))
}

fn first_ids(dataset: &Dataset) -> String {
    let ids: Vec<&str> = dataset
        .users
        .iter()
        .take(5)
        .map(|u| u.id.as_str())
        .collect();
    ids.join(", ")
}

pub(crate) fn heading(title: &str) -> String {
    format!("\n{title}\n{}\n", "─".repeat(title.chars().count()))
}

fn profile(dataset: &Dataset, user: UserIdx) -> String {
    let profile = &dataset.users[user as usize];
    let mut text = format!("{} {}", dataset.info.user_noun, profile.id);
    text = format!("{text}\n{}\n", "═".repeat(text.chars().count()));
    let attributes: Vec<String> = profile
        .attributes
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    text += &match attributes.is_empty() {
        true => "no profile\n".to_owned(),
        false => wrap(&attributes.join(" · "), ""),
    };
    text
}

fn history(dataset: &Dataset, case: &Case) -> String {
    let history = case.instance.history(dataset);
    let events = history.events();
    let mut text = heading(&format!(
        "Events before {}: {}",
        date(history.as_of().seconds()),
        events.len()
    ));
    let skipped = events.len().saturating_sub(SHOWN_EVENTS);
    if skipped > 0 {
        text += &format!("… {skipped} earlier ones\n");
    }
    for event in &events[skipped..] {
        text += &wrap(&event_line(dataset, event), "                  ");
    }
    text
}

fn event_line(dataset: &Dataset, event: &Event) -> String {
    let kind = dataset.kind(event);
    let mut line = format!("{}  {}", date(event.ts), kind.action);
    match event.item {
        Some(item) => {
            line += &format!(" {}", plain(&dataset.title(item)));
            if let Some(category) = dataset.category(item) {
                line += &format!(" [{}]", plain(category));
            }
        }
        None => line += &format!(" {}", kind.subject),
    }
    if let Some(value) = event.value {
        line += &format!(" ({value})");
    }
    if let Some(text) = &event.text {
        line += &format!(" \"{}\"", plain(text));
    }
    if !kind.scenario.is_empty() {
        line += &format!(" · {}", kind.scenario);
    }
    line
}

/// What the stage `fuse` made of the history, with the number of events behind each claim.
fn knowledge(run: &Path, id: &str, case: &Case) -> Result<String> {
    let path = run.join("fuse").join(KNOWLEDGE);
    if !path.exists() {
        return Ok("\nNo knowledge yet: `hkfr fuse CONFIG` makes it.\n".into());
    }
    let mut text = String::new();
    let mut shown = Vec::new();
    let as_of = case.instance.as_of.seconds();
    // The latest first.
    for record in KnowledgeStore::open(&path)?.of_user(id)? {
        if record.as_of > as_of
            || record.keep_last != case.instance.keep_last
            || shown.contains(&record.mode)
        {
            continue;
        }
        shown.push(record.mode);
        let taken = match record.as_of == as_of {
            true => String::new(),
            false => format!(", of {}", date(record.as_of)),
        };
        text += &heading(&match record.mode {
            FusionMode::None => {
                format!("Behaviour text without fusion, {} tokens", record.n_tokens)
            }
            _ => format!(
                "Knowledge by {}{taken}, {} tokens",
                record.model, record.n_tokens
            ),
        });
        for line in record.text.lines() {
            text += &wrap(&plain_text(line), "  ");
        }
        for claim in &record.claims {
            let events = claim.evidence.len();
            let line = format!(
                "· {}: {} ({} times, evidence: {events} events)",
                claim.slot,
                plain(&claim.value),
                claim.n
            );
            text += &wrap(&line, "    ");
        }
        if let Some(counts) = &record.cut.gate {
            text += &wrap(&gate(counts), "    ");
        }
    }
    Ok(text)
}

/// What became of the answer of a service.
fn gate(counts: &GateCounts) -> String {
    if counts.unusable {
        let why = counts.why.map_or(String::new(), |why| format!(" ({why})"));
        return format!("No answer of the service was of use{why}: this is what the facts say.");
    }
    let mut text = format!(
        "Of {} claims of the service {} stand, of {} sentences {}; they say {} of {} facts.",
        counts.made,
        counts.supported,
        counts.sentences,
        counts.sentences - counts.sentences_cut,
        counts.covered,
        counts.facts
    );
    let cut = counts.cut.ranked();
    if !cut.is_empty() {
        let cut = cut.iter().map(|(reason, n)| format!("{reason} {n}"));
        text += &format!(" Cut: {}.", cut.collect::<Vec<_>>().join(", "));
    }
    if counts.reasks > 0 {
        text += &format!(" Asked again: {}.", counts.reasks);
    }
    if counts.form == Form::Lines {
        text += " Asked in lines.";
    }
    text
}

/// The instruction rows about this person, if there are any in the training data.
fn instructions(run: &Path, id: &str) -> Result<String> {
    let path = run.join("instruct").join("fusion.messages.jsonl");
    if !path.exists() {
        return Ok("\nNo instructions yet: `hkfr instruct CONFIG` makes them.\n".into());
    }
    let rows: Vec<_> = read_messages(&path)?
        .into_iter()
        .filter(|r| r.user == id)
        .collect();
    let mut text = heading(&format!(
        "Instruction rows in the training data: {}",
        rows.len()
    ));
    for row in rows.iter().take(SHOWN_ROWS) {
        let line = format!(
            "{} ({}): {} → {}",
            row.task,
            date(row.as_of),
            plain(&row.instruction),
            plain(&row.output)
        );
        text += &wrap(&line, "    ");
    }
    Ok(text)
}

fn truth(dataset: &Dataset, case: &Case) -> String {
    let next = &case.instance;
    let mut text = heading(&format!("What came next, {}", date(next.target_ts)));
    let titles: Vec<String> = next
        .targets
        .iter()
        .map(|&i| plain(&dataset.title(i)))
        .collect();
    text += &wrap(&titles.join(" · "), "");
    text
}

fn recommendations(dataset: &Dataset, case: &Case, runs: &std::path::Path) -> Result<String> {
    let mut text = heading(&format!("Recommendations for {}", case.case_id));
    let title = |id: &str| {
        let item = dataset.items.iter().position(|i| i.id == id);
        item.map_or_else(|| id.to_owned(), |i| plain(&dataset.title(i as u32)))
    };
    for run in read_runs(runs).context("the runs")? {
        let Some(list) = run.lists.iter().find(|l| l.case == case.case_id) else {
            continue;
        };
        let names: Vec<String> = list
            .items
            .iter()
            .take(SHOWN_RANKS)
            .enumerate()
            .map(|(i, name)| {
                let name = if run.task == "item" {
                    title(name)
                } else {
                    plain(name)
                };
                format!("{}. {name}", i + 1)
            })
            .collect();
        text += &wrap(
            &format!("{} ({}): {}", run.system, run.task, names.join("  ")),
            "    ",
        );
    }
    Ok(text)
}

/// As [`plain`], of any length.
pub(crate) fn plain_text(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Text from a log may hold anything; a terminal must not obey it.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(120)
        .collect()
}

/// `2024-01-31 18:05`, from seconds of local time since 1970.
pub(crate) fn date(seconds: i64) -> String {
    let days = seconds.div_euclid(86_400);
    let minutes = seconds.rem_euclid(86_400) / 60;
    // Days to date in the proleptic Gregorian calendar: years start in March, eras have 400 years.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}",
        minutes / 60,
        minutes % 60
    )
}

/// What [`date`] writes, with or without the time → seconds of local time since 1970.
pub(crate) fn parse_date(text: &str) -> Result<i64, String> {
    let (day, time) = text
        .trim()
        .split_once(' ')
        .unwrap_or((text.trim(), "00:00"));
    let numbers = |text: &str, separator| -> Option<Vec<i64>> {
        text.split(separator).map(|n| n.parse().ok()).collect()
    };
    let parsed = numbers(day, '-').zip(numbers(time, ':'));
    let seconds = parsed.and_then(|(day, time)| match (&day[..], &time[..]) {
        (&[year @ 0..=9999, month @ 1..=12, day @ 1..=31], &[hour, minute]) => {
            // The inverse of the days above.
            let y = year - i64::from(month <= 2);
            let era = y.div_euclid(400);
            let yoe = y.rem_euclid(400);
            let mp = (month + 9) % 12;
            let doe = yoe * 365 + yoe / 4 - yoe / 100 + (153 * mp + 2) / 5 + day - 1;
            Some((era * 146_097 + doe - 719_468) * 86_400 + hour * 3600 + minute * 60)
        }
        _ => None,
    });
    // A date that does not exist comes back as another one.
    seconds
        .filter(|&s| date(s) == format!("{day} {time}"))
        .ok_or_else(|| "write it as 2024-01-31, or \"2024-01-31 18:05\"".to_owned())
}

/// Breaks at spaces; lines after the first begin with `indent`.
fn wrap(text: &str, indent: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > WIDTH {
            out.push('\n');
            out += indent;
            column = indent.chars().count();
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out += word;
        column += width;
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expect) in [
            (0, "1970-01-01 00:00"),
            (951_782_399, "2000-02-28 23:59"),
            (951_782_400, "2000-02-29 00:00"),
            (-60, "1969-12-31 23:59"),
            (1_700_000_000, "2023-11-14 22:13"),
        ] {
            assert_eq!(date(seconds), expect);
            assert_eq!(parse_date(expect), Ok(seconds - seconds.rem_euclid(60)));
        }
    }

    #[test]
    fn dates_that_do_not_exist_are_refused() {
        assert_eq!(parse_date("1970-01-02"), Ok(86_400));
        for wrong in [
            "",
            "yesterday",
            "2023-02-29",
            "2024-1-1",
            "2024-01-01 24:00",
            "2024-01-01T10:00",
        ] {
            assert!(parse_date(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn wrapped_text_keeps_every_word_and_the_width() {
        let text = "word ".repeat(100);
        let wrapped = wrap(text.trim(), "    ");
        assert_eq!(wrapped.split_whitespace().count(), 100);
        assert!(wrapped.lines().all(|l| l.chars().count() <= WIDTH));
    }
}
