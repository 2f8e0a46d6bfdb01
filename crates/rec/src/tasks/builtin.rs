//! The task texts that come with the program: `templates/tasks/<language>/`, once a language, and each set's
//! words for them, `templates/<set>/tasks/words.json`.

use super::TASKS;

/// A language, and its texts in the order of [`TASKS`].
type Language = (&'static str, [&'static str; TASKS.len()]);

pub(super) struct Set {
    pub name: &'static str,
    pub language: &'static Language,
    pub words: &'static str,
}

macro_rules! language {
    ($language:literal) => {
        language!(@tasks $language,
            "next_category" "next_item" "next_department" "next_brand" "next_place" "price_band" "spend_band"
            "basket_size" "weekday" "time_of_day" "order_gap" "scenario" "repeat_or_new" "repeat_item"
            "new_category" "category_yes_no" "yes_no" "which_of_two" "next_click" "click_yes_no" "promotion"
            "rating" "describe_item" "category_of_item"
        )
    };
    (@tasks $language:literal, $($task:literal)*) => {
        ($language, [$(include_str!(concat!(
            "../../../../templates/tasks/", $language, "/", $task, ".jinja"
        )),)*])
    };
}

macro_rules! sets {
    ($($set:literal $language:ident)*) => { &[$(Set {
        name: $set,
        language: &$language,
        words: include_str!(concat!("../../../../templates/", $set, "/tasks/words.json")),
    },)*] };
}

static EN: Language = language!("en");
static ZH: Language = language!("zh");

pub(super) static SETS: &[Set] = sets! {
    "films" EN "films-zh" ZH "food-delivery" EN "food-delivery-zh" ZH "generic" EN "generic-zh" ZH
    "grocery" EN "grocery-zh" ZH "restaurants" EN "restaurants-zh" ZH
};

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{EN, SETS, TASKS, ZH};

    #[test]
    fn every_file_of_the_repository_is_in_the_program() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates");
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        for (language, texts) in [&EN, &ZH] {
            let dir = root.join("tasks").join(language);
            assert_eq!(std::fs::read_dir(&dir).unwrap().count(), TASKS.len());
            for (task, text) in TASKS.iter().zip(texts) {
                assert_eq!(&read(&dir.join(format!("{task}.jinja"))), text);
            }
        }
        // The sets, and the directory of the task texts.
        assert_eq!(SETS.len() + 1, std::fs::read_dir(&root).unwrap().count());
        for set in SETS {
            let dir = root.join(set.name).join("tasks");
            assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
            assert_eq!(read(&dir.join("words.json")), set.words);
        }
    }
}
