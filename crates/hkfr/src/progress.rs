//! Progress of long work: a bar with rate and estimate on a terminal, plain lines elsewhere.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressStyle};

use crate::terminal::stderr_redraws;

/// A log file or a CI page wants few lines: at most one in this time.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Counts units of work; share it by reference between threads.
pub struct Progress {
    label: String,
    unit: Unit,
    total: Option<u64>,
    done: AtomicU64,
    /// Done already when this process began: a resumed stage must not count it into its rate.
    skipped: AtomicU64,
    started: Instant,
    bar: Option<ProgressBar>,
    last_line: Mutex<Instant>,
    note: Mutex<String>,
}

#[derive(Debug, Clone)]
pub enum Unit {
    Bytes,
    /// Waiting for another program: only time can be told.
    Seconds,
    /// Plural: `rows`, `users`, `steps`.
    Things(&'static str),
    /// Plural, of which one takes a second and another an hour: `runs`. No rate and no estimate, which would be false.
    Unequal(&'static str),
}

impl Progress {
    /// `total: None` where the end is not known: a count and a rate, no estimate.
    pub fn new(label: &str, unit: Unit, total: Option<u64>) -> Self {
        let bar = stderr_redraws().then(|| terminal_bar(label, &unit, total));
        if bar.is_none() {
            eprintln!("  {label} …");
        }
        Self {
            label: label.to_owned(),
            unit,
            total,
            done: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            started: Instant::now(),
            bar,
            last_line: Mutex::new(Instant::now()),
            note: Mutex::default(),
        }
    }

    pub fn inc(&self, n: u64) {
        self.done.fetch_add(n, Ordering::Relaxed);
        self.show();
    }

    /// Work that an earlier process did.
    pub fn skip(&self, n: u64) {
        self.skipped.fetch_add(n, Ordering::Relaxed);
        self.inc(n);
        if let Some(bar) = &self.bar {
            bar.reset_eta();
        }
    }

    /// The absolute position, for work that reports it so.
    pub fn set(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
        self.show();
    }

    /// A word beside the bar, or at the end of a line, such as the current loss.
    pub fn note(&self, text: impl Into<String>) {
        match &self.bar {
            Some(bar) => bar.set_message(text.into()),
            None => {
                *self.note.lock().expect("no panic under the lock") = text.into();
                self.show();
            }
        }
    }

    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    fn show(&self) {
        if let Some(bar) = &self.bar {
            bar.set_position(self.done());
            return;
        }
        let Ok(mut last) = self.last_line.try_lock() else {
            return;
        };
        if last.elapsed() >= LINE_EVERY {
            *last = Instant::now();
            eprintln!("  {}: {}", self.label, self.line());
        }
    }

    /// `1,200/5,000 users (24%), 30/s, 2 minutes left`
    pub fn line(&self) -> String {
        if let Unit::Seconds = self.unit {
            return format!("{} s", self.started.elapsed().as_secs());
        }
        let done = self.done();
        let fresh = done.saturating_sub(self.skipped.load(Ordering::Relaxed));
        let rate = fresh as f64 / self.started.elapsed().as_secs_f64().max(1e-3);
        let count = |n: u64| match self.unit {
            Unit::Bytes => HumanBytes(n).to_string(),
            Unit::Things(_) | Unit::Unequal(_) | Unit::Seconds => HumanCount(n).to_string(),
        };
        let name = match self.unit {
            Unit::Bytes | Unit::Seconds => "",
            Unit::Things(name) | Unit::Unequal(name) => name,
        };
        let per_second = match self.unit {
            Unit::Bytes => format!("{}/s", HumanBytes(rate as u64)),
            Unit::Things(_) | Unit::Unequal(_) | Unit::Seconds => format!("{rate:.1}/s"),
        };
        let note = match &*self.note.lock().expect("no panic under the lock") {
            note if note.is_empty() => String::new(),
            note => format!(" · {note}"),
        };
        match self.total.filter(|&t| t > 0) {
            total if matches!(self.unit, Unit::Unequal(_)) => {
                let of = total.map_or(String::new(), |total| format!("/{}", count(total)));
                format!("{}{of} {name}{note}", count(done))
            }
            Some(total) => {
                let left = match (total.saturating_sub(done) as f64 / rate).is_finite() {
                    true => HumanDuration(Duration::from_secs_f64(
                        total.saturating_sub(done) as f64 / rate,
                    ))
                    .to_string(),
                    false => "?".into(),
                };
                format!(
                    "{}/{} {name} ({:.0}%), {per_second}, {left} left{note}",
                    count(done),
                    count(total),
                    100.0 * done as f64 / total as f64
                )
            }
            None => format!("{} {name}, {per_second}{note}", count(done)),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        match &self.bar {
            Some(bar) => bar.finish_and_clear(),
            None if self.done() > 0 => eprintln!("  {}: {}", self.label, self.line()),
            None => {}
        }
    }
}

fn terminal_bar(label: &str, unit: &Unit, total: Option<u64>) -> ProgressBar {
    let (position, rate) = match unit {
        Unit::Bytes => ("{bytes}/{total_bytes}", "{bytes_per_sec}"),
        Unit::Things(_) | Unit::Unequal(_) | Unit::Seconds => {
            ("{human_pos}/{human_len}", "{per_sec:.1}")
        }
    };
    let bar = match total {
        _ if matches!(unit, Unit::Seconds) => {
            ProgressBar::new_spinner().with_style(style("  {prefix} {spinner} {elapsed}"))
        }
        Some(total) if matches!(unit, Unit::Unequal(_)) => {
            ProgressBar::new(total).with_style(style(&format!(
                "  {{prefix:24!}} [{{bar:28}}] {position} {{elapsed}} {{msg}}"
            )))
        }
        Some(total) => ProgressBar::new(total).with_style(style(&format!(
            "  {{prefix:24!}} [{{bar:28}}] {position} {rate} ETA {{eta}} {{msg}}"
        ))),
        None => ProgressBar::new_spinner().with_style(style(
            "  {prefix:24!} {spinner} {human_pos} {per_sec:.1} {elapsed} {msg}",
        )),
    };
    bar.enable_steady_tick(Duration::from_millis(250));
    bar.with_prefix(label.to_owned())
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
