//! Knowledge that may be used at a time: its own cut-off is not later. Whoever reads a record for an
//! instance gets a [`Known`], and a [`Known`] can be made in no other way than by comparing the two times.

use hkfr_events::AsOf;

use crate::error::{Error, Result};
use crate::fuser::KnowledgeRecord;

/// A record whose cut-off is not later than the time at which it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known(KnowledgeRecord);

impl Known {
    /// # Errors
    /// [`Error::LaterKnowledge`] if the record is as-of a later time than `as_of`.
    pub fn at(record: KnowledgeRecord, as_of: AsOf) -> Result<Self> {
        if record.as_of > as_of.seconds() {
            return Err(Error::LaterKnowledge {
                user: record.user,
                cut_off: record.as_of,
                as_of: as_of.seconds(),
            });
        }
        Ok(Self(record))
    }

    /// The latest of a user's records that may be used at `as_of`; `None` if there is none at all.
    ///
    /// # Errors
    /// [`Error::LaterKnowledge`] if all there is is later.
    pub fn latest(
        records: impl IntoIterator<Item = KnowledgeRecord>,
        as_of: AsOf,
    ) -> Result<Option<Self>> {
        let may_be_used = |r: &KnowledgeRecord| r.as_of <= as_of.seconds();
        // Those that may be used come after all that may not, the latest of them last.
        let best = records.into_iter().max_by_key(|r| {
            let usable = may_be_used(r);
            (usable, if usable { r.as_of } else { -r.as_of })
        });
        best.map(|record| Self::at(record, as_of)).transpose()
    }

    pub fn record(&self) -> &KnowledgeRecord {
        &self.0
    }

    pub fn into_record(self) -> KnowledgeRecord {
        self.0
    }
}
