//! Which histories are fused, and which take the knowledge of an earlier time (`[fusion]
//! refresh_threshold`). In: the instances, and what an earlier run into the same directory knew. Out: a
//! [`Plan`], which depends on the facts alone, and so is the same whoever fuses and after every stop.
//!
//! `earlier.jsonl` keeps the knowledge of the last run that ended when the stage is made anew. A record is
//! taken from it only if the log still says what it said at the record's own cut-off: the prompt, or the question to a
//! service, is the same, and the facts make each claim, or of a service's a recount bears it out. Its evidence is told
//! by the ids that events have now.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use hkfr_events::{AsOf, Dataset, History, Instance, UserIdx};
use hkfr_fuse::{
    COHORT_SLOT, Facts, Fusion, FusionMode, KnowledgeRecord, Refresh, TemplateSet, Wording,
    distance, facts, false_claims, possible_claims, refresh,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::histories::{facts_config, fusion};
use super::{Model, Session, n_threads};
use crate::config::Config;
use crate::stop::Stop;
use crate::{atomic, digest};

/// In the directory of the stage `fuse`.
pub(super) const EARLIER: &str = "earlier.jsonl";

const VERSION: u32 = 1;

/// The first line: knowledge that was made otherwise is other knowledge.
#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    settings: String,
}

/// Any other line.
#[derive(Serialize, Deserialize)]
struct Line {
    /// Where whoever forgets a user looks for the id.
    #[serde(default)]
    user: String,
    /// Digest of the fusion prompt, or of the question to a service, as-of the record's cut-off.
    prompt: String,
    /// Of a service's record: for each claim the places of its evidence, the latest event of the history being 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    cited: Vec<Vec<usize>>,
    record: KnowledgeRecord,
}

/// What is known from an earlier run, by the user's id.
#[derive(Default)]
pub(super) struct Earlier(HashMap<String, Vec<Line>>);

impl Earlier {
    /// Nothing if the file is absent, or of other settings.
    pub fn read(dir: &Path, settings: &str) -> Result<Self> {
        let path = dir.join(EARLIER);
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = fs_err::read_to_string(&path)?;
        let remedy = |n: usize| {
            let path = path.display();
            format!("{path}:{n}: damaged; delete the file, and all histories are fused anew")
        };
        let mut lines = text.lines();
        let head = lines.next().unwrap_or_default();
        let head: Head = serde_json::from_str(head).with_context(|| remedy(1))?;
        ensure!(
            head.version <= VERSION,
            "{}: format version {} is newer than {VERSION}, the newest this build reads; upgrade hkfr, or delete the file",
            path.display(),
            head.version
        );
        let mut by_user: HashMap<String, Vec<Line>> = HashMap::new();
        if head.settings == settings {
            for (n, line) in lines.enumerate() {
                let line: Line = serde_json::from_str(line).with_context(|| remedy(n + 2))?;
                by_user
                    .entry(line.record.user.clone())
                    .or_default()
                    .push(line);
            }
        }
        Ok(Self(by_user))
    }
}

/// What is done with the histories.
pub(super) struct Plan<'a> {
    /// To be fused, in the order of the instances.
    pub anew: Vec<&'a Instance>,
    pub n_reused: usize,
    /// Records of an earlier run that are taken.
    pub taken: Vec<KnowledgeRecord>,
}

impl Plan<'_> {
    /// Percentage of the histories that need no fusion.
    pub fn saved(&self) -> f64 {
        let all = self.n_reused + self.anew.len();
        (1000.0 * self.n_reused as f64 / all.max(1) as f64).round() / 10.0
    }
}

/// What decides the knowledge, whatever the log and the split.
pub(super) fn settings(session: &Session) -> Result<String> {
    let config = &session.config;
    let all = json!({
        "fusion": config.fusion.decisive(),
        "templates": session.templates()?.hash(),
        "model": session.llm_fingerprint()?,
        "arithmetic": config.models.arithmetic(),
    });
    Ok(digest::of_text(&all.to_string()))
}

/// What all of it is decided by.
pub(super) struct Planner<'a> {
    pub config: &'a Config,
    pub dataset: &'a Dataset,
    pub templates: &'a TemplateSet,
    pub model: &'a Model,
    pub stop: &'a Stop,
}

type Share = (Vec<(UserIdx, AsOf)>, Vec<KnowledgeRecord>);

