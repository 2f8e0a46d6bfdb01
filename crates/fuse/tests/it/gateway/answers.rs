use std::collections::BTreeSet;

use hkfr_fuse::{Answers, Bill, ChatAnswer, Finish, Place, StoredAnswer, Usage};

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
            place: [Place::Content, Place::Reasoning][usize::from(n.is_multiple_of(7))],
            finish: [Finish::Stop, Finish::Length][usize::from(n.is_multiple_of(11))],
            ..ChatAnswer::default()
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
        let paid = answers.usage().unwrap()["a"];
        // Every third is reported.
        assert_eq!(
            (paid.answers, paid.estimated, paid.usage),
            (200, 133, usage)
        );
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
        error.contains("a.sqlite: format version 9 is newer than 3"),
        "{error}"
    );
    std::fs::write(&path, "not a database, but long enough to be taken for one").unwrap();
    let error = Answers::open(&path).err().unwrap().to_string();
    assert!(error.contains("a.sqlite"), "{error}");
}

#[test]
fn of_another_file_what_is_about_the_given_subjects_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let [mine, other] = ["mine", "other"].map(|n| dir.path().join(format!("{n}.sqlite")));
    let answers = Answers::open(&other).unwrap();
    for (n, subject) in [(1, "user-a"), (2, "user-gone"), (3, "user-b")] {
        answers.put(stored(n), Some(subject)).unwrap();
    }
    answers.note_subject(&stored(3).hash, "user-gone").unwrap();
    answers.put(stored(4), None).unwrap();
    answers.note_batch_file("/b.jsonl").unwrap();
    let set = |subjects: &[&str]| -> BTreeSet<String> {
        subjects.iter().map(|s| (*s).to_owned()).collect()
    };
    assert_eq!(
        answers.subjects().unwrap(),
        set(&["user-a", "user-b", "user-gone"])
    );
    assert_eq!(
        answers.about_others(&set(&["user-a", "user-b"])).unwrap(),
        1
    );
    assert_eq!(answers.about_others(&set(&[])).unwrap(), 3);
    drop(answers);
    let answers = Answers::open(&mine).unwrap();
    answers.put(stored(1), Some("user-c")).unwrap();
    let known = set(&["user-a", "user-b"]);
    assert_eq!(answers.absorb(&other, &known, false).unwrap(), 2);
    let there = |n| answers.contains(&stored(n).hash).unwrap();
    assert_eq!([1, 2, 3, 4].map(there), [true, false, true, false]);
    assert_eq!(
        answers.subjects().unwrap(),
        set(&["user-a", "user-b", "user-c"])
    );
    assert_eq!(answers.batch_files().unwrap().len(), 1);
    // Again, and with what nobody noted the subject of.
    assert_eq!(answers.absorb(&other, &known, true).unwrap(), 1);
    assert_eq!([1, 2, 3, 4].map(there), [true, false, true, true]);
    assert_eq!(answers.about("user-a").unwrap(), (1, 1));
    drop(answers);
    assert_eq!(hkfr_fuse::integrity::damages(&mine), Vec::<String>::new());
}

/// What cannot be read is paid once, in whichever file it is, and a file of the version before is brought up to date.
#[test]
fn unread_answers_are_paid_and_older_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let [old, new] = ["old", "new"].map(|n| dir.path().join(format!("{n}.sqlite")));
    let answers = Answers::open(&old).unwrap();
    answers.put(stored(2), None).unwrap();
    drop(answers);
    let db = rusqlite::Connection::open(&old).unwrap();
    db.execute_batch("DROP TABLE endings; DROP TABLE unread; PRAGMA user_version = 2")
        .unwrap();
    drop(db);
    let reader = Answers::open_read_only(&old).unwrap().unwrap();
    assert_eq!(reader.get(&stored(2).hash).unwrap(), Some(stored(2)));
    assert_eq!(reader.usage().unwrap()["a"].answers, 1);
    drop(reader);
    let answers = Answers::open(&old).unwrap();
    let usage = Usage {
        prompt_tokens: 10,
        completion_tokens: 5,
    };
    for reported in [true, false, false] {
        answers
            .put_unread("hash", "a", Bill { usage, reported }, 7)
            .unwrap();
    }
    drop(answers);
    let answers = Answers::open(&new).unwrap();
    for _ in 0..2 {
        answers.absorb(&old, &BTreeSet::new(), true).unwrap();
        let paid = answers.usage().unwrap()["a"];
        assert_eq!((paid.answers, paid.unread, paid.estimated), (4, 3, 3));
        assert_eq!(paid.usage.total(), 4 + 45);
        assert_eq!(
            paid.to_string(),
            "4 answers, 32 + 17 tokens, cost 0.0000 (3 unreadable, tokens of 3 estimated)"
        );
    }
    drop(answers);
    assert_eq!(hkfr_fuse::integrity::damages(&new), Vec::<String>::new());
}
