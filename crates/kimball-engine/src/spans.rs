//! In which spans of a column's values a few rows lie: where most of a table's values lie beyond them, its files, row
//! groups and pages need not be read.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::{cast, max_string, min_string};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result as QueryResult;
use datafusion::logical_expr::utils::disjunction;
use datafusion::logical_expr::{Expr, lit};
use datafusion::prelude::DataFrame;
use futures::TryStreamExt;

use crate::EngineError;
use crate::columns::literal;

/// Spans that are told apart; each costs two comparisons a row.
const MOST_SPANS: usize = 16;
/// A gap between two spans that is a smaller part of all values than this leaves out too little.
const WORTHWHILE_PART: i128 = 64;
/// Spans that are told apart while rows are looked at.
const SPANS_KEPT: usize = 1_024;
/// Values that are looked at one by one. Of more, only the ends are known.
const VALUES_SORTED: usize = 262_144;

/// Spans that hold every value of a column, which has no NULL.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spans {
    kind: DataType,
    /// Least and greatest values, in ascending order.
    ends: Vec<(ScalarValue, ScalarValue)>,
}

impl Spans {
    /// The spans of each column of some rows; `None` for a column with NULL, of another type than texts, dates and numbers
    /// without rounding, or without rows.
    ///
    /// # Errors
    /// Whatever reading can bring.
    pub(crate) async fn of_columns(rows: DataFrame) -> Result<Vec<Option<Self>>, EngineError> {
        let mut columns: Vec<Option<Values>> =
            rows.schema().fields().iter().map(|field| Values::of(field.data_type())).collect();
        let mut stream = rows.execute_stream().await?;
        while let Some(batch) = stream.try_next().await? {
            note(&mut columns, &batch)?;
        }
        columns.into_iter().map(|values| values.map_or(Ok(None), Values::into_spans)).collect()
    }

    /// Of which type the values are.
    pub(crate) fn kind(&self) -> &DataType {
        &self.kind
    }

    /// Whether `column`, of the [same type](Self::kind), lies in one of the spans.
    pub(crate) fn hold(&self, column: &Expr) -> Option<Expr> {
        let within = |(least, greatest): &(ScalarValue, ScalarValue)| {
            column.clone().gt_eq(lit(least.clone())).and(column.clone().lt_eq(lit(greatest.clone())))
        };
        disjunction(self.ends.iter().map(within))
    }

    /// The same condition as SQL.
    pub(crate) fn sql(&self, column: &str) -> QueryResult<String> {
        let text = |value: &ScalarValue| -> QueryResult<String> {
            let text = value.cast_to(&DataType::Utf8)?.to_string();
            Ok(format!("arrow_cast({}, '{}')", literal(&text), self.kind))
        };
        let within = |(least, greatest): &(ScalarValue, ScalarValue)| -> QueryResult<String> {
            Ok(format!("{column} >= {} AND {column} <= {}", text(least)?, text(greatest)?))
        };
        let spans = self.ends.iter().map(within).collect::<QueryResult<Vec<_>>>()?;
        Ok(format!("({})", spans.join(" OR ")))
    }
}

/// Adds a batch to the values of its columns; what a column holds NULL in is given up.
fn note(columns: &mut [Option<Values>], batch: &RecordBatch) -> QueryResult<()> {
    for (values, column) in columns.iter_mut().zip(batch.columns()) {
        match values {
            Some(known) if column.null_count() == 0 => known.add(column.as_ref())?,
            _ => *values = None,
        }
    }
    Ok(())
}

/// What is known of a column's values.
#[derive(Debug)]
enum Values {
    Texts(Option<(String, String)>),
    Numbers { kind: DataType, spans: Vec<(i128, i128)>, seen: usize },
}

impl Values {
    /// Types in whose order files keep their statistics, and which these tell exactly.
    fn of(kind: &DataType) -> Option<Self> {
        match kind {
            DataType::Utf8 => Some(Self::Texts(None)),
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Date32
            | DataType::Decimal128(_, _) => {
                Some(Self::Numbers { kind: kind.clone(), spans: Vec::new(), seen: 0 })
            }
            _ => None,
        }
    }

