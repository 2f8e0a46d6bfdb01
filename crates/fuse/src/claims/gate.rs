//! Does a claim follow from the events that it cites? A verdict for each, by rules alone.
//!
//! | kind | every cited event is | and over the history |
//! |---|---|---|
//! | category, item | a choice of it | – |
//! | price, weekday, daypart | a choice of that price, on that day, at that time | it holds of a quarter |
//! | scenario | in that scenario | – |
//! | intent | about it, in the latest third, of the user's own will | – |
//! | avoided | an exposure to it, or a low rating of it | never chosen; lower rated more often than chosen |
//!
//! A number is how often, over the history; a percentage the same as a share; a trend compares the latest
//! third of the choices with those before, as `facts.rising` does.

use hkfr_events::Event;

use super::names::{Vocabulary, folded};
use super::reason::Reason;
use super::recount::{Recount, Share, daypart, outgrows, share, weekday};
use super::schema::{ClaimKind, MadeClaim, Trend};
use crate::statements::Claim;
use crate::wording::Wording;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// In the words and numbers of the history; its evidence is what was cited, latest first.
    Supported(Claim),
    Unsupported(Reason),
}

/// What the claims of one history are held against.
pub struct Gate<'a> {
    history: Recount<'a>,
    vocabulary: &'a Vocabulary,
    /// Index of the first event that the model was shown.
    first_shown: usize,
}

/// What a claim comes to when its events are right.
struct Found {
    slot: &'static str,
    value: String,
    /// Over the history: what a number of the claim must be.
    share: Share,
    /// What a trend is told by.
    told: Option<Share>,
}

impl<'a> Gate<'a> {
    /// `events`: those that are condensed, oldest first, event `i` having the id `i + 1`; the first ones
    /// may not have been shown.
    pub fn new(
        wording: &'a Wording<'a>,
        vocabulary: &'a Vocabulary,
        events: &'a [Event],
        first_shown: usize,
    ) -> Self {
        Self {
            history: Recount::new(wording, events),
            vocabulary,
            first_shown,
        }
    }

    pub fn judge(&self, made: &MadeClaim) -> Verdict {
        match self.claim(made) {
            Ok(claim) => Verdict::Supported(claim),
            Err(reason) => Verdict::Unsupported(reason),
        }
    }

    /// One verdict a claim. Those that stand are added to `standing`, each once.
    pub fn judge_all(&self, made: &[MadeClaim], standing: &mut Vec<Claim>) -> Vec<Verdict> {
        let verdicts = made.iter().map(|made| match self.judge(made) {
            Verdict::Supported(claim) => {
                let says_it = |c: &Claim| (&c.slot, &c.value) == (&claim.slot, &claim.value);
                if standing.iter().any(says_it) {
                    return Verdict::Unsupported(Reason::Repeated);
                }
                standing.push(claim.clone());
                Verdict::Supported(claim)
            }
            unsupported => unsupported,
        });
        verdicts.collect()
    }

    fn claim(&self, made: &MadeClaim) -> Result<Claim, Reason> {
        let cited = self.cited(&made.events)?;
        let key = folded(&made.value);
        if made.trend.is_some() && made.kind != ClaimKind::Category {
            return Err(Reason::TrendDiffers);
        }
        let found = match made.kind {
            ClaimKind::Category => self.category(made.trend, &key, &cited)?,
            ClaimKind::Item => self.item(&key, &cited)?,
            ClaimKind::Price => self.price(&key, &cited)?,
            ClaimKind::Weekday => self.time("weekday", &key, &cited)?,
            ClaimKind::Daypart => self.time("daypart", &key, &cited)?,
            ClaimKind::Scenario => self.scenario(&key, &cited)?,
            ClaimKind::Intent => self.intent(&key, &cited)?,
            ClaimKind::Avoided => self.avoided(&key, &cited)?,
        };
        let Share { n, .. } = found.share;
        if made.number.is_some_and(|number| number != i64::from(n)) {
            return Err(Reason::NumberDiffers);
        }
        let percent = i64::from(found.share.percent());
        if made.percent.is_some_and(|said| said != percent) {
            return Err(Reason::PercentDiffers);
        }
        let is_habit = matches!(found.slot, "price" | "weekday" | "daypart");
        if is_habit && !found.share.is_habit() {
            return Err(Reason::Rare);
        }
        let told = found.told.unwrap_or(found.share);
        Ok(Claim {
            slot: found.slot.into(),
            value: found.value,
            n: told.n,
            percent: told.percent(),
            evidence: cited.iter().rev().map(|(_, e)| e.row).collect(),
        })
    }

