//! Run, truth and TREC files: written and read back, and every fault with its line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int32Array, RecordBatch, StringArray,
};
use hkfr_eval::{Run, Truth, parquet, trec};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::fixtures::{case, list, run, truth};

const HEADER: &str = r#"{"format":"hkfr-run","version":1,"system":"s","task":"item","depth":10}"#;
const TRUTH: &str = r#"{"format":"hkfr-truth","version":1,"task":"item"}
{"catalogue":["a","b"]}"#;

fn file(dir: &TempDir, text: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.path().join("x.jsonl");
    std::fs::write(&path, text).unwrap();
    path
}

/// Reads `text` and gives the error, with the directory cut off.
fn error<T: std::fmt::Debug>(
    text: impl AsRef<[u8]>,
    read: impl Fn(&Path) -> hkfr_eval::Result<T>,
) -> String {
    let dir = tempfile::tempdir().unwrap();
    let message = read(&file(&dir, text)).unwrap_err().to_string();
    message.replace(&format!("{}/", dir.path().display()), "")
}

#[test]
fn runs_come_back_as_written() {
    let dir = tempfile::tempdir().unwrap();
    let lists = vec![
        list("u\"1", &["a", "<b>", "c\nd"], &[0.1, 0.1, -3.25e-7]),
        list("u2", &[], &[]),
        list("u3", &["ü"], &[f64::MAX]),
    ];
    let written = run("HKFR (ours)/v2", "item", lists);
    assert_eq!(written.file_name(), "HKFR__ours__v2.item.jsonl");
    let path = dir.path().join("deep/runs").join(written.file_name());
    written.write(&path).unwrap();
    assert_eq!(Run::read(&path).unwrap(), written);
    written.write(&path).unwrap();
    let left: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "no temporary file stays: {left:?}");
}

#[test]
fn truths_come_back_as_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("truth.jsonl");
    let mut cases = vec![case("u1", &["a", "b"], "cold"), case("u2", &["gone"], "")];
    cases[1].in_overall = false;
    let written = truth("item", cases, &["b", "a"]);
    written.write(&path).unwrap();
    assert_eq!(Truth::read(&path).unwrap(), written);
}

#[test]
fn a_run_that_breaks_its_rules_is_not_written_and_the_old_file_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.jsonl");
    run("s", "item", vec![list("u1", &["a"], &[1.0])])
        .write(&path)
        .unwrap();
    let before = std::fs::read(&path).unwrap();
    let bad = run("s", "item", vec![list("u1", &["a"], &[f64::NAN])]);
    let message = bad.write(&path).unwrap_err().to_string();
    assert!(
        message.contains("`u1`") && message.contains("not a finite number"),
        "{message}"
    );
    let twice = run(
        "s",
        "item",
        vec![list("u1", &["a"], &[1.0]), list("u1", &["a"], &[1.0])],
    );
    assert!(
        twice
            .write(&path)
            .unwrap_err()
            .to_string()
            .contains("already given")
    );
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn lists_without_scores_have_no_ties() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("{HEADER}\n\n{{\"case\":\"u1\",\"items\":[\"a\",\"b\"]}}\n");
    let read = Run::read(&file(&dir, text)).unwrap();
    assert_eq!(read.lists[0].scores, [0.0, -1.0]);
    assert_eq!(read.seed, None);
}

