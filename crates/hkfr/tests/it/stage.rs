//! The frame of a stage: skip, force, resume, clear; the manifest; the lock.

use std::path::Path;

use anyhow::Result;
use hkfr::config::TASKS;
use hkfr::eval::Run;
use hkfr::stage::{MANIFEST, Manifest, Outcome, RunLock, Runner, Spec, StageContext};
use hkfr::stages::{rank_all, read_runs};
use hkfr::stop::{Stop, Stopped};
use serde_json::json;

fn spec(name: &'static str, inputs: &'static [&'static str], config: u32) -> Spec {
    Spec {
        name,
        inputs,
        config: json!({ "n": config }),
        seed: 1,
        outside: vec![],
        keep: &["paid.db"],
    }
}

fn runner(dir: &Path) -> Runner {
    Runner::new(dir, Stop::default(), &[])
}

fn write(text: &str) -> impl Fn(&mut StageContext) -> Result<()> {
    move |ctx| {
        std::fs::create_dir_all(ctx.dir.join("sub"))?;
        std::fs::write(ctx.dir.join("sub/a.txt"), text)?;
        ctx.count("rows", 1200);
        Ok(())
    }
}

fn never(_: &mut StageContext) -> Result<()> {
    panic!("must be skipped")
}

#[test]
fn a_finished_stage_is_skipped_until_something_changes() {
    let dir = tempfile::tempdir().unwrap();
    let r = runner(dir.path());
    assert_eq!(
        r.stage(&spec("a", &[], 1), write("x")).unwrap(),
        Outcome::Ran
    );
    assert_eq!(
        r.stage(&spec("a", &[], 1), never).unwrap(),
        Outcome::UpToDate
    );
    // Another config, seed or outside file: made again.
    assert_eq!(
        r.stage(&spec("a", &[], 2), write("x")).unwrap(),
        Outcome::Ran
    );
    let other = Spec {
        seed: 2,
        ..spec("a", &[], 2)
    };
    assert_eq!(r.stage(&other, write("x")).unwrap(), Outcome::Ran);
    let other = Spec {
        outside: vec!["h".into()],
        ..other
    };
    assert_eq!(r.stage(&other, write("x")).unwrap(), Outcome::Ran);
    // A file that went missing: made again.
    std::fs::remove_file(dir.path().join("a/sub/a.txt")).unwrap();
    assert_eq!(r.stage(&other, write("x")).unwrap(), Outcome::Ran);
}

#[test]
fn a_copied_directory_is_still_up_to_date_and_a_changed_file_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let r = runner(dir.path());
    r.stage(&spec("a", &[], 1), write("x")).unwrap();
    let file = dir.path().join("a/sub/a.txt");
    let touch = || {
        let times = std::fs::FileTimes::new().set_modified(std::time::SystemTime::UNIX_EPOCH);
        std::fs::File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .set_times(times)
            .unwrap();
    };
    touch();
    assert_eq!(
        r.stage(&spec("a", &[], 1), never).unwrap(),
        Outcome::UpToDate
    );
    std::fs::write(&file, "y").unwrap();
    touch();
    assert_eq!(
        r.stage(&spec("a", &[], 1), write("x")).unwrap(),
        Outcome::Ran
    );
}

#[test]
fn the_manifest_says_what_was_done() {
    let dir = tempfile::tempdir().unwrap();
    runner(dir.path())
        .stage(&spec("a", &[], 7), write("x"))
        .unwrap();
    let m = Manifest::read(&dir.path().join("a")).unwrap().unwrap();
    assert_eq!(
        (m.stage.as_str(), m.seed, &m.config),
        ("a", 1, &json!({ "n": 7 }))
    );
    assert_eq!(m.counts["rows"], 1200);
    assert_eq!(m.files.len(), 1);
    assert_eq!(
        (m.files[0].path.as_str(), m.files[0].size),
        ("sub/a.txt", 1)
    );
    assert_eq!(m.files[0].sha256, hkfr::digest::of_text("x"));
    assert!(m.summary().starts_with("1,200 rows · "), "{}", m.summary());
    if cfg!(target_os = "linux") {
        assert!(m.peak_memory_mb.unwrap() > 0.0);
    }
}

