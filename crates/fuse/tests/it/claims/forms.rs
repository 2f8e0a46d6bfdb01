//! Answers in other places and other forms than they should be, from a service of the test's own.

use hkfr_events::{AsOf, History};
use hkfr_fuse::claims::{ClaimsConfig, Examined, Form, Reason, Unusable, Verdict, Vocabulary};
use hkfr_fuse::{FactsConfig, Fusion, TemplateSet, Wording, false_claims};
use serde_json::{Value, json};

use super::service::gateway;
use crate::fixture::{DAY, household, words};
use crate::server::{Server, say};

const GOOD: &str = r#"{"claims": [{"kind": "category", "value": "fluid milk", "number": 3, "percent": null, "trend": null, "events": [1, 4]}], "text": "Buys fluid milk."}"#;

/// What comes of [`household`], of which events 1, 4 and 5 are fluid milk and 2 is bread, on Mondays in the morning.
fn examined(config: &ClaimsConfig, server: &Server) -> Examined {
    let ds = household();
    let history = ds.history(0, AsOf::new(30 * DAY));
    let examined = of_history(&history, config, server);
    let (facts, claims) = (FactsConfig::default(), &examined.record.claims);
    assert!(false_claims(&ds, &history, &facts, claims).is_empty());
    examined
}

fn of_history(history: &History, config: &ClaimsConfig, server: &Server) -> Examined {
    let ds = household();
    let templates = TemplateSet::load("grocery", None).unwrap();
    let (wording, vocabulary) = (Wording::new(&ds, &templates), Vocabulary::new(&ds));
    let facts = FactsConfig::default();
    let fusion = Fusion {
        wording: &wording,
        facts: &facts,
        budget_tokens: 2000,
        knowledge_tokens: 60,
        count: &words,
    };
    let examined = fusion.service(history, None, config, &vocabulary, &gateway(&server.url));
    examined.unwrap()
}

/// Always this message, for this reason.
fn always(message: Value, finish: &str) -> Server {
    let body = json!({"choices": [{"message": message, "finish_reason": finish}]}).to_string();
    Server::start(move |_| say(200, body.clone()))
}

#[test]
fn the_answer_is_found_wherever_it_stands() {
    let draft = r#"{"claims": [], "text": "draft"}"#;
    let fenced = format!("```json\n{GOOD}\n```");
    for (message, reasoned) in [
        (json!({"content": GOOD}), 0),
        (
            json!({"content": [{"type": "thinking", "thinking": draft}, {"type": "text", "text": GOOD}]}),
            0,
        ),
        (
            json!({"content": format!("<think>A draft: {draft}</think>\n\n{fenced}")}),
            0,
        ),
        (
            json!({"content": format!("A draft: {draft}</think>{fenced}")}),
            0,
        ),
        (
            json!({"content": format!("<|channel|>analysis<|message|>{draft}<|end|><|start|>assistant<|channel|>final<|message|>{GOOD}")}),
            0,
        ),
        (json!({"content": null, "reasoning_content": GOOD}), 1),
        (json!({"content": "", "reasoning": fenced}), 1),
        (
            json!({"content": null, "tool_calls": [{"function": {"arguments": GOOD}}]}),
            0,
        ),
        (json!({"content": GOOD, "reasoning_content": draft}), 0),
    ] {
        let server = always(message.clone(), "stop");
        let examined = examined(&ClaimsConfig::default(), &server);
        assert_eq!(server.total(), 1, "{message}");
        assert_eq!(examined.record.text, "Buys fluid milk.", "{message}");
        assert_eq!(examined.record.claims.len(), 1, "{message}");
        let counts = examined.record.cut.gate.unwrap();
        assert_eq!(counts.from_reasoning, reasoned, "{message}");
    }
}

/// What says nothing is paid once, and its reason is kept.
#[test]
fn silence_is_not_paid_for_again_and_says_what_happened() {
    let thoughts = json!({"content": "", "reasoning_content": "thinking ".repeat(50)});
    for (message, finish, why, n_asked, says) in [
        (
            thoughts.clone(),
            "length",
            Unusable::Thinking,
            1,
            "thinking took all tokens",
        ),
        (
            json!({"content": "<think>Let me see"}),
            "length",
            Unusable::Thinking,
            1,
            "thinking took all tokens",
        ),
        (
            json!({"content": null}),
            "content_filter",
            Unusable::Refused,
            1,
            "withheld",
        ),
        (
            json!({"content": null, "refusal": "I can't."}),
            "stop",
            Unusable::Refused,
            1,
            "declined",
        ),
        // In lines it may go better.
        (
            json!({"content": null}),
            "stop",
            Unusable::Empty,
            2,
            "null or empty",
        ),
        (thoughts, "stop", Unusable::Empty, 2, "reasoning_content"),
    ] {
        let server = always(message.clone(), finish);
        let examined = examined(&ClaimsConfig::default(), &server);
        assert_eq!(server.total(), n_asked, "{message} {finish}");
        let counts = examined.record.cut.gate.unwrap();
        assert!(counts.unusable && counts.why == Some(why), "{counts:?}");
        let fault = examined.fault.unwrap();
        assert!(fault.problem.contains(says), "{}", fault.problem);
        // The facts speak.
        assert!(examined.record.text.contains("Often buys fluid milk"));
    }
}

