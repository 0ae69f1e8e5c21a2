//! What a query library says, as people would say it: without the names of its stages and types, and without its
//! authors' addresses.

use std::error::Error;
use std::fmt::Write as _;
use std::str::FromStr;

use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

/// What stands in front of a message and says which stage of the library found it.
const STAGES: &[&str] = &[
    "sql parser error: ",
    "Error during planning: ",
    "Execution error: ",
    "This feature is not implemented: ",
    "Internal error: ",
    "Schema error: ",
    "Arrow error: ",
    "Cast error: ",
    "Parser error: ",
    "Compute error: ",
    "Invalid argument error: ",
    "Arithmetic overflow: ",
    "Parquet error: ",
    "Parquet argument error: ",
    "External error: ",
    "External: ",
];

/// What the library adds for those who want to report a defect of its own.
const ASKS_FOR_A_REPORT: &str = "This issue was likely caused by a bug in DataFusion's code.";

/// A value that is none of the type that it is to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadValue {
    /// The value as it is written.
    pub value: String,
    /// What it is to become: `bigint`, `decimal`, `timestamp`.
    pub kind: String,
}

/// The message of a failed query, as one would say it.
pub fn in_words(error: &DataFusionError) -> String {
    if let Some(BadValue { value, kind }) = bad_value(error) {
        return format!("`{value}` is no {kind}; `TRY_CAST` gives NULL where a value is none");
    }
    match error.find_root() {
        DataFusionError::SchemaError(schema, _) => of_schema(schema),
        DataFusionError::SQL(parser, _) => cleaned(&parser.to_string()),
        DataFusionError::ArrowError(arrow, _) => of_arrow(arrow),
        DataFusionError::External(inner) => cleaned(&with_causes(inner.as_ref())),
        root => cleaned(&with_causes(root)),
    }
}

/// The value that a failed query could not cast, if that is why it failed.
pub fn bad_value(error: &DataFusionError) -> Option<BadValue> {
    match error.find_root() {
        DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
            ArrowError::CastError(message)
            | ArrowError::ParseError(message)
            | ArrowError::InvalidArgumentError(message) => bad_value_in(message),
            _ => None,
        },
        DataFusionError::Execution(message) => bad_value_in(message),
        _ => None,
    }
}

fn bad_value_in(message: &str) -> Option<BadValue> {
    let between = |before: &str, after: &str| {
        let rest = message.split_once(before)?.1;
        rest.split_once(after).map(|(value, rest)| (value.to_owned(), rest))
    };
    let cast = between("Cannot cast string '", "' to value of ")
        .or_else(|| between("Cannot cast value '", "' to value of "));
    if let Some((value, rest)) = cast {
        let kind = rest.strip_suffix(" type").unwrap_or(rest);
        return Some(BadValue { value, kind: family(kind) });
    }
    if let Some((value, rest)) = between("Can't cast value ", " to type ") {
        return Some(BadValue { value, kind: family(rest) });
    }
    if let Some((value, rest)) = between_start(message, " is too large to store in a Decimal") {
        let digits = rest.split_once("of precision ").and_then(|(_, digits)| digits.split('.').next());
        return Some(BadValue { value, kind: format!("decimal with {} digits", digits.unwrap_or("so few")) });
    }
    let (value, _) = between("Error parsing timestamp from '", "'")?;
    Some(BadValue { value, kind: "timestamp".to_owned() })
}

/// What stands in front of a part of a text, and what behind it.
fn between_start<'t>(text: &'t str, part: &str) -> Option<(String, &'t str)> {
    text.split_once(part).map(|(before, rest)| (before.to_owned(), rest))
}

/// The type of a text without its digits: those of a decimal are seldom the ones that the query asks for.
fn family(kind: &str) -> String {
    match DataType::from_str(kind.trim()) {
        Ok(DataType::Decimal128(..) | DataType::Decimal256(..)) => "decimal".to_owned(),
        Ok(kind) => sql_name(&kind),
        Err(_) => kind.trim().to_lowercase(),
    }
}

