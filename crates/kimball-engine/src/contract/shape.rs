//! Columns, types and the feed of a source against its contract.

use arrow::datatypes::{DataType, SchemaRef};
use kimball_config::{Compatibility, FileFormat, Severity, SourceLocation};

use super::Inspection;
use crate::EngineError;
use crate::finding::{Category, Verdicts};
use crate::layout::{sql_name, stores, takes_guessed};
use crate::source::PinnedRows;

/// Judges the shape of a source; whether its rows can be judged, too.
pub(super) async fn judge(it: Inspection<'_>, verdicts: &mut Verdicts) -> Result<bool, EngineError> {
    let schema = it.batch.schema_of(it.source).await?;
    let has_columns = judge_columns(it, &schema, verdicts);
    judge_additions(it, &schema, verdicts);
    if it.contract.cdc_required {
        let has_feed = match &it.source.rows {
            PinnedRows::Table(table) => table.has_change_feed()?,
            PinnedRows::Files(_) => false,
        };
        let details = match has_feed {
            true => "the source has a change feed",
            false => "the source has no change feed: set its table property `delta.enableChangeDataFeed`",
        };
        let category = Category::ContractCdc;
        it.told(verdicts, category, "cdf_required", Severity::Error, has_feed, details.to_owned());
    }
    Ok(has_columns)
}

fn judge_columns(it: Inspection<'_>, schema: &SchemaRef, verdicts: &mut Verdicts) -> bool {
    let mut all = true;
    let mut needed: Vec<(&str, &str)> =
        it.contract.columns.iter().map(|column| (column.name.as_str(), column.type_name.as_str())).collect();
    let temporal = it.contract.temporal.as_ref().map(|rule| rule.event_time_column.as_str());
    let others = temporal.into_iter().chain(it.contract.primary_key.iter().map(String::as_str));
    for other in others {
        if !needed.iter().any(|(name, _)| name.eq_ignore_ascii_case(other)) {
            needed.push((other, ""));
        }
    }
    for (name, promised) in needed {
        let found = schema.fields().iter().find(|field| field.name().eq_ignore_ascii_case(name));
        let (check, details, passed) = match found.map(|field| field.data_type()) {
            None => (format!("column:{name}"), format!("the column `{name}` is missing"), false),
            Some(found) if !promised.is_empty() && !fits(promised, found, is_guessed(it)) => {
                let details = format!("`{name}` is promised as {promised} and is {}", sql_name(found));
                (format!("type:{name}"), details, false)
            }
            Some(_) => (format!("column:{name}"), format!("`{name}` is as promised"), true),
        };
        all &= passed;
        it.told(verdicts, Category::ContractSchema, check, Severity::Error, passed, details);
    }
    all
}

fn judge_additions(it: Inspection<'_>, schema: &SchemaRef, verdicts: &mut Verdicts) {
    let is_promised =
        |name: &str| it.contract.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
    let additions: Vec<_> = schema.fields().iter().filter(|field| !is_promised(field.name())).collect();
    if additions.is_empty() {
        return;
    }
    let names = additions.iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ");
    let (passed, details) = match it.contract.compatibility {
        Compatibility::Strict => (false, format!("columns that nobody promised: {names}")),
        Compatibility::NullableAdditions if additions.iter().all(|field| field.is_nullable()) => {
            (true, format!("more columns, which may be NULL: {names}"))
        }
        Compatibility::NullableAdditions => (false, format!("more columns that must not be NULL: {names}")),
    };
    it.told(verdicts, Category::ContractSchema, "additional_columns", Severity::Error, passed, details);
}

/// Whether the types of a source are guessed from texts.
fn is_guessed(it: Inspection<'_>) -> bool {
    let guessed = [FileFormat::Csv, FileFormat::Json];
    matches!(&it.source.source.location, SourceLocation::Files { format, .. } if guessed.contains(format))
}

/// Whether every value of type `found` is one of the type that is promised.
fn fits(promised: &str, found: &DataType, is_guessed: bool) -> bool {
    let base = promised.split(['(', '<']).next().unwrap_or_default().trim();
    match base {
        "array" => return matches!(found, DataType::List(_) | DataType::LargeList(_)),
        "map" => return matches!(found, DataType::Map(_, _)),
        "struct" => return matches!(found, DataType::Struct(_)),
        "timestamp" => return matches!(found, DataType::Timestamp(_, _)) || guessed_text(found, is_guessed),
        "timestamp_ltz" => return matches!(found, DataType::Timestamp(_, Some(_))),
        "timestamp_ntz" => return matches!(found, DataType::Timestamp(_, None)),
        "decimal" | "numeric" | "dec" if !promised.contains('(') => {
            return matches!(found, DataType::Decimal128(_, _)) || (is_guessed && found.is_numeric());
        }
        _ => {}
    }
    let Some(promised) = arrow_type(base, promised) else { return false };
    let found = match found {
        DataType::LargeUtf8 | DataType::Utf8View => &DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView => &DataType::Binary,
        other => other,
    };
    let fits_guess =
        is_guessed && (takes_guessed(&promised, found) || (promised.is_integer() && found.is_integer()));
    stores(&promised, found) || fits_guess
}

/// An empty file has no types at all.
fn guessed_text(found: &DataType, is_guessed: bool) -> bool {
    is_guessed && *found == DataType::Utf8
}

fn arrow_type(base: &str, promised: &str) -> Option<DataType> {
    Some(match base {
        "string" | "varchar" | "char" | "text" => DataType::Utf8,
        "boolean" | "bool" => DataType::Boolean,
        "byte" | "tinyint" => DataType::Int8,
        "short" | "smallint" => DataType::Int16,
        "int" | "integer" => DataType::Int32,
        "long" | "bigint" => DataType::Int64,
        "float" | "real" => DataType::Float32,
        "double" | "double precision" => DataType::Float64,
        "date" => DataType::Date32,
        "binary" => DataType::Binary,
        "decimal" | "numeric" | "dec" => {
            let inner = promised.split_once('(')?.1.trim_end_matches(')');
            let mut digits = inner.split(',').map(|part| part.trim().parse::<i8>().ok());
            let precision = u8::try_from(digits.next()??).ok()?;
            DataType::Decimal128(precision, digits.next().flatten().unwrap_or(0))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, TimeUnit};

    use super::fits;

    #[test]
    fn a_type_fits_when_it_holds_every_value() {
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        for (promised, found, is_guessed) in [
            ("bigint", DataType::Int64, false),
            ("bigint", DataType::Int32, false),
            ("int", DataType::Int64, true),
            ("decimal(10, 2)", DataType::Decimal128(8, 2), false),
            ("decimal(10,2)", DataType::Int64, true),
            ("string", DataType::LargeUtf8, false),
            ("timestamp", micros.clone(), false),
            ("date", DataType::Utf8, true),
            ("numeric", DataType::Decimal128(20, 5), false),
        ] {
            assert!(fits(promised, &found, is_guessed), "{promised} {found}");
        }
        for (promised, found, is_guessed) in [
            ("int", DataType::Int64, false),
            ("bigint", DataType::Utf8, false),
            ("string", DataType::Int64, false),
            ("timestamp_ltz", micros, false),
            ("decimal(5,2)", DataType::Decimal128(8, 2), false),
            ("boolean", DataType::Int64, true),
        ] {
            assert!(!fits(promised, &found, is_guessed), "{promised} {found}");
        }
    }
}
