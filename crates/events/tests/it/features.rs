use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type};
use hkfr_events::AsOf;
use hkfr_events::store::{FeatureRow, write_features};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

#[test]
fn features_are_a_table_that_any_parquet_reader_opens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hkfr.features.parquet");
    let row = |n: u8| FeatureRow {
        case_id: format!("u{n}#5"),
        user_id: format!("u{n}"),
        as_of: AsOf::new(100 + i64::from(n)),
        vector: vec![f32::from(n), 0.5, -1.0],
    };
    let rows = [row(1), row(2)];
    write_features(&rows, &path).unwrap();
    write_features(&rows, &path).unwrap();
    let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "no temporary file stays: {names:?}");
    let file = std::fs::File::open(&path).unwrap();
    let mut reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .unwrap()
        .build()
        .unwrap();
    let batch = reader.next().unwrap().unwrap();
    let column = |name: &str| batch.column_by_name(name).unwrap();
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(column("case").as_string::<i32>().value(i), row.case_id);
        assert_eq!(column("user_id").as_string::<i32>().value(i), row.user_id);
        let as_of = column("as_of").as_primitive::<Int64Type>().value(i);
        assert_eq!(as_of, row.as_of.seconds());
        let vector = column("vector").as_list::<i32>().value(i);
        assert_eq!(vector.as_primitive::<Float32Type>().values(), &row.vector);
    }
}
