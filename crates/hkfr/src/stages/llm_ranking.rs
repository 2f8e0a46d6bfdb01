//! The lists of a system with a language model. Both tasks come from one prefill, and each case
//! takes a second, so that results are appended to a file as they come: a stop loses no more than
//! the cases in hand.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result, ensure};
use hkfr_eval::Run;
use hkfr_events::store::{FeatureRow, write_features};
use hkfr_fuse::sanitise;
use hkfr_lm::Candidates;
use hkfr_rec::baselines::Popularity;
use hkfr_rec::llm::{
    Asker, Calibration, CaseScores, ItemHead, ItemScores, ItemVectors, NUMBER_TASKS, Numbers,
    Posterior, Ranker, recommend,
};
use hkfr_rec::systems::own_choices;
use serde::{Deserialize, Serialize};

use super::items::{MAX_NAME, item_vectors, popularity};
use super::ranked::Lists;
use super::texts::Texts;
use super::tune;
use super::variant::system;
use super::{Model, Session, n_threads};
use crate::progress::{Progress, Unit};

/// Training users whose mean answer calibrates a system.
const CALIBRATION_USERS: usize = 32;

/// A case that is done, one line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    case: String,
    category: Vec<(u32, f32)>,
    item: Vec<(u32, f32)>,
    prompt_tokens: usize,
    /// The user vector, for other rankers.
    vector: Vec<f32>,
}

pub(super) struct LlmRanking {
    system: String,
    path: PathBuf,
}

impl LlmRanking {
    pub fn open(system: &str, dir: &Path) -> Self {
        Self {
            system: system.into(),
            path: dir.join(format!("{system}.partial")),
        }
    }

