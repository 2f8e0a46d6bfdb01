//! Answers that are no JSON as they stand.

use hkfr_fuse::claims::{repair, validate};
use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn what_models_do_to_json_is_mended() {
    let claim = json!({"kind": "item", "value": "it's \"1 {l}\"", "events": [1, 2]});
    let good = json!({"claims": [claim], "text": "Buys 1 l."});
    let plain = good.to_string();
    for said in [
        format!("```json\n{plain}\n```"),
        format!("Sure! {{here}} it is:\n\n{plain}\n\nLet me know {{if}} more is needed."),
        plain.replace("]}", ",]}").replace("l.\"}", "l.\",}"),
        plain
            .replace("\"kind\"", "'kind'")
            .replace("\"item\"", "'item'"),
        plain.replace(":", " :\n").replace(",", " ,\t"),
    ] {
        let repaired = repair(&said).unwrap_or_else(|| panic!("{said}"));
        let expected = if said.contains(" :\n") {
            &repaired.value
        } else {
            &good
        };
        assert_eq!(&repaired.value, expected, "{said}");
        assert!(
            validate(&repaired.value).is_ok() && !repaired.cut_off,
            "{said}"
        );
    }
    for said in [
        "",
        "no",
        "{",
        "[1]",
        "{\"a\": 1}x",
        "{{{{",
        "{\"claims\" []}",
        "{claims: []}",
    ] {
        assert_eq!(repair(said), None, "{said}");
    }
    let deep = format!("x{{\"claims\": {}", "[".repeat(100_000));
    assert_eq!(repair(&deep), None);
}

#[test]
fn faults_are_told_by_their_paths() {
    for (answer, fault) in [
        (
            json!([]),
            "the answer: is a list, and must be an object with claims and text",
        ),
        (
            json!({"claims": {}, "text": "x"}),
            "claims: is an object, and must be a list of claims",
        ),
        (json!({"claims": []}), "text: is missing"),
        (
            json!({"claims": [3], "text": ""}),
            "claims[0]: is a number, and must be an object",
        ),
        (
            json!({"claims": [{"kind": "item", "value": "x", "events": [1, "2"]}], "text": ""}),
            "claims[0].events[1]: is a text, and must be a whole number",
        ),
        (
            json!({"claims": [{"kind": "item", "value": "x", "number": 1.5, "events": []}], "text": ""}),
            "claims[0].number: is a number, and must be a whole number or null",
        ),
        (
            json!({"claims": [{"kind": "item", "value": "x", "trend": "up", "events": []}], "text": ""}),
            "claims[0].trend: \"up\" is none of rising, falling, null",
        ),
        (
            json!({"claims": [{"kind": "item", "value": "x"}], "text": ""}),
            "claims[0].events: is missing",
        ),
    ] {
        assert_eq!(validate(&answer).unwrap_err(), fault);
    }
    let many = json!({"claims": vec![json!({}); 9], "text": ""});
    assert!(validate(&many).unwrap_err().ends_with("; and 23 more"));
}

/// All texts and numbers in a value.
fn leaves(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|v| leaves(v, found)),
        Value::Object(map) => {
            for (key, value) in map {
                found.push(key.clone());
                leaves(value, found);
            }
        }
        Value::String(text) => found.push(text.clone()),
        Value::Number(n) => found.push(n.to_string()),
        Value::Null | Value::Bool(_) => {}
    }
}

fn answer() -> impl Strategy<Value = Value> {
    let claim = (
        "[a-z ]{0,9}",
        prop::option::of(0..999i64),
        prop::collection::vec(1..99i64, 0..4),
    );
    let claim = claim.prop_map(|(value, number, events)| {
        json!({"kind": "item", "value": value, "number": number, "events": events})
    });
    let claims = prop::collection::vec(claim, 0..5);
    (claims, "[A-Za-z0-9{}'., ]{0,30}")
        .prop_map(|(claims, text)| json!({"claims": claims, "text": text}))
}

proptest! {
    #[test]
    fn no_text_whatever_is_a_panic(text in any::<String>(), marks in r#"[{}\[\]"',:\\u0-9a-f \n]{0,60}"#) {
        let _ = repair(&text);
        let _ = repair(&format!("{{\"claims\":{marks}"));
        if let Some(repaired) = repair(&format!("{{{marks}")) {
            let _ = validate(&repaired.value);
        }
    }

    /// A beginning of an answer holds whole claims of it and no other, or nothing.
    #[test]
    fn an_end_that_is_cut_off_invents_nothing(answer in answer(), at in any::<prop::sample::Index>()) {
        let whole = answer.to_string();
        let mut end = at.index(whole.len());
        while !whole.is_char_boundary(end) {
            end -= 1;
        }
        if let Some(repaired) = repair(&whole[..end]) {
            prop_assert!(repaired.mended && repaired.cut_off);
            let claims = repaired.value["claims"].as_array().cloned().unwrap_or_default();
            let all = answer["claims"].as_array().unwrap();
            prop_assert!(all.starts_with(&claims));
            if let Some(text) = repaired.value.get("text") {
                prop_assert_eq!(text, &answer["text"]);
            }
        }
    }

    /// What is put around an answer or into it changes nothing in it.
    #[test]
    fn decoration_is_taken_off(answer in answer(), before in "[a-zA-Z`:\n ]{0,20}", after in any::<String>(), commas in any::<bool>()) {
        let mut said = answer.to_string();
        if commas {
            said.truncate(said.len() - 1);
            said.push_str(" , }");
        }
        let repaired = repair(&format!("{before}{said}{after}")).unwrap();
        prop_assert_eq!(repaired.value, answer);
    }

    /// Whatever is mended, its texts and numbers were said.
    #[test]
    fn nothing_is_added(parts in prop::collection::vec(prop::sample::select(vec!["{", "}", "[", "]", ",", ":", "\"claims\"", "'a b'", "\"text\"", "12", "-3.5", "null", " ", "x"]), 0..40)) {
        let said = format!("{{\"claims\":{}", parts.concat());
        if let Some(repaired) = repair(&said) {
            let mut found = Vec::new();
            leaves(&repaired.value, &mut found);
            for leaf in found {
                prop_assert!(said.contains(&leaf), "{leaf} is not in {said}");
            }
        }
    }
}
