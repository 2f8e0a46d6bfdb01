//! Prompts within a token budget: the behaviour text (facts, then the latest events) and the raw
//! text (only events) that the no-fusion ablation reads. What was cut is counted.

use std::sync::Arc;

use hkfr_events::{Event, History, KindIdx};
use minijinja::{Value, context};
use serde::{Deserialize, Serialize};

use crate::claims::GateCounts;
use crate::error::{Error, Result};
use crate::facts::{Facts, FactsView, time};
use crate::wording::Wording;

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
    /// What a service said, and what of it did not stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateCounts>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    pub text: String,
    pub n_tokens: usize,
    pub cut: CutCounts,
}

/// Facts and the latest events, within `budget` tokens.
pub fn behaviour_text(
    wording: &Wording,
    history: &History,
    facts: &Arc<Facts>,
    budget: usize,
    count: CountTokens,
) -> Result<Prompt> {
    let mut visits = Visits::of(wording, history);
    let profile_text = profile_text(wording, facts)?;
    let render = |keep: usize, recent: &[Value]| {
        let facts = Value::from_object(FactsView {
            facts: Arc::clone(facts),
            keep,
        });
        let profile_text = profile_text.as_str();
        let values = context! { profile_text, facts, recent };
        wording.templates.render("behaviour.jinja", values)
    };
    let longest = facts.categories.len().max(facts.items.len());
    for keep in [usize::MAX, 8, 5, 3, 1] {
        if let Some(mut prompt) = visits.fit(budget, count, &|recent| render(keep, recent))? {
            prompt.cut.names_a_list = longest.saturating_sub(keep) as u32;
            return Ok(prompt);
        }
    }
    let shortest = render(1, &[])?;
    Ok(truncated(&shortest, budget, count, visits.events_from(0)))
}

/// Only the latest events, as the templates of their kinds write them, within `budget` tokens.
pub fn raw_text(
    wording: &Wording,
    history: &History,
    facts: &Arc<Facts>,
    budget: usize,
    count: CountTokens,
) -> Result<Prompt> {
    let mut visits = Visits::of(wording, history);
    let profile_text = profile_text(wording, facts)?;
    let render = |recent: &[Value]| {
        let profile_text = profile_text.as_str();
        let values = context! { profile_text, recent };
        wording.templates.render("raw.jinja", values)
    };
    let all = visits.events_from(0);
    match visits.fit(budget, count, &render)? {
        // Not even one visit fits: its beginning is better than nothing.
        Some(prompt) if prompt.cut.events_not_written < all || all == 0 => Ok(prompt),
        _ => {
            let text = render(visits.first(1)?)?;
            Ok(truncated(&text, budget, count, visits.events_from(1)))
        }
    }
}

pub(crate) fn profile_text(wording: &Wording, facts: &Facts) -> Result<String> {
    let values = context! { profile => Value::from_serialize(&facts.profile) };
    wording.templates.render("profile.jinja", values)
}

/// What happened at one time each, latest first; worded when asked for.
struct Visits<'w> {
    wording: &'w Wording<'w>,
    as_of: i64,
    events: Vec<&'w [Event]>,
    /// Of the first ones.
    worded: Vec<Value>,
    /// Tokens of the lines of each.
    n_tokens: Vec<usize>,
}

impl<'w> Visits<'w> {
    fn of(wording: &'w Wording, history: &History<'w>) -> Self {
        Self {
            wording,
            as_of: history.as_of().seconds(),
            events: history
                .events()
                .chunk_by(|a, b| a.ts == b.ts)
                .rev()
                .collect(),
            worded: Vec::new(),
            n_tokens: Vec::new(),
        }
    }

    /// Events of the visits from `n` on.
    fn events_from(&self, n: usize) -> u32 {
        let rest = self.events.iter().skip(n);
        rest.map(|events| events.len() as u32).sum()
    }

    /// The latest `n`, or as many as there are.
    fn first(&mut self, n: usize) -> Result<&[Value]> {
        let n = n.min(self.events.len());
        while self.worded.len() < n {
            let visit = self.word(self.events[self.worded.len()])?;
            self.worded.push(visit);
        }
        Ok(&self.worded[..n])
    }

