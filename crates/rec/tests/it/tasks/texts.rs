//! The texts of the sets: complete, checked, in their language, and a row of each to read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use hkfr_fuse::Mistake;
use hkfr_fuse::TemplateSet;
use hkfr_rec::Error;
use hkfr_rec::tasks::{ITEM_TASKS, RowsConfig, TASKS, TaskSet};

use super::{AS_OF, ORDER, World, asked, event, world_of};
use crate::fixtures::{DAY, push};

fn all_wordings() -> RowsConfig {
    RowsConfig {
        wordings: usize::MAX,
        ..asked(&TASKS)
    }
}

#[test]
fn every_set_has_three_wordings_of_every_task_and_constant_instructions() {
    assert_eq!(TaskSet::builtin_sets(), TemplateSet::builtin_sets());
    for set in TaskSet::builtin_sets() {
        let loaded = TaskSet::load(set, None).unwrap();
        for task in TASKS {
            match loaded.instruction(task) {
                Ok(text) => assert!(
                    !ITEM_TASKS.contains(&task) && text.chars().count() < 80,
                    "{set} {task}: {text}"
                ),
                Err(e) => assert!(ITEM_TASKS.contains(&task), "{set} {task}: {e}"),
            }
        }
        let world = told("thing", "c");
        let mut said: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        let mut texts: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for seed in 0..60 {
            for a in world.answers(set, &all_wordings(), seed) {
                said.entry(a.task).or_default().insert(a.wording);
                texts.entry(a.task).or_default().insert(a.instruction);
            }
        }
        assert_eq!(said.len(), TASKS.len(), "{set}: {:?}", said.keys());
        for (task, wordings) in said {
            assert_eq!(wordings.len(), 3, "{set} {task}");
            let constant = !ITEM_TASKS.contains(&task);
            assert!(
                !constant || texts[task].len() == 3,
                "{set} {:?}",
                texts[task]
            );
        }
    }
    let error = TaskSet::load("grocer", None).err().unwrap().to_string();
    assert!(error.contains("did you mean \"grocery\"?"), "{error}");
    let error = TaskSet::load("grocery", None).unwrap();
    let error = error.instruction("next_itm").unwrap_err().to_string();
    assert!(error.contains("next_item"), "{error}");
}

/// A log that answers every task. Every name is made of `thing` or `category` and digits.
fn told(thing: &str, category: &str) -> World {
    let mut world = world_of(&[2, 4], |b| {
        b.info.category_level = 1;
        b.info.target_actions.push("buy-with-coupon".into());
        for i in 0..5 {
            let item = b.item(&format!("i{i}"));
            let item = b.item_mut(item);
            item.title = format!("{thing}{i}");
            item.categories = vec![format!("{category}1"), format!("{category}2{i}")];
            item.attributes.insert("brand".into(), format!("{thing}99"));
            item.price = Some(1.5 + 3.0 * i as f32);
        }
        push(b, "u0", "i0", "buy-with-coupon", ORDER + 3 * DAY);
        let place = b.place(&format!("{thing}77"));
        for (item, action, ts, value) in [
            ("i2", "buy", ORDER - 1, None),
            ("i3", "impression", AS_OF, None),
            ("i1", "impression", AS_OF, None),
            ("i3", "click", AS_OF + 20, None),
            ("i4", "rate", AS_OF + 30, Some(4.0)),
        ] {
            let mut event = event(b, "u0", item, action, ts);
            event.value = value;
            event.place = Some(place);
            b.push(event);
        }
    });
    // The order is that of i2 alone, in a place.
    world.instance.target_ts = ORDER - 1;
    world.instance.targets = vec![2];
    world
}

/// One row of every task, to be read.
fn shown(set: &str, world: &World) -> String {
    let mut text = String::new();
    for a in world.answers(set, &all_wordings(), 4) {
        let _ = writeln!(
            text,
            "{} ({}): {} → {}",
            a.task,
            a.wording + 1,
            a.instruction,
            a.output
        );
    }
    text
}

