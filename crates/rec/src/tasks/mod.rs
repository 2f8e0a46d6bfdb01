//! Instruction tasks: a training instance becomes rows (instruction, input, output).
//!
//! The input is what is known of the user as-of the instance (knowledge or behaviour text, given
//! by the caller). The output is what the user did next, as in HKFR. What came next is seen through
//! [`Next`], which ends where training ends.
//!
//! | task | asks for | answer |
//! |---|---|---|
//! | `next_category`, `next_item` | the next order; these two rank | category, title of a target |
//! | `next_department`, `next_brand` | the next order | a target's coarsest category, its attribute `brand` |
//! | `next_place` | the next order | where it happened: store, merchant, city |
//! | `price_band` | the next order | [`hkfr_fuse::price_band`] of a target |
//! | `spend_band` | the next order | catalogue prices of its items together: `under 5`, `5 to 10`, `10 to 20`, `20 to 50`, `over 50` |
//! | `basket_size` | the next order | distinct items: `1`, `2 to 4`, `5 to 9`, `10 or more` |
//! | `weekday`, `time_of_day`, `scenario` | the next order | when and in what setting it happened |
//! | `order_gap` | the next two orders | calendar days between them: `the same day`, `1 day`, `2 to 3 days`, `4 to 7 days`, `8 to 14 days`, `over 14 days` |
//! | `repeat_or_new` | the next order | `repeat` if a target is in the history that the row is about |
//! | `repeat_item` | the next order | title of a target that is in the history |
//! | `new_category` | the next order | `yes` if it has a category that is not in the history |
//! | `category_yes_no` | a category | `yes`: it is of a target; `no`: another, drawn by popularity. One half each |
//! | `yes_no` | an item | `yes`: it is a target; `no`: another, drawn by popularity. One half each |
//! | `which_of_two` | two items in random order | the one that is a target; the other is drawn by popularity |
//! | `next_click` | the next click | title of what is clicked, a merchant for instance |
//! | `click_yes_no` | a thing shown on the next visit | `yes` if something is done with it within half an hour. One half each |
//! | `promotion` | the next order | `yes` if a coupon or discount is used, where the log tells |
//! | `rating` | the next rating | what is given |
//! | `describe_item` | an item drawn by popularity | category and price band |
//! | `category_of_item` | an item drawn by popularity | its category |
//!
//! The first 22 are about what the user does next. The last two are about the catalogue; they teach what its
//! titles stand for. A task that the data have no answer for is left out and counted, never made up.
//!
//! `order_gap` begins at the next order because a training row's as-of is the time of that order: behaviour text
//! tells how long ago the last one was, and would give the days up to the next away. For the same reason `weekday`
//! can be computed from a text that dates visits both by days ago and by weekday, as the raw behaviour text does.
//!
//! Answers are said in the words of the template set ([`hkfr_fuse::Words`]): `是` for `yes` in a Chinese one.
//!
//! Where an order has several targets, the answer comes from one of them, drawn with a seed: over
//! many rows the answers are distributed as the orders are. `next_category` and `next_item` may have
//! several rows, one a distinct answer. [`curate`] then drops what is twice, too long or too common.

mod builtin;
mod curate;
mod formats;
mod jsonl;
mod label;
mod next;
mod report;
mod sampler;
mod set;
mod wordings;

use hkfr_events::{Dataset, Instance};
use serde::{Deserialize, Serialize};

pub use curate::{Candidate, CurateConfig, Dropped, curate};
pub use formats::{axolotl, dataset_info};
pub use jsonl::{
    read_alpaca, read_messages, read_sharegpt, write_alpaca, write_messages, write_sharegpt,
};
pub use next::{Guard, Next};
pub use report::{Lengths, Report, TaskReport};
pub use sampler::ItemSampler;
pub use set::{RowsConfig, TaskSet};

use crate::scores::hash;