    /// The most visits that fit, the text of more being longer by their lines at least; `None` if not
    /// even none fit.
    fn fit(
        &mut self,
        budget: usize,
        count: CountTokens,
        render: &dyn Fn(&[Value]) -> Result<String>,
    ) -> Result<Option<Prompt>> {
        let rendered = |visits: &mut Self, n: usize| {
            let text = render(visits.first(n)?)?;
            let n_tokens = count(&text);
            let cut = CutCounts {
                events_not_written: visits.events_from(n),
                ..CutCounts::default()
            };
            Ok::<Prompt, Error>(Prompt {
                text,
                n_tokens,
                cut,
            })
        };
        let mut best = rendered(self, 0)?;
        if best.n_tokens > budget {
            return Ok(None);
        }
        // A visit takes at least 4 tokens, so no more than budget / 4 need be tried.
        let most = self.events.len().min(budget / 4);
        let mut n = self.estimate(budget - best.n_tokens, most, count)?;
        // From the estimate down to what fits, or up to what does not.
        let mut too_many = most + 1;
        let mut fits = 0;
        while n > fits && n < too_many {
            let prompt = rendered(self, n)?;
            if prompt.n_tokens <= budget {
                let left = budget - prompt.n_tokens;
                (best, fits) = (prompt, n);
                if n == most || self.line_tokens(n, count)? > left {
                    break;
                }
                n += 1;
            } else {
                too_many = n;
                n -= 1;
            }
        }
        Ok(Some(best))
    }

    /// How many visits, at most `most`, have lines of so many tokens.
    fn estimate(&mut self, tokens: usize, most: usize, count: CountTokens) -> Result<usize> {
        let mut left = tokens;
        for n in 0..most {
            // Its time, place and punctuation are some more.
            match left.checked_sub(self.line_tokens(n, count)? + 4) {
                Some(rest) => left = rest,
                None => return Ok(n.max(1)),
            }
        }
        Ok(most)
    }

    /// Tokens of the lines of visit `n`, from 0.
    fn line_tokens(&mut self, n: usize, count: CountTokens) -> Result<usize> {
        self.first(n + 1)?;
        for visit in &self.worded[self.n_tokens.len()..] {
            let lines = visit.get_attr("lines").ok();
            let lines = lines.iter().flat_map(|l| l.try_iter().ok()).flatten();
            let tokens = lines.map(|l| count(l.as_str().unwrap_or_default()));
            self.n_tokens.push(tokens.sum());
        }
        Ok(self.n_tokens[n])
    }

    /// A line a kind of behaviour.
    fn word(&self, events: &[Event]) -> Result<Value> {
        let ts = events[0].ts;
        let mut kinds: Vec<KindIdx> = Vec::new();
        for e in events {
            if !kinds.contains(&e.kind) {
                kinds.push(e.kind);
            }
        }
        let mut lines = Vec::with_capacity(kinds.len());
        for kind in kinds {
            let of_kind: Vec<&Event> = events.iter().filter(|e| e.kind == kind).collect();
            let template = &self.wording.kind(kind).template;
            let line = self
                .wording
                .templates
                .render(template, self.line(kind, &of_kind))?;
            lines.push(Value::from(line));
        }
        Ok(context! {
            days_ago => time::days_between(ts, self.as_of),
            weekday => time::weekday(ts),
            daypart => time::daypart(ts),
            place => self.place(events.iter()),
            lines => Value::from(lines),
        })
    }

    fn place<'e>(&self, mut events: impl Iterator<Item = &'e Event>) -> Value {
        let place = events.find_map(|e| e.place);
        place.map_or(().into(), |p| shared(self.wording.place(p)))
    }

    /// What the template of a line is given.
    fn line(&self, kind: KindIdx, events: &[&Event]) -> Value {
        let words = self.wording.kind(kind);
        let ts = events[0].ts;
        let with_item = || events.iter().filter_map(|e| Some((e.item?, e.value)));
        let items = with_item().take(ITEMS_A_LINE).map(|(item, value)| {
            let names = self.wording.item(item);
            let category = names.category.as_ref().unwrap_or(&names.title);
            let (title, category) = (shared(&names.title), shared(category));
            context! { title, category, value }
        });
        let texts = events.iter().filter_map(|e| e.text.as_deref());
        context! {
            subject => shared(&words.subject),
            action => shared(&words.action),
            scenario => shared(&words.scenario),
            items => items.collect::<Value>(),
            more => with_item().count().saturating_sub(ITEMS_A_LINE),
            texts => texts.take(ITEMS_A_LINE).map(|t| self.wording.text(t)).collect::<Value>(),
            place => self.place(events.iter().copied()),
            weekday => time::weekday(ts),
            daypart => time::daypart(ts),
            days_ago => time::days_between(ts, self.as_of),
        }
    }
}

fn shared(name: &Arc<str>) -> Value {
    Value::from(Arc::clone(name))
}

/// The longest beginning of a text that fits, cut between words where there are any.
pub(crate) fn truncated(
    text: &str,
    budget: usize,
    count: CountTokens,
    events_not_written: u32,
) -> Prompt {
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
