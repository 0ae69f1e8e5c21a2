//! The rows of an answer in the format that was asked for, written as they come.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::LineDelimited;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::columns::Columns;
use crate::args::Format;

/// How wide an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Long texts are cut.
    Terminal,
    /// Everything is shown.
    Unlimited,
}

/// An answer that is being written.
pub enum Answer<'w> {
    /// Columns for people.
    Columns(Columns<&'w mut (dyn Write + Send)>),
    /// One object a line.
    Json(arrow::json::Writer<&'w mut (dyn Write + Send), LineDelimited>),
    /// Comma-separated values.
    Csv(Box<arrow::csv::Writer<&'w mut (dyn Write + Send)>>),
    /// A Parquet file.
    Parquet(Box<ArrowWriter<&'w mut (dyn Write + Send)>>),
}

impl<'w> Answer<'w> {
    /// Begins an answer with the columns of `schema`.
    pub fn begin(
        format: Format,
        schema: SchemaRef,
        room: Room,
        writer: &'w mut (dyn Write + Send),
    ) -> io::Result<Self> {
        Ok(match format {
            Format::Json => {
                let builder = arrow::json::WriterBuilder::new().with_explicit_nulls(true);
                Self::Json(builder.build(writer))
            }
            Format::Csv => {
                let mut csv = arrow::csv::WriterBuilder::new().with_header(true).build(writer);
                // The header is there even if no row is.
                let empty = RecordBatch::new_empty(flat_schema(&schema));
                csv.write(&empty).map_err(failed)?;
                Self::Csv(Box::new(csv))
            }
            Format::Parquet => {
                let zstd = Compression::ZSTD(ZstdLevel::default());
                let properties = WriterProperties::builder().set_compression(zstd).build();
                let parquet = ArrowWriter::try_new(writer, schema, Some(properties));
                Self::Parquet(Box::new(parquet.map_err(io::Error::other)?))
            }
            Format::Text | Format::Table | Format::Mermaid | Format::Dot => {
                Self::Columns(Columns::new(schema, room, writer))
            }
        })
    }

    /// Writes rows.
    pub fn write(&mut self, rows: &RecordBatch) -> io::Result<()> {
        match self {
            Self::Columns(columns) => columns.write(rows),
            Self::Json(json) => json.write(rows).map_err(failed),
            Self::Csv(csv) => csv.write(&flat(rows).map_err(failed)?).map_err(failed),
            Self::Parquet(parquet) => parquet.write(rows).map_err(io::Error::other),
        }
    }

    /// Writes what comes after the last row.
    pub fn finish(self) -> io::Result<()> {
        match self {
            Self::Columns(columns) => columns.finish(),
            Self::Json(mut json) => json.finish().map_err(failed),
            Self::Csv(_) => Ok(()),
            Self::Parquet(parquet) => parquet.close().map(drop).map_err(io::Error::other),
        }
    }
}

fn failed(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, source) => source,
        other => io::Error::other(other),
    }
}

/// The schema with nested columns as text, which CSV cannot hold otherwise.
fn flat_schema(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type().is_nested() {
        true => Arc::new(Field::new(field.name(), DataType::Utf8, true)),
        false => Arc::clone(field),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn flat(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns: Result<Vec<ArrayRef>, ArrowError> = rows.columns().iter().map(flat_column).collect();
    RecordBatch::try_new(flat_schema(rows.schema_ref()), columns?)
}

fn flat_column(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if !column.data_type().is_nested() {
        return Ok(Arc::clone(column));
    }
    let options = FormatOptions::new();
    let formatter = ArrayFormatter::try_new(column.as_ref(), &options)?;
    let text = |row| -> Result<Option<String>, ArrowError> {
        column.is_valid(row).then(|| formatter.value(row).try_to_string()).transpose()
    };
    let texts: Result<StringArray, ArrowError> = (0..column.len()).map(text).collect();
    Ok(Arc::new(texts?))
}
