//! A process that is killed at any moment: what it had stored is not asked again, and the store is whole.
//!
//! The child is this test binary, told by the environment whom to ask. `HKFR_KILLS=200` kills more often.

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hkfr_fuse::{
    Answers, ChatService, Gateway, GatewayConfig, HttpService, LimitsConfig, RetryConfig,
    SystemClock,
};
use rand::{Rng, SeedableRng};

use super::ask;
use crate::server::{Server, good, say};

const URL: &str = "HKFR_KILL_URL";
const STORE: &str = "HKFR_KILL_STORE";
const COUNT: &str = "HKFR_KILL_COUNT";
const THREADS: usize = 4;

fn prompt(i: usize) -> String {
    format!("request {i}")
}

/// Does nothing unless it is started by the test below.
#[test]
fn child() {
    let (Ok(url), Ok(store), Ok(n)) = (
        std::env::var(URL),
        std::env::var(STORE),
        std::env::var(COUNT),
    ) else {
        return;
    };
    let n: usize = n.parse().unwrap();
    let service: Box<dyn ChatService> = Box::new(HttpService::new(&url, None, "m").unwrap());
    let config = GatewayConfig {
        retry: RetryConfig {
            backoff: Duration::from_millis(2),
            ..RetryConfig::default()
        },
        ..GatewayConfig::default()
    };
    let gateway = Gateway::new(
        config,
        vec![(service, LimitsConfig::default())],
        Answers::open(store.as_ref()).unwrap(),
        Arc::new(SystemClock::default()),
        Arc::default(),
    )
    .unwrap();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= n {
                        break;
                    }
                    let answered = gateway.ask(&ask(prompt(i))).unwrap();
                    assert_eq!(answered.answer.text, format!("answer to {}", prompt(i)));
                }
            });
        }
    });
}

#[test]
fn a_killed_process_pays_for_nothing_twice() {
    let kills: usize = std::env::var("HKFR_KILLS").map_or(20, |n| n.parse().unwrap());
    // A child lives for 45 ms on average, and 4 threads wait 5 ms for each answer.
    let n = kills * 40;
    let server = Server::start(|asked| {
        std::thread::sleep(Duration::from_millis(5));
        match asked.before == 0 && asked.prompt.ends_with('3') {
            true => say(503, "restarting"),
            false => say(200, good("m", &format!("answer to {}", asked.prompt))),
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("answers.sqlite");
    let start = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "gateway::kill::child", "--nocapture"])
            .env(URL, &server.url)
            .env(STORE, &path)
            .env(COUNT, n.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    let mut stored: HashMap<String, usize> = HashMap::new();
    let (mut killed, mut rounds_with_more) = (0, 0);
    let mut check = |stored: &mut HashMap<String, usize>| {
        for (prompt, asked) in &*stored {
            assert_eq!(server.count(prompt), *asked, "{prompt} was asked again");
        }
        if !path.exists() {
            return;
        }
        let db = rusqlite::Connection::open(&path).unwrap();
        let whole: String = db
            .query_row("PRAGMA integrity_check", [], |r| r.get(0))
            .unwrap();
        assert_eq!(whole, "ok");
        drop(db);
        let answers = Answers::open(&path).unwrap();
        let before = stored.len();
        for i in 0..n {
            if answers.contains(&ask(prompt(i)).hash("m")).unwrap() {
                stored
                    .entry(prompt(i))
                    .or_insert_with(|| server.count(&prompt(i)));
            }
        }
        rounds_with_more += usize::from(stored.len() > before);
    };
    for _ in 0..kills {
        let mut child = start();
        std::thread::sleep(Duration::from_micros(rng.random_range(0..90_000)));
        killed += usize::from(child.try_wait().unwrap().is_none());
        // SIGKILL.
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had sent before it died has arrived.
        std::thread::sleep(Duration::from_millis(10));
        check(&mut stored);
    }
    let before_last = stored.len();
    assert!(start().wait().unwrap().success());
    check(&mut stored);
    println!(
        "{killed} of {kills} kills met a living process, {before_last} of {n} answers were stored by then, {rounds_with_more} rounds stored some, {} attempts",
        server.total()
    );
    assert_eq!(stored.len(), n);
    assert!(killed >= kills / 2 && rounds_with_more >= kills / 4);
}