    /// Oldest first, each once, with its index.
    fn cited(&self, ids: &[i64]) -> Result<Vec<(usize, &'a Event)>, Reason> {
        let events = self.history.events;
        let mut indices = Vec::with_capacity(ids.len());
        for &id in ids {
            let index = usize::try_from(id).ok().and_then(|id| id.checked_sub(1));
            match index {
                Some(index) if index >= events.len() => return Err(Reason::FutureEvent),
                Some(index) if index >= self.first_shown => indices.push(index),
                _ => return Err(Reason::UnknownEvent),
            }
        }
        if indices.is_empty() {
            return Err(Reason::NoEvidence);
        }
        indices.sort_unstable();
        indices.dedup();
        Ok(indices.into_iter().map(|i| (i, &events[i])).collect())
    }

    /// Every cited event has the name and is a choice. The name as the data has it.
    fn chosen(
        &self,
        key: &str,
        cited: &[(usize, &'a Event)],
        name: impl Fn(&Event) -> Option<&'a str>,
        differs: Reason,
    ) -> Result<String, Reason> {
        for (_, e) in cited {
            if !name(e).is_some_and(|n| is(n, key)) {
                return Err(differs);
            }
            if !self.history.wording.ds.is_target(e) {
                return Err(Reason::NotChosen);
            }
        }
        Ok(name(cited[0].1).unwrap_or_default().to_owned())
    }

    fn any(&self, key: &str, name: impl Fn(&Event) -> Option<&'a str>) -> bool {
        let mut events = self.history.events.iter();
        events.any(|e| name(e).is_some_and(|n| is(n, key)))
    }

    fn is_known(&self, key: &str) -> bool {
        self.vocabulary.is_category(key) || self.vocabulary.is_item(key)
    }

    fn category(
        &self,
        trend: Option<Trend>,
        key: &str,
        cited: &[(usize, &'a Event)],
    ) -> Result<Found, Reason> {
        let h = &self.history;
        let differs = Reason::CategoryDiffers;
        if !self.any(key, |e| h.category(e)) {
            if !self.any(key, |e| h.department(e)) {
                return Err(match self.is_known(key) {
                    true => differs,
                    false => Reason::NotInCatalogue,
                });
            }
            let value = self.chosen(key, cited, |e| h.department(e), differs)?;
            // Trends are of the level at which facts have them.
            if trend.is_some() {
                return Err(Reason::TrendDiffers);
            }
            let chosen = h.chosen.iter().copied();
            let share = share(chosen, |e| h.department(e).map(|d| d == value));
            return Ok(Found {
                slot: "department",
                value,
                share,
                told: None,
            });
        }
        let value = self.chosen(key, cited, |e| h.category(e), differs)?;
        let share_of = |events: &[&'a Event]| {
            let is_it = |e: &Event| h.category(e).map(|c| c == value);
            share(events.iter().copied(), is_it)
        };
        let (before, latest) = h.thirds();
        let (then, lately) = (share_of(before), share_of(latest));
        let (slot, told) = match trend {
            None => ("favourite", None),
            Some(Trend::Rising) if outgrows(lately, then) => {
                let first = latest[0].ts;
                if cited.iter().all(|(_, e)| e.ts < first) {
                    return Err(Reason::NotRecent);
                }
                ("rising", Some(lately))
            }
            Some(Trend::Falling) if outgrows(then, lately) => ("falling", Some(then)),
            Some(_) => return Err(Reason::TrendDiffers),
        };
        let share = share_of(&h.chosen);
        Ok(Found {
            slot,
            value,
            share,
            told,
        })
    }

    fn item(&self, key: &str, cited: &[(usize, &'a Event)]) -> Result<Found, Reason> {
        let h = &self.history;
        let differs = Reason::ItemDiffers;
        if !self.any(key, |e| h.title(e)) {
            return Err(match self.is_known(key) {
                true => differs,
                false => Reason::NotInCatalogue,
            });
        }
        let value = self.chosen(key, cited, |e| h.title(e), differs)?;
        let chosen = h.chosen.iter().copied();
        let share = share(chosen, |e| h.title(e).map(|t| t == value));
        Ok(Found {
            slot: if share.n >= 2 { "staple" } else { "item" },
            value,
            share,
            told: None,
        })
    }

    fn price(&self, key: &str, cited: &[(usize, &'a Event)]) -> Result<Found, Reason> {
        let h = &self.history;
        let bands = ["under 2", "2 to 5", "5 to 10", "over 10"];
        let band = self.own_word(key, &bands)?;
        let value = self.chosen(band, cited, |e| h.band(e), Reason::PriceDiffers)?;
        let chosen = h.chosen.iter().copied();
        Ok(Found {
            slot: "price",
            value,
            share: share(chosen, |e| h.band(e).map(|b| b == band)),
            told: None,
        })
    }

    fn time(
        &self,
        slot: &'static str,
        key: &str,
        cited: &[(usize, &'a Event)],
    ) -> Result<Found, Reason> {
        const DAY: i64 = 86_400;
        let (name, differs): (fn(&Event) -> &'static str, _) = match slot {
            "weekday" => (weekday, Reason::WeekdayDiffers),
            _ => (daypart, Reason::DaypartDiffers),
        };
        let words: Vec<&str> = match slot {
            "weekday" => (0..7)
                .map(|d| crate::facts::time::weekday(d * DAY))
                .collect(),
            _ => vec!["morning", "midday", "afternoon", "evening", "night"],
        };
        let word = self.own_word(key, &words)?;
        let folded_word = word.to_lowercase();
        let value = self.chosen(&folded_word, cited, |e| Some(name(e)), differs)?;
        Ok(Found {
            slot,
            value,
            share: share(self.history.orders(), |e| Some(name(e) == word)),
            told: None,
        })
    }

    /// The program's word that is meant, by itself or in the set's language.
    fn own_word<'w>(&self, key: &str, words: &[&'w str]) -> Result<&'w str, Reason> {
        let said = self.history.wording.templates.words();
        let mut words = words.iter().copied();
        let meant = words.find(|w| is(w, key) || folded(said.say(w)) == key);
        meant.ok_or(Reason::UnknownValue)
    }

    fn scenario(&self, key: &str, cited: &[(usize, &'a Event)]) -> Result<Found, Reason> {
        let h = &self.history;
        let (ds, words) = (h.wording.ds, h.wording.templates.words());
        let is_it = |e: &Event| {
            let scenario = &ds.kind(e).scenario;
            folded(scenario) == key || folded(words.say(scenario)) == key
        };
        let is_one = |s: &str| folded(s) == key || folded(words.say(s)) == key;
        if key.is_empty() || !ds.kinds.iter().any(|k| is_one(&k.scenario)) {
            return Err(Reason::UnknownValue);
        }
        if !cited.iter().all(|(_, e)| is_it(e)) {
            return Err(Reason::ScenarioDiffers);
        }
        let named = |e: &Event| &h.wording.kind(e.kind).scenario;
        let value = named(cited[0].1);
        Ok(Found {
            slot: "scenario",
            value: value.to_string(),
            share: share(h.events, |e| Some(named(e) == value)),
            told: None,
        })
    }

    fn intent(&self, key: &str, cited: &[(usize, &'a Event)]) -> Result<Found, Reason> {
        let h = &self.history;
        let text = |e: &Event| e.text.as_deref().is_some_and(|t| folded(t) == key);
        let is_about = |e: &Event| {
            let names = [h.category(e), h.title(e)];
            names.into_iter().flatten().any(|n| is(n, key)) || text(e)
        };
        if key.is_empty() || !(self.is_known(key) || h.events.iter().any(text)) {
            return Err(Reason::NotInCatalogue);
        }
        let of_will = |e: &Event| !h.is_exposed(e) && !h.is_rated_low(e);
        for (i, e) in cited {
            if !is_about(e) {
                return Err(Reason::IntentDiffers);
            }
            if !of_will(e) {
                return Err(Reason::NoIntent);
            }
            if *i < h.recent {
                return Err(Reason::NotRecent);
            }
        }
        let first = cited[0].1;
        let names = [h.category(first), h.title(first)].into_iter().flatten();
        let value = names.into_iter().find(|n| is(n, key)).map(str::to_owned);
        let searched = || crate::sanitise::name(first.text.as_deref().unwrap_or_default());
        let recent = h.events[h.recent..].iter().filter(|e| of_will(e));
        Ok(Found {
            slot: "intent",
            value: value.unwrap_or_else(searched),
            share: share(recent, |e| Some(is_about(e))),
            told: None,
        })
    }

    fn avoided(&self, key: &str, cited: &[(usize, &'a Event)]) -> Result<Found, Reason> {
        let h = &self.history;
        let (category, title) = (|e: &Event| h.category(e), |e: &Event| h.title(e));
        let (of_category, differs) = match (self.any(key, category), self.any(key, title)) {
            (true, _) => (true, Reason::CategoryDiffers),
            (_, true) => (false, Reason::ItemDiffers),
            _ if self.is_known(key) => return Err(Reason::CategoryDiffers),
            _ => return Err(Reason::NotInCatalogue),
        };
        let name = |e: &Event| match of_category {
            true => h.category(e),
            false => h.title(e),
        };
        let is_it = |e: &Event| name(e).map(|n| is(n, key));
        if !cited.iter().all(|(_, e)| is_it(e) == Some(true)) {
            return Err(differs);
        }
        let value = name(cited[0].1).unwrap_or_default().to_owned();
        let is_it = |e: &Event| name(e).map(|n| n == value);
        let exposed = h.events.iter().filter(|e| h.is_exposed(e));
        let low = h.events.iter().filter(|e| h.is_rated_low(e));
        let chosen = share(h.chosen.iter().copied(), is_it).n;
        let (exposed, low) = (share(exposed, is_it), share(low, is_it));
        let all_low = cited.iter().all(|(_, e)| h.is_rated_low(e));
        let avoids = |e: &Event| h.is_exposed(e) || h.is_rated_low(e);
        let was_chosen = if all_low { low.n <= chosen } else { chosen > 0 };
        if was_chosen {
            return Err(Reason::AvoidedChosen);
        }
        if !cited.iter().all(|(_, e)| avoids(e)) {
            return Err(Reason::NotAvoided);
        }
        let slot = match (all_low, of_category) {
            (true, true) => "disliked",
            (true, false) => "disliked-item",
            (false, true) => "ignored",
            (false, false) => "ignored-item",
        };
        Ok(Found {
            slot,
            value: value.clone(),
            share: if all_low { low } else { exposed },
            told: None,
        })
    }
}

/// Names are compared without regard to case; `key` is folded.
fn is(name: &str, key: &str) -> bool {
    !key.is_empty() && name.to_lowercase() == key
}
