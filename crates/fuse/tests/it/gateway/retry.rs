use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hkfr_fuse::{
    Answers, Cause, ChatService, Gateway, GatewayConfig, GatewayError, LimitsConfig, RetryAfter,
    RetryConfig, ServiceError,
};

use super::{FakeClock, NOON, Script, ask, away, gateway};

fn busy(after: Option<RetryAfter>) -> Result<&'static str, ServiceError> {
    Err(ServiceError::Transient {
        reason: "status 429: slow down".into(),
        cause: Cause::Busy,
        after,
        paid: None,
    })
}

fn config(max_attempts: u32, deadline: u64) -> GatewayConfig {
    GatewayConfig {
        retry: RetryConfig {
            max_attempts,
            deadline: Duration::from_secs(deadline),
            ..RetryConfig::default()
        },
        ..GatewayConfig::default()
    }
}

#[test]
fn pauses_double_within_their_jitter_and_depend_on_the_seed() {
    let times = |seed| {
        let clock = Arc::new(FakeClock::default());
        let script = Script::new("m", &clock, (0..5).map(|_| away("status 500")));
        let at = Arc::clone(&script.at);
        let mut config = config(6, 1000);
        config.retry.seed = seed;
        gateway(config, [script], &clock).ask(&ask("x")).unwrap();
        at.lock().unwrap().clone()
    };
    let at = times(1);
    assert_eq!(at.len(), 6);
    for (i, pair) in at.windows(2).enumerate() {
        let (pause, mean) = (pair[1] - pair[0], f64::from(1 << i));
        assert!((0.5 * mean..1.5 * mean).contains(&pause), "{at:?}");
    }
    assert_eq!(at, times(1));
    assert_ne!(at, times(2));
}

#[test]
fn retry_after_is_kept_to_in_seconds_and_as_a_date() {
    // Half a second to one and a half: a service that says "now", or tells a time that is past, gets the usual pause.
    let usual = 0.5..1.5;
    let seconds = |n: f64| n..n + 0.01;
    for (header, wait) in [
        ("7", seconds(7.0)),
        ("2.5", seconds(2.5)),
        ("6m0s", seconds(360.0)),
        (" 0 ", usual.clone()),
        ("Sun, 06 Nov 1994 08:49:57 GMT", seconds(20.0)),
        ("Sunday, 06-Nov-94 08:49:57 GMT", seconds(20.0)),
        ("Sun Nov  6 08:49:57 1994", seconds(20.0)),
        ("1994-11-06T08:49:57Z", seconds(20.0)),
        ("Sun, 06 Nov 1994 08:00:00 GMT", usual),
    ] {
        let clock = Arc::new(FakeClock::default());
        let script = Script::new("m", &clock, [busy(RetryAfter::parse(header))]);
        let at = Arc::clone(&script.at);
        gateway(config(6, 900), [script], &clock)
            .ask(&ask("x"))
            .unwrap();
        let at = at.lock().unwrap();
        assert!(at.len() == 2 && wait.contains(&at[1]), "{header}: {at:?}");
    }
    assert_eq!(RetryAfter::parse("soon"), None);
    let ages = RetryAfter::parse(&u64::MAX.to_string()).unwrap();
    assert_eq!(ages.wait(NOON), Duration::from_secs(365 * 86_400));
    assert_eq!(RetryAfter::At(NOON - 5).wait(NOON), Duration::ZERO);
}

#[test]
fn patience_asked_of_one_is_kept_by_all() {
    let clock = Arc::new(FakeClock::default());
    let script = Script::new("m", &clock, [busy(RetryAfter::parse("30"))]);
    let at = Arc::clone(&script.at);
    let gateway = gateway(config(6, 300), [script], &clock);
    std::thread::scope(|scope| {
        for i in 0..4 {
            let gateway = &gateway;
            scope.spawn(move || {
                // The first one is told before the others come.
                std::thread::sleep(Duration::from_millis(if i == 0 { 0 } else { 50 }));
                gateway.ask(&ask(format!("request {i}"))).unwrap();
            });
        }
    });
    let at = at.lock().unwrap();
    assert!(
        at.len() == 5 && at[1..].iter().all(|t| *t >= 30.0),
        "{at:?}"
    );
}

#[test]
fn attempts_end_and_the_last_reason_is_told() {
    let clock = Arc::new(FakeClock::default());
    let script = Script::new("m", &clock, [away("a"), away("b"), away("the last one")]);
    let error = gateway(config(3, 300), [script], &clock)
        .ask(&ask("x"))
        .unwrap_err();
    assert!(
        matches!(&error, GatewayError::Transient { attempts: 3, .. }) && error.is_of_one_request()
    );
    assert_eq!(
        error.to_string(),
        "http://scripted: the last one (after 3 attempts); what was answered is kept: run again later"
    );
}

#[test]
fn no_attempt_goes_beyond_the_deadline() {
    let clock = Arc::new(FakeClock::default());
    let script = Script {
        takes: Duration::from_secs(20),
        ..Script::new("m", &clock, (0..100).map(|_| away("no answer in time")))
    };
    let at = Arc::clone(&script.at);
    let error = gateway(config(100, 90), [script], &clock)
        .ask(&ask("x"))
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the deadline of 90 s leaves no other attempt"),
        "{error}"
    );
    assert!(clock.seconds() <= 90.0, "{}", clock.seconds());
    assert!(at.lock().unwrap().len() >= 3);
}

#[test]
fn what_the_user_must_mend_fails_at_once() {
    let clock = Arc::new(FakeClock::default());
    let mend = ServiceError::User("status 401, the key was not accepted".into());
    let first = Script::new("m", &clock, [Err(mend)]);
    let at = Arc::clone(&first.at);
    let second = Script::new("other", &clock, []);
    let error = gateway(config(6, 300), [first, second], &clock)
        .ask(&ask("x"))
        .unwrap_err();
    assert!(
        matches!(error, GatewayError::User { .. }) && !error.is_of_one_request(),
        "{error}"
    );
    assert_eq!((at.lock().unwrap().len(), clock.seconds()), (1, 0.0));
    assert!(!error.is_refusal());
}

#[test]
fn a_stop_ends_the_waiting() {
    let clock = Arc::new(FakeClock::default());
    let script = Script::new("m", &clock, [away("x")]);
    let stop = Arc::new(AtomicBool::new(false));
    let services = vec![(
        Box::new(script) as Box<dyn ChatService>,
        LimitsConfig::default(),
    )];
    let answers = Answers::in_memory().unwrap();
    let time = Arc::clone(&clock);
    let gateway = Gateway::new(config(6, 300), services, answers, time, Arc::clone(&stop)).unwrap();
    stop.store(true, Ordering::Relaxed);
    assert!(matches!(gateway.ask(&ask("x")), Err(GatewayError::Stopped)));
}
