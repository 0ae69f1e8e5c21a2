//! Typed columns from text and back: `id bigint, price decimal(10,2)` and the cells under it.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::error::{Result, TestkitError};
use crate::text_table::{Cell, TextTable};

/// Reads `name type, name type, …` into an Arrow schema of nullable columns.
///
/// # Errors
/// [`TestkitError::ColumnType`] for an unknown type or a column without one.
pub fn parse_schema(text: &str) -> Result<SchemaRef> {
    let mut fields = Vec::new();
    for column in split_outside_parentheses(text) {
        let (name, data_type) =
            column.split_once(char::is_whitespace).ok_or_else(|| TestkitError::ColumnType(column.clone()))?;
        fields.push(Field::new(name, parse_type(data_type.trim())?, true));
    }
    Ok(Arc::new(Schema::new(fields)))
}

fn split_outside_parentheses(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts.iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// The Arrow type of a SQL type name; timestamps are microseconds, `timestamp` in UTC.
///
/// # Errors
/// [`TestkitError::ColumnType`] for a name that is not known.
pub fn parse_type(text: &str) -> Result<DataType> {
    let unknown = || TestkitError::ColumnType(text.to_owned());
    Ok(match text.to_ascii_lowercase().as_str() {
        "bigint" | "long" => DataType::Int64,
        "int" | "integer" => DataType::Int32,
        "smallint" => DataType::Int16,
        "tinyint" => DataType::Int8,
        "string" => DataType::Utf8,
        "double" => DataType::Float64,
        "float" => DataType::Float32,
        "boolean" => DataType::Boolean,
        "binary" => DataType::Binary,
        "date" => DataType::Date32,
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        "timestamp_ntz" => DataType::Timestamp(TimeUnit::Microsecond, None),
        other => {
            let digits =
                other.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')')).ok_or_else(unknown)?;
            let (precision, scale) = digits.split_once(',').ok_or_else(unknown)?;
            DataType::Decimal128(
                precision.trim().parse().map_err(|_| unknown())?,
                scale.trim().parse().map_err(|_| unknown())?,
            )
        }
    })
}

/// Makes a batch of `schema` from a small table; columns that the table leaves out are NULL.
///
/// # Errors
/// [`TestkitError::UnknownColumn`] for a column outside the schema, [`TestkitError::Cell`] for a cell that
/// is no value of its type, a wildcard or a symbol.
pub fn batch_from_text(schema: &SchemaRef, table: &TextTable) -> Result<RecordBatch> {
    for column in &table.columns {
        if schema.column_with_name(column).is_none() {
            let known = schema.fields().iter().map(|field| field.name().clone()).collect();
            return Err(TestkitError::UnknownColumn { column: column.clone(), known });
        }
    }
    let arrays =
        schema.fields().iter().map(|field| column_from_text(field, table)).collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), arrays)?)
}

fn column_from_text(field: &Field, table: &TextTable) -> Result<ArrayRef> {
    let Some(position) = table.position(field.name()) else {
        return Ok(datafusion::arrow::array::new_null_array(field.data_type(), table.rows.len()));
    };
    let wrong = |value: String| TestkitError::Cell {
        column: field.name().clone(),
        value,
        data_type: field.data_type().to_string(),
    };
    let texts = table
        .rows
        .iter()
        .map(|row| match &row[position] {
            Cell::Null => Ok(None),
            Cell::Text(text) => Ok(Some(text.as_str())),
            cell => Err(wrong(crate::text_table::write_cell(cell))),
        })
        .collect::<Result<Vec<_>>>()?;
    let texts = StringArray::from(texts);
    let array =
        cast_with_options(&texts, field.data_type(), &CastOptions { safe: true, ..CastOptions::default() })?;
    if let Some(row) = (0..texts.len()).find(|&row| texts.is_valid(row) && array.is_null(row)) {
        return Err(wrong(texts.value(row).to_owned()));
    }
    Ok(array)
}