#[test]
fn a_row_of_every_task_in_english() {
    insta::assert_snapshot!(shown("food-delivery", &told("dish ", "kind ")), @r#"
    next_category (1): Which category does this customer order next? → kind 22
    next_item (2): Name the dish ordered next. → dish 2
    next_department (3): Which cuisine does this customer turn to next? → kind 1
    next_brand (2): Name the brand of the next dish. → dish 99
    next_place (2): Name the merchant of the next order. → dish 77
    price_band (2): What does the next dish cost: which price band? → 5 to 10
    spend_band (3): Name the band of the total of the next order. → 5 to 10
    basket_size (1): How many dishes does this customer order next? → 1
    weekday (2): Name the weekday of the next order. → Thursday
    time_of_day (3): In which part of the day does this customer order next? → morning
    order_gap (3): Name the days from the next order to the one after. → the same day
    scenario (1): In what setting does the next order happen? → store
    repeat_or_new (1): Is the dish ordered next a repeat or new? → repeat
    repeat_item (2): Which dish ordered before comes again next? → dish 2
    new_category (1): Is a category ordered next that never was before? Answer yes or no. → no
    category_yes_no (2): Is kind 22 a category of the next order? Answer yes or no. → yes
    yes_no (3): dish 2: ordered next or not? Answer yes or no. → yes
    which_of_two (3): One of the two is ordered next, dish 2 or dish 0: name it. → dish 2
    next_click (3): On which merchant does this customer click next? → dish 3
    click_yes_no (2): Does this customer open it when dish 1 is shown next? Answer yes or no. → no
    promotion (2): Is a promotion used with the next order? Answer yes or no. → no
    rating (3): How does this customer rate next? → 4
    describe_item (2): What sort of dish is dish 4? → kind 24, over 10
    category_of_item (3): Which category is dish 2 of? → kind 22
    "#);
}

#[test]
fn a_row_of_every_task_in_chinese() {
    insta::assert_snapshot!(shown("food-delivery-zh", &told("菜", "类")), @r#"
    next_category (1): 这位顾客接下来点哪个品类？ → 类22
    next_item (2): 请说出下一单的菜品。 → 菜2
    next_department (3): 这位顾客接下来会点哪个菜系的菜品？ → 类1
    next_brand (2): 请说出下一单的品牌。 → 菜99
    next_place (2): 请说出下一单的商家。 → 菜77
    price_band (2): 这位顾客接下来点什么价位的菜品？ → 5到10
    spend_band (3): 这位顾客下一单合计花多少？ → 5到10
    basket_size (1): 下一单有几份菜品？ → 1
    weekday (2): 请说出下一单是星期几。 → 周四
    time_of_day (3): 这位顾客接下来在什么时段点菜品？ → 早上
    order_gap (3): 请说出下一单到再下一次之间的天数。 → 当天
    scenario (1): 下一单在什么场景下？ → store
    repeat_or_new (1): 下一单的菜品是复购还是新尝试？ → 复购
    repeat_item (2): 以前点过的菜品中，接下来又会点哪道菜？ → 菜2
    new_category (1): 下一单会有这位顾客从没点过的品类吗？请回答是或否。 → 否
    category_yes_no (2): 下一单有类22吗？请回答是或否。 → 是
    yes_no (3): 菜2，接下来会点吗？请回答是或否。 → 是
    which_of_two (3): 菜2、菜0，接下来会点的是哪一个？ → 菜2
    next_click (3): 接下来会点击哪家商家？ → 菜3
    click_yes_no (2): 看到菜1时，这位顾客会点开吗？请回答是或否。 → 否
    promotion (2): 下一单会享受促销吗？请回答是或否。 → 否
    rating (3): 这位顾客下一次评分是多少？ → 4
    describe_item (2): 菜4是什么样的菜品？ → 类24，10以上
    category_of_item (3): 菜2是哪个品类的菜品？ → 类22
    "#);
}

/// A log whose names are numbers and Chinese: every letter in a row is the program's.
#[test]
fn a_chinese_set_asks_and_answers_in_chinese() {
    let world = |targets: &[u32]| {
        world_of(targets, |b| {
            for k in 0..5 {
                let item = b.item(&format!("i{k}"));
                let item = b.item_mut(item);
                item.title = format!("第{k}道");
                item.categories = vec![format!("品类{}", k % 3)];
                item.price = Some(1.0 + 3.0 * k as f32);
            }
        })
    };
    for set in TaskSet::builtin_sets()
        .into_iter()
        .filter(|s| s.ends_with("-zh"))
    {
        let mut answers: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for targets in [&[4][..], &[0, 1], &[0, 1, 2, 3, 4], &[2]] {
            let mut world = world(targets);
            world.instance.target_scenario = "首页".into();
            for seed in 0..15 {
                for a in world.answers(set, &all_wordings(), seed) {
                    for text in [&a.instruction, &a.output] {
                        let english = text.chars().any(|c| c.is_ascii_alphabetic());
                        assert!(!english && !text.is_empty(), "{set} {}: {text}", a.task);
                    }
                    answers.entry(a.task).or_default().insert(a.output);
                }
            }
        }
        // Answers that differ in English differ here too.
        for (task, n) in [
            ("yes_no", 2),
            ("price_band", 4),
            ("basket_size", 3),
            ("spend_band", 3),
            ("repeat_or_new", 2),
        ] {
            assert_eq!(answers[task].len(), n, "{set} {task}: {:?}", answers[task]);
        }
    }
    let of = |task: &str| {
        let a = world(&[0])
            .answers("food-delivery-zh", &asked(&[task]), 1)
            .remove(0);
        (a.instruction, a.output)
    };
    assert_eq!(
        of("repeat_or_new"),
        ("下一单的菜品是复购还是新尝试？".into(), "新尝试".into())
    );
    assert_eq!(of("weekday"), ("下一单在星期几？".into(), "周四".into()));
    let (asked, described) = of("describe_item");
    assert!(
        asked.starts_with("请描述菜品第") && described.contains('，'),
        "{asked} {described}"
    );
}

fn load(name: &str, text: &[u8]) -> hkfr_rec::Result<TaskSet> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("tasks")).unwrap();
    std::fs::write(dir.path().join("tasks").join(name), text).unwrap();
    TaskSet::load("grocery", Some(dir.path()))
}