impl Planner<'_> {
    /// Whole histories are compared with earlier ones. Those that are cut (simulated cold starts) and those
    /// with fewer choices than `cohort_below` are always fused.
    pub fn plan<'i>(&self, instances: &[&'i Instance], earlier: &Earlier) -> Result<Plan<'i>> {
        if self.config.fusion.refresh_threshold == 0.0 {
            return Ok(Plan {
                anew: instances.to_vec(),
                n_reused: 0,
                taken: Vec::new(),
            });
        }
        let mut by_user: BTreeMap<UserIdx, Vec<AsOf>> = BTreeMap::new();
        for instance in instances.iter().filter(|i| i.keep_last.is_none()) {
            if self.is_well_known(&instance.history(self.dataset)) {
                by_user
                    .entry(instance.user)
                    .or_default()
                    .push(instance.as_of);
            }
        }
        let mut users: Vec<(UserIdx, Vec<AsOf>)> = by_user.into_iter().collect();
        users.iter_mut().for_each(|u| u.1.sort_unstable());
        let n = users.len().div_ceil(n_threads()).max(1);
        let shares: Vec<Result<Share>> = std::thread::scope(|scope| {
            let threads: Vec<_> = users
                .chunks(n)
                .map(|users| scope.spawn(|| self.share(users, earlier)))
                .collect();
            let joined = threads.into_iter().map(|t| t.join());
            joined.map(|r| r.expect("no panic")).collect()
        });
        let (mut reused, mut taken) = (HashSet::new(), Vec::new());
        for share in shares {
            let (of_share, records) = share?;
            reused.extend(of_share);
            taken.extend(records);
        }
        let is_anew =
            |i: &&&Instance| i.keep_last.is_some() || !reused.contains(&(i.user, i.as_of));
        Ok(Plan {
            anew: instances.iter().filter(is_anew).copied().collect(),
            n_reused: reused.len(),
            taken,
        })
    }

    fn is_well_known(&self, history: &History) -> bool {
        history.n_targets(self.dataset) >= self.config.fusion.cohort_below as usize
    }

    fn share(&self, users: &[(UserIdx, Vec<AsOf>)], earlier: &Earlier) -> Result<Share> {
        let wording = Wording::new(self.dataset, self.templates);
        let config = facts_config(self.config);
        let count = |text: &str| self.model.tokenizer.count(text);
        let fusion = fusion(self.config, &wording, &config, &count);
        let threshold = self.config.fusion.refresh_threshold;
        let (mut reused, mut taken) = (Vec::new(), Vec::new());
        for (user, cut_offs) in users {
            self.stop.check()?;
            let mut records = self.usable(&fusion, *user, earlier)?;
            let known: Vec<AsOf> = records.keys().copied().collect();
            let mut seen: HashMap<AsOf, Arc<Facts>> = HashMap::new();
            let mut facts_at = |at: AsOf| {
                let history = || self.dataset.history(*user, at);
                let facts = seen
                    .entry(at)
                    .or_insert_with(|| facts(&wording, &history(), &config));
                Arc::clone(facts)
            };
            let far = |a: AsOf, b: AsOf| distance(&facts_at(a), &facts_at(b)).total();
            for (at, done) in cut_offs
                .iter()
                .zip(refresh(cut_offs, &known, threshold, far))
            {
                if let Refresh::Reuse(of) = done {
                    reused.push((*user, *at));
                    taken.extend(records.remove(&of));
                }
            }
        }
        Ok((reused, taken))
    }

    /// The earlier records of a user that the log still bears out, by their cut-off.
    fn usable(
        &self,
        fusion: &Fusion,
        user: UserIdx,
        earlier: &Earlier,
    ) -> Result<BTreeMap<AsOf, KnowledgeRecord>> {
        let mut usable = BTreeMap::new();
        let id = &self.dataset.users[user as usize].id;
        for line in earlier.0.get(id).into_iter().flatten() {
            let as_of = AsOf::new(line.record.as_of);
            let history = self.dataset.history(user, as_of);
            let (prompt, facts) = self.prompt(fusion, &history, line.record.mode)?;
            if prompt != line.prompt || !self.is_well_known(&history) {
                continue;
            }
            let mut record = line.record.clone();
            let borne_out = match facts {
                Some(facts) => cite_facts(&mut record, &facts),
                None => {
                    let config = fusion.facts;
                    let is_false = |r: &KnowledgeRecord| {
                        !false_claims(self.dataset, &history, config, &r.claims).is_empty()
                    };
                    cite(&mut record, &line.cited, &history) && !is_false(&record)
                }
            };
            if borne_out {
                usable.insert(as_of, record);
            }
        }
        Ok(usable)
    }

    /// Digest of what whoever fuses is told of a history, and where the claims are to be made by them, its facts.
    fn prompt(
        &self,
        fusion: &Fusion,
        history: &History,
        mode: FusionMode,
    ) -> Result<(String, Option<Arc<Facts>>)> {
        if mode == FusionMode::Service {
            let request = fusion.request(history, &self.config.fusion.claims(), 0)?;
            let text: String = request.messages.into_iter().map(|m| m.content).collect();
            return Ok((digest::of_text(&text), None));
        }
        let (facts, _, text) = fusion.prompt(history)?;
        Ok((digest::of_text(&text), Some(facts)))
    }

    /// Writes what a later run may take.
    pub fn keep(&self, dir: &Path, settings: String, records: &[KnowledgeRecord]) -> Result<()> {
        let wording = Wording::new(self.dataset, self.templates);
        let config = facts_config(self.config);
        let count = |text: &str| self.model.tokenizer.count(text);
        let fusion = fusion(self.config, &wording, &config, &count);
        let ids = self.dataset.users.iter().zip(0..);
        let users: HashMap<&str, UserIdx> = ids.map(|(p, u)| (p.id.as_str(), u)).collect();
        let head = Head {
            version: VERSION,
            settings,
        };
        let mut lines = serde_json::to_string(&head)? + "\n";
        let may_be_taken = |r: &&KnowledgeRecord| {
            r.mode != FusionMode::None
                && r.keep_last.is_none()
                && r.claims.iter().all(|c| c.slot != COHORT_SLOT)
        };
        for record in records.iter().filter(may_be_taken) {
            self.stop.check()?;
            let Some(&user) = users.get(record.user.as_str()) else {
                continue;
            };
            let history = self.dataset.history(user, AsOf::new(record.as_of));
            let cited = match record.mode {
                FusionMode::Service => places(record, &history),
                _ => Vec::new(),
            };
            let line = Line {
                user: record.user.clone(),
                prompt: self.prompt(&fusion, &history, record.mode)?.0,
                cited,
                record: record.clone(),
            };
            lines += &(serde_json::to_string(&line)? + "\n");
        }
        atomic::write(&dir.join(EARLIER), lines.as_bytes())
    }
}

