//! A process that fuses and is killed at any moment: what it had reported as committed is there, every row is
//! what was written, and fusing goes on from it. `HKFR_KILLS=200` kills more often.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use hkfr_events::AsOf;
use hkfr_fuse::{
    FactsConfig, Fusion, FusionMode, KnowledgeKey, KnowledgeStore, TemplateSet, Wording, integrity,
};
use rand::{Rng, SeedableRng};

use crate::fixture::{DAY, household, words};

const STORE: &str = "HKFR_STORE_KILL";
const FIRST: i64 = 30 * DAY;

fn key(n: i64, template_hash: &str) -> KnowledgeKey<'_> {
    KnowledgeKey {
        user: "u",
        as_of: FIRST + n,
        keep_last: None,
        template_hash,
        model: "none",
        mode: FusionMode::None,
    }
}

/// Does nothing unless it is started by the test below: fuses until it is killed, and says what is committed.
#[test]
fn child() {
    let Ok(path) = std::env::var(STORE) else {
        return;
    };
    let ds = household();
    let templates = TemplateSet::load("grocery", None).unwrap();
    let wording = Wording::new(&ds, &templates);
    let facts = FactsConfig::default();
    let fusion = Fusion {
        wording: &wording,
        facts: &facts,
        budget_tokens: 200,
        knowledge_tokens: 200,
        count: &words,
    };
    let mut store = KnowledgeStore::open(Path::new(&path)).unwrap();
    let mut n = store.all().unwrap().len() as i64;
    loop {
        let batch: Vec<_> = (n..n + 1 + n % 16)
            .map(|i| {
                let history = ds.history(0, AsOf::new(FIRST + i));
                fusion.none(&history, None).unwrap()
            })
            .collect();
        store.put(&batch).unwrap();
        n += batch.len() as i64;
        let mut out = std::io::stdout().lock();
        writeln!(out, "\ncommitted {n}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn a_killed_process_loses_no_committed_row() {
    let kills: usize = std::env::var("HKFR_KILLS").map_or(15, |n| n.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("knowledge.sqlite");
    let templates = TemplateSet::load("grocery", None).unwrap();
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(11);
    let (mut reported, mut logs, mut growing) = (0, 0, 0);
    for _ in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store_kill::child", "--nocapture"])
            .env(STORE, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = child.stdout.take().unwrap();
        // Read while it runs, so that it never waits for the pipe.
        let reader = std::thread::spawn(move || {
            let lines = BufReader::new(out).lines().map_while(Result::ok);
            let numbers = lines.filter_map(|l| l.strip_prefix("committed ")?.parse().ok());
            numbers.last().unwrap_or(0_i64)
        });
        std::thread::sleep(Duration::from_micros(rng.random_range(0..100_000)));
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        // SIGKILL.
        child.kill().unwrap();
        child.wait().unwrap();
        let before = reported;
        reported = reported.max(reader.join().unwrap());
        growing += usize::from(reported > before);
        if !path.exists() {
            continue;
        }
        // As it was left: the log holds what is not in the file yet.
        assert_eq!(
            integrity::wal_damage(&integrity::wal_of(&path)).unwrap(),
            None
        );
        logs += usize::from(integrity::has_wal(&path));
        let copies = tempfile::tempdir().unwrap();
        let copy = copies.path().join("copy.sqlite");
        std::fs::copy(&path, &copy).unwrap();
        if integrity::has_wal(&path) {
            std::fs::copy(integrity::wal_of(&path), integrity::wal_of(&copy)).unwrap();
        }
        assert_eq!(integrity::damages(&copy), Vec::<String>::new());
        let store = KnowledgeStore::open(&path).unwrap();
        // Reading holds every row against its checksum.
        let n = store.all().unwrap().len() as i64;
        assert!(
            n >= reported,
            "{reported} rows were committed, {n} are there"
        );
        for i in 0..n {
            let record = store.get(&key(i, templates.hash())).unwrap();
            assert_eq!(record.expect("no gap").as_of, FIRST + i);
        }
    }
    println!("{kills} kills, {growing} after new commits, {logs} left a log, {reported} rows");
    assert!(growing >= kills / 4 && logs >= kills / 4);
}
