//! What a service is told of a history: one JSON object on one line, whose end no text in it can feign.
//!
//! `summary` is the behaviour text without its visits; `events` are the latest behaviours, one row each,
//! latest first, in the order of `columns`. A row begins with its id, by which claims cite it: the
//! place of the event in the history from 1, so that no id of the log leaves. Columns that no row has
//! are left out. `chosen_by` are the actions that count as a choice.

use std::collections::BTreeSet;
use std::sync::Arc;

use hkfr_events::{Event, History};
use minijinja::{Value as Text, context};
use serde_json::{Value, json};

use crate::error::Result;
use crate::facts::{Facts, FactsConfig, FactsView, facts, recent, time};
use crate::prompt::{CountTokens, CutCounts, Prompt, profile_text, truncated};
use crate::sanitise::name;
use crate::wording::Wording;

const COLUMNS: [&str; 12] = [
    "id", "days_ago", "weekday", "daypart", "action", "subject", "scenario", "item", "category",
    "price", "value", "text",
];

/// Columns of a row that says nothing but when: these are always there.
const ALWAYS: usize = 5;

pub struct Document<'h> {
    pub json: String,
    pub facts: Arc<Facts>,
    /// Those that are condensed: the event with the index `i` has the id `i + 1`.
    pub events: &'h [Event],
    /// Index of the first event that has a row.
    pub first_shown: usize,
    pub n_tokens: usize,
    pub cut: CutCounts,
}

impl<'h> Document<'h> {
    /// Within `budget` tokens: half of them for the summary at most, the rest for as many of the latest
    /// events as fit.
    pub fn new(
        wording: &Wording<'h>,
        history: &History<'h>,
        config: &FactsConfig,
        budget: usize,
        count: CountTokens,
    ) -> Result<Self> {
        let facts = facts(wording, history, config);
        let events = recent(history, config.max_events);
        let summary = summary(wording, &facts, budget / 2, count)?;
        let as_of = history.as_of().seconds();
        let rows: Vec<Vec<Value>> = events
            .iter()
            .enumerate()
            .rev()
            .map(|(i, e)| row(wording, i + 1, e, as_of))
            .collect();
        let written = |n: usize| render(wording, &summary.text, &rows[..n]);
        let mut left = budget.saturating_sub(count(&written(0)));
        let costs = rows.iter().map(|row| {
            let cells = row.iter().filter(|cell| !cell.is_null()).cloned();
            count(&Value::Array(cells.collect()).to_string())
        });
        // An estimate from above; columns that a row does not have cost it a little.
        let mut n = costs
            .take_while(|cost| {
                let fits = *cost <= left;
                left = left.saturating_sub(*cost);
                fits
            })
            .count();
        let mut json = written(n);
        while n > 0 && count(&json) > budget {
            n -= 1;
            json = written(n);
        }
        Ok(Self {
            n_tokens: count(&json),
            json,
            facts,
            events,
            first_shown: events.len() - n,
            cut: CutCounts {
                events_not_written: (history.events().len() - n) as u32,
                ..summary.cut
            },
        })
    }
}

/// The behaviour text as far as it tells facts.
fn summary(
    wording: &Wording,
    facts: &Arc<Facts>,
    budget: usize,
    count: CountTokens,
) -> Result<Prompt> {
    let profile_text = profile_text(wording, facts)?;
    let render = |keep: usize| {
        let facts = Text::from_object(FactsView::new(Arc::clone(facts), keep));
        let (profile_text, recent) = (profile_text.as_str(), Vec::<Text>::new());
        let values = context! { profile_text, facts, recent };
        wording.templates.render("behaviour.jinja", values)
    };
    let longest = facts.categories.len().max(facts.items.len());
    for keep in [usize::MAX, 8, 5, 3] {
        let text = render(keep)?;
        let n_tokens = count(&text);
        if n_tokens <= budget {
            let cut = CutCounts {
                names_a_list: longest.saturating_sub(keep) as u32,
                ..CutCounts::default()
            };
            return Ok(Prompt {
                text,
                n_tokens,
                cut,
            });
        }
    }
    let mut shortest = truncated(&render(1)?, budget, count, 0);
    shortest.cut.names_a_list = longest.saturating_sub(1) as u32;
    Ok(shortest)
}

/// One cell a column.
fn row(wording: &Wording, id: usize, e: &Event, as_of: i64) -> Vec<Value> {
    let words = wording.templates.words();
    let said = |word: &str| match word.is_empty() {
        true => Value::Null,
        false => json!(words.say(word)),
    };
    let (kind, item) = (wording.kind(e.kind), e.item.map(|i| wording.item(i)));
    let price = e.item.and_then(|i| wording.ds.items[i as usize].price);
    vec![
        json!(id),
        json!(time::days_between(e.ts, as_of)),
        said(time::weekday(e.ts)),
        said(time::daypart(e.ts)),
        said(&kind.action),
        said(&kind.subject),
        said(&kind.scenario),
        json!(item.map(|i| &*i.title)),
        json!(item.and_then(|i| i.category.as_deref())),
        number(price),
        number(e.value),
        json!(e.text.as_deref().map(|t| wording.text(t))),
    ]
}

/// As short as it is written: 2.99, not 2.9900000095.
fn number(value: Option<f32>) -> Value {
    let shortest = value.and_then(|v| v.to_string().parse::<serde_json::Number>().ok());
    shortest.map_or(Value::Null, Value::Number)
}

fn render(wording: &Wording, summary: &str, rows: &[Vec<Value>]) -> String {
    let has = |column: &usize| *column < ALWAYS || rows.iter().any(|r| !r[*column].is_null());
    let columns: Vec<usize> = (0..COLUMNS.len()).filter(has).collect();
    let names: Vec<&str> = columns.iter().map(|&c| COLUMNS[c]).collect();
    let words = wording.templates.words();
    let chosen_by = wording.ds.info.target_actions.iter().map(|a| name(a));
    let chosen_by: BTreeSet<String> = chosen_by.map(|a| words.say(&a).to_owned()).collect();
    let rows: Vec<Vec<&Value>> = rows
        .iter()
        .map(|row| columns.iter().map(|&c| &row[c]).collect())
        .collect();
    json!({"summary": summary, "chosen_by": chosen_by, "columns": names, "events": rows})
        .to_string()
}