/// Where the evidence of each claim stands, from the end of the history: a question to a service that is the same shows
/// the same events from there.
fn places(record: &KnowledgeRecord, history: &History) -> Vec<Vec<usize>> {
    let rows = history.events().iter().rev().map(|e| e.row);
    let places: HashMap<u32, usize> = rows.zip(0..).collect();
    let cited = record.claims.iter().map(|c| {
        let evidence = c.evidence.iter();
        evidence
            .filter_map(|row| places.get(row).copied())
            .collect()
    });
    cited.collect()
}

/// Claims of a service with the ids that their events have now; `false`: there are no such events.
fn cite(record: &mut KnowledgeRecord, cited: &[Vec<usize>], history: &History) -> bool {
    let events = history.events();
    let row = |place: &usize| Some(events.get(events.len().checked_sub(place + 1)?)?.row);
    let claims = &mut record.claims;
    claims.len() == cited.len()
        && claims.iter_mut().zip(cited).all(|(claim, places)| {
            let rows: Option<Vec<u32>> = places.iter().map(row).collect();
            let rows = rows.filter(|rows| rows.len() == claim.evidence.len());
            rows.map(|rows| claim.evidence = rows).is_some()
        })
}

/// Claims of the embedded model with the evidence that the facts have now; `false`: they do not make such a claim.
fn cite_facts(record: &mut KnowledgeRecord, facts: &Facts) -> bool {
    let possible = possible_claims(facts);
    record.claims.iter_mut().all(|claim| {
        let same = possible.iter().find(|p| {
            (&p.slot, &p.value, p.n, p.percent)
                == (&claim.slot, &claim.value, claim.n, claim.percent)
        });
        same.map(|same| claim.evidence.clone_from(&same.evidence))
            .is_some()
    })
}
