//! `split`, which Spark does by a regular expression.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, ListBuilder, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use datafusion::common::{plan_datafusion_err, plan_err};
use datafusion::error::Result as QueryResult;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use regex::Regex;

/// `split(text, pattern[, limit])`: the parts between matches, an ARRAY of STRING, at most `limit` of them where it is
/// positive; NULL makes NULL. The pattern is the same for all rows.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Split {
    signature: Signature,
}

impl Default for Split {
    fn default() -> Self {
        Self { signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Split {
    fn name(&self) -> &str {
        "split"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> QueryResult<DataType> {
        match arguments.len() {
            2 | 3 => Ok(DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))),
            _ => plan_err!("`split` takes a text, a pattern and perhaps a limit"),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> QueryResult<ColumnarValue> {
        let [text, pattern, limit @ ..] = arguments.args.as_slice() else {
            return plan_err!("`split` takes a text, a pattern and perhaps a limit");
        };
        let pattern = pattern_of(pattern)?;
        let limit = limit.first().map_or(Ok(0), limit_of)?;
        let texts: ArrayRef = cast(&text.to_array(arguments.number_rows)?, &DataType::Utf8)?;
        let mut parts = ListBuilder::new(StringBuilder::new());
        for text in texts.as_string::<i32>() {
            let Some(text) = text else {
                parts.append_null();
                continue;
            };
            match limit {
                0 => pattern.split(text).for_each(|part| parts.values().append_value(part)),
                limit => pattern.splitn(text, limit).for_each(|part| parts.values().append_value(part)),
            }
            parts.append(true);
        }
        Ok(ColumnarValue::Array(Arc::new(parts.finish())))
    }
}

fn pattern_of(pattern: &ColumnarValue) -> QueryResult<Regex> {
    let text = match pattern {
        ColumnarValue::Scalar(scalar) => scalar.try_as_str().flatten(),
        ColumnarValue::Array(_) => None,
    };
    let text = text.ok_or_else(|| plan_datafusion_err!("the pattern of `split` is a text such as ','"))?;
    Regex::new(text).map_err(|refused| plan_datafusion_err!("the pattern of `split`: {refused}"))
}

/// How many parts at most; 0: all.
fn limit_of(limit: &ColumnarValue) -> QueryResult<usize> {
    let number = match limit {
        ColumnarValue::Scalar(scalar) => scalar.to_string().parse::<i64>().ok(),
        ColumnarValue::Array(_) => None,
    };
    match number {
        Some(number) => Ok(usize::try_from(number).unwrap_or(0)),
        None => plan_err!("the limit of `split` is a number"),
    }
}
