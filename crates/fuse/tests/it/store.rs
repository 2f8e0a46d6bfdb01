use hkfr_fuse::{
    Answers, Claim, CutCounts, FusionMode, KnowledgeKey, KnowledgeRecord, KnowledgeStore, integrity,
};

fn record(user: &str, as_of: i64, keep_last: Option<u32>) -> KnowledgeRecord {
    KnowledgeRecord {
        user: user.into(),
        as_of,
        keep_last,
        template_hash: "t".into(),
        model: "m".into(),
        mode: FusionMode::Embedded,
        text: format!("knowledge of {user} at {as_of}"),
        claims: vec![Claim {
            slot: "favourite".into(),
            value: "milk".into(),
            n: 2,
            percent: 50,
            evidence: vec![7, 9],
        }],
        n_tokens: 5,
        prompt_tokens: 50,
        cut: CutCounts {
            events_not_written: 3,
            ..CutCounts::default()
        },
        n_dropped: 1,
    }
}

fn key(r: &KnowledgeRecord) -> KnowledgeKey<'_> {
    KnowledgeKey {
        user: &r.user,
        as_of: r.as_of,
        keep_last: r.keep_last,
        template_hash: &r.template_hash,
        model: &r.model,
        mode: r.mode,
    }
}

#[test]
fn what_was_put_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("k.sqlite");
    let records = [
        record("a", 1, None),
        record("a", 2, None),
        record("a", 2, Some(1)),
        record("b", 1, None),
    ];
    KnowledgeStore::open(&path).unwrap().put(&records).unwrap();
    let store = KnowledgeStore::open(&path).unwrap();
    for r in &records {
        assert_eq!(store.get(&key(r)).unwrap().as_ref(), Some(r));
    }
    assert_eq!(
        store
            .get(&KnowledgeKey {
                mode: FusionMode::None,
                ..key(&records[0])
            })
            .unwrap(),
        None
    );
    assert_eq!(
        store
            .of_user("a")
            .unwrap()
            .iter()
            .map(|r| r.as_of)
            .collect::<Vec<_>>(),
        [2, 2, 1]
    );
    let mut lines = Vec::new();
    store.export(&mut lines).unwrap();
    let first: KnowledgeRecord =
        serde_json::from_slice(lines.split(|&b| b == b'\n').next().unwrap()).unwrap();
    assert!(records.contains(&first));
}

#[test]
fn a_newer_file_and_a_damaged_file_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("k.sqlite");
    drop(KnowledgeStore::open(&path).unwrap());
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch("PRAGMA user_version = 9")
        .unwrap();
    let error = KnowledgeStore::open(&path).err().unwrap().to_string();
    assert!(
        error.contains("k.sqlite: format version 9 is newer than 2"),
        "{error}"
    );
    std::fs::write(
        &path,
        "not a database, but long enough to be looked at as one",
    )
    .unwrap();
    let error = KnowledgeStore::open(&path).err().unwrap().to_string();
    assert!(error.contains("k.sqlite"), "{error}");
}

/// The file of a build before checksums.
fn first_version(path: &std::path::Path, records: &[KnowledgeRecord]) {
    KnowledgeStore::open(path).unwrap().put(records).unwrap();
    rusqlite::Connection::open(path)
        .unwrap()
        .execute_batch("ALTER TABLE knowledge DROP COLUMN sha256; PRAGMA user_version = 1")
        .unwrap();
}

#[test]
fn a_file_without_checksums_is_read_and_gets_them_when_it_is_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("k.sqlite");
    let records = [record("a", 1, None), record("b", 1, None)];
    first_version(&path, &records);
    let before = std::fs::read(&path).unwrap();
    let mut store = KnowledgeStore::open(&path).unwrap();
    assert_eq!(store.all().unwrap(), records);
    drop(store);
    assert_eq!(
        std::fs::read(&path).unwrap(),
        before,
        "opening changes nothing"
    );
    store = KnowledgeStore::open(&path).unwrap();
    store.put(&[record("c", 1, None)]).unwrap();
    assert_eq!(store.all().unwrap().len(), 3);
    drop(store);
    assert_eq!(integrity::damages(&path), Vec::<String>::new());
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("UPDATE knowledge SET text = 'another' WHERE user = 'a'")
        .unwrap();
    drop(db);
    assert_eq!(
        integrity::damages(&path),
        ["1 rows of knowledge are not what was written"]
    );
    let error = KnowledgeStore::open(&path).unwrap().all().unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("k.sqlite") && error.contains("--force fuse"),
        "{error}"
    );
}

#[test]
fn answers_without_checksums_get_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sqlite");
    let stored = crate::gateway::answers::stored(3);
    Answers::open(&path)
        .unwrap()
        .put(stored.clone(), Some("user-a"))
        .unwrap();
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch(
            "ALTER TABLE answers DROP COLUMN sha256; DROP TABLE subjects; DROP TABLE batch_files;
             DROP TABLE endings; DROP TABLE unread;
             PRAGMA user_version = 1",
        )
        .unwrap();
    let old = Answers::open_read_only(&path).unwrap().unwrap();
    assert_eq!(old.get(&stored.hash).unwrap(), Some(stored.clone()));
    assert_eq!(old.about("user-a").unwrap(), (0, 1));
    drop(old);
    let answers = Answers::open(&path).unwrap();
    assert_eq!(answers.get(&stored.hash).unwrap(), Some(stored.clone()));
    // Asked again by the same users, it is known whom it is about; it goes with the last of them.
    for subject in ["user-a", "user-b", "user-a"] {
        answers.note_subject(&stored.hash, subject).unwrap();
    }
    assert_eq!(answers.forget("user-a").unwrap(), 0);
    assert_eq!(answers.get(&stored.hash).unwrap(), Some(stored.clone()));
    drop(answers);
    assert_eq!(integrity::damages(&path), Vec::<String>::new());
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("UPDATE answers SET text = 'another'")
        .unwrap();
    drop(db);
    let answers = Answers::open(&path).unwrap();
    let error = answers.get(&stored.hash).unwrap_err().to_string();
    assert!(
        error.contains("a.sqlite") && error.contains("backup"),
        "{error}"
    );
    assert_eq!(answers.forget("user-b").unwrap(), 1);
    assert_eq!(answers.about("user-b").unwrap(), (0, 0));
}

/// SQLite reads a log up to the first damage, and says nothing of the commits after it.
#[test]
fn a_flipped_byte_in_a_log_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("k.sqlite");
    let mut store = KnowledgeStore::open(&path).unwrap();
    for n in 0..6 {
        store.put(&[record("a", n, None)]).unwrap();
    }
    let wal = integrity::wal_of(&path);
    let log = std::fs::read(&wal).unwrap();
    let copy = dir.path().join("log");
    let flipped = |at: usize| {
        let mut bytes = log.clone();
        bytes[at] ^= 4;
        std::fs::write(&copy, &bytes).unwrap();
        integrity::wal_damage(&copy).unwrap()
    };
    std::fs::write(&copy, &log).unwrap();
    assert_eq!(integrity::wal_damage(&copy).unwrap(), None);
    let frame = 24 + 4096;
    assert_eq!((log.len() - 32) % frame, 0);
    for at in (0..log.len() - frame).step_by(97) {
        assert!(flipped(at).is_some(), "byte {at} of {}", log.len());
    }
    // The last frame may be what a kill cut off.
    assert_eq!(flipped(log.len() - 1), None);
    std::fs::write(&copy, &log[..log.len() - 1000]).unwrap();
    assert_eq!(integrity::wal_damage(&copy).unwrap(), None);
}
