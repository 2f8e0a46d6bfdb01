//! How far a fit is: the epoch, what validation says, and when it ends.
//!
//! Early stopping leaves the end open: what is said is when it ends if validation stops improving, and when at the
//! latest.

use std::fmt;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use hkfr_rec::systems::Progress as Fit;
use indicatif::{HumanCount, HumanDuration};

use crate::progress::Progress;
use crate::stop::Stop;

/// What a fit has said so far.
#[derive(Debug, Clone, PartialEq)]
pub struct FitState {
    /// Who learns, and for what.
    pub system: String,
    pub task: String,
    /// Epochs done.
    pub epoch: usize,
    pub max_epochs: usize,
    /// Mean loss of the last epoch.
    pub loss: f64,
    pub validated: Option<Validated>,
    /// Of a ranker that has fitted its sources: trees, and the most of them.
    pub trees: Option<(usize, usize)>,
    /// Since the first epoch began.
    pub elapsed: Duration,
}

/// NDCG@10 on held-out choices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Validated {
    pub last: f64,
    pub best: f64,
    pub best_epoch: usize,
    /// The last epoch, if no validation is better.
    pub ends: usize,
}

impl FitState {
    pub fn new(system: &str, task: &str) -> Self {
        Self {
            system: system.to_owned(),
            task: task.to_owned(),
            epoch: 0,
            max_epochs: 0,
            loss: f64::NAN,
            validated: None,
            trees: None,
            elapsed: Duration::ZERO,
        }
    }

    /// Takes in what a fit says; true if it began anew, as one that learns a second time from everything.
    pub fn hear(&mut self, at: Fit, elapsed: Duration) -> bool {
        let begun_anew = match at {
            Fit::Trained {
                epoch,
                max_epochs,
                loss,
            } => {
                let anew = epoch <= self.epoch;
                if anew {
                    self.validated = None;
                }
                (self.epoch, self.max_epochs, self.loss) = (epoch, max_epochs, loss);
                self.trees = None;
                anew
            }
            Fit::Validated {
                accuracy,
                best,
                best_epoch,
                ends,
                ..
            } => {
                self.validated = Some(Validated {
                    last: accuracy.ndcg_at_10,
                    best,
                    best_epoch,
                    ends,
                });
                false
            }
            Fit::Grown { trees, max_trees } => {
                self.trees = Some((trees, max_trees));
                false
            }
        };
        self.elapsed = elapsed;
        begun_anew
    }

    /// Time until an epoch, at the pace so far.
    fn left(&self, until: usize) -> HumanDuration {
        let an_epoch = self.elapsed.as_secs_f64() / self.epoch.max(1) as f64;
        let epochs = until.saturating_sub(self.epoch) as f64;
        HumanDuration(Duration::from_secs_f64(an_epoch * epochs))
    }
}

/// `sasrec, item: epoch 34 of at most 200, validation NDCG@10 .0521 (best .0533, epoch 28), ends in 40 seconds unless
/// it improves, at most 4 minutes left`
impl fmt::Display for FitState {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if let Some((trees, most)) = self.trees {
            let (system, task) = (&self.system, &self.task);
            return write!(f, "{system}, {task}: tree {trees} of at most {most}");
        }
        let (epoch, most) = (
            HumanCount(self.epoch as u64),
            HumanCount(self.max_epochs as u64),
        );
        write!(
            f,
            "{}, {}: epoch {epoch} of at most {most}, ",
            self.system, self.task
        )?;
        let latest = self.left(self.max_epochs);
        match self.validated {
            None => write!(f, "loss {:.3}, at most {latest} left", self.loss),
            Some(v) => {
                write!(
                    f,
                    "validation NDCG@10 {:.4} (best {:.4}, epoch {}), ",
                    v.last, v.best, v.best_epoch
                )?;
                if v.ends < self.max_epochs {
                    write!(f, "ends in {} unless it improves, ", self.left(v.ends))?;
                }
                write!(f, "at most {latest} left")
            }
        }
    }
}

/// Shows how far a fit is, and ends it if somebody asks.
pub struct FitWatch<'a> {
    progress: &'a Progress,
    stop: &'a Stop,
    state: FitState,
    began: Instant,
}

impl<'a> FitWatch<'a> {
    pub fn new(progress: &'a Progress, stop: &'a Stop, system: &str, task: &str) -> Self {
        Self {
            progress,
            stop,
            state: FitState::new(system, task),
            began: Instant::now(),
        }
    }

    pub fn hear(&mut self, at: Fit) -> ControlFlow<()> {
        if self.state.hear(at, self.began.elapsed()) {
            self.began = Instant::now();
        }
        self.progress.note(self.state.to_string());
        match self.stop.check() {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    /// Epochs done.
    pub fn epochs(&self) -> usize {
        self.state.epoch
    }
}