/// All tasks, in the order in which they are listed to people.
pub const TASKS: [&str; 24] = [
    "next_category",
    "next_item",
    "next_department",
    "next_brand",
    "next_place",
    "price_band",
    "spend_band",
    "basket_size",
    "weekday",
    "time_of_day",
    "order_gap",
    "scenario",
    "repeat_or_new",
    "repeat_item",
    "new_category",
    "category_yes_no",
    "yes_no",
    "which_of_two",
    "next_click",
    "click_yes_no",
    "promotion",
    "rating",
    "describe_item",
    "category_of_item",
];

/// The tasks that rank: asked of every instance, and with as many rows as there are answers. Their first
/// wording is the one that is served.
pub const LABEL_TASKS: [&str; 2] = ["next_category", "next_item"];

/// The tasks whose instruction names something; the others' instructions are constant in a set.
pub const ITEM_TASKS: [&str; 6] = [
    "category_yes_no",
    "yes_no",
    "which_of_two",
    "click_yes_no",
    "describe_item",
    "category_of_item",
];

/// What the instruction of a task must name, by the variables of its template.
fn named(task: &str) -> &'static [&'static str] {
    match task {
        "category_yes_no" => &["name"],
        "which_of_two" => &["title", "other"],
        t if ITEM_TASKS.contains(&t) => &["title"],
        _ => &[],
    }
}

/// One row of instruction tuning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstructionRow {
    /// Unique: `<user>@<as_of>[#<keep_last>]/<task>[#<row>]`, rows of a task counted from 2.
    pub id: String,
    pub task: String,
    pub user: String,
    /// Seconds (local): nothing at or after it is in `input`, nor in `instruction` but for what is asked about.
    pub as_of: i64,
    /// The input was made of the last n target events only (simulated cold start).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_last: Option<u32>,
    pub instruction: String,
    pub input: String,
    pub output: String,
}

/// What is asked about an instance, and the true answer: a row without its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub task: &'static str,
    /// Row of this task about this instance, from 0.
    pub n: usize,
    /// Wording of the task, from 0.
    pub wording: usize,
    pub instruction: String,
    pub output: String,
}

impl Answer {
    fn id(&self, ds: &Dataset, instance: &Instance) -> String {
        let mut id = row_id(ds, instance, self.task);
        if self.n > 0 {
            id += &format!("#{}", self.n + 1);
        }
        id
    }

    /// `input` must have been made from `instance.history()`.
    pub fn row(&self, ds: &Dataset, instance: &Instance, input: &str) -> InstructionRow {
        InstructionRow {
            id: self.id(ds, instance),
            task: self.task.to_owned(),
            user: ds.users[instance.user as usize].id.clone(),
            as_of: instance.as_of.seconds(),
            keep_last: instance.keep_last,
            instruction: self.instruction.clone(),
            input: input.to_owned(),
            output: self.output.clone(),
        }
    }
}

/// What the rows of a task about an instance have in common before their number.
fn row_id(ds: &Dataset, instance: &Instance, task: &str) -> String {
    let keep_last = instance.keep_last.map(|n| format!("#{n}"));
    format!(
        "{}@{}{}/{task}",
        ds.users[instance.user as usize].id,
        instance.as_of.seconds(),
        keep_last.unwrap_or_default()
    )
}

/// Of the tasks of one instance those that are asked: all that rank, and `others` of the rest, those with
/// the least key. The order of the list stays.
fn drawn<'t>(
    tasks: &[&'t str],
    others: Option<usize>,
    key: impl Fn(&'t str) -> u64,
) -> Vec<&'t str> {
    let ranks = |task: &&str| LABEL_TASKS.contains(task);
    let mut rest: Vec<&str> = tasks.iter().copied().filter(|t| !ranks(t)).collect();
    rest.sort_by_key(|task| key(task));
    rest.truncate(others.unwrap_or(usize::MAX));
    let asked = |task: &&str| ranks(task) || rest.contains(task);
    tasks.iter().copied().filter(asked).collect()
}

/// What decides whether a task is drawn for an instance.
fn draw_key(ds: &Dataset, instance: &Instance, task: &str, seed: u64) -> u64 {
    hash(seed, &row_id(ds, instance, task))
}
