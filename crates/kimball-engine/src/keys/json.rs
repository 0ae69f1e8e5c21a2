//! Some columns of a row as a JSON object, to be read by people.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use serde_json::Value;

use super::spark_text;

/// `function(value…)`: a JSON object of the columns `names`. Integers and booleans are what they are, NULL is null,
/// everything else is a text as Spark's `CAST(… AS STRING)` writes it.
pub(crate) fn row_json(function: &str, names: &[String]) -> ScalarUDF {
    ScalarUDF::from(RowJson {
        function: function.to_owned(),
        names: names.to_vec(),
        signature: Signature::variadic_any(Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct RowJson {
    function: String,
    names: Vec<String>,
    signature: Signature,
}

impl ScalarUDFImpl for RowJson {
    fn name(&self) -> &str {
        &self.function
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let columns = columns.iter().map(values).collect::<Result<Vec<_>>>()?;
        let mut json = StringBuilder::new();
        for row in 0..args.number_rows {
            let pairs = self.names.iter().zip(&columns);
            let pairs = pairs.map(|(name, values)| {
                // In the order of the configuration, which a map would not keep.
                format!("{}:{}", Value::from(name.as_str()), values.get(row).unwrap_or(&Value::Null))
            });
            json.append_value(format!("{{{}}}", pairs.collect::<Vec<_>>().join(",")));
        }
        Ok(ColumnarValue::Array(Arc::new(json.finish())))
    }
}

fn values(column: &ArrayRef) -> Result<Vec<Value>> {
    let rows = 0..column.len();
    Ok(match column.data_type() {
        kind if kind.is_integer() => {
            let numbers = cast(column, &DataType::Int64)?;
            let numbers = numbers.as_primitive::<Int64Type>();
            numbers.iter().map(|number| number.map_or(Value::Null, Value::from)).collect()
        }
        DataType::Boolean => {
            let flags = column.as_boolean();
            rows.map(|row| if flags.is_valid(row) { flags.value(row).into() } else { Value::Null }).collect()
        }
        _ => spark_text(column)?.iter().map(|text| text.map_or(Value::Null, Value::from)).collect(),
    })
}
