//! What is likely of someone of whom little is known: what people like them did. In: a data set, a time, and
//! who may be learnt from. Out: a [`Cohort`] with the shares of its choices.
//!
//! A cohort is a segment of the profiles (all known attributes alike, and where that leaves fewer than
//! [`CohortConfig::min`] people, without the attribute that leaves the fewest, and so on), or the people
//! nearest by what little was done. Nobody is in their own cohort, and nothing at or after the time counts,
//! nor after what a split says may be learnt from someone.

mod blend;
mod claims;
mod nearest;

use std::collections::BTreeMap;

use hkfr_events::{AsOf, Event, History, Profile, UserIdx};
use serde::{Deserialize, Serialize};

pub use blend::own_weight;
pub use claims::{COHORT_SLOT, false_cohort_claims};

use crate::facts::recent;
use crate::sanitise::name;
use crate::wording::Wording;
use nearest::Features;

/// Who is like someone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CohortBy {
    /// Those of the same profile; without a profile, the nearest.
    Segment,
    /// Those whose items and categories are most alike.
    Nearest,
    /// Everyone: what popularity says, to compare with.
    Everyone,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CohortConfig {
    pub by: CohortBy,
    /// People in a segment at least, and the number of nearest people.
    pub min: usize,
    /// Choices of one's own that weigh as much as the cohort.
    pub strength: f32,
    /// Of each history the last so many events count.
    pub max_events: usize,
}

/// People like someone, as-of a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Cohort {
    /// Rising; never the person itself.
    pub members: Vec<UserIdx>,
    /// What their profiles have in common, as `attribute value`; empty for the nearest and for everyone.
    pub segment: Vec<String>,
    /// Mean over the members of the share of each category in their choices: everyone counts once.
    pub shares: Vec<f32>,
}

/// A data set as cohorts see it, whatever the time.
pub struct Cohorts<'a> {
    wording: &'a Wording<'a>,
    /// By user: nothing at or after it may be learnt from; `None`: nothing at all.
    fit_before: &'a [Option<AsOf>],
    config: CohortConfig,
    categories: Vec<&'a str>,
    /// By item.
    category_of: Vec<Option<u32>>,
    /// Rising users by attribute and value.
    profiles: BTreeMap<(&'a str, &'a str), Vec<UserIdx>>,
}

impl<'a> Cohorts<'a> {
    pub fn new(
        wording: &'a Wording<'a>,
        fit_before: &'a [Option<AsOf>],
        config: CohortConfig,
    ) -> Self {
        let ds = wording.ds;
        let mut index: BTreeMap<&str, u32> = BTreeMap::new();
        let mut categories = Vec::new();
        let category_of = (0..ds.n_items() as u32).map(|item| {
            let category = ds.category(item)?;
            Some(*index.entry(category).or_insert_with(|| {
                categories.push(category);
                categories.len() as u32 - 1
            }))
        });
        let category_of = category_of.collect();
        let mut profiles: BTreeMap<_, Vec<UserIdx>> = BTreeMap::new();
        for user in 0..ds.n_users() as UserIdx {
            for attribute in known_attributes(&ds.users[user as usize]) {
                profiles.entry(attribute).or_default().push(user);
            }
        }
        Self {
            wording,
            fit_before,
            config,
            categories,
            category_of,
            profiles,
        }
    }

    /// The names behind [`Cohort::shares`], as the log has them.
    pub fn categories(&self) -> &[&'a str] {
        &self.categories
    }

    /// What everyone had done before `as_of`.
    pub fn at(&self, as_of: AsOf) -> Population<'_> {
        let ds = self.wording.ds;
        let history = |user: UserIdx| {
            let fit_before = self.fit_before[user as usize]?;
            let history = ds.history(user, as_of.min(fit_before));
            let choices = self.choices(&history);
            (!choices.is_empty()).then_some((history, choices))
        };
        let mut shares = Vec::with_capacity(ds.n_users());
        let mut features = Features::new(self.categories.len() + ds.n_items());
        for user in 0..ds.n_users() as UserIdx {
            shares.push(history(user).map(|(history, choices)| {
                features.add(user, self.features(&history));
                choices
            }));
        }
        features.finish();
        Population {
            cohorts: self,
            as_of,
            shares,
            features,
        }
    }

    /// The events that count.
    fn recent<'h>(&self, history: &History<'h>) -> &'h [Event] {
        recent(history, self.config.max_events)
    }

    /// Choices by category, rising.
    fn choices(&self, history: &History) -> Vec<(u32, u32)> {
        let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
        let ds = self.wording.ds;
        for e in self.recent(history).iter().filter(|e| ds.is_target(e)) {
            if let Some(c) = e.item.and_then(|i| self.category_of[i as usize]) {
                *counts.entry(c).or_default() += 1;
            }
        }
        counts.into_iter().collect()
    }

    /// The categories and items that were chosen, each once.
    fn features(&self, history: &History) -> Vec<u32> {
        let (ds, n) = (self.wording.ds, self.categories.len() as u32);
        let events = self.recent(history).iter();
        let items = events.filter(|e| ds.is_target(e)).filter_map(|e| e.item);
        let both = items.flat_map(|i| [self.category_of[i as usize], Some(n + i)]);
        let mut features: Vec<u32> = both.flatten().collect();
        features.sort_unstable();
        features.dedup();
        features
    }
}