#[test]
fn faults_of_a_run_file_name_file_and_line() {
    let lines = |rest: &[&str]| format!("{HEADER}\n{}\n", rest.join("\n"));
    let good = r#"{"case":"u1","items":["a","b"],"scores":[2,1]}"#;
    let check = |rest: &[&str], expected: &str| {
        let message = error(lines(rest), Run::read);
        assert!(
            message.starts_with(expected),
            "expected {expected}\n     got {message}"
        );
    };
    check(
        &[good, r#"{"case":"u2","items":["a""#],
        "x.jsonl:3: not valid JSON",
    );
    check(
        &[r#"{"case":"u2","items":["a"],"scores":[NaN]}"#],
        "x.jsonl:2: not valid JSON",
    );
    check(
        &[r#"{"case":"u2","items":["a"],"scores":[null]}"#],
        "x.jsonl:2: not valid JSON",
    );
    check(
        &[r#"{"case":"u2","items":["a"],"scores":[1e999]}"#],
        "x.jsonl:2: not valid JSON",
    );
    check(
        &[r#"{"case":"u2","items":["a","b"],"scores":[1,2]}"#],
        "x.jsonl:2: scores rise from 1 to 2 at rank 2",
    );
    check(
        &[r#"{"case":"u2","items":["a","b","a"],"scores":[3,2,1]}"#],
        "x.jsonl:2: item `a` stands twice in the list (ranks 1 and 3)",
    );
    check(
        &[r#"{"case":"u2","items":["a","b"],"scores":[1]}"#],
        "x.jsonl:2: 2 items but 1 scores",
    );
    check(
        &[good, "", good],
        "x.jsonl:4: case `u1` was already given on line 2; keep one",
    );
    let plain = |text: &str| error(text, Run::read);
    assert!(plain("").starts_with("x.jsonl:1: the file is empty"));
    let other = HEADER.replace("hkfr-run", "hkfr-truth");
    assert!(plain(&other).starts_with("x.jsonl:1: the header says format `hkfr-truth`"));
    let newer = HEADER.replace("\"version\":1", "\"version\":9");
    assert!(plain(&newer).starts_with("x.jsonl:1: format version 9; this build reads version 1"));
    let announced = HEADER.replace("\"depth\":10", "\"depth\":10,\"n_lists\":2");
    let cut = plain(&format!("{announced}\n{good}\n"));
    assert!(
        cut.contains("announces 2 lines of data, the file has 1"),
        "{cut}"
    );
    let latin1 = [HEADER.as_bytes(), b"\n{\"case\":\"\xe9\",\"items\":[]}\n"].concat();
    assert!(error(latin1, Run::read).starts_with("x.jsonl:2: not valid UTF-8"));
    let absent = Run::read(Path::new("/nowhere/r.jsonl"))
        .unwrap_err()
        .to_string();
    assert!(absent.contains("/nowhere/r.jsonl"), "{absent}");
}

#[test]
fn faults_of_a_truth_file_name_file_and_line() {
    let check = |rest: &str, expected: &str| {
        let message = error(format!("{TRUTH}\n{rest}\n"), Truth::read);
        assert!(
            message.starts_with(expected),
            "expected {expected}\n     got {message}"
        );
    };
    let good = r#"{"case":"u1","targets":["a"]}"#;
    check(r#"{"case":"u1","targets":[]}"#, "x.jsonl:3: no targets");
    check(
        r#"{"case":"u1","targets":["a","a"]}"#,
        "x.jsonl:3: target `a` is given twice",
    );
    check(
        r#"{"case":"u1","targets":["a"],"segment":"all"}"#,
        "x.jsonl:3: segment `all` is reserved",
    );
    check(
        &format!("{good}\n{good}"),
        "x.jsonl:4: case `u1` was already given on line 3",
    );
    check("", "truth of task `item` has no cases");
    let message = error(TRUTH.replace("[\"a\",\"b\"]", "[]"), Truth::read);
    assert!(
        message.starts_with("x.jsonl:2: the catalogue is empty"),
        "{message}"
    );
}

#[test]
fn trec_runs_are_ordered_by_score() {
    let dir = tempfile::tempdir().unwrap();
    let text =
        "q2 Q0 d9 1 0.5 bm25\r\nq1 Q0 d1 1 1.5 bm25\nq1\tQ0\td2  2 7 bm25\n\nq1 Q0 d3 3 1.5 bm25\n";
    let read = trec::read_run(&file(&dir, text), "item").unwrap();
    assert_eq!(
        (read.system.as_str(), read.task.as_str(), read.depth),
        ("bm25", "item", 3)
    );
    let expected = [
        list("q2", &["d9"], &[0.5]),
        list("q1", &["d2", "d1", "d3"], &[7.0, 1.5, 1.5]),
    ];
    assert_eq!(read.lists, expected);
    read.check().unwrap();
}

#[test]
fn faults_of_a_trec_file_name_file_and_line() {
    let good = "q1 Q0 d1 1 1.5 bm25";
    let check = |line: &str, expected: &str| {
        let message = error(format!("{good}\n{line}\n"), |p| trec::read_run(p, "item"));
        assert!(
            message.starts_with(expected),
            "expected {expected}\n     got {message}"
        );
    };
    check(
        "q1 Q0 d2 2 1.0",
        "x.jsonl:2: expected 6 fields `qid Q0 docid rank score tag`, found 5",
    );
    check(
        "q1 Q0 d2 2 high bm25",
        "x.jsonl:2: `high` is not a number (field score)",
    );
    check(
        "q1 Q0 d2 2 NaN bm25",
        "x.jsonl:2: the score `NaN` ranks nothing; mend",
    );
    check(
        "q1 Q0 d2 x 1.0 bm25",
        "x.jsonl:2: `x` is not a number (field rank)",
    );
    check("q1 Q0 d1 2 1.0 bm25", "x.jsonl:2: item `d1` stands twice");
    check(
        "q1 Q0 d2 2 1.0 other",
        "x.jsonl:2: tag `other` differs from `bm25`",
    );
    assert!(
        error("", |p| trec::read_run(p, "item")).contains("no row, so no list; a run has 6 fields")
    );
}

#[test]
fn runs_and_qrels_come_back_from_trec_and_parquet() {
    let dir = tempfile::tempdir().unwrap();
    let mut cases = vec![case("u1", &["a", "b"], ""), case("u2", &["c"], "")];
    cases[0].gains = vec![3.0, 1.0];
    let truth = truth("item", cases, &[]);
    let lists = vec![
        list("u1", &["c", "ü"], &[0.1, -3.25e-7]),
        list("u2", &["a"], &[1e300]),
    ];
    let mut written = run("the_system", "item", lists);
    (written.seed, written.depth) = (None, 2);
    let at = |name: &str| dir.path().join(name);
    trec::write_run(&written, &at("s.trec")).unwrap();
    trec::write_qrels(&truth, &at("q.trec")).unwrap();
    parquet::write_run(&written, &at("s.parquet")).unwrap();
    parquet::write_qrels(&truth, &at("q.parquet")).unwrap();
    assert_eq!(trec::read_run(&at("s.trec"), "item").unwrap(), written);
    assert_eq!(
        parquet::read_run(&at("s.parquet"), "item").unwrap(),
        written
    );
    assert_eq!(trec::read_qrels(&at("q.trec"), "item").unwrap(), truth);
    assert_eq!(
        parquet::read_qrels(&at("q.parquet"), "item").unwrap(),
        truth
    );
    written.system = "two words".into();
    parquet::write_run(&written, &at("s.parquet")).unwrap();
    assert_eq!(
        parquet::read_run(&at("s.parquet"), "item").unwrap(),
        written
    );
    let message = trec::write_run(&written, &at("t.trec"))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("`two words`") && message.contains("Parquet"),
        "{message}"
    );
}

#[test]
fn what_qrels_cannot_say_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let refuse = |change: &dyn Fn(&mut hkfr_eval::TruthCase), expected: &str| {
        let mut cases = vec![case("u1", &["a"], ""), case("u2", &["b", "c"], "")];
        change(&mut cases[1]);
        let truth = truth("item", cases, &[]);
        let path = dir.path().join("q");
        for error in [
            trec::write_qrels(&truth, &path).unwrap_err(),
            parquet::write_qrels(&truth, &path).unwrap_err(),
        ] {
            let message = error.to_string();
            assert!(
                message.contains("case `u2`") && message.contains(expected),
                "{message}"
            );
        }
        assert!(!path.exists());
    };
    refuse(
        &|c| c.gains = vec![2.0, 0.5],
        "the gain 0.5 of target `c` is below 1",
    );
    refuse(&|c| c.targets.clear(), "no targets; leave the case out");
    refuse(
        &|c| c.in_overall = false,
        "not in_overall, which qrels cannot say",
    );
}

#[test]
fn a_byte_order_mark_is_no_part_of_an_id() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "\u{feff}q1 Q0 d1 1 1.5 bm25\n");
    let read = trec::read_run(&path, "item").unwrap();
    assert_eq!(read.lists[0].case, "q1");
    let path = file(&dir, format!("\u{feff}{HEADER}\n"));
    assert_eq!(Run::read(&path).unwrap().system, "s");
}

#[test]
fn what_was_consumed_may_be_there_twice_at_any_relevance_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let text = "q1 0 a 0\nq2 0 b -1\nq1 0 a x\n";
    let read = trec::read_consumed(&file(&dir, text)).unwrap();
    assert_eq!(
        (&read["q1"][..], &read["q2"][..]),
        (&["a".to_owned(), "a".to_owned()][..], &["b".to_owned()][..])
    );
    assert!(trec::read_consumed(&file(&dir, "")).unwrap().is_empty());
    let message = error("q1 a\n", trec::read_consumed);
    assert!(
        message.starts_with("x.jsonl:1: expected 4 fields"),
        "{message}"
    );
    let path = columns(
        &dir,
        &[
            ("q_id", text_column(&["q1", "q1"])),
            ("doc_id", text_column(&["a", "a"])),
        ],
    );
    assert_eq!(parquet::read_consumed(&path).unwrap()["q1"].len(), 2);
}

pub fn text_column(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// A Parquet file of these columns.
pub fn columns(dir: &TempDir, columns: &[(&str, ArrayRef)]) -> PathBuf {
    let batch = RecordBatch::try_from_iter(columns.iter().cloned()).unwrap();
    let path = dir.path().join("x.parquet");
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    path
}

#[test]
fn categories_are_read_as_the_text_that_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let ids: DictionaryArray<Int32Type> = ["q1", "q1"].into_iter().collect();
    let path = columns(
        &dir,
        &[
            ("q_id", Arc::new(ids)),
            ("doc_id", Arc::new(Int32Array::from(vec![7, 8]))),
            ("score", Arc::new(Float64Array::from(vec![1.0, 2.0]))),
        ],
    );
    let read = parquet::read_run(&path, "item").unwrap();
    assert_eq!(read.lists, [list("q1", &["8", "7"], &[2.0, 1.0])]);
    // As pandas writes them.
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let read = parquet::read_run(&golden.join("categories.parquet"), "item").unwrap();
    assert_eq!(read.lists, [list("q1", &["d1", "d2"], &[2.0, 1.0])]);
    assert_eq!(read.system, "categories");
    // As polars writes them.
    let read = parquet::read_run(&golden.join("zstd.parquet"), "item").unwrap();
    assert!(!read.lists.is_empty());
    let message = parquet::read_run(&golden.join("brotli.parquet"), "item")
        .unwrap_err()
        .to_string();
    assert!(
        message.contains(
            "brotli.parquet: compressed with BROTLI; write it with zstd, snappy, gzip or lz4"
        ),
        "{message}"
    );
}

#[test]
fn a_parquet_column_of_another_type_is_named_with_its_cast() {
    let dir = tempfile::tempdir().unwrap();
    let ids = || text_column(&["a"]);
    let one: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
    let yes = || Arc::new(BooleanArray::from(vec![true]));
    let refuse = |given: [(&str, ArrayRef); 3], expected: &str| {
        let path = columns(&dir, &given);
        let read = match given[2].0 {
            "score" => parquet::read_run(&path, "item").map(|_| ()),
            _ => parquet::read_qrels(&path, "item").map(|_| ()),
        };
        let message = read.unwrap_err().to_string();
        assert!(
            message.ends_with(&format!("x.parquet: {expected}")),
            "{message}"
        );
    };
    refuse(
        [("q_id", ids()), ("doc_id", ids()), ("score", yes())],
        "column `score` is Boolean; cast it to double",
    );
    refuse(
        [("q_id", yes()), ("doc_id", ids()), ("score", one.clone())],
        "column `q_id` is Boolean; cast it to text or integers",
    );
    refuse(
        [("q_id", ids()), ("doc_id", ids()), ("relevance", yes())],
        "column `relevance` is Boolean; cast it to double",
    );
    let nan = Arc::new(Float64Array::from(vec![f64::NAN]));
    refuse(
        [("user_id", ids()), ("item_id", ids()), ("relevance", nan)],
        "row 1: `relevance` is NaN, not a finite number; drop the row",
    );
}

#[test]
fn faults_of_qrels_and_parquet_are_placed() {
    let message = error("", |p| trec::read_qrels(p, "item"));
    assert!(message.starts_with("x.jsonl: no case, "), "{message}");
    let dir = tempfile::tempdir().unwrap();
    let twice = [
        ("q_id", text_column(&["q1", "q2", "q1"])),
        ("doc_id", text_column(&["a", "a", "a"])),
    ];
    let message = parquet::read_qrels(&columns(&dir, &twice), "item").unwrap_err();
    assert!(
        message
            .to_string()
            .ends_with("row 3: item `a` stands twice for its query, first in row 1; keep one"),
        "{message}"
    );
    // Lines, though the other query stands between.
    let message = error("q1 Q0 d1 1 9 s\nq2 Q0 d1 1 9 s\n\nq1 Q0 d1 2 8 s\n", |p| {
        trec::read_run(p, "item")
    });
    assert!(
        message.starts_with(
            "x.jsonl:4: item `d1` stands twice for its query, first on line 1; keep one"
        ),
        "{message}"
    );
    let message = error("q1 0 d1 1\nq1 0 d1 0\n", |p| trec::read_qrels(p, "item"));
    assert!(
        message.starts_with("x.jsonl:2: item `d1` stands twice"),
        "{message}"
    );
    let message = error("q1 0 d1\n", |p| trec::read_qrels(p, "item"));
    assert!(
        message.starts_with("x.jsonl:1: expected 4 fields"),
        "{message}"
    );
    let message = error("PAR1", |p| parquet::read_run(p, "item"));
    assert!(
        message.starts_with("x.jsonl: not a whole Parquet file"),
        "{message}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// A damaged file is read or refused with file and line, never a panic; one cut at any byte
    /// is refused unless only its last line break is gone.
    #[test]
    fn damaged_run_files_are_refused(at in 0usize..300, byte in any::<u8>(), cut in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.jsonl");
        let lists = ["u1", "u2", "u3"].map(|c| list(c, &["a", "b", "c"], &[0.5, 0.25, 0.125]));
        run("s", "item", lists.into()).write(&path).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at.min(bytes.len() - 2);
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        std::fs::write(&path, &bytes).unwrap();
        match Run::read(&path) {
            Ok(read) => { prop_assert!(!cut); read.check().unwrap(); }
            Err(e) => prop_assert!(e.to_string().contains("x.jsonl:"), "{}", e),
        }
    }
}