    /// Ranks for the cases that have no line yet; returns the file.
    pub fn finish(self, session: &mut Session, lists: &Lists) -> Result<PathBuf> {
        let done = read_lines(&self.path)?;
        let cases = &lists.split.cases;
        let todo: Vec<usize> = (0..cases.len())
            .filter(|&i| !done.contains_key(&cases[i].case_id))
            .collect();
        if todo.is_empty() {
            return Ok(self.path);
        }
        let (variant, tuned) = system(&self.system).context("a system with a language model")?;
        let texts = Texts::open(session, variant, lists.dataset, lists.split)?;
        let inputs: Vec<String> = todo
            .iter()
            .map(|&i| texts.of(&cases[i].instance))
            .collect::<Result<_>>()?;
        let cases_to_do = todo.iter().map(|&i| &cases[i]);
        let askers: Vec<Asker> = cases_to_do
            .zip(&inputs)
            .map(|(case, input)| Asker {
                input,
                top: lists.depth() + lists.excluded(case).map_or(0, |e| e.len()),
            })
            .collect();
        let model = session.model()?;
        let popularity = popularity(lists.dataset, lists.split);
        let lora = tuned
            .then(|| tune::load_lora(&session.dir("tune"), variant, &model))
            .transpose()?;
        let asked = match texts.numbers() {
            Some(numbers) => Asked::by_number(numbers, &model)?,
            None => self.by_title(session, lists, &popularity)?,
        };
        let mut ranker = Ranker {
            model: &model.llama,
            chat: &model.chat,
            lora: lora.as_ref(),
            rounded: model.rounded.clone(),
            items: match &asked.items {
                Items::Head(vectors, head) => ItemScores::Head(vectors, head),
                Items::Names(names) => ItemScores::Names(names),
            },
            item_instruction: &asked.item_instruction,
            categories: None,
            calibration: None,
        };
        // Calibration tells what items' categories say of them.
        if self.is_calibrated()
            || session
                .config
                .recommend
                .tasks
                .iter()
                .any(|t| t == "category")
        {
            ranker.categories = Some((&asked.categories, &asked.category_instruction));
        }
        if self.is_calibrated() {
            ranker.calibration = Some(calibrate(session, &ranker, &texts, lists, &self.system)?);
        }
        let posterior = self.posterior(session, lists)?;
        let progress = Progress::new(
            &self.system,
            Unit::Things("cases"),
            Some(cases.len() as u64),
        );
        progress.skip(done.len() as u64);
        let file = fs_err::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)?;
        let state = Mutex::new((file, Ok(())));
        let finished = |i: usize, scores: hkfr_lm::Result<CaseScores>| {
            let line = scores.map_err(anyhow::Error::from).and_then(|mut scores| {
                if let Some(posterior) = &posterior {
                    let history = cases[todo[i]].instance.history(lists.dataset);
                    posterior.apply(lists.dataset, &history, &mut scores);
                }
                self.line(todo[i], scores, lists)
            });
            let (file, result) = &mut *state.lock().expect("a worker panicked");
            let written =
                line.and_then(|line| Ok(writeln!(file, "{}", serde_json::to_string(&line)?)?));
            if let Err(e) = written {
                *result = Err(e);
            }
            progress.inc(1);
            result.is_ok() && !session.stop.requested()
        };
        recommend(&ranker, &askers, n_threads(), &finished);
        drop(progress);
        state.into_inner().expect("a worker panicked").1?;
        session.stop.check()?;
        Ok(self.path)
    }

    /// Items by the user vector, categories by their names.
    fn by_title(&self, session: &mut Session, lists: &Lists, popularity: &[f32]) -> Result<Asked> {
        let (variant, tuned) = system(&self.system).context("a system with a language model")?;
        let tune_dir = session.dir("tune");
        let vectors = item_vectors(session, &tune_dir.join(tune::ITEMS))?;
        let head = match (tuned, self.system.as_str()) {
            (true, _) => tune::load_head(&tune_dir, variant, &vectors)?,
            (false, "llm-untuned") => ItemHead::untuned(&vectors),
            // Without tuning there is no learnt item head: the popularity, and the evidence.
            _ => ItemHead::at_popularity(&vectors, popularity),
        };
        let tasks = session.tasks()?.0;
        let names = lists.split.catalogue.categories.iter();
        let names: Vec<String> = names.map(|c| sanitise(c, MAX_NAME).0).collect();
        Ok(Asked {
            items: Items::Head(vectors, head),
            categories: candidates(&names, &*session.model()?)?,
            category_instruction: tasks.instruction("next_category")?,
            item_instruction: tasks.instruction("next_item")?,
        })
    }

    /// What calibrated systems know beside what the model says.
    fn posterior(&self, session: &Session, lists: &Lists) -> Result<Option<Posterior>> {
        let config = &session.config;
        let weight = config.recommend.own_weight;
        if weight == 0.0 || !self.is_calibrated() {
            return Ok(None);
        }
        let of = |task| {
            let settings = config.systems.of(task, "own-frequency");
            own_choices(&settings, lists.entities(task))
        };
        Ok(Some(Posterior {
            categories: of("category")?,
            items: of("item")?,
            weight,
        }))
    }

    /// What is published stays as it is: calibration is part of HKFR here.
    fn is_calibrated(&self) -> bool {
        self.system.starts_with("hkfr")
    }

    fn line(&self, case: usize, scores: CaseScores, lists: &Lists) -> Result<Line> {
        Ok(Line {
            case: lists.split.cases[case].case_id.clone(),
            category: lists.rank("category", case, &scores.categories)?,
            item: lists.rank("item", case, &scores.items)?,
            prompt_tokens: scores.prompt_tokens,
            vector: scores.user_vector,
        })
    }

    /// The run of a task from a finished file.
    pub fn read(path: &Path, system: &str, task: &str, lists: &Lists) -> Result<Run> {
        let mut lines = read_lines(path)?;
        lists.run(system, task, |case| {
            let line = lines
                .get_mut(&lists.split.cases[case].case_id)
                .context("is missing")?;
            Ok(std::mem::take(if task == "item" {
                &mut line.item
            } else {
                &mut line.category
            }))
        })
    }

    /// Writes the user vectors of a finished file as `<system>.features.parquet`.
    pub fn write_features(path: &Path, system: &str, lists: &Lists) -> Result<()> {
        let mut lines = read_lines(path)?;
        let mut rows = Vec::with_capacity(lines.len());
        for case in &lists.split.cases {
            let line = lines
                .remove(&case.case_id)
                .with_context(|| format!("case {} is missing", case.case_id))?;
            rows.push(FeatureRow {
                user_id: lists.dataset.users[case.instance.user as usize].id.clone(),
                as_of: case.instance.as_of,
                case_id: line.case,
                vector: line.vector,
            });
        }
        let path = path.with_file_name(format!("{system}.features.parquet"));
        Ok(write_features(&rows, &path)?)
    }

    /// Removes what only a continuation would need.
    pub fn clean(dir: &Path) -> Result<()> {
        for entry in fs_err::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "partial") {
                fs_err::remove_file(path)?;
            }
        }
        Ok(())
    }
}