#[test]
fn later_stages_follow_what_was_made_and_not_when() {
    let dir = tempfile::tempdir().unwrap();
    let r = runner(dir.path());
    r.stage(&spec("a", &[], 1), write("x")).unwrap();
    r.stage(&spec("b", &["a"], 1), write("b")).unwrap();
    let forced = Runner::new(dir.path(), Stop::default(), &["a".into()]);
    // Made again with the same result: what follows stays.
    assert_eq!(
        forced.stage(&spec("a", &[], 1), write("x")).unwrap(),
        Outcome::Ran
    );
    assert_eq!(
        r.stage(&spec("b", &["a"], 1), never).unwrap(),
        Outcome::UpToDate
    );
    // With another one: it does not.
    forced.stage(&spec("a", &[], 1), write("y")).unwrap();
    assert_eq!(
        r.stage(&spec("b", &["a"], 1), write("b")).unwrap(),
        Outcome::Ran
    );
}

/// A database holds its rows in the order in which threads came; what it holds is exported beside it.
#[test]
fn the_bytes_of_the_knowledge_store_make_nothing_stale() {
    let dir = tempfile::tempdir().unwrap();
    let fuse = |store: &'static str, rows: &'static str| {
        move |ctx: &mut StageContext| -> Result<()> {
            std::fs::write(ctx.dir.join("knowledge.sqlite"), store)?;
            Ok(std::fs::write(ctx.dir.join("knowledge.jsonl"), rows)?)
        }
    };
    let (r, spec_of_fuse) = (runner(dir.path()), spec("fuse", &[], 1));
    let forced = Runner::new(dir.path(), Stop::default(), &["fuse".into()]);
    r.stage(&spec_of_fuse, fuse("one order", "x")).unwrap();
    r.stage(&spec("b", &["fuse"], 1), write("b")).unwrap();
    forced.stage(&spec_of_fuse, fuse("another", "x")).unwrap();
    assert_eq!(
        r.stage(&spec("b", &["fuse"], 1), never).unwrap(),
        Outcome::UpToDate
    );
    // It is a file of the stage all the same.
    let manifest = Manifest::read(&dir.path().join("fuse")).unwrap().unwrap();
    assert!(manifest.files.iter().any(|f| f.path == "knowledge.sqlite"));
    forced.stage(&spec_of_fuse, fuse("another", "y")).unwrap();
    assert_eq!(
        r.stage(&spec("b", &["fuse"], 1), write("b")).unwrap(),
        Outcome::Ran
    );
}

#[test]
fn a_stage_without_its_input_says_which_command_comes_first() {
    let dir = tempfile::tempdir().unwrap();
    let e = runner(dir.path())
        .stage(&spec("b", &["a"], 1), never)
        .unwrap_err();
    assert!(e.to_string().contains("run `hkfr a CONFIG` first"), "{e}");
}

#[test]
fn an_interrupted_stage_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let r = runner(dir.path());
    let e = r.stage(&spec("a", &[], 1), |ctx| {
        assert!(!ctx.resumed);
        std::fs::write(ctx.dir.join("checkpoint"), "half")?;
        ctx.stop.request();
        Ok(ctx.stop.check()?)
    });
    assert!(e.unwrap_err().is::<Stopped>());
    assert!(!dir.path().join("a").join(MANIFEST).exists());
    // The next process.
    runner(dir.path())
        .stage(&spec("a", &[], 1), |ctx| {
            assert!(ctx.resumed);
            assert_eq!(std::fs::read_to_string(ctx.dir.join("checkpoint"))?, "half");
            Ok(())
        })
        .unwrap();
    assert_eq!(
        runner(dir.path()).stage(&spec("a", &[], 1), never).unwrap(),
        Outcome::UpToDate
    );
}

#[test]
fn work_that_returns_early_because_of_a_stop_is_not_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let e = runner(dir.path()).stage(&spec("a", &[], 1), |ctx| {
        ctx.stop.request();
        Ok(())
    });
    assert!(e.unwrap_err().is::<Stopped>());
    assert!(Manifest::read(&dir.path().join("a")).unwrap().is_none());
}

