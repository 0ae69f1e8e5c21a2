//! Members of a dimension: a number, eight attributes, and when they were said.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

const ATTRIBUTES: [&str; 8] = ["first", "last", "email", "street", "city", "segment", "phone", "status"];

/// 2025-01-01 and the days behind it, in microseconds since 1970.
pub const DAYS: [i64; 3] = [DAY_1, DAY_1 + DAY, DAY_1 + 2 * DAY];
const DAY_1: i64 = 1_735_689_600_000_000;
const DAY: i64 = 86_400_000_000;

pub fn schema() -> SchemaRef {
    let mut fields = vec![Field::new("customer_id", DataType::Int64, true)];
    fields.extend(ATTRIBUTES.iter().map(|name| Field::new(*name, DataType::Utf8, true)));
    fields.push(Field::new(
        "updated_at",
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        true,
    ));
    Arc::new(Schema::new(fields))
}

/// Rows of the given members as they are on a day; every day says something else of each.
pub fn rows(members: impl Iterator<Item = i64> + Clone, day: i64) -> RecordBatch {
    let mut columns: Vec<ArrayRef> = vec![Arc::new(members.clone().collect::<Int64Array>())];
    for (place, name) in (0i64..).zip(ATTRIBUTES) {
        let values =
            members.clone().map(|member| Some(format!("{name}_{}", (member * (place + 3) + day) % 10_007)));
        columns.push(Arc::new(values.collect::<StringArray>()));
    }
    let times = members.map(|_| Some(day)).collect::<TimestampMicrosecondArray>();
    columns.push(Arc::new(times.with_timezone("UTC")));
    RecordBatch::try_new(schema(), columns).expect("columns fit the schema")
}
