//! What a language model says of users: of the cases, and of users of the window before them, from whom the ranker
//! learns what that is worth. Both tasks come from one prefill, and each user takes a fraction of a second, so
//! that results are appended to a file as they come: a stop loses no more than the users in hand.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result, ensure};
use hkfr_eval::Run;
use hkfr_events::Instance;
use hkfr_events::store::{FeatureRow, write_features};
use hkfr_fuse::sanitise;
use hkfr_lm::{Candidates, Encoder};
use hkfr_rec::baselines::Popularity;
use hkfr_rec::llm::{
    Asker, Calibration, CaseScores, ItemHead, ItemScores, ItemVectors, NUMBER_TASKS, Numbers,
    Ranker, recommend,
};
use hkfr_rec::method::{Expectation, Llm};
use hkfr_rec::rank;
use serde::{Deserialize, Serialize};

use super::histories::WhoIsAsked;
use super::items::{MAX_NAME, item_vectors, popularity, sentence_vectors};
use super::ranked::Lists;
use super::texts::Texts;
use super::tune;
use super::{Model, Session, n_threads};
use crate::progress::{Progress, Unit};

/// Training users whose mean answer calibrates a model.
const CALIBRATION_USERS: usize = 32;

/// A user that is done, one line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    user: String,
    as_of: i64,
    keep_last: Option<u32>,
    /// By category of the catalogue.
    category: Vec<f32>,
    /// The best items by position; all that is left out of a list are among them.
    item: Vec<(u32, f32)>,
    prompt_tokens: usize,
    /// The user vector: what the item head scores, and what other rankers may use.
    vector: Vec<f32>,
}

/// Who was asked, and as-of when.
type Key = (String, i64, Option<u32>);

/// What one language model says.
pub(super) struct Expectations {
    pub llm: Llm,
    path: PathBuf,
}

impl Expectations {
    pub fn open(llm: Llm, dir: &Path) -> Self {
        Self {
            llm,
            path: dir.join(format!("{}.partial", llm.name())),
        }
    }

