//! What services answer that is not what was asked for, from the command to its exit code.

use serde_json::{Value, json};

use crate::server::{Asked, Server, say};
use crate::service::{fuse, knowledge, served};

/// The data of a question, its latest event, and the category of that.
fn latest(asked: &Asked) -> (Value, Value) {
    let data: Value = serde_json::from_str(asked.prompt.lines().last().unwrap()).unwrap();
    let columns = data["columns"].as_array().unwrap();
    let category = columns.iter().position(|c| c == "category").unwrap();
    (
        data["events"][0][0].clone(),
        data["events"][0][category].clone(),
    )
}

/// One true claim.
fn truth(asked: &Asked) -> String {
    let (id, category) = latest(asked);
    let claim = json!({"kind": "category", "value": category, "events": [id]});
    json!({"claims": [claim], "text": ""}).to_string()
}

fn reply(message: Value, finish: &str, usage: Value) -> crate::server::Reply {
    let body = json!({"choices": [{"message": message, "finish_reason": finish}], "usage": usage});
    say(200, body.to_string())
}

fn usage() -> Value {
    json!({"prompt_tokens": 10, "completion_tokens": 5})
}

const PRICES: &str = "min_useful = 0.1\nprices = { small = { input = 1000.0, output = 2000.0 } }";

