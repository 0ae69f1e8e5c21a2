//! Which Arrow types a Delta table stores.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::LakeError;

/// The schema that a Delta table stores for rows of `schema`: the same columns, nullable, without
/// metadata, with each type replaced by the one Delta has for it. Zone-less timestamps become UTC
/// (semantics 1.1), unsigned integers the next wider signed one.
///
/// # Errors
/// [`LakeError::UnsupportedType`] for types that Delta has no counterpart for.
pub fn stored_schema(schema: &Schema) -> Result<SchemaRef, LakeError> {
    let fields = schema.fields().iter().map(|field| {
        let stored = stored_type(field.data_type()).ok_or_else(|| LakeError::UnsupportedType {
            column: field.name().clone(),
            found: field.data_type().to_string(),
        })?;
        Ok(Field::new(field.name(), stored, true))
    });
    Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<_>, LakeError>>()?)))
}

/// The type as which a stored column is read and merged: a timestamp without a zone is one of UTC (semantics 1.1).
pub fn read_type(stored: &DataType) -> DataType {
    match stored {
        DataType::Timestamp(unit, None) => DataType::Timestamp(*unit, Some("UTC".into())),
        other => other.clone(),
    }
}

/// The columns of a table as they are read and merged, each in its [`read_type`].
pub fn read_schema(stored: &Schema) -> Schema {
    let fields = stored.fields().iter().map(|field| {
        let kind = read_type(field.data_type());
        field.as_ref().clone().with_data_type(kind)
    });
    Schema::new_with_metadata(fields.collect::<Vec<_>>(), stored.metadata().clone())
}

/// The columns of `wanted` as a table with the columns of `stored` writes them: one that is read as is wanted stays as
/// it is stored.
pub(crate) fn written_schema(wanted: &Schema, stored: &Schema) -> Schema {
    let fields = wanted.fields().iter().map(|field| match stored.field_with_name(field.name()) {
        Ok(old) if read_type(old.data_type()) == *field.data_type() => {
            field.as_ref().clone().with_data_type(old.data_type().clone())
        }
        _ => field.as_ref().clone(),
    });
    Schema::new_with_metadata(fields.collect::<Vec<_>>(), wanted.metadata().clone())
}

fn stored_type(found: &DataType) -> Option<DataType> {
    Some(match found {
        DataType::Boolean | DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            found.clone()
        }
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 | DataType::Float32 => DataType::Float32,
        DataType::Float64 => DataType::Float64,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale)
            if *precision <= 38 && *scale >= 0 =>
        {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Date32 | DataType::Date64 => DataType::Date32,
        DataType::Timestamp(_, _) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        // A column that is NULL in every row has no type of its own.
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => DataType::Utf8,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            DataType::Binary
        }
        DataType::Dictionary(_, values) => stored_type(values)?,
        DataType::List(item) | DataType::LargeList(item) | DataType::ListView(item) => {
            DataType::List(Arc::new(Field::new("element", stored_type(item.data_type())?, true)))
        }
        DataType::Struct(fields) => DataType::Struct(
            fields
                .iter()
                .map(|field| Some(Field::new(field.name(), stored_type(field.data_type())?, true)))
                .collect::<Option<_>>()?,
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(columns: &[(&str, DataType)]) -> Schema {
        Schema::new(
            columns.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect::<Vec<_>>(),
        )
    }

    #[test]
    fn a_column_without_a_zone_is_read_in_utc_and_written_as_it_is_stored() {
        let zoneless = DataType::Timestamp(TimeUnit::Microsecond, None);
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let stored = schema(&[("a", zoneless.clone()), ("b", utc.clone()), ("c", DataType::Date32)]);
        let read = read_schema(&stored);
        assert_eq!(read, schema(&[("a", utc.clone()), ("b", utc.clone()), ("c", DataType::Date32)]));
        assert_eq!(written_schema(&read, &stored), stored);
        // What the table does not have, or has otherwise, is written as it is wanted.
        let wanted = schema(&[("a", DataType::Utf8), ("c", utc.clone()), ("d", utc)]);
        assert_eq!(written_schema(&wanted, &stored), wanted);
    }
}