    /// Asks about those who have no line yet: for lists of the model's own all cases, for the ranker those whom
    /// [`asked`] names.
    pub fn finish(&self, session: &mut Session, lists: &Lists) -> Result<()> {
        let mut done = self.read_lines()?;
        let all = self.to_ask(session, lists);
        let todo: Vec<&Instance> = all
            .iter()
            .filter(|q| done.remove(&key(lists, q)).is_none())
            .collect();
        if todo.is_empty() {
            return Ok(());
        }
        let texts = Texts::open(session, self.llm.input, lists.dataset, lists.split)?;
        let inputs: Vec<String> = todo.iter().map(|q| texts.of(q)).collect::<Result<_>>()?;
        let askers: Vec<Asker> = todo
            .iter()
            .zip(&inputs)
            .map(|(q, input)| Asker {
                input,
                top: lists.depth() + lists.excluded(q).map_or(0, |e| e.len()),
            })
            .collect();
        let model = session.model()?;
        let lora = self
            .llm
            .tuned
            .then(|| tune::load_lora(&session.dir("tune"), self.llm.input, &model))
            .transpose()?;
        let asked = match texts.numbers() {
            Some(numbers) => Asked::by_number(numbers, &model)?,
            None => self.by_title(session, lists)?,
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
        let ranks_categories = session
            .config
            .recommend
            .tasks
            .iter()
            .any(|t| t == "category");
        if self.llm.is_calibrated() || ranks_categories {
            ranker.categories = Some((&asked.categories, &asked.category_instruction));
        }
        if self.llm.is_calibrated() {
            ranker.calibration = Some(self.calibrate(session, &ranker, &texts, lists)?);
        }
        let name = self.llm.name();
        let progress = Progress::new(&name, Unit::Things("users"), Some(all.len() as u64));
        progress.skip((all.len() - todo.len()) as u64);
        let file = fs_err::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)?;
        let state = Mutex::new((file, Ok(())));
        let finished = |i: usize, scores: hkfr_lm::Result<CaseScores>| {
            let top = askers[i].top;
            let line = scores
                .map_err(anyhow::Error::from)
                .and_then(|scores| line(key(lists, todo[i]), scores, top));
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
        Ok(session.stop.check()?)
    }

    fn to_ask(&self, session: &Session, lists: &Lists) -> Vec<Instance> {
        let mut all = Vec::new();
        let asks = WhoIsAsked::of(&session.config, |llm| llm == self.llm);
        asks.append(lists.dataset, lists.split, &mut all);
        all
    }

    /// Items by the user vector, categories by their names.
    fn by_title(&self, session: &mut Session, lists: &Lists) -> Result<Asked> {
        let (vectors, head) = self.head(session, lists)?;
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

    fn head(&self, session: &mut Session, lists: &Lists) -> Result<(ItemVectors, ItemHead)> {
        let tune_dir = session.dir("tune");
        let vectors = item_vectors(session, &tune_dir.join(tune::ITEMS))?;
        let head = if self.llm.tuned {
            tune::load_head(&tune_dir, self.llm.input, &vectors)?
        } else if self.llm.is_calibrated() {
            // Without tuning there is no learnt item head: the popularity, and the evidence.
            ItemHead::at_popularity(&vectors, &popularity(lists.dataset, lists.split))
        } else {
            ItemHead::untuned(&vectors)
        };
        Ok((vectors, head))
    }

    /// From what the ranker says of some training users.
    fn calibrate(
        &self,
        session: &Session,
        ranker: &Ranker,
        texts: &Texts,
        lists: &Lists,
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
        let label = format!("{}, calibrating", self.llm.name());
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

    /// The run of the model's own lists.
    pub fn run(&self, system: &str, task: &str, lists: &Lists) -> Result<Run> {
        let lines = self.read_lines()?;
        let items = lists.entities("item").n();
        lists.run(system, task, |case| {
            let line = lines
                .get(&key(lists, &lists.split.cases[case].instance))
                .context("is missing")?;
            if task == "category" {
                return lists.rank(task, case, &line.category);
            }
            // What is not among the best is below all of them.
            let mut scores = vec![f32::NEG_INFINITY; items];
            line.item.iter().for_each(|&(e, s)| scores[e as usize] = s);
            let mut list = lists.rank(task, case, &scores)?;
            list.retain(|r| r.1 > f32::NEG_INFINITY);
            Ok(list)
        })
    }

    /// As features of the ranker.
    pub fn features(&self, session: &mut Session, lists: &Lists) -> Result<Vec<Expectation>> {
        let lines = self.read_lines()?;
        let asked = self.to_ask(session, lists);
        let (vectors, head) = self.head(session, lists)?;
        let texts = Texts::open(session, self.llm.input, lists.dataset, lists.split)?;
        let encoder =
            Encoder::open_with(&session.encoder_path()?, session.config.models.precision)?;
        let items = sentence_vectors(&session.dir("tune").join(tune::ITEMS))?;
        let items = Centred::new(&items, encoder.width());
        let mut all = Vec::with_capacity(asked.len());
        for asked in asked.chunks(64) {
            session.stop.check()?;
            let known: Vec<(String, Vec<String>)> =
                asked.iter().map(|q| texts.told(q)).collect::<Result<_>>()?;
            let refs: Vec<&str> = known.iter().map(|k| k.0.as_str()).collect();
            let knowledge = encoder.embed(&refs, n_threads())?;
            let knowledge = knowledge.chunks_exact(encoder.width());
            for ((question, knowledge), (_, claims)) in asked.iter().zip(knowledge).zip(known) {
                let line = lines
                    .get(&key(lists, question))
                    .context("a user is missing")?;
                all.push(Expectation {
                    user_id: line.user.clone(),
                    as_of: line.as_of,
                    n_events: question.history(lists.dataset).events().len(),
                    categories: line.category.clone(),
                    items: head.scores(&vectors, &line.vector),
                    knowledge: items.cosines(knowledge),
                    claims,
                });
            }
        }
        Ok(all)
    }

    /// The user vectors of all that were asked, by (user, as-of, cut of the history).
    pub fn vectors(&self) -> Result<HashMap<Key, Vec<f32>>> {
        let lines = self.read_lines()?.into_iter();
        Ok(lines.map(|(key, line)| (key, line.vector)).collect())
    }

    /// Writes the user vectors of the cases as `<system>.features.parquet`.
    pub fn write_features(&self, system: &str, lists: &Lists) -> Result<()> {
        let mut lines = self.read_lines()?;
        let mut rows = Vec::with_capacity(lines.len());
        for case in &lists.split.cases {
            // The ranker asks about some of them.
            let Some(line) = lines.remove(&key(lists, &case.instance)) else {
                continue;
            };
            rows.push(FeatureRow {
                user_id: line.user,
                as_of: case.instance.as_of,
                case_id: case.case_id.clone(),
                vector: line.vector,
            });
        }
        let path = self
            .path
            .with_file_name(format!("{system}.features.parquet"));
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

    /// By user and time. A last line that a stop cut in the middle is dropped from the file, and done again.
    fn read_lines(&self) -> Result<HashMap<Key, Line>> {
        let text = match fs_err::read(&self.path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(HashMap::new()),
            Err(e) => return Err(e.into()),
        };
        let whole = text.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        if whole < text.len() {
            crate::atomic::write(&self.path, &text[..whole])?;
        }
        let mut lines = HashMap::new();
        for (n, line) in text[..whole]
            .split(|&b| b == b'\n')
            .filter(|l| !l.is_empty())
            .enumerate()
        {
            let line: Line = serde_json::from_slice(line).with_context(|| {
                let path = self.path.display();
                format!("{path}:{}: damaged; delete the file to rank again", n + 1)
            })?;
            lines.insert((line.user.clone(), line.as_of, line.keep_last), line);
        }
        Ok(lines)
    }
}

fn key(lists: &Lists, question: &Instance) -> Key {
    let user = &lists.dataset.users[question.user as usize].id;
    (user.clone(), question.as_of.seconds(), question.keep_last)
}

fn line((user, as_of, keep_last): Key, scores: CaseScores, top: usize) -> Result<Line> {
    Ok(Line {
        item: rank(&scores.items, top, &user, 0, None)?,
        user,
        as_of,
        keep_last,
        category: scores.categories,
        prompt_tokens: scores.prompt_tokens,
        vector: scores.user_vector,
    })
}

/// Vectors about their mean: what all items share says nothing of one.
struct Centred {
    mean: Vec<f32>,
    /// (items, width), of length 1.
    rows: Vec<f32>,
}

impl Centred {
    fn new(rows: &[f32], width: usize) -> Self {
        let n = (rows.len() / width).max(1) as f32;
        let mut mean = vec![0.0; width];
        for row in rows.chunks_exact(width) {
            mean.iter_mut().zip(row).for_each(|(m, x)| *m += x / n);
        }
        let mut rows = rows.to_vec();
        rows.chunks_exact_mut(width)
            .for_each(|row| centre(row, &mean));
        Self { mean, rows }
    }

    fn cosines(&self, vector: &[f32]) -> Vec<f32> {
        let mut vector = vector.to_vec();
        centre(&mut vector, &self.mean);
        let rows = self.rows.chunks_exact(vector.len());
        rows.map(|row| row.iter().zip(&vector).map(|(a, b)| a * b).sum())
            .collect()
    }
}

fn centre(row: &mut [f32], mean: &[f32]) {
    row.iter_mut().zip(mean).for_each(|(x, m)| *x -= m);
    let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-9);
    row.iter_mut().for_each(|x| *x /= norm);
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
