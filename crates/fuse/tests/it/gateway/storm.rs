//! Ten thousand requests while three in ten attempts fail, in all ways in which they can.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hkfr_fuse::{
    Answers, BreakerConfig, ChatService, Gateway, GatewayConfig, HttpService, LimitsConfig,
    RetryConfig, SystemClock,
};

use super::ask;
use crate::server::{Reply, Server, good, say};

const N: usize = 10_000;
const THREADS: usize = 64;

/// Of a request and how often it was asked: the same storm in every run.
fn draw(prompt: &str, before: usize) -> u64 {
    let mut h = 0xcbf2_9ce4_8422_2325_u64 ^ before as u64;
    for b in prompt.bytes() {
        h = (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
    }
    (h ^ (h >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 20
}

#[test]
fn all_are_answered_or_listed_and_none_is_paid_twice() {
    let failures: Arc<[AtomicUsize; 6]> = Arc::default();
    let returned: Arc<Mutex<HashSet<String>>> = Arc::default();
    let twice = Arc::new(AtomicUsize::new(0));
    let (counts, done, again) = (failures.clone(), returned.clone(), twice.clone());
    let server = Server::start(move |asked| {
        if done.lock().unwrap().contains(&asked.prompt) {
            again.fetch_add(1, Ordering::Relaxed);
        }
        let answer = good("m", &format!("answer to {}", asked.prompt));
        let draw = draw(&asked.prompt, asked.before);
        if draw % 10 >= 3 {
            return say(200, answer);
        }
        let kind = (draw / 10 % 6) as usize;
        counts[kind].fetch_add(1, Ordering::Relaxed);
        match kind {
            0 => Reply::Say(429, "retry-after: 0\r\n".into(), "slow down".into()),
            1 => say(500, "no"),
            2 => Reply::Hang,
            3 => Reply::Cut(answer[..answer.len() / 2].to_owned()),
            4 => say(200, &answer[..answer.len() / 2]),
            _ => Reply::Drip(answer, Duration::from_millis(50)),
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("answers.sqlite");
    let config = GatewayConfig {
        retry: RetryConfig {
            max_attempts: 6,
            timeout: Duration::from_millis(400),
            deadline: Duration::from_secs(10),
            backoff: Duration::from_millis(5),
            seed: 1,
        },
        breaker: BreakerConfig {
            failures: 50,
            open: Duration::from_millis(100),
        },
        ..GatewayConfig::default()
    };
    let limits = LimitsConfig {
        concurrency: THREADS,
        ..LimitsConfig::default()
    };
    let service: Box<dyn ChatService> = Box::new(HttpService::new(&server.url, None, "m").unwrap());
    let gateway = Gateway::new(
        config,
        vec![(service, limits)],
        Answers::open(&path).unwrap(),
        Arc::new(SystemClock::default()),
        Arc::default(),
    )
    .unwrap();
    let started = Instant::now();
    let (next, listed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= N {
                        break;
                    }
                    let prompt = format!("request {i}");
                    match gateway.ask(&ask(prompt.as_str())) {
                        Ok(answered) => {
                            assert_eq!(answered.answer.text, format!("answer to {prompt}"));
                            returned.lock().unwrap().insert(prompt);
                        }
                        Err(e) => {
                            assert!(e.is_of_one_request(), "{e}");
                            listed.lock().unwrap().push(prompt);
                        }
                    }
                }
            });
        }
    });
    let (seconds, listed) = (
        started.elapsed().as_secs_f64(),
        listed.into_inner().unwrap(),
    );
    let injected: Vec<usize> = failures.iter().map(|n| n.load(Ordering::Relaxed)).collect();
    println!(
        "{N} requests, {} attempts, failures {injected:?}, {} listed, {seconds:.1} s",
        server.total(),
        listed.len()
    );
    assert!(injected.iter().all(|n| *n > 500), "{injected:?}");
    let answered = returned.lock().unwrap().len();
    assert_eq!(answered + listed.len(), N);
    // 0.3⁶ of them, 7, are expected.
    assert!(listed.len() < 40, "{} listed", listed.len());
    // What was cut short is paid beside it.
    let spent = gateway.spent();
    assert_eq!(spent.answers - spent.unread, answered as u64);
    assert!(spent.unread > 500, "{spent}");
    assert!(seconds < 50.0, "{seconds} s");

    // Once more: what is stored is not asked, and what was listed is.
    let before = server.total();
    for i in 0..N {
        drop(gateway.ask(&ask(format!("request {i}"))));
    }
    assert!(server.total() - before <= 6 * listed.len());
    assert_eq!(twice.load(Ordering::Relaxed), 0);
}
