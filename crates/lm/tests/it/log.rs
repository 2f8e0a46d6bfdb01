use hkfr_lm::log::{EVENTS, METRICS, TrainingLog, read_metrics};

/// (step, wall time, file version, scalars) of each record; checks the lengths, not the checksums,
/// which the unit tests of the writer cover.
type Event = (u64, f64, String, Vec<(String, f32)>);

fn decode(mut bytes: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let n = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let mut event = (0, 0.0, String::new(), Vec::new());
        for (field, value) in fields(&bytes[12..12 + n]) {
            match (field, value) {
                (1, Field::Fixed(v)) => event.1 = f64::from_le_bytes(v.try_into().unwrap()),
                (2, Field::Varint(v)) => event.0 = v,
                (3, Field::Fixed(v)) => event.2 = String::from_utf8(v).unwrap(),
                (5, Field::Fixed(summary)) => {
                    event.3 = fields(&summary).into_iter().map(scalar).collect()
                }
                other => panic!("{other:?}"),
            }
        }
        events.push(event);
        bytes = &bytes[16 + n..];
    }
    events
}

fn scalar((field, value): (u64, Field)) -> (String, f32) {
    let (1, Field::Fixed(value)) = (field, value) else {
        panic!("a summary holds values")
    };
    match &fields(&value)[..] {
        [(1, Field::Fixed(tag)), (2, Field::Fixed(v))] => (
            String::from_utf8(tag.clone()).unwrap(),
            f32::from_le_bytes(v[..].try_into().unwrap()),
        ),
        other => panic!("{other:?}"),
    }
}

#[derive(Debug)]
enum Field {
    Varint(u64),
    Fixed(Vec<u8>),
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Field)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let n = bytes.iter().position(|b| b & 0x80 == 0).unwrap() + 1;
        let (head, rest) = bytes.split_at(n);
        *bytes = rest;
        head.iter()
            .rev()
            .fold(0, |v, b| v << 7 | u64::from(b & 0x7f))
    }
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let n = match key & 7 {
            0 => {
                out.push((key >> 3, Field::Varint(varint(&mut bytes))));
                continue;
            }
            1 => 8,
            2 => varint(&mut bytes) as usize,
            5 => 4,
            other => panic!("wire type {other}"),
        };
        let (head, rest) = bytes.split_at(n);
        out.push((key >> 3, Field::Fixed(head.to_vec())));
        bytes = rest;
    }
    out
}

#[test]
fn a_step_is_a_line_and_an_event() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = TrainingLog::open(dir.path(), 0, 1000.5).unwrap();
    log.step(1, 1001.0, &[("token_loss", 2.5), ("item_loss", 0.25)])
        .unwrap();
    log.step(
        300,
        1002.0,
        &[("token_loss", f64::NAN), ("item_loss", 0.125)],
    )
    .unwrap();
    drop(log);
    let text = std::fs::read_to_string(dir.path().join(METRICS)).unwrap();
    let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let expected =
        serde_json::json!({"step": 1, "wall_time": 1001.0, "token_loss": 2.5, "item_loss": 0.25});
    assert_eq!(first, expected);
    let mut events = decode(&std::fs::read(dir.path().join(EVENTS)).unwrap());
    events
        .iter_mut()
        .for_each(|e| e.3.sort_by(|a, b| a.0.cmp(&b.0)));
    let tag = |name: &str, v: f32| (format!("train/{name}"), v);
    assert_eq!(
        events,
        [
            (0, 1000.5, "brain.Event:2".into(), vec![]),
            (
                1,
                1001.0,
                String::new(),
                vec![tag("item_loss", 0.25), tag("token_loss", 2.5)]
            ),
            (300, 1002.0, String::new(), vec![tag("item_loss", 0.125)]),
        ]
    );
}

#[test]
fn a_resumed_run_has_every_step_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = TrainingLog::open(dir.path(), 0, 1.0).unwrap();
    for step in 1..=7 {
        log.step(step, 1.0 + step as f64, &[("loss", step as f64)])
            .unwrap();
    }
    drop(log);
    // A crash in the middle of a record, after a checkpoint at step 4.
    for name in [METRICS, EVENTS] {
        let path = dir.path().join(name);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
    }
    let mut log = TrainingLog::open(dir.path(), 4, 50.0).unwrap();
    for step in 5..=6 {
        log.step(step, 50.0 + step as f64, &[("loss", 10.0 * step as f64)])
            .unwrap();
    }
    drop(log);
    let losses: Vec<f64> = read_metrics(&dir.path().join(METRICS))
        .unwrap()
        .iter()
        .map(|l| l["loss"].as_f64().unwrap())
        .collect();
    assert_eq!(losses, [1.0, 2.0, 3.0, 4.0, 50.0, 60.0]);
    let events = decode(&std::fs::read(dir.path().join(EVENTS)).unwrap());
    let steps: Vec<(u64, f64)> = events.iter().map(|e| (e.0, e.1)).collect();
    assert_eq!(
        steps,
        [
            (0, 2.0),
            (1, 2.0),
            (2, 3.0),
            (3, 4.0),
            (4, 5.0),
            (5, 55.0),
            (6, 56.0)
        ]
    );
}

#[test]
fn a_damaged_line_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(METRICS);
    std::fs::write(&path, "{\"step\": 1}\nnonsense\n{\"step\": 3}\n").unwrap();
    let error = read_metrics(&path).unwrap_err().to_string();
    assert!(error.contains("metrics.jsonl: line 2"), "{error}");
}
