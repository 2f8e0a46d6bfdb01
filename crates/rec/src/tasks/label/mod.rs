//! The true answer of a task, and what its instruction names. A file a group of tasks.

mod asked;
mod chosen;
mod order;
mod shown;

use hkfr_events::ItemIdx;
use hkfr_fuse::{Words, price_band, sanitise};
use rand::Rng;
use rand::seq::SliceRandom;

use super::{ItemSampler, Next};

/// Characters that a title or a category may have.
const MAX_NAME: usize = 80;

#[derive(Debug, PartialEq)]
pub(super) struct Labelled {
    /// What the instruction names, in the order of [`super::named`].
    pub names: Vec<String>,
    pub output: String,
}

/// What answers are made of.
pub(super) struct Ask<'a> {
    pub next: &'a Next<'a>,
    pub sampler: &'a ItemSampler,
    pub words: &'a Words,
}

impl Ask<'_> {
    fn title(&self, item: ItemIdx) -> Option<String> {
        clean(&self.next.dataset().title(item))
    }

    fn category(&self, item: ItemIdx) -> Option<String> {
        self.next.dataset().category(item).and_then(clean)
    }

    fn price_band(&self, item: ItemIdx) -> Option<String> {
        let price = self.next.dataset().items[item as usize].price?;
        Some(self.words.say(price_band(price)).to_owned())
    }

    /// One of the program's own words as an answer.
    fn say(&self, word: &str) -> Labelled {
        answer(self.words.say(word).to_owned())
    }

    fn yes_or_no(&self, yes: bool, names: Vec<String>) -> Labelled {
        Labelled {
            names,
            ..self.say(if yes { "yes" } else { "no" })
        }
    }
}

fn clean(text: &str) -> Option<String> {
    Some(sanitise(text, MAX_NAME).0).filter(|t| !t.is_empty())
}

fn answer(output: String) -> Labelled {
    Labelled {
        names: Vec::new(),
        output,
    }
}

/// At most `wanted` distinct answers of the next order, in the words of the template set. None where the
/// data do not know any (no category, no price, no other item).
pub(super) fn labels(task: &str, ask: &Ask, wanted: usize, rng: &mut impl Rng) -> Vec<Labelled> {
    let mut targets = ask.next.instance().targets.clone();
    targets.shuffle(rng);
    let mut labels: Vec<Labelled> = Vec::new();
    for target in targets {
        let label = match task {
            "next_category" | "next_item" | "next_department" | "next_brand" | "price_band"
            | "repeat_or_new" | "repeat_item" | "describe_item" | "category_of_item" => {
                chosen::label(task, ask, target, rng)
            }
            "yes_no" | "category_yes_no" | "which_of_two" => asked::label(task, ask, target, rng),
            "next_click" | "click_yes_no" | "rating" => shown::label(task, ask, rng),
            _ => order::label(task, ask),
        };
        labels.extend(label.filter(|l| !labels.contains(l)));
        if labels.len() == wanted || !is_of_a_target(task) {
            break;
        }
    }
    labels
}

/// Whether another target of the order may have an answer where one has none.
fn is_of_a_target(task: &str) -> bool {
    matches!(
        task,
        "next_category"
            | "next_item"
            | "next_department"
            | "next_brand"
            | "price_band"
            | "repeat_item"
            | "yes_no"
            | "category_yes_no"
            | "which_of_two"
    )
}
