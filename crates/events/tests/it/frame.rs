//! Tables of any columns: what is written is read, notes and missing cells included.

use std::collections::BTreeMap;

use hkfr_events::store::{CellType, Cells, FrameColumn, FrameReader, FrameWriter};

fn column(name: &str, cells: CellType, note: &str) -> FrameColumn {
    FrameColumn {
        name: name.into(),
        cells,
        notes: BTreeMap::from([("meaning".into(), note.into())]),
    }
}

#[test]
fn rows_columns_and_notes_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pairs.parquet");
    let columns = [
        column("user", CellType::Text, "who"),
        column("at", CellType::Integer, "seconds"),
        column("label", CellType::Small, ""),
        column("x", CellType::Float, "a feature"),
        column("v", CellType::Vector, "a vector"),
    ];
    let mut writer = FrameWriter::create(&path, &columns).unwrap();
    for n in 0..3 {
        let cells = vec![
            Cells::Texts(vec![Some(format!("u{n}")), None]),
            Cells::Integers(vec![n, -1]),
            Cells::Small(vec![1, 0]),
            Cells::Floats(vec![0.5, f32::NAN]),
            Cells::Vectors(vec![Some(vec![1.0, 2.0]), None]),
        ];
        writer.write(cells).unwrap();
        // Under another name until it is whole.
        assert!(!path.exists());
    }
    writer.finish().unwrap();

    let mut reader = FrameReader::open(&path).unwrap();
    let found = reader.columns();
    let names: Vec<&str> = found.iter().map(|c| c.0.as_str()).collect();
    assert_eq!(names, ["user", "at", "label", "x", "v"]);
    assert_eq!(found[3].1["meaning"], "a feature");
    let batch = reader.next_batch().unwrap().unwrap();
    assert_eq!(batch.n_rows(), 6);
    assert_eq!(batch.texts("user").unwrap()[4..], [Some("u2"), None]);
    assert_eq!(
        batch.integers("at").unwrap()[..3],
        [Some(0), Some(-1), Some(1)]
    );
    assert_eq!(batch.integers("label").unwrap()[..2], [Some(1), Some(0)]);
    let x = batch.floats("x").unwrap();
    assert!(x[0] == 0.5 && x[1].is_nan());
    let told = batch.floats("user").unwrap_err().to_string();
    assert!(told.contains("column `user`"), "{told}");
    assert!(reader.next_batch().unwrap().is_none());
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pairs.parquet");
    let columns = [
        column("a", CellType::Float, ""),
        column("b", CellType::Float, ""),
    ];
    let mut writer = FrameWriter::create(&path, &columns).unwrap();
    let one = || Cells::Floats(vec![1.0]);
    assert!(writer.write(vec![one()]).is_err());
    assert!(writer.write(vec![one(), Cells::Floats(vec![])]).is_err());
    assert!(writer.write(vec![one(), Cells::Small(vec![1])]).is_err());
    writer.write(vec![one(), one()]).unwrap();
}