#[test]
fn an_answer_that_was_cut_is_asked_again_with_more_room() {
    let server = Server::start(|asked| {
        let room = asked.body["max_tokens"].as_u64().unwrap();
        let short = 2 * 60 + 64 * 16;
        let (text, finish) = match asked.body["messages"].as_array().unwrap().len() {
            1 => (&GOOD[..8], "length"),
            _ => (GOOD, "stop"),
        };
        assert_eq!(room, if finish == "stop" { 2 * short } else { short });
        say(
            200,
            json!({"choices": [{"message": {"content": text}, "finish_reason": finish}]})
                .to_string(),
        )
    });
    let examined = examined(&ClaimsConfig::default(), &server);
    assert_eq!((server.total(), examined.record.claims.len()), (2, 1));
}

/// A model that writes no JSON, and lines of which some are true.
fn simple() -> Server {
    Server::start(|asked| {
        let prompt = &asked.prompt;
        let is = |kind: &str| prompt.contains(&format!("\n{kind}: NAME | events: ID, ID\n"));
        let text = if is("category") {
            "Sure!\n- category: Fluid milk | events: 1, 4\n- category: bread | events: e2\n- category: bread | events: 1\n- category: baby food | events: 1"
        } else if is("item") {
            "item: Wheat bread | events: 2"
        } else if is("weekday") {
            "I would say Monday."
        } else if is("daypart") {
            "none"
        } else {
            "They like milk."
        };
        say(
            200,
            json!({"choices": [{"message": {"content": text}}]}).to_string(),
        )
    })
}

#[test]
fn a_model_that_cannot_write_the_schema_is_asked_in_lines() {
    let server = simple();
    let result = examined(&ClaimsConfig::default(), &server);
    // As JSON, again, and four kinds.
    assert_eq!((server.total(), result.n_answers), (6, 6));
    let claims = result.record.claims.iter();
    let claims: Vec<_> = claims
        .map(|c| (c.slot.as_str(), c.value.as_str()))
        .collect();
    assert_eq!(
        claims,
        [
            ("favourite", "fluid milk"),
            ("favourite", "bread"),
            ("item", "Wheat bread")
        ]
    );
    let cut: Vec<_> = result.claims.iter().map(|(_, verdict)| verdict).collect();
    assert_eq!(cut[2], &Verdict::Unsupported(Reason::CategoryDiffers));
    assert_eq!(cut[3], &Verdict::Unsupported(Reason::NotInCatalogue));
    assert!(
        result.record.text.contains("Often buys fluid milk"),
        "{}",
        result.record.text
    );
    let counts = result.record.cut.gate.unwrap();
    assert!(!counts.unusable && counts.form == Form::Lines && counts.is_useful() == Some(true));

    // At once, and not at all.
    let server = simple();
    let form = |form| ClaimsConfig {
        form,
        ..ClaimsConfig::default()
    };
    assert_eq!(examined(&form(Form::Lines), &server).record.claims.len(), 3);
    assert_eq!(server.total(), 4);
    let server = simple();
    let in_json = examined(&form(Form::Json), &server);
    assert!(in_json.record.cut.gate.unwrap().unusable && server.total() == 2);
}

/// A store that is read user by user numbers users otherwise than the data set whose words are used.
#[test]
fn whom_a_question_is_about_is_told_by_the_id() {
    use hkfr_events::store;
    use hkfr_fuse::{ItemNames, PseudonymKey, Pseudonyms};

    let ds = crate::fixture::two_households();
    let dir = tempfile::tempdir().unwrap();
    store::write(&ds, dir.path()).unwrap();
    let opened = store::Store::open(dir.path()).unwrap();
    let templates = TemplateSet::load("grocery", None).unwrap();
    let key = || PseudonymKey::new([7; 32]).unwrap();
    let pseudonyms = Pseudonyms::new(opened.catalogue(), key(), ItemNames::Titles);
    let wording = Wording::with_pseudonyms(opened.catalogue(), &templates, &pseudonyms);
    let facts = FactsConfig::default();
    let fusion = Fusion {
        wording: &wording,
        facts: &facts,
        budget_tokens: 2000,
        knowledge_tokens: 60,
        count: &words,
    };
    let mut seen = Vec::new();
    for p in 0..opened.partitions() {
        let mut users = opened.users(p).unwrap();
        while let Some(user) = users.next_user().unwrap() {
            let history = user.history(AsOf::new(30 * DAY));
            let request = fusion
                .request(&history, &ClaimsConfig::default(), 0)
                .unwrap();
            assert_eq!(request.subject, Some(key().user(&user.profile().id)));
            seen.push(user.profile().id.clone());
        }
    }
    seen.sort();
    assert_eq!(seen, ["u", "v"]);
}
