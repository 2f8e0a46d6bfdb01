//! Is all knowledge of a run of no later time than what it is used for? In: the split and all records. Out:
//! an error for the first that is later, or rests on an event at or after its own cut-off. What is read for
//! an instance is checked when it is read ([`hkfr_fuse::Known`]); this looks at the whole run once more,
//! before something is learnt from it or said of it.

use std::collections::HashMap;

use anyhow::Result;
use hkfr_events::{AsOf, Dataset, Split, UserIdx};
use hkfr_fuse::{COHORT_SLOT, Error, KnowledgeRecord};

use super::histories::instances;
use crate::config::Config;

pub(super) fn check(
    config: &Config,
    dataset: &Dataset,
    split: &Split,
    records: &[KnowledgeRecord],
) -> Result<()> {
    // The latest that is asked, by user and cut.
    let mut asked: HashMap<(&str, Option<u32>), i64> = HashMap::new();
    for instance in instances(config, dataset, split) {
        let user = dataset.users[instance.user as usize].id.as_str();
        let latest = asked.entry((user, instance.keep_last)).or_insert(i64::MIN);
        *latest = (*latest).max(instance.as_of.seconds());
    }
    let events = Events::of(dataset);
    for record in records {
        let key = (record.user.as_str(), record.keep_last);
        let Some(&as_of) = asked.get(&key) else {
            continue;
        };
        let (user, cut_off) = (record.user.clone(), record.as_of);
        if cut_off > as_of {
            return Err(Error::LaterKnowledge {
                user,
                cut_off,
                as_of,
            }
            .into());
        }
        if let Some(row) = events.late(record) {
            return Err(Error::Evidence { user, cut_off, row }.into());
        }
    }
    Ok(())
}

/// Whose event a row is, and when it was.
struct Events<'a> {
    rows: Vec<(UserIdx, i64)>,
    users: HashMap<&'a str, UserIdx>,
}

impl<'a> Events<'a> {
    fn of(dataset: &'a Dataset) -> Self {
        let mut rows = Vec::new();
        for user in 0..dataset.n_users() as UserIdx {
            for e in dataset.history(user, AsOf::new(i64::MAX)).events() {
                let n = e.row as usize;
                if rows.len() <= n {
                    rows.resize(n + 1, (UserIdx::MAX, i64::MAX));
                }
                rows[n] = (user, e.ts);
            }
        }
        let ids = dataset.users.iter().zip(0..);
        let users = ids.map(|(p, u)| (p.id.as_str(), u)).collect();
        Self { rows, users }
    }

    /// Evidence that is not the user's own, or for a claim about the cohort not another's, or not earlier.
    fn late(&self, record: &KnowledgeRecord) -> Option<u32> {
        let user = *self.users.get(record.user.as_str())?;
        let mut evidence = record.claims.iter().flat_map(|c| {
            let of_cohort = c.slot == COHORT_SLOT;
            c.evidence.iter().map(move |&row| (of_cohort, row))
        });
        let bad = |&(of_cohort, row): &(bool, u32)| match self.rows.get(row as usize) {
            Some(&(whose, ts)) => (whose == user) == of_cohort || ts >= record.as_of,
            None => true,
        };
        evidence.find(bad).map(|e| e.1)
    }
}
