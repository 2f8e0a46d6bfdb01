//! From a history to knowledge, by a service of the test's own over HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hkfr_events::AsOf;
use hkfr_fuse::claims::{ClaimsConfig, Form, Reason, Structured, Unusable, Vocabulary};
use hkfr_fuse::{
    Answers, ChatService, FactsConfig, Fusion, FusionMode, Gateway, GatewayConfig, HttpService,
    KnowledgeRecord, LimitsConfig, RetryConfig, SystemClock, TemplateSet, Wording, false_claims,
};
use serde_json::{Value, json};

use crate::fixture::{DAY, household, words};
use crate::server::{Asked, Reply, Server, good, say};

pub fn gateway(url: &str) -> Gateway {
    let service = HttpService::new(url, None, "small").unwrap();
    let service: Box<dyn ChatService> = Box::new(service);
    let config = GatewayConfig {
        retry: RetryConfig {
            max_attempts: 1,
            ..RetryConfig::default()
        },
        ..GatewayConfig::default()
    };
    let services = vec![(service, LimitsConfig::default())];
    let answers = Answers::in_memory().unwrap();
    let clock = Arc::new(SystemClock::default());
    Gateway::new(config, services, answers, clock, Arc::default()).unwrap()
}

/// What a service makes of [`household`], whose events are: milk 1, bread 2, cola shown 3, milk 4 and 5, cola 6.
fn ask(
    config: &ClaimsConfig,
    gateway: &Gateway,
    budget_tokens: usize,
) -> hkfr_fuse::Result<KnowledgeRecord> {
    let ds = household();
    let templates = TemplateSet::load("grocery", None).unwrap();
    let (wording, vocabulary) = (Wording::new(&ds, &templates), Vocabulary::new(&ds));
    let facts = FactsConfig::default();
    let fusion = Fusion {
        wording: &wording,
        facts: &facts,
        budget_tokens,
        knowledge_tokens: 60,
        count: &words,
    };
    let history = ds.history(0, AsOf::new(30 * DAY));
    let record = fusion
        .service(&history, None, config, &vocabulary, gateway)?
        .record;
    assert!(false_claims(&ds, &history, &facts, &record.claims).is_empty());
    Ok(record)
}

/// The knowledge of [`ask`].
fn fuse(config: &ClaimsConfig, gateway: &Gateway) -> KnowledgeRecord {
    let record = ask(config, gateway, 2000).unwrap();
    assert!(record.mode == FusionMode::Service && record.n_tokens <= 60);
    record
}

/// Serves one answer after the other, the last one for ever.
fn serve(answers: &[Value]) -> Server {
    let next = AtomicUsize::new(0);
    let answers: Vec<String> = answers.iter().map(said).collect();
    Server::start(move |_| {
        let n = next.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
        say(200, good("small-2024", &answers[n]))
    })
}

/// A text as it is, all else as JSON.
fn said(answer: &Value) -> String {
    answer
        .as_str()
        .map_or_else(|| answer.to_string(), str::to_owned)
}

fn milk() -> Value {
    json!({"kind": "category", "value": "Fluid milk", "number": 3, "percent": 50, "trend": null, "events": [1, 4, 5]})
}

fn bread() -> Value {
    json!({"kind": "item", "value": "Wheat bread", "number": null, "percent": null, "trend": null, "events": [2]})
}

fn answer(claims: &[Value], text: &str) -> Value {
    json!({"claims": claims, "text": text})
}

#[test]
fn good_json_becomes_claims_with_the_events_of_the_log() {
    let good = answer(
        &[milk(), bread()],
        "Buys fluid milk on Mondays. Bought Wheat bread.",
    );
    for said in [
        good.clone(),
        json!(format!("```json\n{good:#}\n```\nDone.")),
    ] {
        let server = serve(std::slice::from_ref(&said));
        let record = fuse(&ClaimsConfig::default(), &gateway(&server.url));
        assert_eq!(server.total(), 1);
        assert_eq!(
            record.text,
            "Buys fluid milk on Mondays. Bought Wheat bread."
        );
        assert_eq!((record.n_dropped, record.model.as_str()), (0, "small"));
        let claims: Vec<_> = record
            .claims
            .iter()
            .map(|c| (c.slot.as_str(), c.value.as_str(), c.n))
            .collect();
        assert_eq!(
            claims,
            [("favourite", "fluid milk", 3), ("item", "Wheat bread", 1)]
        );
        // Latest first, in the ids of the data set.
        let ds = household();
        let history = ds.history(0, AsOf::new(30 * DAY));
        let row = |id: usize| history.events()[id - 1].row;
        assert_eq!(record.claims[0].evidence, [row(5), row(4), row(1)]);
        let counts = record.cut.gate.unwrap();
        assert_eq!(
            (counts.made, counts.supported, counts.sentences_cut),
            (2, 2, 0)
        );
        assert_eq!(counts.repairs, u32::from(said.is_string()));
        assert!(
            counts.covered >= 2 && counts.covered < counts.facts,
            "{counts:?}"
        );
    }
}

