//! Is what a service answers of any use? Counted over histories, to end a run that pays for nothing.

use super::counts::GateCounts;

/// So many answers, of so many histories, and nothing of use: the next ones will be no better.
const FIRST_ANSWERS: u32 = 20;
const FIRST_HISTORIES: u32 = 10;

/// Histories of which something could be said, and those of which something that stands was said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usefulness {
    pub histories: u32,
    pub useful: u32,
    pub answers: u32,
}

impl Usefulness {
    /// `answers`: how many were read of this history.
    pub fn note(&mut self, counts: &GateCounts, answers: u32) {
        self.answers += answers;
        if let Some(useful) = counts.is_useful() {
            self.histories += 1;
            self.useful += u32::from(useful);
        }
    }

    /// After a first batch without anything of use there is no point in paying for more.
    pub fn is_hopeless(&self) -> bool {
        self.useful == 0 && self.answers >= FIRST_ANSWERS && self.histories >= FIRST_HISTORIES
    }

    /// Whether a smaller share than this was of use.
    pub fn is_below(&self, least: f32) -> bool {
        (self.useful as f32) < least * self.histories as f32
    }
}

impl GateCounts {
    /// Whether a claim or a sentence of the answers stands; `None`: of this history nothing could be said.
    pub fn is_useful(&self) -> Option<bool> {
        let could_be_said = self.unusable || self.facts > 0 || self.made > 0;
        could_be_said.then_some(self.supported > 0 || self.sentences > self.sentences_cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_hopeless_after_a_first_batch_and_not_before() {
        let nothing = GateCounts {
            unusable: true,
            ..GateCounts::default()
        };
        let mut seen = Usefulness::default();
        for n in 1..=10 {
            assert!(!seen.is_hopeless());
            seen.note(&nothing, 2);
            assert_eq!(seen.is_hopeless(), n == 10);
        }
        assert!(seen.is_below(0.1) && !seen.is_below(0.0));
        // A history of which nothing can be said says nothing of the model.
        seen.note(&GateCounts::default(), 1);
        assert_eq!(seen.histories, 10);
        let useful = GateCounts {
            facts: 3,
            supported: 1,
            ..GateCounts::default()
        };
        seen.note(&useful, 1);
        assert!(!seen.is_hopeless() && seen.is_below(0.1));
        seen.note(&useful, 1);
        assert!(!seen.is_below(0.1));
    }
}
