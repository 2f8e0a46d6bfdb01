//! Against ranx: `golden/make.py` writes random runs, qrels and what ranx says of them.
//!
//! ranx orders ties by an unstable sort of its own. The runs with ties are therefore given to it with
//! the ties resolved as ours are, targets last; those without ties are given as they are.

use std::path::Path;

use hkfr_eval::{Repeats, score, trec};

#[test]
fn equal_to_ranx() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let text = std::fs::read_to_string(dir.join("ranx.json")).unwrap();
    let golden: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert!(golden.len() >= 6);
    for (name, expected) in golden {
        let truth = trec::read_qrels(&dir.join(format!("{name}.qrels")), "item").unwrap();
        let run = trec::read_run(&dir.join(format!("{name}.run")), "item").unwrap();
        let scores = score(&truth, &run, &[1, 5, 10, 50], Repeats::Allow).unwrap();
        let expected = expected.as_object().unwrap();
        assert_eq!(scores.0.len(), expected.len());
        for (metric, value) in &scores.0 {
            let ranx = expected[metric].as_f64().unwrap();
            assert!(
                (value - ranx).abs() < 1e-9,
                "{name} {metric}: {value} ≠ {ranx}"
            );
        }
    }
}
