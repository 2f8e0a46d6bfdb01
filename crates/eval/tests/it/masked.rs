//! Masked items are no candidates, whichever tool masked them and in whatever file.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{Float32Array, Float64Array};
use hkfr_eval::{Repeats, Run, Truth, parquet, score, score_all, trec};

use crate::files::{columns, text_column};
use crate::fixtures::{case, truth};

/// Two lists of five that were filled up with masked items.
const LISTS: [(&str, &[&str]); 2] = [
    ("u1", &["0.9", "0.4", "M", "M", "M"]),
    ("u2", &["0.7", "0.6", "0.5", "M", "M"]),
];

fn rows() -> impl Iterator<Item = (&'static str, String, &'static str)> {
    let of_list = |(user, scores): (&'static str, &'static [&'static str])| {
        let rows = scores.iter().enumerate();
        rows.map(move |(i, score)| (user, format!("i{i}"), *score))
    };
    LISTS.into_iter().flat_map(of_list)
}

fn asked() -> Truth {
    let cases = vec![case("u1", &["i1", "i3"], ""), case("u2", &["i2", "i4"], "")];
    truth("item", cases, &[])
}

/// Reads a TREC file with these masks.
fn trec_run(dir: &Path, mask: &str) -> hkfr_eval::Result<Run> {
    let lines = rows().map(|(user, item, score)| {
        let score = score.replace('M', mask);
        format!("{user} Q0 {item} 1 {score} als\n")
    });
    let path = dir.join("lists.trec");
    std::fs::write(&path, lines.collect::<String>()).unwrap();
    trec::read_run(&path, "item")
}

/// u1 hits at rank 2 of two targets, u2 at rank 3: (.63093 / 1.63093 + .5 / 1.63093) / 2 by hand.
#[track_caller]
fn check(run: &Run) {
    let of_rank_2 = 1.0 / 3f64.log2();
    let right = (of_rank_2 + 0.5) / (1.0 + of_rank_2) / 2.0;
    assert!((right - 0.346_713).abs() < 1e-6);
    let scores = score(&asked(), run, &[5], Repeats::Allow).unwrap();
    assert!(
        (scores.get("ndcg@5").unwrap() - right).abs() < 1e-12,
        "{scores:?}"
    );
    assert_eq!(scores.get("hr@5"), Some(1.0));
    let (_, warnings) =
        score_all(&asked(), std::slice::from_ref(run), &[5], Repeats::Allow).unwrap();
    let [one] = &warnings[..] else {
        panic!("{warnings:?}")
    };
    assert!(
        one.contains("5 items of `") && one.contains("/lists."),
        "{one}"
    );
}

#[test]
fn every_mask_of_a_trec_file_is_left_out_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    for mask in [
        "-inf",
        "-Infinity",
        "-INF",
        "-3.4028234663852886e+38",
        "-3.4028e38",
        "-3.3895314e38",
        "-1.7976931348623157e308",
        "-1e400",
    ] {
        check(&trec_run(dir.path(), mask).unwrap_or_else(|e| panic!("{mask}: {e}")));
    }
    // Low, and no mask.
    let read = trec_run(dir.path(), "-1e30").unwrap();
    assert_eq!((read.lists[0].items.len(), read.notes.len()), (5, 0));
}

#[test]
fn what_ranks_nothing_is_refused_with_line_and_remedy() {
    let dir = tempfile::tempdir().unwrap();
    for mask in ["nan", "NaN", "inf", "+Infinity", "1e400"] {
        let message = trec_run(dir.path(), mask).unwrap_err().to_string();
        let said = format!("lists.trec:3: the score `{mask}` ranks nothing; mend what computed it");
        assert!(message.contains(&said), "{message}");
    }
}

#[test]
fn masks_of_parquet_and_json_lines_are_left_out_too() {
    let dir = tempfile::tempdir().unwrap();
    let users: Vec<&str> = rows().map(|r| r.0).collect();
    let items: Vec<String> = rows().map(|r| r.1).collect();
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    let read = |scores| {
        let given = [
            ("q_id", text_column(&users)),
            ("doc_id", text_column(&items)),
            ("score", scores),
        ];
        let path = dir.path().join("lists.parquet");
        std::fs::rename(columns(&dir, &given), &path).unwrap();
        parquet::read_run(&path, "item")
    };
    let scores = |mask: f64| rows().map(move |r| r.2.parse().unwrap_or(mask));
    check(
        &read(Arc::new(Float64Array::from_iter_values(scores(
            f64::NEG_INFINITY,
        ))))
        .unwrap(),
    );
    check(&read(Arc::new(Float64Array::from_iter_values(scores(f64::MIN)))).unwrap());
    let narrow = |mask: f32| rows().map(move |r| r.2.parse().unwrap_or(mask));
    check(&read(Arc::new(Float32Array::from_iter_values(narrow(f32::MIN)))).unwrap());
    check(
        &read(Arc::new(Float32Array::from_iter_values(narrow(
            f32::NEG_INFINITY,
        ))))
        .unwrap(),
    );
    let refused = read(Arc::new(Float64Array::from_iter_values(scores(
        f64::INFINITY,
    ))))
    .unwrap_err();
    let said = "row 3: `score` is inf, not a finite number; drop the row";
    assert!(refused.to_string().ends_with(said), "{refused}");

    let path = dir.path().join("lists.jsonl");
    let mut text =
        r#"{"format":"hkfr-run","version":1,"system":"als","task":"item","depth":5}"#.to_owned();
    for (user, scores) in LISTS {
        let scores = scores.join(",").replace('M', "-3.4028234663852886e38");
        text += &format!(
            "\n{{\"case\":\"{user}\",\"items\":[\"i0\",\"i1\",\"i2\",\"i3\",\"i4\"],\"scores\":[{scores}]}}"
        );
    }
    std::fs::write(&path, text).unwrap();
    check(&Run::read(&path).unwrap());
}

#[test]
fn a_list_of_masked_items_alone_stays_in_the_denominator() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lists.trec");
    std::fs::write(&path, "u1 Q0 i1 1 0.5 als\nu2 Q0 i2 1 -inf als\n").unwrap();
    let run = trec::read_run(&path, "item").unwrap();
    assert_eq!((run.lists.len(), run.lists[1].items.len()), (2, 0));
    let scores = score(&asked(), &run, &[5], Repeats::Allow).unwrap();
    assert_eq!(scores.get("hr@5"), Some(0.5));
}
