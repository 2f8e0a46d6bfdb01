//! Prompts within a token budget: the behaviour text (facts, then the latest events) and the raw
//! text (only events) that the no-fusion ablation reads. What was cut is counted.

use hkfr_events::{Dataset, Event, History, KindIdx};
use minijinja::{Value, context};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::facts::{Facts, name, time};
use crate::templates::{EventValues, ItemValues, TemplateSet, event_values};

/// Items that one line lists; more are counted in the line.
const ITEMS_A_LINE: usize = 12;

/// Counts tokens of a text; the tokenizer of the model that will read it.
pub type CountTokens<'a> = &'a dyn Fn(&str) -> usize;

/// What did not fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutCounts {
    /// Events that are not written out (facts may still count them).
    pub events_not_written: u32,
    /// Names that the fact lists were shortened by, at most, a list.
    pub names_a_list: u32,
    /// Characters cut at the end, when even the shortest form was too long.
    pub chars: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    pub text: String,
    pub n_tokens: usize,
    pub cut: CutCounts,
}

/// Facts and the latest events, within `budget` tokens.
pub fn behaviour_text(
    ds: &Dataset,
    history: &History,
    facts: &Facts,
    templates: &TemplateSet,
    budget: usize,
    count: CountTokens,
) -> Result<Prompt> {
    let visits = visits(ds, history, templates)?;
    let profile_text = profile_text(facts, templates)?;
    let longest = facts.categories.len().max(facts.items.len());
    for keep in [usize::MAX, 8, 5, 3, 1] {
        let facts = shortened(facts, keep);
        let render = |n: usize| {
            let recent: Vec<&Value> = visits.iter().take(n).map(|v| &v.0).collect();
            templates.render("behaviour.jinja", context! { profile_text, facts, recent })
        };
        if let Some(mut prompt) = fit(&visits, budget, count, &render)? {
            prompt.cut.names_a_list = longest.saturating_sub(keep) as u32;
            return Ok(prompt);
        }
    }
    let facts = shortened(facts, 1);
    let shortest = templates.render(
        "behaviour.jinja",
        context! { profile_text, facts, recent => Vec::<Value>::new() },
    )?;
    Ok(truncated(&shortest, budget, count, events_in(&visits)))
}

/// Only the latest events, as the templates of their kinds write them, within `budget` tokens.
pub fn raw_text(
    ds: &Dataset,
    history: &History,
    facts: &Facts,
    templates: &TemplateSet,
    budget: usize,
    count: CountTokens,
) -> Result<Prompt> {
    let visits = visits(ds, history, templates)?;
    let profile_text = profile_text(facts, templates)?;
    let render = |n: usize| {
        let recent: Vec<&Value> = visits.iter().take(n).map(|v| &v.0).collect();
        templates.render("raw.jinja", context! { profile_text, recent })
    };
    match fit(&visits, budget, count, &render)? {
        // Not even one visit fits: its beginning is better than nothing.
        Some(prompt) if prompt.cut.events_not_written < events_in(&visits) || visits.is_empty() => {
            Ok(prompt)
        }
        _ => Ok(truncated(
            &render(1)?,
            budget,
            count,
            events_in(&visits[1.min(visits.len())..]),
        )),
    }
}

fn profile_text(facts: &Facts, templates: &TemplateSet) -> Result<String> {
    templates.render("profile.jinja", context! { profile => facts.profile })
}

/// The most visits that fit, by bisection (a longer list is a longer text); `None` if not even none fit.
fn fit(
    visits: &[(Value, u32)],
    budget: usize,
    count: CountTokens,
    render: &dyn Fn(usize) -> Result<String>,
) -> Result<Option<Prompt>> {
    let mut best = None;
    let (mut low, mut high) = (0, visits.len());
    // A visit takes at least 4 tokens, so no more than budget / 4 need be tried.
    high = high.min(budget / 4);
    while low <= high {
        let n = if best.is_none() {
            0
        } else {
            (low + high).div_ceil(2)
        };
        let text = render(n)?;
        let n_tokens = count(&text);
        if n_tokens <= budget {
            let cut = CutCounts {
                events_not_written: events_in(&visits[n..]),
                ..CutCounts::default()
            };
            best = Some(Prompt {
                text,
                n_tokens,
                cut,
            });
            low = n + 1;
        } else if n == 0 {
            return Ok(None);
        } else {
            high = n - 1;
        }
    }
    Ok(best)
}

