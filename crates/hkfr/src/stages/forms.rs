//! Which form of answer a model is asked for: tried on the first histories, and then the same for all others, so that a
//! run that is stopped and continued asks the same questions.

use std::collections::HashMap;

use hkfr_events::Instance;
use hkfr_fuse::claims::{ClaimsConfig, Form};
use hkfr_fuse::{FusionMode, KnowledgeRecord};

use super::fuse_worker::Job;

/// Histories on which JSON is tried.
const TRIAL: usize = 10;
/// One in so many must have been read as JSON, or the others are asked in lines.
const LEAST: usize = 5;

/// How many of the jobs decide about the form of the others: none where it is decided.
pub(super) fn trial(claims: &ClaimsConfig, jobs: &[Job], records: &[KnowledgeRecord]) -> usize {
    let Some(missing) = TRIAL.checked_sub(of_service(records).count()) else {
        return 0;
    };
    if claims.form != Form::Auto || missing == 0 {
        return 0;
    }
    let asked = jobs
        .iter()
        .enumerate()
        .filter(|(_, job)| job.1 == FusionMode::Service);
    let last = asked.map(|(i, _)| i).nth(missing - 1);
    last.map_or(jobs.len(), |i| i + 1)
}

/// The form for all other histories. Lines are asked for only if a history could be read as such.
pub(super) fn settled(claims: &ClaimsConfig, records: &[KnowledgeRecord]) -> Form {
    let all: Vec<_> = of_service(records).collect();
    let read = |form: Form| {
        let of_form = all
            .iter()
            .filter(|counts| counts.form == form && !counts.unusable);
        of_form.count()
    };
    let is_tried = claims.form == Form::Auto && all.len() >= TRIAL;
    if is_tried && read(Form::Json) * LEAST < all.len() && read(Form::Lines) > 0 {
        Form::Lines
    } else {
        claims.form
    }
}

/// In which form each history was asked for last, and in which the others will be.
pub(super) struct Forms {
    by_history: HashMap<(String, i64, Option<u32>), Form>,
    others: Form,
}

impl Forms {
    pub fn new(claims: &ClaimsConfig, records: &[KnowledgeRecord]) -> Self {
        let of_service = records.iter().filter(|r| r.mode == FusionMode::Service);
        let forms = of_service.filter_map(|r| {
            let history = (r.user.clone(), r.as_of, r.keep_last);
            Some((history, r.cut.gate.as_ref()?.form))
        });
        Self {
            by_history: forms.collect(),
            others: settled(claims, records),
        }
    }

    pub fn of(&self, user: &str, instance: &Instance) -> Form {
        let history = (
            user.to_owned(),
            instance.as_of.seconds(),
            instance.keep_last,
        );
        self.by_history
            .get(&history)
            .copied()
            .unwrap_or(self.others)
    }
}

fn of_service(records: &[KnowledgeRecord]) -> impl Iterator<Item = &hkfr_fuse::claims::GateCounts> {
    let of_service = records.iter().filter(|r| r.mode == FusionMode::Service);
    of_service.filter_map(|r| r.cut.gate.as_ref())
}

/// For people, when the form is another than it was.
pub(super) fn say(records: &[KnowledgeRecord]) {
    let (mut n, mut in_json) = (0, 0);
    for counts in of_service(records) {
        n += 1;
        in_json += usize::from(counts.form == Form::Json && !counts.unusable);
    }
    tracing::warn!(
        "of {n} histories {in_json} could be read as JSON: the others are asked about in lines, one kind of claim a question (form = \"lines\" asks so at once)"
    );
}