/// What is asked about every user, and what may be answered.
struct Asked {
    items: Items,
    categories: Candidates,
    category_instruction: String,
    item_instruction: String,
}

enum Items {
    Head(ItemVectors, ItemHead),
    Names(Candidates),
}

impl Asked {
    fn by_number(numbers: &Numbers, model: &Model) -> Result<Self> {
        let [category, item] = NUMBER_TASKS.map(|(_, instruction)| instruction.to_owned());
        Ok(Self {
            items: Items::Names(candidates(&numbers.items(), model)?),
            categories: candidates(&numbers.categories(), model)?,
            category_instruction: category,
            item_instruction: item,
        })
    }
}

fn candidates(names: &[String], model: &Model) -> Result<Candidates> {
    let names: Vec<Vec<u32>> = names.iter().map(|n| model.tokenizer.encode(n)).collect();
    Ok(Candidates::new(&names, model.chat.end())?)
}

/// From what the ranker says of some training users.
fn calibrate(
    session: &Session,
    ranker: &Ranker,
    texts: &Texts,
    lists: &Lists,
    system: &str,
) -> Result<Calibration> {
    let train = &lists.split.train;
    let n = CALIBRATION_USERS.min(train.len());
    ensure!(
        n > 0,
        "there is no training instance to calibrate on: widen the sample, or rank with \"llm-untuned\""
    );
    let inputs: Vec<String> = (0..n)
        .map(|i| texts.of(&train[i * train.len() / n]))
        .collect::<Result<_>>()?;
    let askers: Vec<Asker> = inputs.iter().map(|input| Asker { input, top: 1 }).collect();
    let label = format!("{system}, calibrating");
    let progress = Progress::new(&label, Unit::Things("users"), Some(n as u64));
    let stop = &session.stop;
    let sample = Mutex::new(Ok(vec![Vec::new(); n]));
    let finished = |i: usize, scores: hkfr_lm::Result<CaseScores>| {
        let sample = &mut *sample.lock().expect("a worker panicked");
        match (scores, &mut *sample) {
            (Ok(scores), Ok(sample)) => sample[i] = scores.categories,
            (Err(e), Ok(_)) => *sample = Err(e),
            (_, Err(_)) => {}
        }
        progress.inc(1);
        sample.is_ok() && !stop.requested()
    };
    recommend(ranker, &askers, n_threads(), &finished);
    drop(progress);
    stop.check()?;
    let categories = lists.entities("category");
    let popularity = Popularity::fit(lists.dataset, lists.split, categories);
    Ok(Calibration::new(
        &sample.into_inner().expect("a worker panicked")?,
        popularity.counts(),
        &lists.split.catalogue.category_of,
        session.config.recommend.evidence_weight,
    ))
}

/// By case. A last line that a stop cut in the middle is dropped from the file, and done again.
fn read_lines(path: &Path) -> Result<HashMap<String, Line>> {
    let text = match fs_err::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(HashMap::new()),
        Err(e) => return Err(e.into()),
    };
    let whole = text.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
    if whole < text.len() {
        crate::atomic::write(path, &text[..whole])?;
    }
    let mut lines = HashMap::new();
    for (n, line) in text[..whole]
        .split(|&b| b == b'\n')
        .filter(|l| !l.is_empty())
        .enumerate()
    {
        let line: Line = serde_json::from_slice(line).with_context(|| {
            format!(
                "{}:{}: damaged; delete the file to rank again",
                path.display(),
                n + 1
            )
        })?;
        lines.insert(line.case.clone(), line);
    }
    Ok(lines)
}
