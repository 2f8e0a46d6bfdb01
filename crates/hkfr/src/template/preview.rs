//! `hkfr template preview`: what a config's templates write about one person, without asking a model.
//!
//! In: the data set and the split of a run, a person, a time. Out: behaviour text, fusion prompt, knowledge
//! (as if the model had no preference), raw text and instruction rows, each with its length.

use anyhow::{Result, ensure};
use hkfr_events::{AsOf, Dataset, Instance, Split, UserIdx};
use hkfr_fuse::{
    CutCounts, FusionMode, TemplateSet, Wording, assemble, candidate_statements, raw_text,
};
use hkfr_lm::Tokenizer;
use hkfr_rec::tasks::{ItemSampler, Next, RowsConfig, TaskSet};

use crate::config::{Config, model_path};
use crate::fetch::{self, Cache, State};
use crate::show::{date, heading, person, plain_text};
use crate::stages::{SPLIT_FILE, facts_config, fusion, open_tokenizer};

/// `as_of` in local seconds; absent: that of the person's case, else of the last order.
///
/// # Errors
/// No data set or split yet, an unknown person, or a mistake in the templates.
pub fn preview(config: &Config, id: &str, as_of: Option<i64>, cache: &Cache) -> Result<String> {
    let (ds, user) = person(config, id)?;
    let path = config.run_dir().join("split").join(SPLIT_FILE);
    ensure!(
        path.exists(),
        "{} holds no split yet, which says what may be asked about: `hkfr split CONFIG` comes first",
        config.run_dir().display()
    );
    let split = Split::load(&path)?;
    let (set, dir) = (
        &config.fusion.templates,
        config.fusion.template_dir.as_deref(),
    );
    let (templates, tasks) = (TemplateSet::load(set, dir)?, TaskSet::load(set, dir)?);
    let counter = Counter::at_hand(config, cache)?;
    let count = |text: &str| counter.count(text);
    let instance = instance(&ds, &split, user, as_of);
    let history = instance.history(&ds);

    let facts = facts_config(config);
    let wording = Wording::new(&ds, &templates);
    let fusion = fusion(config, &wording, &facts, &count);
    let budget = fusion.knowledge_tokens;
    let (facts, behaviour, prompt) = fusion.prompt(&history)?;
    let statements = candidate_statements(&facts, &templates)?;
    let scores = vec![0.0; statements.len()];
    let (knowledge, _, n_cut) = assemble(&facts, &statements, &scores, &templates, budget, &count)?;
    let raw = raw_text(&wording, &history, &facts, budget, &count)?;

    let unit = counter.unit();
    let mut text = format!(
        "{} {id}, as of {}: {} events before\n",
        ds.info.user_noun,
        date(instance.as_of.seconds()),
        history.events().len()
    );
    text += &format!("template set {set}");
    text += &match dir {
        Some(dir) => format!(" with {}\n", dir.display()),
        None => "\n".into(),
    };
    text += &format!("lengths in {}\n", counter.said());
    let mut section = |title: &str, written: &str, note: String| {
        text += &heading(&format!("{title}, {} {unit}{note}", count(written)));
        for line in written.lines() {
            text += &format!("{}\n", plain_text(line));
        }
    };
    section("Behaviour text", &behaviour.text, cut(behaviour.cut));
    section("Fusion prompt", &prompt, String::new());
    if config.fusion.mode == FusionMode::Service {
        let request = fusion.request(&history, &config.fusion.claims(), 0)?;
        let asked = request.messages.iter().map(|m| m.content.as_str());
        let asked = asked.collect::<Vec<_>>().join("\n");
        section("What the service is asked", &asked, String::new());
    }
    let cut_statements = match n_cut {
        0 => String::new(),
        n => format!("; {n} statements cut"),
    };
    section(
        "Knowledge, had the model no preference",
        &knowledge,
        cut_statements,
    );
    section("Raw text", &raw.text, cut(raw.cut));
    text += &rows(config, &ds, &split, &tasks, &instance, &counter)?;
    Ok(text)
}