#[test]
fn own_templates_replace_the_built_in() {
    let of =
        |name: &str, text: &[u8], task: &str| load(name, text).unwrap().instruction(task).unwrap();
    assert_eq!(
        of("next_item.jinja", b"What now?", "next_item"),
        "What now?"
    );
    assert_eq!(
        of("next_item.jinja", b"What\n---\nWhat now?\n", "next_item"),
        "What"
    );
    // Some words of one's own; the others stay.
    let own = br#"{"item": "thing", "user": "{{ person }}"}"#;
    assert_eq!(
        of("words.json", own, "next_item"),
        "Which thing does this {{ person }} buy next?"
    );
    assert_eq!(
        of("words.json", own, "next_category"),
        "Which category does this {{ person }} buy next?"
    );
}

/// What is made by a set is made anew when a text changes, and only then.
#[test]
fn a_set_is_told_by_its_texts_and_not_by_where_they_lie() {
    let source = |name: &str, text: &[u8]| load(name, text).unwrap().source().to_owned();
    let built_in = TaskSet::load("grocery", None).unwrap();
    let own = source("next_category.jinja", b"Of which category?");
    assert_eq!(own, source("next_category.jinja", b"Of which category?"));
    assert_ne!(own, built_in.source());
    assert_ne!(own, source("next_category.jinja", b"Which category?"));
    assert_ne!(own, source("next_item.jinja", b"Of which category?"));
    let words = source("words.json", br#"{"item": "thing"}"#);
    assert_ne!(words, built_in.source());
}

#[test]
fn own_templates_are_checked() {
    let check = |name: &str, text: &[u8], line: usize, part: &str| match load(name, text) {
        Err(Error::Template(Mistake {
            file,
            line: found,
            reason,
        })) => {
            assert!(
                file.ends_with(name) && found == line && reason.contains(part),
                "{file}:{found}: {reason}"
            );
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("{name} was accepted"),
    };
    check("yes_no.jinja", b"Will they\nbuy {{ titel }}?", 2, "titel");
    check(
        "next_item.jinja",
        b"Hello {{ title }}",
        1,
        "known here: category",
    );
    check("weekday.jinja", b"a\nb {% if %}", 2, "syntax error");
    check("weekday.jinja", b"  \n", 1, "nothing");
    check("describe_item.jinja", b"Describe it.", 1, "{{ title }}");
    check(
        "which_of_two.jinja",
        b"{{ title }}, or not?",
        1,
        "{{ other }}",
    );
    check("category_yes_no.jinja", b"Is it bought?", 1, "{{ name }}");
    check("next_thing.jinja", b"x", 1, "next_item");
    check("weekday.jinja", b"ok\n\xff", 2, "UTF-8");
    // The lines of later wordings are those of the file.
    check(
        "weekday.jinja",
        b"one\n---\ntwo\n---\n\nthree {{ x }}",
        6,
        "\"x\"",
    );
    check(
        "weekday.jinja",
        b"one\n---\ntwo\n---\n",
        5,
        "wording 3 renders to nothing",
    );
    check(
        "weekday.jinja",
        b"one\n---\n\none",
        4,
        "wording 2 says the same as wording 1",
    );
    check(
        "yes_no.jinja",
        b"{{ title }}?\n---\nthat one?",
        3,
        "does not name the item",
    );
    check(
        "words.json",
        b"{\n\"item\": 3}",
        2,
        "is no JSON object of texts",
    );
}
