use hkfr_fuse::{Claim, CutCounts, FusionMode, KnowledgeKey, KnowledgeRecord, KnowledgeStore};

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