    fn add(&mut self, column: &dyn Array) -> QueryResult<()> {
        match self {
            Self::Texts(ends) => {
                let texts = column.as_string::<i32>();
                if let (Some(least), Some(greatest)) = (min_string(texts), max_string(texts)) {
                    let (old_least, old_greatest) =
                        ends.take().unwrap_or_else(|| (least.to_owned(), greatest.to_owned()));
                    let least = if *least < *old_least { least.to_owned() } else { old_least };
                    let greatest = if *greatest > *old_greatest { greatest.to_owned() } else { old_greatest };
                    *ends = Some((least, greatest));
                }
            }
            Self::Numbers { kind, spans, seen } => {
                let numbers = numbers(column, kind)?;
                *seen += numbers.len();
                if *seen <= VALUES_SORTED {
                    spans.extend(numbers.into_iter().map(|number| (number, number)));
                    settle(spans, SPANS_KEPT);
                } else {
                    let least = spans.iter().map(|span| span.0).chain(numbers.iter().copied()).min();
                    let greatest = spans.iter().map(|span| span.1).chain(numbers.iter().copied()).max();
                    *spans = least.zip(greatest).into_iter().collect();
                }
            }
        }
        Ok(())
    }

    fn into_spans(self) -> Result<Option<Spans>, EngineError> {
        let (kind, ends) = match self {
            Self::Texts(ends) => {
                let text = |text: String| ScalarValue::Utf8(Some(text));
                (
                    DataType::Utf8,
                    ends.into_iter().map(|(least, greatest)| (text(least), text(greatest))).collect(),
                )
            }
            Self::Numbers { kind, mut spans, .. } => {
                let width =
                    spans.first().zip(spans.last()).map_or(0, |(first, last)| last.1.saturating_sub(first.0));
                join(&mut spans, width / WORTHWHILE_PART);
                settle(&mut spans, MOST_SPANS);
                let value = |number: i128| scalar(number, &kind);
                let ends = spans.into_iter().map(|(least, greatest)| Ok((value(least)?, value(greatest)?)));
                let ends = ends.collect::<QueryResult<Vec<_>>>()?;
                (kind, ends)
            }
        };
        Ok((!ends.is_empty()).then_some(Spans { kind, ends }))
    }
}

/// Joins spans that overlap or lie side by side, and then those with the smallest gaps until at most `most` are left.
fn settle(spans: &mut Vec<(i128, i128)>, most: usize) {
    spans.sort_unstable();
    join(spans, 1);
    if spans.len() > most {
        let mut gaps: Vec<i128> = gaps(spans).collect();
        let surplus = spans.len() - most - 1;
        let (_, greatest_joined, _) = gaps.select_nth_unstable(surplus);
        let greatest_joined = *greatest_joined;
        join(spans, greatest_joined);
    }
}

fn gaps(spans: &[(i128, i128)]) -> impl Iterator<Item = i128> {
    spans.iter().zip(spans.iter().skip(1)).map(|(before, after)| after.0.saturating_sub(before.1))
}

/// Joins sorted spans whose gap is `greatest` or smaller.
fn join(spans: &mut Vec<(i128, i128)>, greatest: i128) {
    spans.dedup_by(|after, before| {
        let joins = after.0.saturating_sub(before.1) <= greatest;
        if joins {
            before.1 = before.1.max(after.1);
        }
        joins
    });
}

fn numbers(column: &dyn Array, kind: &DataType) -> QueryResult<Vec<i128>> {
    Ok(match kind {
        DataType::Decimal128(_, _) => column.as_primitive::<Decimal128Type>().values().to_vec(),
        DataType::Date32 => integers(cast(column, &DataType::Int32)?.as_ref())?,
        _ => integers(column)?,
    })
}

fn integers(column: &dyn Array) -> QueryResult<Vec<i128>> {
    let column = cast(column, &DataType::Int64)?;
    Ok(column.as_primitive::<Int64Type>().values().iter().map(|value| i128::from(*value)).collect())
}

