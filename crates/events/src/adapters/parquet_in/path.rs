//! A column by its path: `price`, or `meta.brand` for a field of a struct.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Fields, Schema};

/// The field at a path and the number of its root. A column whose name holds the dot comes first.
pub(crate) fn field<'s>(schema: &'s Schema, path: &str) -> Option<(usize, &'s Field)> {
    if let Some((at, field)) = schema.column_with_name(path) {
        return Some((at, field));
    }
    let (root, rest) = path.split_once('.')?;
    let (at, field) = schema.column_with_name(root)?;
    Some((at, within(field, rest)?))
}

fn within<'s>(field: &'s Field, path: &str) -> Option<&'s Field> {
    let DataType::Struct(fields) = field.data_type() else {
        return None;
    };
    if let Some(found) = named(fields, path) {
        return Some(found);
    }
    let (first, rest) = path.split_once('.')?;
    within(named(fields, first)?, rest)
}

fn named<'s>(fields: &'s Fields, name: &str) -> Option<&'s Field> {
    let found = fields.iter().find(|f| f.name() == name)?;
    Some(found)
}

/// The column at a path, and the structs around it, which may be null where it is not.
pub(crate) struct Column {
    around: Vec<ArrayRef>,
    pub values: ArrayRef,
}

impl Column {
    pub fn of(batch: &RecordBatch, path: &str) -> Option<Self> {
        if let Some(values) = batch.column_by_name(path) {
            return Some(Self {
                around: Vec::new(),
                values: Arc::clone(values),
            });
        }
        let (root, mut rest) = path.split_once('.')?;
        let mut values = Arc::clone(batch.column_by_name(root)?);
        let mut around = Vec::new();
        loop {
            let fields = values.as_struct_opt()?;
            let (found, left) = match (fields.column_by_name(rest), rest.split_once('.')) {
                (Some(found), _) => (found, ""),
                (None, Some((first, left))) => (fields.column_by_name(first)?, left),
                (None, None) => return None,
            };
            let found = Arc::clone(found);
            around.push(std::mem::replace(&mut values, found));
            if left.is_empty() {
                return Some(Self { around, values });
            }
            rest = left;
        }
    }

    pub fn is_null(&self, i: usize) -> bool {
        self.around.iter().any(|a| a.is_null(i)) || self.values.is_null(i)
    }
}
