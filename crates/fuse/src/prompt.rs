//! Prompts within a token budget: the behaviour text (facts, then the latest events) and the raw
//! text (only events) that the no-fusion ablation reads. What was cut is counted.

use std::sync::Arc;

use hkfr_events::{Event, History, KindIdx};
use minijinja::{Value, context};
use serde::{Deserialize, Serialize};

use crate::claims::GateCounts;
use crate::error::{Error, Result};
use crate::facts::{Facts, FactsView};
use crate::views::{BehaviourView, ItemView, LineView, VisitView};
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
    let profile_text = Value::from(profile_text);
    let view = |keep| Value::from_object(FactsView::new(Arc::clone(facts), keep));
    let render = |facts: &Value, recent: &[Value]| {
        let values = Value::from_object(BehaviourView {
            profile_text: profile_text.clone(),
            facts: Some(facts.clone()),
            recent: Value::from(recent.to_vec()),
        });
        wording.templates.render("behaviour.jinja", values)
    };
    let longest = facts.categories.len().max(facts.items.len());
    for keep in [usize::MAX, 8, 5, 3, 1] {
        let facts = view(keep);
        if let Some(mut prompt) = visits.fit(budget, count, &|recent| render(&facts, recent))? {
            prompt.cut.names_a_list = longest.saturating_sub(keep) as u32;
            return Ok(prompt);
        }
    }
    let shortest = render(&view(1), &[])?;
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
    let profile_text = Value::from(profile_text(wording, facts)?);
    let render = |recent: &[Value]| {
        let values = Value::from_object(BehaviourView {
            profile_text: profile_text.clone(),
            facts: None,
            recent: Value::from(recent.to_vec()),
        });
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
            self.worded.push(Value::from_object(visit));
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
            // Its time, place and punctuation are some more: "12 days ago, Friday morning: ".
            match left.checked_sub(self.line_tokens(n, count)? + 8) {
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
    fn word(&self, events: &[Event]) -> Result<VisitView> {
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
        Ok(VisitView {
            ts,
            as_of: self.as_of,
            place: self.place(events.iter()),
            lines: Value::from(lines),
        })
    }

    fn place<'e>(&self, mut events: impl Iterator<Item = &'e Event>) -> Option<Arc<str>> {
        let place = events.find_map(|e| e.place)?;
        Some(Arc::clone(self.wording.place(place)))
    }

    /// What the template of a line is given.
    fn line(&self, kind: KindIdx, events: &[&Event]) -> Value {
        let words = self.wording.kind(kind);
        let with_item = || events.iter().filter_map(|e| Some((e.item?, e.value)));
        let items = with_item().take(ITEMS_A_LINE).map(|(item, value)| {
            let names = self.wording.item(item);
            let category = names.category.as_ref().unwrap_or(&names.title);
            Value::from_object(ItemView {
                title: Arc::clone(&names.title),
                category: Arc::clone(category),
                value,
            })
        });
        let texts = events.iter().filter_map(|e| e.text.as_deref());
        Value::from_object(LineView {
            ts: events[0].ts,
            as_of: self.as_of,
            subject: Arc::clone(&words.subject),
            action: Arc::clone(&words.action),
            scenario: Arc::clone(&words.scenario),
            items: items.collect::<Value>(),
            more: with_item().count().saturating_sub(ITEMS_A_LINE),
            texts: texts
                .take(ITEMS_A_LINE)
                .map(|t| self.wording.text(t))
                .collect::<Value>(),
            place: self.place(events.iter().copied()),
        })
    }
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
