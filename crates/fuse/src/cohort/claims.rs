//! What is said of a cohort in a person's knowledge: marked as the cohort's, counted over the cohort, and the
//! less of it the more is known of the person.

use hkfr_events::{Dataset, History};
use minijinja::{Value, context};

use super::{Cohort, Population, own_weight};
use crate::error::Result;
use crate::facts::{Count, recent, time};
use crate::fuser::KnowledgeRecord;
use crate::prompt::CountTokens;
use crate::sanitise::name;
use crate::statements::{Claim, SLOTS, claim_of};

/// The slot of a claim that is about people like the user, and not about the user.
pub const COHORT_SLOT: &str = "cohort";

/// Ids of events that support a claim, at most.
const MAX_EVIDENCE: usize = 20;

impl Population<'_> {
    /// Adds to the knowledge of a person of whom little is known what people like them choose, as far as
    /// the budget of tokens lets it.
    ///
    /// # Errors
    /// A mistake in `cohort.jinja`.
    pub fn add_to(
        &self,
        record: &mut KnowledgeRecord,
        history: &History,
        budget: usize,
        count: CountTokens,
    ) -> Result<()> {
        let Some(cohort) = self.cohort(history) else {
            return Ok(());
        };
        let templates = self.cohorts.wording.templates;
        let facts = self.facts(history, &cohort);
        for n in (1..=facts.len()).rev() {
            let chosen: Vec<Value> = facts[..n]
                .iter()
                .map(|f| Value::from_object(f.clone()))
                .collect();
            let members = cohort.members.len();
            let values = context! { chosen, members, segment => &cohort.segment };
            let sentence = templates.render("cohort.jinja", values)?;
            // Chinese is written without spaces between sentences.
            let gap = match record.text.chars().next_back() {
                None | Some('。') => "",
                Some(_) => " ",
            };
            let text = format!("{}{gap}{sentence}", record.text);
            let n_tokens = count(&text);
            if n_tokens <= budget {
                let claims = facts[..n].iter().map(|f| claim_of(COHORT_SLOT, f));
                record.claims.extend(claims);
                (record.text, record.n_tokens) = (text, n_tokens);
                record.n_dropped += facts.len() - n;
                return Ok(());
            }
        }
        record.n_dropped += facts.len();
        Ok(())
    }

    /// The cohort's categories among the first ones of the blended shares, as many at most as the cohort's
    /// weight leaves room for: with many choices of one's own there are none.
    pub(super) fn facts(&self, history: &History, cohort: &Cohort) -> Vec<Count> {
        let own = self.cohorts.choices(history);
        let n: u32 = own.iter().map(|c| c.1).sum();
        let (places, k) = (SLOTS[0].pick, self.cohorts.config.strength);
        let room = 1.0 - own_weight(n, k);
        let room = (room * places as f32).round() as usize;
        let shares = self.blended(history, Some(cohort), k);
        let names = &self.cohorts.categories;
        let mut ranked: Vec<usize> = (0..shares.len()).filter(|&c| shares[c] > 0.0).collect();
        let order = |&a: &usize, &b: &usize| {
            let by_name = || names[a].cmp(names[b]);
            shares[b].total_cmp(&shares[a]).then_with(by_name)
        };
        ranked.sort_by(order);
        let is_own = |c: usize| own.binary_search_by_key(&(c as u32), |o| o.0).is_ok();
        let of_cohort = ranked.into_iter().take(places).filter(|&c| !is_own(c));
        of_cohort
            .take(room)
            .map(|c| self.counted(c as u32, cohort))
            .collect()
    }

    /// How many of the cohort chose a category, with the latest choice of each as evidence.
    fn counted(&self, category: u32, cohort: &Cohort) -> Count {
        let ds = self.cohorts.wording.ds;
        let of = |e: &&hkfr_events::Event| {
            ds.is_target(e)
                && e.item.and_then(|i| self.cohorts.category_of[i as usize]) == Some(category)
        };
        let latest = |&user: &u32| {
            let fit_before = self.cohorts.fit_before[user as usize]?;
            let history = ds.history(user, self.as_of.min(fit_before));
            let events = self.cohorts.recent(&history);
            events.iter().rev().find(of).map(|e| (e.ts, e.row))
        };
        let mut choices: Vec<(i64, u32)> = cohort.members.iter().filter_map(latest).collect();
        choices.sort_unstable_by(|a, b| b.cmp(a));
        let (n, share) = (
            choices.len(),
            choices.len() as f32 / cohort.members.len() as f32,
        );
        Count {
            name: name(self.cohorts.categories[category as usize]).into(),
            n: n as u32,
            share,
            percent: (100.0 * share).round() as u32,
            days_ago: choices
                .first()
                .map_or(0, |c| time::days_between(c.0, self.as_of.seconds())),
            evidence: choices.iter().take(MAX_EVIDENCE).map(|c| c.1).collect(),
        }
    }
}

/// The claims about a cohort that the histories of its members do not bear out, recounted event by event:
/// how many of them chose it, and whether the evidence is theirs. Claims of other slots are not looked at.
pub fn false_cohort_claims<'a>(
    ds: &Dataset,
    members: &[History],
    max_events: usize,
    claims: &'a [Claim],
) -> Vec<&'a Claim> {
    let is_of = |e: &hkfr_events::Event, claim: &Claim| {
        let category = e.item.and_then(|i| ds.category(i));
        ds.is_target(e) && category.is_some_and(|c| name(c) == claim.value)
    };
    let holds = |claim: &&Claim| {
        let events = |h: &History| -> Vec<u32> {
            let events = recent(h, max_events).iter();
            events.filter(|e| is_of(e, claim)).map(|e| e.row).collect()
        };
        let rows: Vec<Vec<u32>> = members.iter().map(events).collect();
        let n = rows.iter().filter(|rows| !rows.is_empty()).count();
        let percent = (100.0 * n as f32 / members.len() as f32).round() as u32;
        let theirs = |row: &u32| rows.iter().any(|rows| rows.contains(row));
        n as u32 == claim.n && percent == claim.percent && claim.evidence.iter().all(theirs)
    };
    let of_cohort = claims.iter().filter(|c| c.slot == COHORT_SLOT);
    of_cohort.filter(|c| !holds(c)).collect()
}