#[test]
fn lies_are_cut_and_counted_and_truths_among_them_stay() {
    let lies = [
        json!({"kind": "category", "value": "baby food", "events": [1]}),
        json!({"kind": "category", "value": "bread", "number": 4, "events": [2]}),
        milk(),
        json!({"kind": "avoided", "value": "soft drinks", "events": [3]}),
        json!({"kind": "item", "value": "Cola, 12 CT", "events": [6, 12]}),
        milk(),
    ];
    let text = "Buys fluid milk. Buys bread 4 times. Shops on Sundays! They have a baby.";
    let server = serve(&[answer(&lies, text)]);
    let record = fuse(&ClaimsConfig::default(), &gateway(&server.url));
    assert_eq!(record.text, "Buys fluid milk.");
    assert_eq!(record.claims.len(), 1);
    let counts = record.cut.gate.unwrap();
    assert_eq!((counts.made, counts.supported), (6, 1));
    assert_eq!(
        (counts.sentences, counts.sentences_cut, record.n_dropped),
        (4, 3, 8)
    );
    let mut reasons: Vec<_> = counts.cut.ranked().into_iter().map(|(r, _)| r).collect();
    reasons.sort();
    let expected = [
        Reason::FutureEvent,
        Reason::NotInCatalogue,
        Reason::NumberDiffers,
        Reason::AvoidedChosen,
        Reason::Repeated,
    ];
    assert_eq!(reasons, expected);
    // Asked again about them, if the config says so: what stood stays.
    let better = answer(&[bread()], "Bought Wheat bread.");
    let server = serve(&[answer(&lies, text), better]);
    let config = ClaimsConfig {
        reask_cut: true,
        ..ClaimsConfig::default()
    };
    let record = fuse(&config, &gateway(&server.url));
    assert_eq!((server.total(), record.claims.len()), (2, 2));
    assert_eq!(record.text, "Bought Wheat bread.");
    assert_eq!(record.cut.gate.unwrap().reasks, 1);
}

#[test]
fn an_answer_that_cannot_be_read_is_asked_for_again_with_its_fault() {
    let good_answer = answer(&[milk()], "Buys fluid milk.");
    let fault = "claims[0].kind: \"taste\" is none of category";
    let server = Server::start(move |asked| {
        let messages = asked.body["messages"].as_array().unwrap();
        let text = match messages.len() {
            1 => json!({"claims": [{"kind": "taste", "value": "x", "events": []}], "text": ""}),
            _ => {
                assert_eq!(messages[1]["role"], "assistant");
                let again = messages[2]["content"].as_str().unwrap();
                assert!(again.contains(fault), "{again}");
                good_answer.clone()
            }
        };
        say(200, good("small", &text.to_string()))
    });
    let gateway = gateway(&server.url);
    let record = fuse(&ClaimsConfig::default(), &gateway);
    assert_eq!(
        (server.total(), record.text.as_str()),
        (2, "Buys fluid milk.")
    );
    assert_eq!(record.cut.gate.unwrap().reasks, 1);
    // Both answers are stored: nothing is paid again.
    assert_eq!(fuse(&ClaimsConfig::default(), &gateway), record);
    assert_eq!((server.total(), gateway.spent().answers), (2, 2));
}