/// Attributes that say something.
fn known_attributes(profile: &Profile) -> impl Iterator<Item = (&str, &str)> {
    let attributes = profile.attributes.iter();
    let known = |v: &str| !v.is_empty() && !v.eq_ignore_ascii_case("unknown");
    attributes
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .filter(move |(_, v)| known(v))
}

/// What everyone had done before a time.
pub struct Population<'a> {
    cohorts: &'a Cohorts<'a>,
    as_of: AsOf,
    /// Choices by category, of each user who may be learnt from.
    shares: Vec<Option<Vec<(u32, u32)>>>,
    features: Features,
}

impl Population<'_> {
    pub fn as_of(&self) -> AsOf {
        self.as_of
    }

    /// People like this one; `None` if there is nobody.
    pub fn cohort(&self, history: &History) -> Option<Cohort> {
        let (config, user) = (&self.cohorts.config, self.user(history));
        let nearest = || {
            let own = self.cohorts.features(history);
            let mut users = self.features.nearest(&own, user, config.min);
            users.sort_unstable();
            (users, Vec::new())
        };
        let (members, segment) = match config.by {
            CohortBy::Segment => self.segment(history, user).unwrap_or_else(nearest),
            CohortBy::Nearest => nearest(),
            CohortBy::Everyone => (self.everyone_but(user).collect(), Vec::new()),
        };
        if members.is_empty() {
            return None;
        }
        let mut shares = vec![0f64; self.cohorts.categories.len()];
        for &member in &members {
            let counts = self.shares[member as usize].as_deref().unwrap_or_default();
            let total: u32 = counts.iter().map(|c| c.1).sum();
            for &(category, n) in counts {
                shares[category as usize] += f64::from(n) / f64::from(total);
            }
        }
        let n = members.len() as f64;
        Some(Cohort {
            members,
            segment,
            shares: shares.into_iter().map(|s| (s / n) as f32).collect(),
        })
    }

    /// Own and cohort's shares of each category, the cohort weighing as much as `strength` own choices.
    pub fn blended(&self, history: &History, cohort: Option<&Cohort>, strength: f32) -> Vec<f32> {
        let own = self.cohorts.choices(history);
        let cohort = cohort.map_or(&[][..], |c| &c.shares[..]);
        blend::blended(&own, cohort, strength, self.cohorts.categories.len())
    }

    /// Whose history it is, among the users who are known here: another reader numbers them otherwise.
    fn user(&self, history: &History) -> Option<UserIdx> {
        let (ds, id) = (self.cohorts.wording.ds, &history.profile().id);
        let numbered = ds.users.get(history.user() as usize);
        if numbered.is_some_and(|profile| profile.id == *id) {
            Some(history.user())
        } else {
            ds.user_by_id(id)
        }
    }

    fn everyone_but(&self, user: Option<UserIdx>) -> impl Iterator<Item = UserIdx> {
        let all = 0..self.shares.len() as UserIdx;
        all.filter(move |&u| Some(u) != user && self.is_learnt_from(u))
    }

    fn is_learnt_from(&self, user: UserIdx) -> bool {
        self.shares[user as usize].is_some()
    }

    /// The finest segment of at least `min` others; `None` without a profile, or where no attribute is left.
    fn segment(
        &self,
        history: &History,
        user: Option<UserIdx>,
    ) -> Option<(Vec<UserIdx>, Vec<String>)> {
        let mut attributes: Vec<_> = known_attributes(history.profile())
            .map(|a| {
                let all = self.cohorts.profiles.get(&a).into_iter().flatten().copied();
                let others = all.filter(|&u| Some(u) != user && self.is_learnt_from(u));
                (others.collect::<Vec<UserIdx>>(), a)
            })
            .collect();
        // The most common first: the last one is dropped first. Of equals, by name.
        attributes.sort_by_key(|(users, a)| (std::cmp::Reverse(users.len()), *a));
        while !attributes.is_empty() {
            let members = common(attributes.iter().map(|a| a.0.as_slice()));
            if members.len() >= self.cohorts.config.min {
                let mut said: Vec<_> = attributes.iter().map(|a| a.1).collect();
                said.sort_unstable();
                let said = said.iter().map(|(k, v)| format!("{} {}", name(k), name(v)));
                return Some((members, said.collect()));
            }
            attributes.pop();
        }
        None
    }
}

/// Who is in all of the rising lists.
fn common<'l>(mut lists: impl Iterator<Item = &'l [UserIdx]>) -> Vec<UserIdx> {
    let mut users = lists.next().unwrap_or_default().to_vec();
    for list in lists {
        users.retain(|u| list.binary_search(u).is_ok());
    }
    users
}
