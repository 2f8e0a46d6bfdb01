//! Ids in every type that holds them, compressed files, and ids that hardly match.

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;

use ::parquet::data_type::{ByteArray, FixedLenByteArrayType, Int64Type};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use arrow_array::types::{ArrowPrimitiveType, Decimal256Type, Int8Type, UInt32Type};
use arrow_array::{
    ArrayRef, BinaryArray, BinaryViewArray, Decimal128Array, Decimal256Array, DictionaryArray,
    FixedSizeBinaryArray, Float32Array, Float64Array, Int8Array, Int16Array, Int64Array,
    LargeBinaryArray, LargeStringArray, StringViewArray, UInt8Array, UInt16Array, UInt32Array,
    UInt64Array,
};
use flate2::{Compression, write::GzEncoder};
use hkfr_eval::{Accident, mismatch, parquet, trec};

use crate::files::columns;
use crate::fixtures::list;

/// A number of 256 bits.
type Wide = <Decimal256Type as ArrowPrimitiveType>::Native;

#[test]
fn an_id_is_what_it_is_in_every_type() {
    let dir = tempfile::tempdir().unwrap();
    let decimal = |scale| {
        let numbers = Decimal128Array::from(vec![42, -7]);
        numbers.with_precision_and_scale(30, scale).unwrap()
    };
    let hundreds = Decimal128Array::from(vec![1000, -300]);
    let hundreds = hundreds.with_precision_and_scale(30, 2).unwrap();
    let wide = Decimal256Array::from(vec![Wide::from(42), Wide::from(-7)]);
    let bytes = FixedSizeBinaryArray::try_from_iter([*b"\xff\x00", *b"ab"].into_iter()).unwrap();
    let padded = FixedSizeBinaryArray::try_from_iter([*b"b\x00", [0; 2]].into_iter()).unwrap();
    let types: Vec<(ArrayRef, [&str; 2])> = vec![
        (Arc::new(Int8Array::from(vec![42, -7])), ["42", "-7"]),
        (Arc::new(Int16Array::from(vec![42, -7])), ["42", "-7"]),
        (
            Arc::new(Int64Array::from(vec![i64::MAX, i64::MIN])),
            ["9223372036854775807", "-9223372036854775808"],
        ),
        (Arc::new(UInt8Array::from(vec![255, 0])), ["255", "0"]),
        (Arc::new(UInt16Array::from(vec![65_535, 0])), ["65535", "0"]),
        (
            Arc::new(UInt32Array::from(vec![u32::MAX, 0])),
            ["4294967295", "0"],
        ),
        (
            Arc::new(UInt64Array::from(vec![u64::MAX, (1 << 63) + 1])),
            ["18446744073709551615", "9223372036854775809"],
        ),
        (Arc::new(decimal(0)), ["42", "-7"]),
        (Arc::new(decimal(1)), ["4.2", "-0.7"]),
        (Arc::new(hundreds), ["10", "-3"]),
        (
            Arc::new(Float64Array::from(vec![1000.0, 0.1])),
            ["1000", "0.1"],
        ),
        (
            Arc::new(Float32Array::from(vec![1000.0, 0.1])),
            ["1000", "0.1"],
        ),
        (
            Arc::new(wide.with_precision_and_scale(60, 0).unwrap()),
            ["42", "-7"],
        ),
        (
            Arc::new(LargeStringArray::from(vec!["ü", "0042"])),
            ["ü", "0042"],
        ),
        (
            Arc::new(StringViewArray::from(vec!["ü", "0042"])),
            ["ü", "0042"],
        ),
        (
            Arc::new(DictionaryArray::<Int8Type>::from_iter(["b", "a"])),
            ["b", "a"],
        ),
        (
            Arc::new(DictionaryArray::<UInt32Type>::new(
                UInt32Array::from(vec![1, 0]),
                Arc::new(UInt64Array::from(vec![7, u64::MAX])),
            )),
            ["18446744073709551615", "7"],
        ),
        (
            Arc::new(BinaryArray::from_vec(vec![b"ab", b"\xff"])),
            ["ab", "ff"],
        ),
        (
            Arc::new(LargeBinaryArray::from_vec(vec![b"ab", b"\x1b["])),
            ["ab", "1b5b"],
        ),
        (
            Arc::new(BinaryViewArray::from_iter_values([b"ab", b"cd"])),
            ["ab", "cd"],
        ),
        (Arc::new(bytes), ["ff00", "ab"]),
        (Arc::new(padded), ["b", "0000"]),
    ];
    for (ids, right) in types {
        let scores: ArrayRef = Arc::new(Float64Array::from(vec![2.0, 1.0]));
        let one: ArrayRef = Arc::new(Int8Array::from(vec![1, 1]));
        let ty = ids.data_type().clone();
        let given = [("q_id", one), ("doc_id", ids), ("score", scores)];
        let path = columns(&dir, &given);
        let read = parquet::read_run(&path, "item").unwrap_or_else(|e| panic!("{ty}: {e}"));
        assert_eq!(read.lists, [list("1", &right, &[2.0, 1.0])], "{ty}");
        let truth = parquet::read_qrels(&path, "item").unwrap();
        assert_eq!(truth.cases[0].targets, right, "{ty}");
    }
    let large: ArrayRef = Arc::new(Float64Array::from(vec![2f64.powi(53)]));
    let one: ArrayRef = Arc::new(Int8Array::from(vec![1]));
    let path = columns(&dir, &[("q_id", one), ("doc_id", large)]);
    let refused = parquet::read_qrels(&path, "item").unwrap_err().to_string();
    let said = "row 1: `doc_id` is a float so large that other ids are rounded to it";
    assert!(refused.contains(said), "{refused}");
}

