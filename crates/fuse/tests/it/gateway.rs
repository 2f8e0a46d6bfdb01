use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use hkfr_fuse::{Gateway, GatewayConfig, GatewayError};

/// Answers one connection after the other with these (status, body); returns its address and, when
/// joined, the bodies it was sent.
fn service(answers: Vec<(u16, &'static str)>) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/v1", listener.local_addr().unwrap());
    let handle = std::thread::spawn(move || {
        let mut bodies = Vec::new();
        for (status, body) in answers {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(n) = line.to_lowercase().strip_prefix("content-length:") {
                    length = n.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut sent = vec![0; length];
            reader.read_exact(&mut sent).unwrap();
            bodies.push(String::from_utf8(sent).unwrap());
            let head = format!(
                "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            reader
                .get_mut()
                .write_all((head + body).as_bytes())
                .unwrap();
        }
        bodies
    });
    (address, handle)
}

fn gateway(base_url: &str) -> Gateway {
    Gateway::new(GatewayConfig {
        base_url: base_url.into(),
        api_key: Some("secret".into()),
        model: "small".into(),
        temperature: 0.0,
        timeout: Duration::from_secs(5),
        max_attempts: 3,
        backoff: Duration::from_millis(5),
        seed: 1,
    })
    .unwrap()
}

const GOOD: &str = r#"{"choices":[{"message":{"content":" They like milk. "}}]}"#;

#[test]
fn overload_is_tried_again_and_the_answer_is_read() {
    let (address, handle) = service(vec![(429, "slow down"), (503, "restarting"), (200, GOOD)]);
    assert_eq!(
        gateway(&address)
            .complete("What do they like?", 20)
            .unwrap(),
        "They like milk."
    );
    let bodies = handle.join().unwrap();
    assert_eq!(bodies.len(), 3);
    let sent: serde_json::Value = serde_json::from_str(&bodies[2]).unwrap();
    assert_eq!(
        (&sent["model"], &sent["max_tokens"]),
        (&"small".into(), &20.into())
    );
}

#[test]
fn attempts_end() {
    let (address, handle) = service(vec![(500, "a"), (500, "b"), (500, "the last word")]);
    let error = gateway(&address).complete("x", 5).unwrap_err();
    assert!(
        matches!(&error, GatewayError::Transient { attempts: 3, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("the last word"));
    handle.join().unwrap();
}

#[test]
fn what_the_user_must_mend_fails_at_once() {
    for (status, body, said) in [
        (401, "no", "the key was not accepted"),
        (404, "no", "no such address or model \"small\""),
        (200, "<html>", "the answer is not JSON"),
        (200, "{}", "no choices[0].message.content"),
    ] {
        let (address, handle) = service(vec![(status, body)]);
        let error = gateway(&address).complete("x", 5).unwrap_err();
        assert!(
            matches!(error, GatewayError::User { .. }) && error.to_string().contains(said),
            "{error}"
        );
        handle.join().unwrap();
    }
    let config = GatewayConfig {
        base_url: "not an address".into(),
        ..example()
    };
    assert!(
        Gateway::new(config)
            .err()
            .unwrap()
            .to_string()
            .contains("base_url is not an address")
    );
}

fn example() -> GatewayConfig {
    GatewayConfig {
        base_url: String::new(),
        api_key: None,
        model: "small".into(),
        temperature: 0.0,
        timeout: Duration::from_secs(1),
        max_attempts: 1,
        backoff: Duration::from_millis(1),
        seed: 1,
    }
}
