//! The feature table for rankers of others: lists of candidates with features, labels and what every column means.
//!
//! | part | lists | as-of | labels |
//! |---|---|---|---|
//! | train | those that the trees learn from: the split cut 1, 2, … periods earlier | before the order asked about | that order |
//! | test | all cases of the split | the case's | the case's targets |
//!
//! Lists without an answer among their candidates teach a ranker nothing; a model of probabilities needs them, since test
//! lists may lack one too.
//!
//! A feature sees what is strictly before its list's as-of, and what is fitted (rankers, statistics of the population)
//! learns from the training histories of its window alone. Test labels are in test lists and nowhere else.

use hkfr_events::{Instance, Segment};
use serde::{Deserialize, Serialize};

use super::features::{Expectation, Group, Scope};
use super::labelled::{self, Fitted, List};
use super::{Fitting, HkfrConfig, Watch};
use crate::error::{Error, Result};

/// A column of features.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub group: Group,
    pub scope: Scope,
    /// How it is computed.
    pub meaning: String,
}

/// What a list is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    Train,
    Test,
}

/// What the lists of one cut-off share.
pub struct Window<'a> {
    pub part: Part,
    /// Periods before the split's own cut-off; 0 for the test part.
    pub back: u32,
    /// Seconds. Statistics of the population hold nothing at or after it.
    pub as_of: i64,
    /// The same in all windows.
    pub columns: &'a [Column],
    /// (entities, columns of [`Scope::Item`]), missing = NaN.
    pub of_entities: &'a [f32],
}

/// One user as-of a time, and the candidates.
pub struct LabelledList<'a> {
    /// Unique in the table; in the test part the id of the case.
    pub id: String,
    pub question: &'a Instance,
    /// Of test lists.
    pub segment: Option<Segment>,
    /// Entities, ascending.
    pub candidates: &'a [u32],
    /// By candidate: 1 if the order that followed holds it, else 0.
    pub labels: &'a [u8],
    /// (candidates, columns), missing = NaN.
    pub rows: &'a [f32],
}

/// What a table is made of: each window, followed by its lists.
pub enum Visit<'a> {
    Window(&'a Window<'a>),
    List(&'a Window<'a>, &'a LabelledList<'a>),
}

/// Hands over the training windows and then the test part, list by list; memory holds one window's fit and a batch of
/// lists.
///
/// # Errors
/// Settings of a source that it does not have; [`Error::Interrupted`] if `watch` says so; those of `visit`.
pub fn each_list<E: From<Error>>(
    from: &Fitting,
    config: &HkfrConfig,
    expectations: Option<&[Expectation]>,
    watch: Watch,
    visit: &mut dyn FnMut(Visit) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    labelled::windows(from, config, expectations, watch, |back, window| {
        each_of(window, Part::Train, back, visit)
    })?;
    let cases = labelled::cases(from, config, expectations, watch)?;
    each_of(&cases, Part::Test, 0, visit)
}

fn each_of<E: From<Error>>(
    fitted: &Fitted,
    part: Part,
    back: u32,
    visit: &mut dyn FnMut(Visit) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let columns = columns(fitted)?;
    let cuts = fitted.from.split.fit_before.iter().flatten();
    let window = Window {
        part,
        back,
        as_of: cuts.max().map_or(0, |t| t.seconds()),
        columns: &columns,
        of_entities: fitted.stage.features.of_entities(),
    };
    visit(Visit::Window(&window))?;
    fitted.each_list(|number, list| {
        let List {
            candidates,
            labels,
            rows,
        } = &list;
        let question = &fitted.questions[number];
        let case = (part == Part::Test).then(|| &fitted.from.split.cases[number]);
        let id = match case {
            Some(case) => case.case_id.clone(),
            None => train_id(fitted, back, question),
        };
        let list = LabelledList {
            id,
            question,
            segment: case.map(|c| c.segment),
            candidates,
            labels,
            rows,
        };
        visit(Visit::List(&window, &list))
    })
}

/// `train/1/<user>`, and `train/1/<user>@3` where the history is cut.
fn train_id(fitted: &Fitted, back: u32, question: &Instance) -> String {
    let user = &fitted.from.ds.users[question.user as usize].id;
    let cut = question.keep_last.map(|n| format!("@{n}"));
    format!("train/{back}/{user}{}", cut.unwrap_or_default())
}

fn columns(fitted: &Fitted) -> Result<Vec<Column>> {
    let stage = &fitted.stage;
    let of_sources = stage.sources.meanings().into_iter();
    let meanings = of_sources
        .map(|m| (Scope::Pair, m))
        .chain(stage.features.meanings());
    let meanings: Vec<_> = meanings.collect();
    let table = stage.table();
    if table.len() != meanings.len() {
        return Err(Error::Config(format!(
            "internal: {} features have {} meanings",
            table.len(),
            meanings.len()
        )));
    }
    let column = |(feature, (scope, meaning)): (super::Feature, _)| Column {
        name: feature.name,
        group: feature.group,
        scope,
        meaning,
    };
    Ok(table.into_iter().zip(meanings).map(column).collect())
}
