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
