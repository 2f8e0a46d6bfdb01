use hkfr_fuse::{Answers, ChatAnswer, StoredAnswer, Usage};

pub fn stored(n: usize) -> StoredAnswer {
    let usage = Usage {
        prompt_tokens: n as u64,
        completion_tokens: 2,
    };
    StoredAnswer {
        hash: format!("{n:064}"),
        model: ["a", "b"][n % 2].into(),
        answer: ChatAnswer {
            text: format!("answer {n}"),
            usage: n.is_multiple_of(3).then_some(usage),
            model: n.is_multiple_of(5).then(|| "a-2024".into()),
        },
        usage,
        answered_at: n as i64,
    }
}

#[test]
fn what_was_put_from_several_threads_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a #1?.sqlite");
    {
        let answers = Answers::open(&path).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let answers = &answers;
                scope.spawn(move || {
                    for n in (thread..400).step_by(8) {
                        answers.put(stored(n), None).unwrap();
                        assert!(answers.contains(&stored(n).hash).unwrap());
                    }
                });
            }
        });
    }
    let check = |answers: &Answers| {
        for n in 0..400 {
            assert_eq!(answers.get(&stored(n).hash).unwrap(), Some(stored(n)));
        }
        assert_eq!(answers.get("no").unwrap(), None);
        let usage = Usage {
            prompt_tokens: (0..400).step_by(2).sum(),
            completion_tokens: 400,
        };
        assert_eq!(answers.usage().unwrap()["a"], (200, usage));
    };
    let before: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    check(&Answers::open_read_only(&path).unwrap().unwrap());
    let after: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(before.len(), after.len(), "reading leaves no trace");
    let answers = Answers::open(&path).unwrap();
    check(&answers);
    // What is there stays, though another process paid for it again.
    let other = StoredAnswer {
        model: "other".into(),
        ..stored(7)
    };
    answers.put(other, None).unwrap();
    assert_eq!(answers.get(&stored(7).hash).unwrap(), Some(stored(7)));
    // While it is written, a reader sees what is committed.
    let reader = Answers::open_read_only(&path).unwrap().unwrap();
    answers.put(stored(400), None).unwrap();
    assert!(reader.contains(&stored(400).hash).unwrap());
}

#[test]
fn newer_and_damaged_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sqlite");
    assert!(Answers::open_read_only(&path).unwrap().is_none());
    // Killed before the first table was there.
    drop(rusqlite::Connection::open(&path).unwrap());
    std::fs::write(&path, "").unwrap();
    assert!(Answers::open_read_only(&path).unwrap().is_none());
    drop(Answers::open(&path).unwrap());
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("PRAGMA user_version = 9").unwrap();
    drop(db);
    let error = Answers::open(&path).err().unwrap().to_string();
    assert!(
        error.contains("a.sqlite: format version 9 is newer than 2"),
        "{error}"
    );
    std::fs::write(&path, "not a database, but long enough to be taken for one").unwrap();
    let error = Answers::open(&path).err().unwrap().to_string();
    assert!(error.contains("a.sqlite"), "{error}");
}