/// Every history has its claim.
fn all_have_a_claim(dir: &std::path::Path) {
    let knowledge = knowledge(dir);
    let service = knowledge
        .lines()
        .filter(|l| l.contains(r#""mode":"service""#));
    let service: Vec<&str> = service.collect();
    assert!(!service.is_empty());
    assert!(
        service.iter().all(|l| l.contains(r#""supported":1"#)),
        "{}",
        service[0]
    );
}

#[test]
fn answers_in_other_places_are_taken_and_told() {
    type Answer = fn(&Asked) -> crate::server::Reply;
    let cases: [(Answer, &str); 5] = [
        (
            |asked| {
                reply(
                    json!({"content": null, "reasoning_content": truth(asked), "tool_calls": []}),
                    "stop",
                    usage(),
                )
            },
            "answers among its thoughts (reasoning_content)",
        ),
        (
            |asked| {
                let draft = r#"{"claims": [], "text": "draft"}"#;
                let text = format!(
                    "<think>\nA draft: {draft}\n</think>\n\n```json\n{}\n```",
                    truth(asked)
                );
                reply(json!({"content": text}), "stop", usage())
            },
            "1.000 precision",
        ),
        (
            |asked| reply(json!({"content": truth(asked)}), "stop", Value::Null),
            "estimated)",
        ),
        (
            |asked| match asked.body.get("response_format") {
                Some(_) => say(
                    500,
                    r#"{"error": {"message": "Failed to initialize samplers", "code": 500}}"#,
                ),
                None => reply(json!({"content": truth(asked)}), "stop", usage()),
            },
            "asked without response_format from now on",
        ),
        (
            |asked| match asked.body.get("response_format") {
                Some(_) => say(500, "Internal Server Error"),
                None => reply(json!({"content": truth(asked)}), "stop", usage()),
            },
            "asked without response_format from now on",
        ),
    ];
    for (answer, says) in cases {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        let server = Server::start(answer);
        served(dir, &server.url, PRICES);
        let (code, _, err) = fuse(dir, &[]);
        assert_eq!(code, Some(0), "{says}: {err}");
        assert!(err.contains(says), "{err}");
        all_have_a_claim(dir);
        // Nothing is said twice of all histories.
        assert!(err.matches("from now on").count() <= 1, "{err}");
    }
}

/// Answers of which none is of use: paid, stored, and no more of them.
#[test]
fn a_run_without_anything_of_use_ends_early_and_names_the_key() {
    type Answer = fn(&Asked) -> crate::server::Reply;
    let cases: [(Answer, usize, &[&str]); 4] = [
        (
            |_| {
                reply(
                    json!({"content": "", "reasoning_content": "thinking ".repeat(50)}),
                    "length",
                    usage(),
                )
            },
            20,
            &[
                "thinking took all tokens",
                "it sent: thinking thinking",
                "raise reasoning_tokens",
            ],
        ),
        (
            |_| {
                reply(
                    json!({"content": "I am sorry,\u{1b}[33m mail ann@example.org."}),
                    "stop",
                    usage(),
                )
            },
            30,
            &[
                "it sent: I am sorry, [33m mail [e-mail].",
                "asked in: JSON, and then lines",
                "this model cannot do it",
            ],
        ),
        (
            |_| {
                reply(
                    json!({"content": null, "refusal": "I can't help."}),
                    "stop",
                    usage(),
                )
            },
            20,
            &[
                "the model declined",
                "it sent: I can't help.",
                "ask another model",
            ],
        ),
        (
            |_| {
                let claim = json!({"kind": "category", "value": "nonsense", "events": [1]});
                let text = json!({"claims": [claim], "text": "Draft."}).to_string();
                reply(json!({"content": text}), "stop", usage())
            },
            20,
            &[
                "no claim follows from the events that it cites (not-in-catalogue",
                "budget_tokens",
            ],
        ),
    ];
    for (answer, asked, says) in cases {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        let server = Server::start(answer);
        served(
            dir,
            &server.url,
            &format!("{PRICES}\nmax_cost = 1000.0\nconcurrency = 2"),
        );
        let (code, _, err) = fuse(dir, &[]);
        assert_eq!(code, Some(1), "{err}");
        for part in [
            "an answer of none was of use",
            "min_useful = 0 goes on",
            "delete that file",
        ]
        .iter()
        .chain(says)
        {
            assert!(err.contains(part), "{err} does not say {part}");
        }
        assert!(!err.contains('\u{1b}'), "{err}");
        // Those that were under way, and those of a history that was begun.
        assert!(
            (asked..=asked + 6).contains(&server.total()),
            "{}: {err}",
            server.total()
        );
        assert!(
            err.contains(&format!("{} answers, ", server.total())),
            "{err}"
        );
        // The same again says the same and pays for nothing.
        let before = server.total();
        let (code, _, err) = fuse(dir, &[]);
        assert_eq!(code, Some(1), "{err}");
        assert!(says.iter().all(|part| err.contains(part)), "{err}");
        assert_eq!(server.total(), before);
        // And whoever wants it gets the facts.
        crate::models::change(dir, "toy.toml", |t| {
            t.replace("min_useful = 0.1", "min_useful = 0.0")
        });
        let (code, _, err) = fuse(dir, &[]);
        assert_eq!(code, Some(0), "{err}");
    }
}

#[test]
fn a_model_that_writes_lines_alone_is_asked_in_lines_after_a_trial() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let server = Server::start(|asked| {
        let (id, category) = latest(asked);
        let text = if asked.prompt.contains("\ncategory: NAME | events: ID, ID\n") {
            format!("category: {} | events: {id}", category.as_str().unwrap())
        } else {
            "none".to_owned()
        };
        reply(json!({"content": text}), "stop", usage())
    });
    served(dir, &server.url, PRICES);
    let (code, _, err) = fuse(dir, &[]);
    assert_eq!(code, Some(0), "{err}");
    assert!(
        err.contains(
            "of 10 histories 0 could be read as JSON: the others are asked about in lines"
        ),
        "{err}"
    );
    all_have_a_claim(dir);
    let report = std::fs::read(dir.join("out/toy/fuse/report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report[0]["in_lines"], report[0]["histories"]);
    assert_eq!(report[0]["useful"], report[0]["histories"]);
    // JSON was asked for twice of each of the first ten.
    let prompts = server.asked.lock().unwrap();
    let in_json = prompts
        .iter()
        .filter(|(prompt, _)| prompt.contains("Answer with one JSON object"));
    assert!(in_json.map(|(_, n)| n).sum::<usize>() <= 20);
    drop(prompts);
    // Made anew, nothing is asked.
    let before = (server.total(), knowledge(dir));
    let (code, _, err) = fuse(dir, &["--force", "fuse"]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!((server.total(), knowledge(dir)), before);
    let (_, out, _) = fuse(dir, &["--dry-run"]);
    let numbers: Vec<&str> = out
        .split(|c: char| !c.is_ascii_digit())
        .filter(|n| !n.is_empty())
        .collect();
    assert_eq!(numbers[1], numbers[2], "{out}");
}