/// As tools write it that know UUIDs: sixteen bytes with a name.
#[test]
fn a_uuid_keeps_its_form() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.parquet");
    let schema =
        "message m { required fixed_len_byte_array(16) q_id (UUID); required int64 doc_id; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let file = std::fs::File::create(&path).unwrap();
    let mut file = SerializedFileWriter::new(file, schema, Default::default()).unwrap();
    let mut group = file.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let bytes: Vec<u8> = (0x10..0x20).collect();
    let ids = [ByteArray::from(bytes).into()];
    let ids_into = column.typed::<FixedLenByteArrayType>();
    ids_into.write_batch(&ids, None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let items_into = column.typed::<Int64Type>();
    items_into.write_batch(&[7], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    file.close().unwrap();
    let truth = parquet::read_qrels(&path, "item").unwrap();
    assert_eq!(truth.cases[0].case, "10111213-1415-1617-1819-1a1b1c1d1e1f");
    assert_eq!(truth.cases[0].targets, ["7"]);
}

#[test]
fn compressed_files_are_read_or_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.trec.gz");
    let zip = |text: &[u8]| {
        let mut file = GzEncoder::new(Vec::new(), Compression::fast());
        file.write_all(text).unwrap();
        file.finish().unwrap()
    };
    // Two members, as `cat a.gz b.gz` makes them; a mark, tabs, runs of blanks and both kinds of line break.
    let first = zip("\u{feff}q1\tQ0  d1 1\t 2 s\r\n".as_bytes());
    let both = [first.clone(), zip(b"  q1 Q0 d2 2 1 s \n")].concat();
    std::fs::write(&path, &both).unwrap();
    let read = trec::read_run(&path, "item").unwrap();
    assert_eq!(read.lists, [list("q1", &["d1", "d2"], &[2.0, 1.0])]);
    let error = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        trec::read_run(&path, "item").unwrap_err().to_string()
    };
    let cut = error(&both[..both.len() - 12]);
    assert!(
        cut.contains("run.trec.gz:") && cut.contains("the gzip file is damaged"),
        "{cut}"
    );
    for (bytes, said) in [
        (
            &b"\x28\xb5\x2f\xfd..."[..],
            "compressed with zstd; unpack it first",
        ),
        (b"BZh9...", "compressed with bzip2"),
        (b"\xff\xfeq\x001\x00", "UTF-16; convert it (`iconv"),
    ] {
        assert!(error(bytes).contains(said), "{said}");
    }
}

#[test]
fn ids_that_hardly_match_say_why() {
    let check = |theirs: &[&str], ours: &[&str], right: Accident, example: (&str, &str)| {
        let sets = [theirs, ours].map(|ids| ids.iter().copied().collect::<HashSet<_>>());
        for (a, b) in [(0, 1), (1, 0)] {
            let found = mismatch(&sets[a], &sets[b]).unwrap_or_else(|| panic!("{right:?}"));
            assert_eq!(found.accident, right);
            assert_eq!((found.n_equal, found.n_alike), (0, 2));
            let twins = [&found.example.0, &found.example.1];
            assert_eq!((&**twins[a], &**twins[b]), example);
            assert!(
                found.to_string().starts_with("0 of 2 ids match, such as `"),
                "{found}"
            );
        }
    };
    check(
        &["1000.0", "2000.0"],
        &["1000", "2000"],
        Accident::Decimals,
        ("1000.0", "1000"),
    );
    check(
        &["42", "43"],
        &["0042", "0043"],
        Accident::LeadingZeros,
        ("42", "0042"),
    );
    check(
        &["ab1", "cd2"],
        &["AB1", "CD2"],
        Accident::Case,
        ("ab1", "AB1"),
    );
    check(
        &["a  ", "b  "],
        &["a", "b"],
        Accident::WhiteSpace,
        ("a  ", "a"),
    );
    check(
        &["\"a\"", "\"b\""],
        &["a", "b"],
        Accident::Quotes,
        ("\"a\"", "a"),
    );
    let prefix = Accident::Prefix("user_".into());
    check(
        &["user_41", "user_42"],
        &["41", "42"],
        prefix,
        ("user_41", "41"),
    );
}

#[test]
fn ids_that_match_or_that_nothing_explains_are_left_alone() {
    let set = |ids: &[&'static str]| ids.iter().copied().collect::<HashSet<_>>();
    // A tenth matches: a sample, or one system's choice.
    let ten = set(&[
        "a", "b.0", "c.0", "d.0", "e.0", "f.0", "g.0", "h.0", "i.0", "j.0",
    ]);
    let ours = set(&["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]);
    assert_eq!(mismatch(&ten, &ours), None);
    assert_eq!(mismatch(&set(&["x", "y"]), &ours), None);
    // Numbers that end alike.
    assert_eq!(mismatch(&set(&["110", "120"]), &set(&["10", "20"])), None);
    assert_eq!(mismatch(&set(&[]), &ours), None);
}
