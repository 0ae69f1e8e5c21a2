//! Type names in a query mean what they mean in Spark SQL.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::error::Result as QueryResult;
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{DataType as SqlType, ExactNumberInfo};

/// Plans the types whose meaning in Spark is another than DataFusion's: timestamps have microseconds and are
/// UTC (nanoseconds could not hold the year 9999), a bare DECIMAL has ten digits, and LONG, SHORT and BYTE
/// are integers.
#[derive(Debug)]
pub(crate) struct SparkTypes;

impl TypePlanner for SparkTypes {
    fn plan_type_field(&self, sql_type: &SqlType) -> QueryResult<Option<FieldRef>> {
        let planned = match sql_type {
            SqlType::Timestamp(_, _) => Some(crate::layout::timestamp()),
            SqlType::TimestampNtz(_) => Some(DataType::Timestamp(TimeUnit::Microsecond, None)),
            SqlType::Binary(None) => Some(DataType::Binary),
            SqlType::Decimal(ExactNumberInfo::None) | SqlType::Dec(ExactNumberInfo::None) => {
                Some(DataType::Decimal128(10, 0))
            }
            SqlType::Custom(name, _) => match name.to_string().to_uppercase().as_str() {
                "LONG" => Some(DataType::Int64),
                "SHORT" => Some(DataType::Int16),
                "BYTE" => Some(DataType::Int8),
                _ => None,
            },
            _ => None,
        };
        Ok(planned.map(|kind| Arc::new(Field::new("", kind, true))))
    }
}
