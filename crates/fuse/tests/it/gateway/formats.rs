//! What a service does not take is left out, and what it answered is paid, of use or not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hkfr_fuse::{
    Answers, BreakerConfig, ChatRequest, Gateway, GatewayConfig, GatewayError, HttpService,
    LimitsConfig, Price, RetryConfig, SpendConfig, SystemClock,
};
use serde_json::json;

use crate::server::{Asked, Reply, Server, good, say};

fn config(max_attempts: u32) -> GatewayConfig {
    GatewayConfig {
        retry: RetryConfig {
            max_attempts,
            backoff: Duration::from_millis(2),
            ..RetryConfig::default()
        },
        breaker: BreakerConfig {
            failures: 100,
            ..BreakerConfig::default()
        },
        ..GatewayConfig::default()
    }
}

fn gateway(server: &Server, config: GatewayConfig) -> Gateway {
    let service = HttpService::new(&server.url, None, "small").unwrap();
    let services: Vec<(Box<dyn hkfr_fuse::ChatService>, _)> =
        vec![(Box::new(service), LimitsConfig::default())];
    let (answers, clock) = (
        Answers::in_memory().unwrap(),
        Arc::new(SystemClock::default()),
    );
    Gateway::new(config, services, answers, clock, Arc::default()).unwrap()
}

fn question(text: &str) -> ChatRequest {
    let mut request = ChatRequest::prompt(text, 20);
    request.schema = Some(json!({"type": "object"}));
    request
}

/// `json_schema`, `json_object` or nothing.
fn format(asked: &Asked) -> String {
    let format = &asked.body["response_format"]["type"];
    format.as_str().unwrap_or("words").to_owned()
}

/// Serves what `refuse` leaves, and counts the formats that are asked for.
fn served(
    refuse: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static,
) -> (Server, [Arc<AtomicUsize>; 3]) {
    let counts: [Arc<AtomicUsize>; 3] = Default::default();
    let counted = counts.clone();
    let server = Server::start(move |asked| {
        let formats = ["json_schema", "json_object", "words"];
        let at = formats.iter().position(|f| *f == format(asked)).unwrap();
        counted[at].fetch_add(1, Ordering::Relaxed);
        assert_eq!(asked.body["stream"], false);
        refuse(asked).unwrap_or_else(|| say(200, good("small", "{}")))
    });
    (server, counts)
}

fn numbers(counts: &[Arc<AtomicUsize>; 3]) -> [usize; 3] {
    counts.each_ref().map(|n| n.load(Ordering::Relaxed))
}

#[test]
fn a_format_that_is_refused_gives_way_to_the_next_for_the_rest_of_the_run() {
    let samplers = r#"{"error": {"code": 500, "message": "Failed to initialize samplers"}}"#;
    for (status, said, refused, expected) in [
        // DeepSeek: the schema alone is refused.
        (
            400,
            "This response_format type is unavailable now",
            1,
            [1, 3, 0],
        ),
        (422, "guided decoding is not supported", 2, [1, 1, 3]),
        // llama.cpp names its samplers: nothing is tried again.
        (500, samplers, 2, [1, 1, 3]),
        // A service that says nothing of the schema: an error is waited for twice.
        (500, "Internal Server Error", 2, [3, 0, 3]),
    ] {
        let (server, counts) = served(move |asked| {
            let formats = ["json_schema", "json_object"];
            formats[..refused]
                .contains(&format(asked).as_str())
                .then(|| say(status, said))
        });
        let gateway = gateway(&server, config(6));
        for text in ["a", "b", "c"] {
            let answered = gateway.ask(&question(text)).unwrap();
            assert!(!answered.from_store);
            assert!(gateway.ask(&question(text)).unwrap().from_store);
        }
        assert_eq!(numbers(&counts), expected, "{status} {said}");
    }
}

