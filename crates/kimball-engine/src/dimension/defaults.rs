//! The four default members of every dimension (semantics 3).

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, SchemaRef};
use chrono::{DateTime, Days, NaiveDate, Utc};
use datafusion::common::ScalarValue;
use kimball_config::Dimension;

use crate::EngineError;
use crate::columns::{self as name, DEFAULT_KEYS, quoted};
use crate::layout::{Layout, Role};

struct DefaultMember {
    key: i64,
    status: &'static str,
    label: &'static str,
}

const MEMBERS: [DefaultMember; 4] = [
    DefaultMember { key: -1, status: "MISSING", label: "Missing" },
    DefaultMember { key: -2, status: "NOT_APPLICABLE", label: "Not Applicable" },
    DefaultMember { key: -3, status: "NOT_YET_AVAILABLE", label: "Not Yet Available" },
    DefaultMember { key: -4, status: "BAD_VALUE", label: "Bad Value" },
];

/// The condition for rows of a dimension that are no default members: no other row has one of their keys
/// (semantics 2.4), also in tables that others wrote.
pub(crate) fn loaded_rows(surrogate_key: &str) -> String {
    format!("({} NOT IN {DEFAULT_KEYS})", quoted(surrogate_key))
}

/// Rows for the default members whose keys are not in `present`; `None` when all are.
///
/// # Errors
/// [`EngineError::Config`] when a value of `default_rows` does not fit its column.
pub(crate) fn missing_defaults(
    dimension: &Dimension,
    layout: &Layout,
    present: &[i64],
    clock: DateTime<Utc>,
    batch_id: &str,
) -> Result<Option<RecordBatch>, EngineError> {
    let absent: Vec<&DefaultMember> =
        MEMBERS.iter().filter(|member| !present.contains(&member.key)).collect();
    if absent.is_empty() {
        return Ok(None);
    }
    let unknown = dimension
        .default_rows
        .keys()
        .find(|column| column.parse::<i64>().is_err() && layout.schema.field_with_name(column).is_err());
    if let Some(column) = unknown {
        return Err(EngineError::Config(format!(
            "default_rows names `{column}`, which is no column of the table"
        )));
    }
    let stamp = Stamp { clock: clock.timestamp_micros(), batch_id };
    let columns = layout
        .schema
        .fields()
        .iter()
        .map(|field| {
            let values = absent
                .iter()
                .map(|member| value(dimension, layout, field, member, &stamp))
                .collect::<Result<Vec<_>, _>>()?;
            Ok(ScalarValue::iter_to_array(values)?)
        })
        .collect::<Result<Vec<ArrayRef>, EngineError>>()?;
    Ok(Some(RecordBatch::try_new(SchemaRef::clone(&layout.schema), columns)?))
}

struct Stamp<'a> {
    clock: i64,
    batch_id: &'a str,
}

fn value(
    dimension: &Dimension,
    layout: &Layout,
    field: &Field,
    member: &DefaultMember,
    stamp: &Stamp<'_>,
) -> Result<ScalarValue, EngineError> {
    let text = |value: &str| Ok(ScalarValue::Utf8(Some(value.to_owned())));
    let flag = |value| Ok(ScalarValue::Boolean(Some(value)));
    let time = |micros| Ok(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())));
    match field.name().as_str() {
        column if column == dimension.surrogate_key => Ok(ScalarValue::Int64(Some(member.key))),
        name::MEMBER_STATUS => text(member.status),
        name::KEY_ORIGIN => text("default"),
        name::BATCH_ID => text(stamp.batch_id),
        name::PROCESSED_AT => time(stamp.clock),
        name::VALID_FROM => time(first_day(0).timestamp_micros()),
        name::VALID_TO => time(open_end()),
        name::IS_CURRENT => flag(true),
        name::IS_DELETED | name::IS_SKELETON => flag(false),
        name::HASHDIFF => Ok(ScalarValue::Int64(Some(0)).cast_to(field.data_type())?),
        column => match dimension.default_rows.get(column).or_else(|| copied(dimension, layout, column)) {
            Some(written) => crate::nulls::parse(written, field),
            None => by_type(dimension, field, member),
        },
    }
}

/// The override of the column whose newest value a column holds.
fn copied<'d>(dimension: &'d Dimension, layout: &Layout, column: &str) -> Option<&'d String> {
    let computed = layout.computed.iter().find(|new| new.column == column)?;
    match &computed.role {
        Role::Current(of) => dimension.default_rows.get(of),
        _ => None,
    }
}

fn by_type(dimension: &Dimension, field: &Field, member: &DefaultMember) -> Result<ScalarValue, EngineError> {
    let day = first_day(member.key.unsigned_abs().saturating_sub(1));
    let label = dimension.member_labels.get(&member.key).map_or(member.label, String::as_str);
    let value = match field.data_type() {
        DataType::Utf8 => ScalarValue::Utf8(Some(label.to_owned())),
        DataType::Boolean => ScalarValue::Boolean(Some(false)),
        kind @ (DataType::Date32 | DataType::Timestamp(_, _)) => {
            ScalarValue::TimestampMicrosecond(Some(day.timestamp_micros()), Some("UTC".into()))
                .cast_to(kind)?
        }
        kind if kind.is_numeric() => ScalarValue::Int64(Some(member.key)).cast_to(kind).or_else(|_| {
            // A type too narrow for the key, such as DECIMAL(1,1), holds no number that could stand for it.
            ScalarValue::try_from(kind)
        })?,
        kind => ScalarValue::try_from(kind)?,
    };
    Ok(value)
}

fn first_day(offset: u64) -> DateTime<Utc> {
    let first = NaiveDate::from_ymd_opt(1900, 1, 1).unwrap_or_default();
    let day = first.checked_add_days(Days::new(offset)).unwrap_or(first);
    day.and_hms_opt(0, 0, 0).unwrap_or_default().and_utc()
}

fn open_end() -> i64 {
    NaiveDate::from_ymd_opt(9999, 12, 31)
        .and_then(|day| day.and_hms_micro_opt(23, 59, 59, 999_999))
        .map_or(i64::MAX, |end| end.and_utc().timestamp_micros())
}
