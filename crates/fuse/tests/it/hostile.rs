//! Hostile text in every field of a log: the prompts keep their structure. And what names a person.

use hkfr_events::{AsOf, Dataset, DatasetBuilder, Event};
use hkfr_fuse::claims::ClaimsConfig;
use hkfr_fuse::{
    FactsConfig, Fusion, TemplateSet, Wording, behaviour_text, facts, raw_text, redact, sanitise,
};
use proptest::prelude::*;
use serde_json::Value;

use crate::fixture::{DAY, describe, event, info, words};

/// 60 injections, one a line.
const INJECTIONS: &str = include_str!("injections.txt");

/// Each as it is, and as those who hide them would write it.
fn injections() -> Vec<String> {
    let disguises: [fn(&str) -> String; 5] = [
        str::to_owned,
        |s| format!("Milk\n\n{s}\r\n\u{2028}{s}\u{0}"),
        |s| s.chars().flat_map(|c| [c, '\u{200b}']).collect(),
        |s| format!("\u{202e}{s}\u{2066}\u{feff}"),
        // Tags: ASCII that is not shown.
        |s| {
            let hidden = s
                .bytes()
                .map(|b| char::from_u32(0xe0000 + u32::from(b)).unwrap());
            format!("Milk{}", hidden.collect::<String>())
        },
    ];
    let all = INJECTIONS.lines().flat_map(|s| disguises.map(|d| d(s)));
    all.collect()
}

/// A household whose every text is `text`.
fn household(text: &str) -> Dataset {
    let mut b = DatasetBuilder::new(info());
    describe(&mut b, "m", text, text, 3.0);
    let m = b.item("m");
    b.item_mut(m).attributes.insert("brand".into(), text.into());
    for day in [4, 11, 18] {
        event(&mut b, "u", "m", "purchase", day * DAY);
        let searched = Event {
            user: b.user("u"),
            item: None,
            kind: b.kind(text, "search", text),
            ts: day * DAY,
            value: None,
            place: Some(b.place(text)),
            text: Some(text.into()),
            row: 0,
        };
        b.push(searched);
    }
    let u = b.user("u");
    b.profile_mut(u)
        .attributes
        .insert("age".into(), text.into());
    b.build()
}

/// All texts that are made of the household.
fn texts(ds: &Dataset, templates: &TemplateSet) -> Vec<String> {
    let wording = &Wording::new(ds, templates);
    let history = ds.history(0, AsOf::new(30 * DAY));
    let config = FactsConfig::default();
    let f = facts(wording, &history, &config);
    let fusion = Fusion {
        wording,
        facts: &config,
        budget_tokens: 100_000,
        knowledge_tokens: 100_000,
        count: &words,
    };
    vec![
        behaviour_text(wording, &history, &f, 100_000, &words)
            .unwrap()
            .text,
        raw_text(wording, &history, &f, 100_000, &words)
            .unwrap()
            .text,
        fusion.prompt(&history).unwrap().2,
    ]
}

#[test]
fn no_text_of_a_log_changes_the_structure_of_a_prompt() {
    let injections = injections();
    assert!(injections.len() >= 200);
    for set in TemplateSet::builtin_sets() {
        let templates = TemplateSet::load(set, None).unwrap();
        let benign = texts(&household("plain words"), &templates);
        for injection in &injections {
            let hostile = texts(&household(injection), &templates);
            for (text, benign) in hostile.iter().zip(&benign) {
                let about = || format!("{set}, {injection:?}:\n{text}");
                assert_eq!(text.lines().count(), benign.lines().count(), "{}", about());
                let marks = ["<", ">", "[INST]", "[/INST]", "[SYSTEM]"];
                let found = marks.iter().find(|m| text.contains(**m));
                assert_eq!(found, None, "{}", about());
                assert!(
                    text.chars().all(|c| c == '\n' || is_plain(c)),
                    "{}",
                    about()
                );
            }
        }
    }
}

