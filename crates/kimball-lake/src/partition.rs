//! Partition columns: their values stand in the log, as text, and not in the data files.
//!
//! Delta protocol, "Partition Value Serialization": a value that is missing, or empty text, is NULL.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::kernels::cmp::eq;
use arrow::compute::nullif;
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;

use crate::scan::Origin;
use crate::{LakeError, LakeTable};

/// The partition columns of a table, in the order of its columns.
#[derive(Debug, Clone)]
pub(crate) struct PartitionColumns {
    table: String,
    fields: Vec<FieldRef>,
}

impl PartitionColumns {
    /// # Errors
    /// [`LakeError::UnsupportedTable`] for a column type that has no text form of its own.
    pub(crate) fn of(table: &LakeTable) -> Result<Self, LakeError> {
        let snapshot = table.snapshot()?;
        let names = snapshot.metadata().partition_columns();
        let columns = snapshot.snapshot().arrow_schema();
        let fields: Vec<FieldRef> =
            columns.fields().iter().filter(|field| names.contains(field.name())).map(Arc::clone).collect();
        match fields.iter().find(|field| field.data_type().is_binary() || field.data_type().is_nested()) {
            Some(field) => Err(LakeError::UnsupportedTable {
                table: table.name.clone(),
                reason: format!(
                    "it is partitioned by `{}`, which has type {}",
                    field.name(),
                    field.data_type()
                ),
            }),
            None => Ok(Self { table: table.name.clone(), fields }),
        }
    }

    pub(crate) fn fields(&self) -> &[FieldRef] {
        &self.fields
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    pub(crate) fn contains(&self, column: &str) -> bool {
        self.fields.iter().any(|field| field.name() == column)
    }

    /// The columns of the table with where a scan finds each.
    pub(crate) fn located(&self, columns: &Schema) -> impl Iterator<Item = (FieldRef, Origin)> {
        columns.fields().iter().map(|field| match self.contains(field.name()) {
            true => (Arc::clone(field), Origin::Log),
            false => (Arc::clone(field), Origin::File),
        })
    }

    /// The values of a file, in the order of the columns.
    pub(crate) fn values(
        &self,
        stored: &HashMap<String, Option<String>>,
    ) -> Result<Vec<ScalarValue>, LakeError> {
        let fields = self.fields.iter();
        let values = fields.map(|field| {
            let text = stored.get(field.name()).and_then(Option::as_deref).filter(|text| !text.is_empty());
            let Some(text) = text else { return Ok(ScalarValue::try_from(field.data_type())?) };
            ScalarValue::from(text).cast_to(field.data_type()).map_err(|source| LakeError::PartitionValue {
                table: self.table.clone(),
                column: field.name().clone(),
                value: text.to_owned(),
                source: Box::new(source),
            })
        });
        values.collect()
    }

    /// The partition of each row, as [`values`](Self::values) gives it of a file.
    pub(crate) fn of_rows(&self, rows: &RecordBatch) -> Result<Vec<Vec<ScalarValue>>, LakeError> {
        let missing = |field: &FieldRef| {
            LakeError::Query(DataFusionError::Plan(format!(
                "the partition column `{}` of {} is missing",
                field.name(),
                self.table
            )))
        };
        let columns = self.fields.iter().map(|field| {
            let column = rows.column_by_name(field.name()).ok_or_else(|| missing(field))?;
            let column = arrow::compute::cast(column, field.data_type()).map_err(DataFusionError::from)?;
            without_empty_text(&column)
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>, LakeError>>()?;
        let partition = |row| {
            let values = columns.iter().map(|column| ScalarValue::try_from_array(column, row));
            Ok(values.collect::<Result<Vec<_>, DataFusionError>>()?)
        };
        (0..rows.num_rows()).map(partition).collect()
    }

    /// The same rows with NULL for empty text in the partition columns, so that a table holds what is read
    /// from it.
    pub(crate) fn storable(&self, rows: RecordBatch) -> Result<RecordBatch, LakeError> {
        if self.is_empty() {
            return Ok(rows);
        }
        let schema = rows.schema();
        let columns = schema.fields().iter().zip(rows.columns());
        let columns = columns.map(|(field, column)| match self.contains(field.name()) {
            true => without_empty_text(column),
            false => Ok(Arc::clone(column)),
        });
        let columns = columns.collect::<Result<Vec<_>, LakeError>>()?;
        Ok(RecordBatch::try_new(schema, columns).map_err(DataFusionError::from)?)
    }
}

fn without_empty_text(column: &ArrayRef) -> Result<ArrayRef, LakeError> {
    if !matches!(column.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) {
        return Ok(Arc::clone(column));
    }
    let empty = ScalarValue::from("").cast_to(column.data_type())?.to_scalar()?;
    let is_empty = eq(column, &empty).map_err(DataFusionError::from)?;
    Ok(nullif(column, &is_empty).map_err(DataFusionError::from)?)
}