#[test]
fn half_done_work_for_another_config_is_cleared_apart_from_what_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let fail = |ctx: &mut StageContext| {
        std::fs::write(ctx.dir.join("checkpoint"), "half")?;
        std::fs::write(ctx.dir.join("paid.db"), "answers")?;
        anyhow::bail!("disk full")
    };
    let e = runner(dir.path())
        .stage(&spec("a", &[], 1), fail)
        .unwrap_err();
    assert_eq!(e.to_string(), "disk full");
    runner(dir.path())
        .stage(&spec("a", &[], 2), |ctx| {
            assert!(!ctx.resumed);
            assert!(!ctx.dir.join("checkpoint").exists());
            assert_eq!(std::fs::read_to_string(ctx.dir.join("paid.db"))?, "answers");
            Ok(())
        })
        .unwrap();
}

#[test]
fn force_makes_again_from_nothing() {
    let dir = tempfile::tempdir().unwrap();
    runner(dir.path())
        .stage(&spec("a", &[], 1), write("x"))
        .unwrap();
    let forced = Runner::new(dir.path(), Stop::default(), &["a".into()]);
    let outcome = forced.stage(&spec("a", &[], 1), |ctx| {
        assert!(!ctx.resumed && !ctx.dir.join("sub").exists());
        Ok(())
    });
    assert_eq!(outcome.unwrap(), Outcome::Ran);
}

#[test]
fn a_stopped_ranking_keeps_the_systems_that_were_finished() {
    let dir = tempfile::tempdir().unwrap();
    let systems = ["first".to_owned(), "second".to_owned()];
    let ranked = std::cell::RefCell::new(Vec::new());
    let rank = |stop_at: &'static str| {
        let ranked = &ranked;
        let systems = &systems;
        move |ctx: &mut StageContext| {
            let stop = ctx.stop.clone();
            rank_all(ctx, systems, &TASKS.map(String::from), |system, task, _| {
                if system == stop_at {
                    stop.request();
                }
                ranked.borrow_mut().push(format!("{system}.{task}"));
                Ok(Run {
                    system: system.into(),
                    task: task.into(),
                    depth: 1,
                    ..Run::default()
                })
            })
        }
    };
    let e = runner(dir.path())
        .stage(&spec("a", &[], 1), rank("first"))
        .unwrap_err();
    assert!(e.is::<Stopped>());
    assert_eq!(ranked.take(), ["first.category"]);
    runner(dir.path())
        .stage(&spec("a", &[], 1), rank("nobody"))
        .unwrap();
    assert_eq!(
        ranked.take(),
        ["first.item", "second.category", "second.item"]
    );
    let runs = read_runs(&dir.path().join("a")).unwrap();
    assert_eq!(runs.len(), 4);
}

#[test]
fn a_damaged_or_newer_manifest_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("a")).unwrap();
    let path = dir.path().join("a").join(MANIFEST);
    for (text, says) in [
        ("{", "is damaged"),
        (r#"{"format_version": 99}"#, "is newer than"),
    ] {
        std::fs::write(&path, text).unwrap();
        let e = runner(dir.path())
            .stage(&spec("a", &[], 1), never)
            .unwrap_err();
        let e = format!("{e:#}");
        assert!(e.contains(says) && e.contains("a/manifest.json"), "{e}");
    }
}

#[test]
fn two_runs_do_not_share_a_directory_and_a_dead_one_leaves_no_lock() {
    let dir = tempfile::tempdir().unwrap();
    let held = RunLock::acquire(dir.path()).unwrap();
    let e = RunLock::acquire(dir.path()).unwrap_err().to_string();
    assert!(
        e.contains(&format!("process {}", std::process::id())),
        "{e}"
    );
    assert!(e.contains("--out"), "{e}");
    drop(held);
    // The file is still there, with the number of a process that is gone.
    std::fs::write(dir.path().join(".lock"), "999999999\n").unwrap();
    RunLock::acquire(dir.path()).unwrap();
}
