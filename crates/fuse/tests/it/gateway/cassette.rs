use std::sync::Arc;
use std::time::Duration;

use hkfr_fuse::{
    Answers, Cassette, CassetteMode, ChatService, Gateway, GatewayConfig, LimitsConfig, Recorded,
    ServiceError,
};

use super::{FakeClock, Script, ask};

#[test]
fn what_was_recorded_is_played_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("answers.jsonl");
    let clock = Arc::new(FakeClock::default());
    let record = |says: &[&'static str]| {
        let script = Script::new("m", &clock, says.iter().map(|s| Ok(*s)));
        let tape = Cassette::open(&path, CassetteMode::Record).unwrap();
        Recorded::record(tape, Box::new(script))
    };
    let second = Duration::from_secs(1);
    let first = record(&["one", "two\nlines"]);
    let recorded: Vec<_> = ["a", "b"]
        .iter()
        .map(|t| first.ask(&ask(*t), second).unwrap())
        .collect();
    drop(first);
    // A second recording asks only what is new.
    let more = record(&["three"]);
    assert_eq!(more.ask(&ask("a"), second).unwrap(), recorded[0]);
    assert_eq!(more.ask(&ask("c"), second).unwrap().text, "three");

    let play = || Recorded::replay(Cassette::open(&path, CassetteMode::Replay).unwrap(), "m");
    assert_eq!(play().ask(&ask("b"), second).unwrap(), recorded[1]);
    match play().ask(&ask("What of milk?"), second) {
        Err(ServiceError::User(reason)) => {
            for part in [
                "is not on the cassette; record it with cassette_mode",
                "What of milk?",
                &ask("What of milk?").hash("m"),
            ] {
                assert!(reason.contains(part), "{reason}");
            }
        }
        other => panic!("{other:?}"),
    }
    // Another model is another request.
    let other = Recorded::replay(
        Cassette::open(&path, CassetteMode::Replay).unwrap(),
        "other",
    );
    assert!(other.ask(&ask("a"), second).is_err());

    // A killed recording leaves half a line, which is asked again.
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &text[..text.len() - 20]).unwrap();
    assert!(play().ask(&ask("c"), second).is_err());
    assert_eq!(play().ask(&ask("b"), second).unwrap(), recorded[1]);
    let again = record(&["three again"]);
    assert_eq!(again.ask(&ask("c"), second).unwrap().text, "three again");
    assert_eq!(play().ask(&ask("c"), second).unwrap().text, "three again");
}

#[test]
fn what_was_paid_before_is_recorded_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("answers.jsonl");
    let clock = Arc::new(FakeClock::default());
    let store = dir.path().join("answers.sqlite");
    let gateway = |service: Box<dyn ChatService>| {
        Gateway::new(
            GatewayConfig::default(),
            vec![(service, LimitsConfig::default())],
            Answers::open(&store).unwrap(),
            Arc::<FakeClock>::clone(&clock),
            Arc::default(),
        )
        .unwrap()
    };
    let paid = gateway(Box::new(Script::new("m", &clock, [Ok("paid")])));
    paid.ask(&ask("a")).unwrap();
    let tape = Cassette::open(&path, CassetteMode::Record).unwrap();
    let script = Box::new(Script::new("m", &clock, []));
    let recording = gateway(Box::new(Recorded::record(tape, script)));
    for _ in 0..2 {
        assert!(recording.ask(&ask("a")).unwrap().from_store);
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
    let played = Recorded::replay(Cassette::open(&path, CassetteMode::Replay).unwrap(), "m");
    let answer = played.ask(&ask("a"), Duration::ZERO).unwrap();
    assert_eq!(answer.text, "paid");
}

#[test]
fn missing_and_damaged_cassettes_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("answers.jsonl");
    let error = |mode| Cassette::open(&path, mode).err().unwrap().to_string();
    let missing = error(CassetteMode::Replay);
    assert!(
        missing.contains("answers.jsonl: no such cassette; record it with"),
        "{missing}"
    );
    let good = r#"{"request":"h","model":"m","answer":{"text":"x","usage":null,"model":null}}"#;
    std::fs::write(&path, format!("{good}\nnoise\n")).unwrap();
    for mode in [CassetteMode::Replay, CassetteMode::Record] {
        let damaged = error(mode);
        assert!(damaged.contains("answers.jsonl:2: damaged ("), "{damaged}");
    }
}