/// If it stays without use, the facts speak, and it is counted.
#[test]
fn a_model_that_never_answers_in_form_leaves_the_facts() {
    let server = serve(&[json!("I am sorry, but I cannot help with that.")]);
    let record = fuse(&ClaimsConfig::default(), &gateway(&server.url));
    // As JSON, again, and in lines.
    assert_eq!(server.total(), 3);
    let counts = record.cut.gate.unwrap();
    assert!(counts.unusable && record.claims.is_empty() && counts.reasks == 1);
    assert_eq!(
        (counts.why, counts.form),
        (Some(Unusable::Form), Form::Lines)
    );
    assert!(
        record.text.contains("Often buys fluid milk"),
        "{}",
        record.text
    );
    // Nor does text without any claim or name become knowledge.
    let server = serve(&[answer(&[milk()], "A wonderful person.")]);
    let record = fuse(&ClaimsConfig::default(), &gateway(&server.url));
    assert!(!record.cut.gate.unwrap().unusable);
    assert!(
        record.text.starts_with("Often buys fluid milk. 33% bought"),
        "{}",
        record.text
    );
}

#[test]
fn a_service_that_refuses_a_schema_is_asked_without_it_from_then_on() {
    let with_schema = |asked: &Asked| !asked.body["response_format"].is_null();
    let refused = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&refused);
    let server = Server::start(move |asked| -> Reply {
        if with_schema(asked) {
            counted.fetch_add(1, Ordering::Relaxed);
            return say(400, "response_format is not supported");
        }
        assert!(asked.prompt.starts_with(
            "Answer with nothing but one JSON value that satisfies this JSON schema: {"
        ));
        say(
            200,
            good("small", &answer(&[milk()], "Buys fluid milk.").to_string()),
        )
    });
    let gateway = gateway(&server.url);
    let record = fuse(&ClaimsConfig::default(), &gateway);
    assert_eq!(record.claims.len(), 1);
    // Another question: no schema is tried any more.
    let config = ClaimsConfig {
        max_claims: 4,
        ..ClaimsConfig::default()
    };
    fuse(&config, &gateway);
    // The schema and any JSON object.
    assert_eq!((refused.load(Ordering::Relaxed), server.total()), (2, 4));
    // Nor at all, where the config says so; and the answer is the one that is stored.
    let config = ClaimsConfig {
        structured: Structured::Never,
        ..ClaimsConfig::default()
    };
    assert_eq!(fuse(&config, &gateway).text, record.text);
    assert_eq!(server.total(), 4);
    // What is refused with and without it is the user's to mend.
    let server = Server::start(|_| say(400, "no such model"));
    let gateway = self::gateway(&server.url);
    let error = ask(&ClaimsConfig::default(), &gateway, 500).unwrap_err();
    assert!(
        error.to_string().contains("does not take this request"),
        "{error}"
    );
    let hkfr_fuse::Error::Gateway(error) = error else {
        panic!("{error}")
    };
    assert!(error.is_refusal() && !error.is_of_one_request());
    assert_eq!(server.total(), 3);
}

/// The document: within its budget, with ids of its own, and each set in its words.
#[test]
fn what_is_sent_can_be_cited_and_names_nobody() {
    let ds = household();
    for set in TemplateSet::builtin_sets() {
        let templates = TemplateSet::load(set, None).unwrap();
        let wording = Wording::new(&ds, &templates);
        let facts = FactsConfig::default();
        for budget in [20, 60, 90, 400] {
            let fusion = Fusion {
                wording: &wording,
                facts: &facts,
                budget_tokens: budget,
                knowledge_tokens: 60,
                count: &words,
            };
            let history = ds.history(0, AsOf::new(30 * DAY));
            let request = fusion
                .request(&history, &ClaimsConfig::default(), 0)
                .unwrap();
            assert!(request.schema.is_some() && request.seed.is_none());
            let (_, data) = request.messages[0].content.rsplit_once('\n').unwrap();
            assert!(words(data) <= budget, "{set}: {data}");
            let data: Value = serde_json::from_str(data).unwrap();
            let rows = data["events"].as_array().unwrap();
            if budget == 400 {
                assert_eq!(rows.len(), 7, "{set}");
            }
            // The latest come first, and no budget leaves a gap.
            for (i, row) in rows.iter().enumerate() {
                assert_eq!(row[0], 7 - i, "{set}");
                assert_eq!(
                    row.as_array().unwrap().len(),
                    data["columns"].as_array().unwrap().len()
                );
            }
            let other = fusion
                .request(&history, &ClaimsConfig::default(), 1)
                .unwrap();
            assert_ne!(other.hash("small"), request.hash("small"));
        }
    }
}