/// A column without the encodings that differ between readers: plain strings, microsecond timestamps.
///
/// # Errors
/// [`TestkitError::Arrow`] when Arrow cannot cast it.
pub fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    let data_type = match array.data_type() {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Dictionary(_, value) => {
            let value = value.as_ref().clone();
            return plain(&cast(array, &value)?);
        }
        DataType::Timestamp(_, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(_, Some(_)) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        _ => return Ok(Arc::clone(array)),
    };
    Ok(cast(array, &data_type)?)
}

/// The values of a column as text in one canonical form a type, NULL as `None`.
///
/// # Errors
/// [`TestkitError::Arrow`] when a value cannot be shown.
pub fn texts(array: &ArrayRef) -> Result<Vec<Option<String>>> {
    if let Some(strings) = array.as_string_opt::<i32>() {
        return Ok(strings.iter().map(|text| text.map(str::to_owned)).collect());
    }
    let formats = FormatOptions::new()
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
        .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f"))
        .with_date_format(Some("%Y-%m-%d"));
    let formatter = ArrayFormatter::try_new(array.as_ref(), &formats)?;
    let text = |row| if array.is_null(row) { None } else { Some(formatter.value(row).to_string()) };
    Ok((0..array.len()).map(text).collect())
}

/// The canonical text of `cells` read as values of `data_type`; a cell that is no such value stays as written,
/// so that it matches nothing and shows in the difference.
///
/// # Errors
/// [`TestkitError::Arrow`] when Arrow has no cast from text to the type.
pub fn canonical(cells: &[Option<&str>], data_type: &DataType) -> Result<Vec<Option<String>>> {
    let written = StringArray::from(cells.to_vec());
    let array =
        cast_with_options(&written, data_type, &CastOptions { safe: true, ..CastOptions::default() })?;
    let read = texts(&array)?;
    Ok(read.into_iter().zip(cells).map(|(value, cell)| value.or_else(|| cell.map(str::to_owned))).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn every_type_reads_back_in_its_canonical_form() {
        let schema = parse_schema(
            "i bigint, n int, s string, d double, b boolean, e date, t timestamp, z timestamp_ntz, m decimal(10,2)",
        )
        .unwrap();
        let text = "i | n | s | d | b | e | t | z | m\n\
                    1 | 2 | \" x\" | 10 | true | 2024-02-29 | 2024-01-01T02:00:00.000001+02:00 | ∞ | 10.5\n\
                    NULL | NULL | NULL | NULL | NULL | NULL | NULL | NULL | NULL";
        let batch = batch_from_text(&schema, &TextTable::parse(text).unwrap()).unwrap();
        let shown: Vec<_> = batch.columns().iter().map(|column| texts(column).unwrap()).collect();
        let first: Vec<_> = shown.iter().map(|column| column[0].clone().unwrap()).collect();
        let expected = [
            "1",
            "2",
            " x",
            "10.0",
            "true",
            "2024-02-29",
            "2024-01-01 00:00:00.000001",
            "9999-12-31 23:59:59.999999",
            "10.50",
        ];
        assert_eq!(first, expected);
        assert!(shown.iter().all(|column| column[1].is_none()));
    }

    #[test]
    fn a_date_stands_for_its_midnight_in_a_timestamp_column() {
        let timestamp = parse_type("timestamp").unwrap();
        let read = canonical(&[Some("2024-01-01"), None, Some("soon")], &timestamp).unwrap();
        assert_eq!(read, [Some("2024-01-01 00:00:00".to_owned()), None, Some("soon".to_owned())]);
    }

    #[test]
    fn a_cell_of_the_wrong_type_and_an_unknown_column_are_refused() {
        let schema = parse_schema("id bigint").unwrap();
        for (text, message) in
            [("id\nx", "`x` is no Int64"), ("id\n*", "`*` is no Int64"), ("di\n1", "no column `di`")]
        {
            let error = batch_from_text(&schema, &TextTable::parse(text).unwrap()).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        assert!(parse_schema("id bogus").is_err());
    }
}
