//! What is wrong with a file that is not what its format says.

use std::path::Path;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use deltalake::parquet::errors::ParquetError;

use crate::LakeError;
use crate::files::FileFormat;
use crate::words::cleaned;

/// The failure to read `file` with its name and what to do, where the file is at fault; else the failure as it is.
pub(crate) fn blamed(file: &Path, format: FileFormat, error: LakeError) -> LakeError {
    let LakeError::Query(cause) = error else { return error };
    match fault(&file.display().to_string(), format, &cause) {
        Some(reason) => LakeError::BadFile { reason, cause: Box::new(cause) },
        None => LakeError::Query(cause),
    }
}

fn fault(file: &str, format: FileFormat, cause: &DataFusionError) -> Option<String> {
    match (format, cause.find_root()) {
        // What storage says is no fault of the file.
        (FileFormat::Parquet, DataFusionError::ParquetError(source))
            if !matches!(**source, ParquetError::External(_)) =>
        {
            let reason = cleaned(&source.to_string());
            Some(format!(
                "`{file}` is no Parquet file: {reason}. Is its `format` another, or was it not written to its end?"
            ))
        }
        (FileFormat::Json, DataFusionError::ArrowError(source, _)) => match source.as_ref() {
            ArrowError::JsonError(reason) => Some(format!(
                "`{file}` does not hold one JSON object a line: {}. Write each object, also those of an array, on a line of \
                 its own",
                cleaned(reason)
            )),
            _ => None,
        },
        (FileFormat::Csv, DataFusionError::ArrowError(source, _)) => match source.as_ref() {
            ArrowError::CsvError(reason) => Some(match uneven(reason) {
                Some((expected, found, line)) => format!(
                    "line {line} of `{file}` has {found} fields, those above have {expected}: put values that hold the \
                     separator in quotes, or name another separator, such as `options: {{sep: \";\"}}`"
                ),
                None => format!("`{file}` cannot be read as CSV: {}", cleaned(reason)),
            }),
            _ => None,
        },
        _ => None,
    }
}

/// How many fields a row should have, how many it has, and its line, as a CSV reader tells it.
fn uneven(reason: &str) -> Option<(&str, &str, &str)> {
    let (_, rest) = reason.split_once("Expected ")?;
    let (expected, rest) = rest.split_once(" records, found ")?;
    let (found, line) = rest.split_once(" records at line ")?;
    Some((expected, found, line.trim()))
}
