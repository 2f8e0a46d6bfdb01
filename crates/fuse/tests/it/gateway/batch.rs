use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use hkfr_fuse::{
    Answers, ChatRequest, ChatService, Gateway, GatewayConfig, GatewayError, LimitsConfig,
    ServiceError, read_batch, write_batch_line,
};
use serde_json::{Value, json};

use super::{FakeClock, Script, ask};
use crate::server::good;

#[test]
fn what_goes_out_comes_in_as_paid() {
    let dir = tempfile::tempdir().unwrap();
    let requests: Vec<ChatRequest> = (0..6).map(|i| ask(format!("request {i}"))).collect();
    let mut out = Vec::new();
    for request in &requests {
        write_batch_line(&mut out, request, "m").unwrap();
    }
    let out = String::from_utf8(out).unwrap();
    assert_eq!(out.lines().count(), 6);
    // Answered in another order, as the service does, with errors and damage in between.
    let mut file = String::new();
    let lines: Vec<&str> = out.lines().collect();
    for (i, line) in lines.iter().enumerate().rev() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&line["method"], &line["url"]),
            (&json!("POST"), &json!("/v1/chat/completions"))
        );
        assert_eq!(line["body"], requests[i].body("m"));
        let body: Value = serde_json::from_str(&good("m-2024", &format!("answer {i}"))).unwrap();
        let (status, body) = match i {
            2 => (429, json!({"error": {"message": "quota"}})),
            _ => (200, body),
        };
        let response = json!({"status_code": status, "request_id": "r", "body": body});
        let line =
            json!({"id": "b", "custom_id": line["custom_id"], "response": response, "error": null});
        writeln!(file, "{line}").unwrap();
    }
    let id = |i: usize| requests[i].hash("m");
    let cut = &file.lines().next().unwrap()[..60].to_owned();
    let expired = json!({"custom_id": id(2), "response": null, "error": {"code": "batch_expired"}});
    let stranger = json!({"custom_id": "x\ny", "response": {"status_code": 200, "body": {}}});
    let hollow =
        json!({"custom_id": id(2), "response": {"status_code": 200, "body": {"choices": []}}});
    write!(file, "{cut}\n\n{expired}\n{stranger}\n{hollow}\n{{}}").unwrap();
    let path = dir.path().join("output.jsonl");
    let mut bytes = file.into_bytes();
    bytes.extend(b"\n\xff\xfe");
    std::fs::write(&path, bytes).unwrap();

    let answers = Answers::in_memory().unwrap();
    let asked: HashMap<String, &ChatRequest> = requests.iter().map(|r| (r.hash("m"), r)).collect();
    let find = |id: &str| asked.get(id).map(|r| (*r, "m"));
    let read = read_batch(&path, find, &answers, 7).unwrap();
    assert_eq!((read.taken, read.known), (5, 0));
    let ends = |lines: &[String], expected: &[&str]| {
        assert_eq!(lines.len(), expected.len(), "{lines:?}");
        for (line, part) in lines.iter().zip(expected) {
            assert!(line.contains(part), "{line} does not say {part}");
        }
    };
    ends(
        &read.failed,
        &[
            "output.jsonl:4: not answered: status 429: ",
            "output.jsonl:9: not answered: {\"code\":\"batch_expired\"}",
        ],
    );
    ends(
        &read.bad,
        &[
            "output.jsonl:7: damaged: ",
            "output.jsonl:10: custom_id \"x y\" is no request of this run",
            "output.jsonl:11: the answer has no choices",
            "output.jsonl:12: has no custom_id",
            "output.jsonl:13: damaged: ",
        ],
    );
    let again = read_batch(&path, find, &answers, 8).unwrap();
    assert_eq!((again.taken, again.known), (0, 5));

    // A run finds them paid, and asks for the one that failed.
    let clock = Arc::new(FakeClock::default());
    let mend = ServiceError::User("is not to be asked".into());
    let script: Box<dyn ChatService> = Box::new(Script::new("m", &clock, [Err(mend)]));
    let services = vec![(script, LimitsConfig::default())];
    let gateway = Gateway::new(
        GatewayConfig::default(),
        services,
        answers,
        clock,
        Arc::default(),
    )
    .unwrap();
    for (i, request) in requests.iter().enumerate() {
        match gateway.ask(request) {
            Ok(answered) => {
                assert_eq!(answered.answer.text, format!("answer {i}"));
                assert!(answered.from_store);
            }
            Err(e) => assert!(i == 2 && matches!(e, GatewayError::User { .. }), "{e}"),
        }
    }
    assert_eq!(gateway.spent().usage.total(), 5 * 15);
    let missing = read_batch(&dir.path().join("no"), find, gateway.answers(), 0);
    assert!(
        missing
            .unwrap_err()
            .to_string()
            .contains("no: No such file")
    );
}