#[test]
fn what_fails_with_and_without_a_schema_names_the_key() {
    let (server, counts) = served(|_| Some(say(500, "out of order")));
    let error = gateway(&server, config(3)).ask(&question("a")).unwrap_err();
    assert!(error.is_of_one_request());
    let error = error.to_string();
    assert!(
        error.contains("out of order; without response_format it fails too"),
        "{error}"
    );
    assert!(error.contains("structured = \"never\""), "{error}");
    assert_eq!(numbers(&counts), [3, 0, 1]);
}

/// A question that is refused in every format leaves the format to others, and so does one after an answer.
#[test]
fn a_refusal_of_what_a_question_says_is_not_one_of_the_schema() {
    for said in [
        "too many tokens",
        r#"{"error": {"code": "content_filter"}}"#,
    ] {
        let (server, counts) =
            served(move |asked| asked.prompt.contains("milk").then(|| say(400, said)));
        let gateway = gateway(&server, config(3));
        let refused = |text: &str| match gateway.ask(&question(text)) {
            Err(e @ GatewayError::Refused { .. }) => assert!(e.to_string().contains("status 400")),
            other => panic!("{other:?}"),
        };
        refused("milk?");
        gateway.ask(&question("bread?")).unwrap();
        refused("milk!");
        gateway.ask(&question("cola?")).unwrap();
        let before_any_answer = usize::from(!said.contains("content_filter"));
        assert_eq!(numbers(&counts), [4, before_any_answer, before_any_answer]);
    }
}

#[test]
fn parameters_that_are_refused_by_name_are_left_out_from_then_on() {
    let refused = [
        (
            "max_tokens",
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        ),
        (
            "temperature",
            "Unsupported value: 'temperature' does not support 0.0 with this model.",
        ),
        ("seed", "Unknown parameter: 'seed'"),
    ];
    let (server, counts) = served(move |asked| {
        let sent = refused
            .iter()
            .find(|(name, _)| asked.body.get(*name).is_some());
        sent.map(|(_, said)| say(400, *said))
    });
    let gateway = gateway(&server, config(1));
    for text in ["a", "b"] {
        let mut request = question(text);
        request.seed = Some(3);
        gateway.ask(&request).unwrap();
        // It is the same question.
        assert!(gateway.ask(&request).unwrap().from_store);
    }
    assert_eq!(numbers(&counts), [3 + 2, 0, 0]);
}

#[test]
fn what_was_answered_counts_towards_the_cap_even_if_it_cannot_be_read() {
    let empty = r#"{"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 50}}"#;
    let server = Server::start(move |_| say(200, empty));
    let mut config = config(100);
    let price = Price {
        input: 1e4,
        output: 1e4,
    };
    config.spend = SpendConfig {
        prices: [("small".to_owned(), price)].into(),
        max_cost: Some(10.0),
        max_tokens: None,
    };
    let gateway = gateway(&server, config);
    match gateway.ask(&ChatRequest::prompt("a", 20)) {
        Err(GatewayError::Cap { spent, .. }) => assert!(spent.contains("7 answers"), "{spent}"),
        other => panic!("{other:?}"),
    }
    // 1.5 each; the estimate of a next one, .29, fits beside six.
    assert_eq!((gateway.spent().unread, server.total()), (7, 7));
    let paid = gateway.answers().usage().unwrap()["small"];
    assert_eq!(paid.usage.total(), 1050);
}

/// Errors of a reply of status 200 are what their code says.
#[test]
fn an_error_in_a_200_is_treated_by_its_code() {
    let (server, _) = served(|asked| {
        let busy = r#"{"error": {"code": 429, "message": "slow down"}}"#;
        (asked.before == 0).then(|| say(200, busy))
    });
    gateway(&server, config(3)).ask(&question("a")).unwrap();
    assert_eq!(server.total(), 2);
    let (server, _) = served(|_| {
        Some(say(
            200,
            r#"{"error": {"code": "invalid_api_key", "message": "no"}}"#,
        ))
    });
    let error = gateway(&server, config(3)).ask(&question("a")).unwrap_err();
    assert!(matches!(&error, GatewayError::User { .. }), "{error}");
    assert!(error.to_string().contains("api_key_env"), "{error}");
    assert_eq!(server.total(), 1);
}
