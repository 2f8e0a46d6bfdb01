use std::time::{Duration, Instant};

use hkfr_fuse::{Cause, ChatRequest, ChatService, HttpService, RetryAfter, ServiceError, Usage};
use serde_json::json;

use crate::server::{Reply, Server, good, say};

fn service(server: &Server) -> HttpService {
    HttpService::new(&server.url, Some(" secret\n".into()), "small").unwrap()
}

fn ask(server: &Server) -> Result<hkfr_fuse::ChatAnswer, ServiceError> {
    let request = ChatRequest::prompt("What do they like?", 20);
    service(server).ask(&request, Duration::from_millis(300))
}

#[test]
fn a_request_says_what_is_wanted_and_the_answer_is_read() {
    let server = Server::start(|asked| {
        assert_eq!(asked.authorization.as_deref(), Some("Bearer secret"));
        let format = &asked.body["response_format"];
        assert_eq!(
            *format,
            json!({"type": "json_schema", "json_schema":
                {"name": "answer", "strict": true, "schema": {"type": "object"}}})
        );
        assert_eq!(
            (&asked.body["model"], &asked.body["max_tokens"]),
            (&json!("small"), &json!(20))
        );
        say(200, good("small-2024", " They like milk. "))
    });
    let mut request = ChatRequest::prompt("What do they like?", 20);
    request.schema = Some(json!({"type": "object"}));
    let answer = service(&server)
        .ask(&request, Duration::from_secs(5))
        .unwrap();
    assert_eq!(answer.text, "They like milk.");
    assert_eq!(answer.model.as_deref(), Some("small-2024"));
    let usage = Usage {
        prompt_tokens: 10,
        completion_tokens: 5,
    };
    assert_eq!(answer.usage, Some(usage));
}

#[test]
fn a_model_that_reasons_is_asked_in_its_own_terms() {
    let server = Server::start(|asked| {
        assert_eq!(asked.body["max_completion_tokens"], json!(520));
        for refused in ["max_tokens", "temperature"] {
            assert!(asked.body.get(refused).is_none(), "{refused}");
        }
        say(200, good("small", "They like milk."))
    });
    let plain = ChatRequest::prompt("What do they like?", 20);
    let mut request = plain.clone();
    request.reasoning_tokens = 500;
    service(&server)
        .ask(&request, Duration::from_secs(5))
        .unwrap();
    // What it thinks is paid, and its answer is another.
    assert_eq!(request.estimate().completion_tokens, 520);
    assert_ne!(request.hash("small"), plain.hash("small"));
}

#[test]
fn tokens_that_no_answer_can_have_taken_are_not_believed() {
    let body = good("m", "x").replace("\"prompt_tokens\":10", "\"prompt_tokens\":9e18");
    for tokens in ["18446744073709551615", "-1", "\"ten\"", "null"] {
        let body = body.replace("9e18", tokens);
        let server = Server::start(move |_| say(200, body.clone()));
        assert_eq!(ask(&server).unwrap().usage, None, "{tokens}");
    }
}

#[test]
fn every_status_is_either_the_users_or_may_pass() {
    let credit = r#"{"error": {"code": "insufficient_quota"}}"#;
    for (status, body, says) in [
        (301, "", "it has moved to \"/v2\": put that into base_url"),
        (
            400,
            "too long",
            "does not take this request; check the model \"small\"",
        ),
        (413, "too long", "status 413, the service does not take"),
        (422, "too long", "status 422, the service does not take"),
        (
            401,
            "no\nno",
            "the key was not accepted; put a valid one into the environment variable",
        ),
        (403, "", "the key was not accepted"),
        (
            404,
            "",
            "no such address or model \"small\"; check base_url",
        ),
        (429, credit, "no credit left"),
        (418, "tea", "status 418: tea"),
    ] {
        let headers = "location: /v2\r\n".to_owned();
        let server = Server::start(move |_| Reply::Say(status, headers.clone(), body.to_owned()));
        match ask(&server) {
            Err(ServiceError::Refused(reason)) if [400, 413, 422].contains(&status) => {
                assert!(reason.contains(says), "{reason}");
            }
            Err(ServiceError::User(reason)) => {
                assert!(![400, 413, 422].contains(&status), "{reason}");
                assert!(reason.contains(says) && !reason.contains('\n'), "{reason}");
            }
            other => panic!("{status}: {other:?}"),
        }
    }
    for status in [408, 409, 425, 429, 500, 502, 503, 529] {
        let server = Server::start(move |_| {
            Reply::Say(status, "retry-after: 7\r\n".into(), "restarting".into())
        });
        let expected = ServiceError::Transient {
            reason: format!("status {status}: restarting"),
            cause: match status {
                429 => Cause::Busy,
                500.. => Cause::Server,
                _ => Cause::Line,
            },
            after: Some(RetryAfter::In(Duration::from_secs(7))),
            paid: None,
        };
        assert_eq!(ask(&server), Err(expected));
    }
}

#[test]
fn damaged_and_late_answers_may_pass() {
    type Make = fn() -> Reply;
    let replies: [(Make, &str); 7] = [
        (
            || say(200, "<html>"),
            "the answer is not JSON but a web page",
        ),
        (|| say(200, "{}"), "no choices[0].message.content"),
        (
            || say(200, r#"{"choices": []}"#),
            "no choices[0].message.content",
        ),
        (
            || say(200, "{\"choices\": [{\"mess"),
            "the answer is not JSON",
        ),
        (|| Reply::Cut("{\"choices\"".into()), "cut short"),
        (|| Reply::Hang, "timed out"),
        (
            || Reply::Drip(good("small", "slowly"), Duration::from_millis(20)),
            "timed out",
        ),
    ];
    for (reply, says) in replies {
        let server = Server::start(move |_| reply());
        let started = Instant::now();
        match ask(&server) {
            Err(ServiceError::Transient { reason, .. }) => {
                assert!(reason.contains(says), "{reason} does not say {says}");
            }
            other => panic!("{says}: {other:?}"),
        }
        assert!(started.elapsed() < Duration::from_secs(2), "{says}");
    }
}

#[test]
fn an_address_must_be_one_and_somebody_must_be_there() {
    let error = HttpService::new("not an address", None, "m").err().unwrap();
    assert!(error.to_string().contains("base_url is not an address"));
    let nobody = HttpService::new("http://127.0.0.1:9/v1", None, "m").unwrap();
    let error = nobody.ask(&ChatRequest::prompt("x", 1), Duration::from_secs(5));
    assert!(
        matches!(&error, Err(ServiceError::Transient { reason, .. }) if reason.contains("refused")),
        "{error:?}"
    );
}
