//! The task templates that come with the program: `templates/<set>/tasks/` at the root of the repository.

use super::TASKS;

/// A set: its name, and the texts in the order of [`TASKS`].
type Set = (&'static str, [&'static str; TASKS.len()]);

macro_rules! sets {
    ($($set:literal)*) => { &[$(($set, sets!(@tasks $set,
        "next_category" "next_item" "price_band" "time_of_day" "weekday" "scenario" "repeat_or_new"
        "yes_no" "describe_item" "category_of_item" "basket_size"
    )),)*] };
    (@tasks $set:literal, $($task:literal)*) => {
        [$(include_str!(concat!("../../../../templates/", $set, "/tasks/", $task, ".jinja")),)*]
    };
}

pub(super) const SETS: &[Set] = sets! {
    "films" "films-zh" "food-delivery" "food-delivery-zh" "generic" "generic-zh"
    "grocery" "grocery-zh" "restaurants" "restaurants-zh"
};

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{SETS, TASKS};

    #[test]
    fn every_task_has_the_text_of_its_file() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates");
        assert_eq!(SETS.len(), std::fs::read_dir(&root).unwrap().count());
        for (set, texts) in SETS {
            let dir = root.join(set).join("tasks");
            assert_eq!(std::fs::read_dir(&dir).unwrap().count(), TASKS.len());
            for (task, text) in TASKS.iter().zip(texts) {
                let file = dir.join(format!("{task}.jinja"));
                assert_eq!(&std::fs::read_to_string(file).unwrap(), text);
            }
        }
    }
}