/// A number as a value of the type that it was taken from.
fn scalar(number: i128, kind: &DataType) -> QueryResult<ScalarValue> {
    if let DataType::Decimal128(precision, scale) = kind {
        return Ok(ScalarValue::Decimal128(Some(number), *precision, *scale));
    }
    let number = ScalarValue::Int64(i64::try_from(number).ok());
    match kind {
        DataType::Date32 => number.cast_to(&DataType::Int32)?.cast_to(kind),
        _ => number.cast_to(kind),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::sync::Arc;

    use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Int64Array, StringArray};
    use datafusion::prelude::SessionContext;
    use proptest::prelude::*;

    use super::{MOST_SPANS, RecordBatch, Spans, VALUES_SORTED};

    async fn of(columns: Vec<ArrayRef>) -> Vec<Option<Spans>> {
        let columns =
            columns.into_iter().enumerate().map(|(place, column)| (format!("c{place}"), column, true));
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        Spans::of_columns(SessionContext::new().read_batch(batch).unwrap()).await.unwrap()
    }

    async fn shown(column: ArrayRef) -> Option<String> {
        let spans = of(vec![column]).await.remove(0)?;
        Some(spans.sql("x").unwrap().replace("arrow_cast", ""))
    }

    #[tokio::test]
    async fn values_far_apart_are_told_apart_and_others_are_not() {
        let few = Int64Array::from(vec![7, 1_000, 5, 1_003, 6]);
        let kind = "'Int64'";
        let expected = format!(
            "(x >= ('5', {kind}) AND x <= ('7', {kind}) OR x >= ('1000', {kind}) AND x <= ('1003', {kind}))"
        );
        assert_eq!(shown(Arc::new(few)).await, Some(expected));
        let scattered = Int64Array::from_iter_values((0..10_000).map(|place| place * 97));
        let whole = format!("(x >= ('0', {kind}) AND x <= ('969903', {kind}))");
        assert_eq!(shown(Arc::new(scattered)).await, Some(whole));
    }

    #[tokio::test]
    async fn dates_decimals_and_texts_have_spans_and_columns_with_null_have_none() {
        let dates = Date32Array::from(vec![19_000, 19_001]);
        let decimals = Decimal128Array::from(vec![150, 250]).with_precision_and_scale(9, 2).unwrap();
        let texts = StringArray::from(vec!["b", "a'b"]);
        assert_eq!(
            shown(Arc::new(dates)).await.unwrap(),
            "(x >= ('2022-01-08', 'Date32') AND x <= ('2022-01-09', 'Date32'))"
        );
        assert!(shown(Arc::new(decimals)).await.unwrap().starts_with("(x >= ('1.50', 'Decimal128(9, 2)')"));
        assert_eq!(shown(Arc::new(texts)).await.unwrap(), "(x >= ('a''b', 'Utf8') AND x <= ('b', 'Utf8'))");
        assert_eq!(shown(Arc::new(Int64Array::from(vec![Some(1), None]))).await, None);
        assert_eq!(shown(Arc::new(Int64Array::from(Vec::<i64>::new()))).await, None);
    }

    #[tokio::test]
    async fn of_very_many_values_only_the_ends_are_known() {
        let many = i64::try_from(VALUES_SORTED).unwrap();
        let values = Int64Array::from_iter_values((0..many).chain([many * 1_000]));
        let spans = of(vec![Arc::new(values)]).await.remove(0).unwrap();
        assert!(spans.ends.len() <= 2, "{spans:?}");
    }

    proptest! {
        #[test]
        fn every_value_lies_in_a_span(values in prop::collection::vec(any::<i64>(), 1..2_000)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let column = Arc::new(Int64Array::from(values.clone()));
            let spans = runtime.block_on(of(vec![column])).remove(0).unwrap();
            prop_assert!(spans.ends.len() <= MOST_SPANS);
            prop_assert!(spans.ends.is_sorted_by(|before, after| before.1 < after.0));
            for value in values {
                let value = datafusion::common::ScalarValue::Int64(Some(value));
                prop_assert!(spans.ends.iter().any(|(least, greatest)| *least <= value && value <= *greatest));
            }
        }
    }
}