fn of_schema(schema: &SchemaError) -> String {
    match schema {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let mut names: Vec<&str> = valid_fields.iter().map(|field| field.name.as_str()).collect();
            names.dedup();
            match names.is_empty() {
                true => format!("there is no column `{}`", field.flat_name()),
                false => {
                    format!("there is no column `{}`: there are {}", field.flat_name(), names.join(", "))
                }
            }
        }
        SchemaError::AmbiguousReference { field } => format!("`{}` may be several columns", field.name),
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => {
            format!("there are two columns `{name}`")
        }
    }
}

fn of_arrow(arrow: &ArrowError) -> String {
    match arrow {
        ArrowError::DivideByZero => "a division by zero: `x / nullif(y, 0)` gives NULL instead".to_owned(),
        ArrowError::ArithmeticOverflow(message) => {
            format!("a number is too large for its type: {}", with_sql_types(message))
        }
        ArrowError::ParseError(message) if message.contains("cast to Date32") => {
            "a text is no date: name its format, such as `to_date(x, 'dd.MM.yyyy')`, or use `TRY_CAST(x AS DATE)`, which gives \
             NULL where one is none"
                .to_owned()
        }
        other => cleaned(&with_causes(other)),
    }
}

/// An error and every cause that it does not tell itself.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.contains(&told) {
            // Writing to a String cannot fail.
            let _ = write!(text, ": {told}");
        }
        cause = error.source();
    }
    text
}

/// A message without the names of stages in front, without the request for a report, and with types as SQL has them.
pub(crate) fn cleaned(message: &str) -> String {
    let told = message.split(DataFusionError::BACK_TRACE_SEP).next().unwrap_or_default();
    let mut rest = match told.split_once(ASKS_FOR_A_REPORT) {
        Some((message, _)) => message.trim_end().trim_end_matches('.'),
        None => told.trim_end(),
    };
    while let Some(less) = STAGES.iter().find_map(|stage| rest.strip_prefix(stage)) {
        rest = less;
    }
    // What the library prints of its own trees tells nobody anything.
    let dumped = rest.match_indices(" { ").find_map(|(at, _)| {
        let word = rest[..at].rfind(|c: char| !c.is_ascii_alphanumeric()).map_or(0, |before| before + 1);
        rest[word..at].starts_with(|c: char| c.is_ascii_uppercase()).then_some(word)
    });
    let kept =
        dumped.and_then(|at| rest.get(..at)).map_or(rest, |kept| kept.trim_end_matches([' ', '(', ':', ',']));
    with_sql_types(kept)
}

/// A text in which types are called as in SQL: `Utf8` is `string`, `Timestamp(µs)` is `timestamp`.
pub fn with_sql_types(text: &str) -> String {
    let mut told = String::with_capacity(text.len());
    let mut rest = text;
    let mut within_word = false;
    while let Some(first) = rest.chars().next() {
        if !within_word
            && first.is_ascii_uppercase()
            && let Some((kind, length)) = type_in_front(rest)
        {
            told.push_str(&sql_name(&kind));
            rest = &rest[length..];
            continue;
        }
        within_word = first.is_alphanumeric() || first == '_';
        told.push(first);
        rest = &rest[first.len_utf8()..];
    }
    told
}

/// The type that a text begins with, and how many bytes name it.
fn type_in_front(text: &str) -> Option<(DataType, usize)> {
    let word = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    let with_arguments = text[word..].starts_with('(').then(|| closed(&text[word..])).flatten();
    if let Some(length) = with_arguments
        && let Ok(kind) = DataType::from_str(&text[..word + length])
    {
        return Some((kind, word + length));
    }
    // Words that are types to the library and something else to people.
    if matches!(&text[..word], "Null" | "Date" | "Time" | "Interval" | "Duration") {
        return None;
    }
    Some((DataType::from_str(&text[..word]).ok()?, word))
}

/// The bytes of a text up to the parenthesis that closes the one it begins with.
fn closed(text: &str) -> Option<usize> {
    let mut open = 0usize;
    for (at, character) in text.char_indices() {
        match character {
            '(' => open += 1,
            ')' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(at + 1);
        }
    }
    None
}

/// A type as SQL writes it.
pub fn sql_name(kind: &DataType) -> String {
    match kind {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 => "tinyint".to_owned(),
        DataType::Int16 => "smallint".to_owned(),
        DataType::Int32 => "int".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float32 => "float".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "binary".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(_, _) => "timestamp".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        other => other.to_string(),
    }
}