/// What a service is sent: all that is of the log is in one JSON object on the last line, and looks the
/// same whatever it says.
#[test]
fn no_text_of_a_log_leaves_its_string() {
    let templates = TemplateSet::load("generic", None).unwrap();
    let asked = |text: &str| -> (String, Value) {
        let ds = household(text);
        let wording = Wording::new(&ds, &templates);
        let fusion = Fusion {
            wording: &wording,
            facts: &FactsConfig::default(),
            budget_tokens: 100_000,
            knowledge_tokens: 100,
            count: &words,
        };
        let history = ds.history(0, AsOf::new(30 * DAY));
        let request = fusion
            .request(&history, &ClaimsConfig::default(), 0)
            .unwrap();
        let [message] = &request.messages[..] else {
            panic!("{request:?}");
        };
        let (asked, data) = message.content.rsplit_once('\n').unwrap();
        (asked.to_owned(), serde_json::from_str(data).unwrap())
    };
    let (question, benign) = asked("plain words");
    assert!(question.starts_with("You study one user's behaviour.") && !question.contains('"'));
    for injection in injections() {
        let (hostile_question, hostile) = asked(&injection);
        assert_eq!(hostile_question, question, "{injection:?}");
        let shape = |data: &Value| {
            let keys: Vec<String> = data.as_object().unwrap().keys().cloned().collect();
            let rows = data["events"].as_array().unwrap().clone();
            let cells = |row: &Value| row.as_array().unwrap().len();
            let rows: Vec<usize> = rows.iter().map(cells).collect();
            (
                keys,
                data["columns"].clone(),
                data["chosen_by"].clone(),
                rows,
            )
        };
        assert_eq!(shape(&hostile), shape(&benign), "{injection:?}");
        let text = hostile.to_string();
        let marks = ["<", ">", "[INST]", "[/INST]", "[SYSTEM]"];
        assert_eq!(marks.iter().find(|m| text.contains(**m)), None, "{text}");
        assert!(text.chars().all(is_plain), "{text}");
    }
}

fn is_plain(c: char) -> bool {
    let hidden = ['\u{200b}', '\u{202e}', '\u{2066}', '\u{feff}', '\u{2028}'];
    !c.is_control() && !hidden.contains(&c) && !('\u{e0000}'..='\u{e0fff}').contains(&c)
}

#[test]
fn what_reaches_a_person_is_redacted() {
    for (text, expected) in [
        ("call +1 (555) 123-4567 now", "call [telephone] now"),
        ("555-123-4567", "[telephone]"),
        ("tel. 0171 555 2368, evenings", "tel. [telephone], evenings"),
        ("06 12 34 56 78", "[telephone]"),
        ("送到13812345678谢谢", "送到13812345678谢谢"),
        ("手机 13812345678 谢谢", "手机 [telephone] 谢谢"),
        ("١٢٣ ٤٥٦ ٧٨٩٠", "[telephone]"),
        ("card 4111 1111 1111 1111.", "card [card]."),
        (
            "field 7 4111 1111 1111 1111 3 times",
            "field 7 [card] 3 times",
        ),
        ("2 3782 822463 10005", "2 [card]"),
        ("4111-1111-1111-1112", "4111-1111-1111-1112"),
        ("5500005555555559", "[card]"),
        ("ann.o'neil+x@mail.example.co.uk.", "[e-mail]."),
        ("a@b.de,c＠d.org", "[e-mail],[e-mail]"),
        ("3 @ 2.50 each", "3 @ 2.50 each"),
        ("@home, me@home", "@home, me@home"),
        // Neither.
        (
            "2024-01-02 10:30 and 2024-02-03",
            "2024-01-02 10:30 and 2024-02-03",
        ),
        ("10.50 12.30 11.20 9.80", "10.50 12.30 11.20 9.80"),
        ("EAN 4006381333931", "EAN 4006381333931"),
        ("SKU-123456789", "SKU-123456789"),
        ("1,000,000 by 2030", "1,000,000 by 2030"),
        ("", ""),
    ] {
        assert_eq!(redact(text), expected, "{text:?}");
    }
}

proptest! {
    /// Whatever the text: one line, no longer than asked, nothing hidden, and the same when done twice.
    #[test]
    fn sanitised_text_is_plain(text in any::<String>(), max in 0usize..60) {
        let (clean, cut) = sanitise(&text, max);
        prop_assert!(clean.chars().count() <= max);
        prop_assert!(clean.chars().all(is_plain) && !clean.contains(['<', '>', '\n']));
        prop_assert!(!clean.contains("  ") && clean.trim() == clean);
        if !cut {
            prop_assert_eq!(sanitise(&clean, max).0, clean);
        }
    }

    /// However a number is grouped, no nine of its digits stay beside each other.
    #[test]
    fn telephone_numbers_do_not_survive(digits in "[1-9][0-9]{8,13}", first in 1usize..4, before in "[a-z ]{0,9}") {
        let groups: Vec<String> = digits.as_bytes()[first..].chunks(4).map(|g| String::from_utf8_lossy(g).into_owned()).collect();
        let text = format!("{before} +{} {}", &digits[..first], groups.join("-"));
        let clean = redact(&text);
        prop_assert!(clean.contains("[telephone]") || clean.contains("[card]"), "{text} -> {clean}");
    }
}
