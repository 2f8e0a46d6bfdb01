//! Instruction tasks: a training instance becomes rows (instruction, input, output).
//!
//! The input is what is known of the user as-of the instance (knowledge or behaviour text, given
//! by the caller). The output is the true label of the user's next order, as in HKFR.
//!
//! | task | asks for | label |
//! |---|---|---|
//! | `next_category`, `next_item` | the next order | category, title of a target |
//! | `price_band` | the next order | [`hkfr_fuse::price_band`] of a target |
//! | `time_of_day`, `weekday`, `scenario` | the next order | when and where it happened |
//! | `repeat_or_new` | the next order | `repeat` if a target is in the history that the row is about |
//! | `basket_size` | the next order | distinct targets: `1`, `2 to 4`, `5 to 9`, `10 or more` |
//! | `yes_no` | an item | `yes`: it is a target; `no`: another, drawn by popularity. One half each |
//! | `describe_item` | an item drawn by popularity | category and price band |
//! | `category_of_item` | an item drawn by popularity | its category |
//!
//! The labels above are said in the words of the template set ([`hkfr_fuse::Words`]): `是` for `yes` in a
//! Chinese one.
//!
//! Where an order has several targets, the label comes from one of them, drawn with a seed: over
//! many rows the labels are distributed as the orders are. `next_category` and `next_item` may have
//! several rows, one a distinct label.

mod builtin;
mod jsonl;
mod label;
mod sampler;
mod set;

use hkfr_events::{Dataset, Instance};
use serde::{Deserialize, Serialize};

pub use jsonl::{read_alpaca, read_messages, write_alpaca, write_messages};
pub use sampler::ItemSampler;
pub use set::{RowsConfig, TaskSet};

/// All tasks, in the order in which they are listed to people.
pub const TASKS: [&str; 11] = [
    "next_category",
    "next_item",
    "price_band",
    "time_of_day",
    "weekday",
    "scenario",
    "repeat_or_new",
    "yes_no",
    "describe_item",
    "category_of_item",
    "basket_size",
];

/// The tasks that rank: asked of every instance, and with as many rows as there are labels.
pub const LABEL_TASKS: [&str; 2] = ["next_category", "next_item"];

/// The tasks whose instruction names an item; the others' instructions are constant in a set.
pub const ITEM_TASKS: [&str; 3] = ["yes_no", "describe_item", "category_of_item"];

/// One row of instruction tuning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstructionRow {
    /// Unique: `<user>@<as_of>[#<keep_last>]/<task>[#<row>]`, rows of a task counted from 2.
    pub id: String,
    pub task: String,
    pub user: String,
    /// Seconds (local): nothing at or after it is in `input`, nor in `instruction` but for the asked item.
    pub as_of: i64,
    /// The input was made of the last n target events only (simulated cold start).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_last: Option<u32>,
    pub instruction: String,
    pub input: String,
    pub output: String,
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

/// Row `n` (from 0) of a task about an instance, from what is asked and its answer.
pub(crate) fn row(
    ds: &Dataset,
    instance: &Instance,
    task: &str,
    n: usize,
    input: &str,
    (instruction, output): (String, String),
) -> InstructionRow {
    let mut id = row_id(ds, instance, task);
    if n > 0 {
        id += &format!("#{}", n + 1);
    }
    InstructionRow {
        id,
        task: task.to_owned(),
        user: ds.users[instance.user as usize].id.clone(),
        as_of: instance.as_of.seconds(),
        keep_last: instance.keep_last,
        instruction,
        input: input.to_owned(),
        output,
    }
}