/// The question that would be asked of a person at a time. Its targets are of the first order from then on.
fn instance(ds: &Dataset, split: &Split, user: UserIdx, as_of: Option<i64>) -> Instance {
    let events = ds.history(user, AsOf::new(i64::MAX)).events();
    let of_case = || {
        let mut cases = split.cases.iter().map(|c| &c.instance);
        let case = cases.find(|i| i.user == user && i.keep_last.is_none());
        case.map(|i| i.as_of.seconds())
    };
    let last_order = || events.iter().rev().find(|e| ds.is_target(e)).map(|e| e.ts);
    let end = || events.last().map_or(0, |e| e.ts + 1);
    let as_of = as_of
        .or_else(of_case)
        .or_else(last_order)
        .unwrap_or_else(end);
    let mut order = events
        .iter()
        .filter(|e| ds.is_target(e) && e.ts >= as_of)
        .peekable();
    let first = order.peek().copied();
    let target_ts = first.map_or(as_of, |e| e.ts);
    Instance {
        user,
        as_of: AsOf::new(as_of),
        keep_last: None,
        targets: order
            .take_while(|e| e.ts == target_ts)
            .filter_map(|e| e.item)
            .collect(),
        target_ts,
        target_scenario: first.map_or_else(String::new, |e| ds.kind(e).scenario.clone()),
    }
}

fn cut(cut: CutCounts) -> String {
    let mut text = String::new();
    for (n, what) in [
        (cut.events_not_written, "events not written out"),
        (cut.names_a_list, "names cut from the longest list"),
        (cut.chars, "characters cut at the end"),
    ] {
        if n > 0 {
            text += &format!("; {n} {what}");
        }
    }
    text
}

fn rows(
    config: &Config,
    ds: &Dataset,
    split: &Split,
    tasks: &TaskSet,
    instance: &Instance,
    counter: &Counter,
) -> Result<String> {
    if instance.targets.is_empty() {
        return Ok("\nNo order from then on: instruction rows would have no answer.\n".into());
    }
    let asked = RowsConfig {
        others: None,
        // The first, which is the one that is served.
        wordings: 1,
        ..config.instructions.rows()
    };
    let sampler = ItemSampler::new(ds, split);
    // Nothing is taught here: what came next may be of any time.
    let next = Next::of(ds, instance, AsOf::new(i64::MAX))?;
    let (rows, skipped) = tasks.rows(&next, &sampler, "", &asked, config.seed)?;
    let mut text = heading(&format!(
        "Instruction rows about the order of {}; their input is the knowledge",
        date(instance.target_ts)
    ));
    for row in rows {
        let n = counter.count(&row.instruction) + counter.count(&row.output);
        let (asked, answer) = (plain_text(&row.instruction), plain_text(&row.output));
        let unit = counter.unit();
        text += &format!("{} ({n} {unit}): {asked} → {answer}\n", row.task);
    }
    if skipped > 0 {
        text += &format!("{skipped} tasks have no answer here (no category, no price, …)\n");
    }
    Ok(text)
}

/// What lengths are counted in.
enum Counter {
    Tokens(Box<Tokenizer>, String),
    /// With the model that is not at hand.
    Words(String),
}

impl Counter {
    /// The tokenizer of the config's model, if it need not be fetched.
    fn at_hand(config: &Config, cache: &Cache) -> Result<Self> {
        let name = &config.models.llm;
        let path = match model_path(name) {
            Some(path) => Some(path.to_owned()).filter(|p| p.exists()),
            None => {
                let assets = fetch::assets()?;
                let asset = fetch::find(&assets, name)?;
                let gguf = asset.files.iter().find(|f| f.name.ends_with(".gguf"));
                let tokenizer = asset.files.iter().find(|f| f.name == "tokenizer.json");
                match gguf.or(tokenizer) {
                    Some(file) if cache.state(asset, file, false)? == State::Good => {
                        Some(cache.path(asset, file))
                    }
                    _ => None,
                }
            }
        };
        let Some(path) = path else {
            return Ok(Self::Words(name.clone()));
        };
        let tokenizer = open_tokenizer(&path)?;
        Ok(Self::Tokens(Box::new(tokenizer), name.clone()))
    }

    fn count(&self, text: &str) -> usize {
        match self {
            Self::Tokens(tokenizer, _) => tokenizer.count(text),
            Self::Words(_) => text.split_whitespace().count(),
        }
    }

    fn unit(&self) -> &'static str {
        match self {
            Self::Tokens(..) => "tokens",
            Self::Words(_) => "words",
        }
    }

    fn said(&self) -> String {
        match self {
            Self::Tokens(_, model) => format!("tokens of {model}"),
            Self::Words(model) => format!(
                "words, and so are the budgets: {model} is not at hand (`hkfr fetch` obtains it)"
            ),
        }
    }
}