fn events_in(visits: &[(Value, u32)]) -> u32 {
    visits.iter().map(|v| v.1).sum()
}

/// The longest beginning of a text that fits, cut between words where there are any.
fn truncated(text: &str, budget: usize, count: CountTokens, events_not_written: u32) -> Prompt {
    let ends: Vec<usize> = text
        .char_indices()
        .map(|(i, _)| i)
        .chain([text.len()])
        .collect();
    let fits = ends.partition_point(|&end| count(&text[..end]) <= budget);
    let mut end = ends[fits.saturating_sub(1)];
    if end < text.len() {
        end = text[..end].rfind(' ').unwrap_or(end);
    }
    let cut = CutCounts {
        events_not_written,
        chars: text[end..].chars().count() as u32,
        ..CutCounts::default()
    };
    Prompt {
        n_tokens: count(&text[..end]),
        text: text[..end].to_owned(),
        cut,
    }
}

fn shortened(facts: &Facts, keep: usize) -> Facts {
    let mut facts = facts.clone();
    for list in [
        &mut facts.actions,
        &mut facts.categories,
        &mut facts.departments,
        &mut facts.items,
        &mut facts.recent_items,
        &mut facts.brands,
        &mut facts.dayparts,
        &mut facts.weekdays,
        &mut facts.places,
        &mut facts.converted,
        &mut facts.ignored,
        &mut facts.rising,
        &mut facts.disliked,
    ] {
        list.truncate(keep);
    }
    facts
}

/// Latest first: what happened at one time, a line a kind, and how many events that were.
fn visits(ds: &Dataset, history: &History, templates: &TemplateSet) -> Result<Vec<(Value, u32)>> {
    let mut visits = Vec::new();
    for events in history.events().chunk_by(|a, b| a.ts == b.ts).rev() {
        let ts = events[0].ts;
        let mut kinds: Vec<KindIdx> = Vec::new();
        for e in events {
            if !kinds.contains(&e.kind) {
                kinds.push(e.kind);
            }
        }
        let mut lines = Vec::new();
        for kind in kinds {
            let of_kind: Vec<&Event> = events.iter().filter(|e| e.kind == kind).collect();
            let values = line_values(ds, &of_kind, history.as_of().seconds());
            lines.push(templates.render(
                &templates.event_template(&ds.kinds[kind as usize]),
                event_values(&values),
            )?);
        }
        let visit = context! {
            days_ago => time::days_between(ts, history.as_of().seconds()),
            weekday => time::weekday(ts),
            daypart => time::daypart(ts),
            place => events.iter().find_map(|e| e.place).map(|p| name(&ds.places[p as usize])),
            lines,
        };
        visits.push((visit, events.len() as u32));
        if visits.len() >= MAX_VISITS {
            let written: u32 = events_in(&visits);
            let rest = history.events().len() as u32 - written;
            if let Some(last) = visits.last_mut() {
                last.1 += rest;
            }
            break;
        }
    }
    Ok(visits)
}

/// Visits that are rendered at all: more never fit into a prompt of a small model.
const MAX_VISITS: usize = 256;

fn line_values(ds: &Dataset, events: &[&Event], as_of: i64) -> EventValues {
    let kind = ds.kind(events[0]);
    let ts = events[0].ts;
    let with_item: Vec<_> = events
        .iter()
        .filter_map(|e| e.item.map(|i| (i, e.value)))
        .collect();
    let items = with_item
        .iter()
        .take(ITEMS_A_LINE)
        .map(|&(i, value)| ItemValues {
            title: name(&ds.title(i)),
            category: ds
                .category(i)
                .map(name)
                .unwrap_or_else(|| name(&ds.title(i))),
            value,
        });
    EventValues {
        subject: name(&kind.subject),
        action: name(&kind.action),
        scenario: name(&kind.scenario),
        items: items.collect(),
        more: with_item.len().saturating_sub(ITEMS_A_LINE),
        texts: events
            .iter()
            .filter_map(|e| e.text.as_deref())
            .take(ITEMS_A_LINE)
            .map(name)
            .collect(),
        place: events
            .iter()
            .find_map(|e| e.place)
            .map(|p| name(&ds.places[p as usize])),
        weekday: time::weekday(ts),
        daypart: time::daypart(ts),
        days_ago: time::days_between(ts, as_of),
    }
}
