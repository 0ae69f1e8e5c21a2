//! Intervals as Spark writes them.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Interval, Value, VisitMut, VisitorMut};

/// Quotes the numbers of intervals: `INTERVAL 24 HOURS` is `INTERVAL '24 HOURS'`.
pub(super) fn settle(tree: &mut impl VisitMut) {
    let _: ControlFlow<()> = tree.visit(&mut Quoting);
}

struct Quoting;

impl VisitorMut for Quoting {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Interval(Interval { value, leading_field: leading @ Some(_), last_field: None, .. }) =
            expr
            && let Some(number) = literal(value)
            && let Some(unit) = leading.take()
        {
            **value = Expr::value(Value::SingleQuotedString(format!("{number} {unit}")));
        }
        ControlFlow::Continue(())
    }
}

/// A number with its sign, quoted or not.
fn literal(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => Some(number.to_string()),
            Value::SingleQuotedString(text) if text.trim().parse::<f64>().is_ok() => {
                Some(text.trim().to_owned())
            }
            _ => None,
        },
        Expr::UnaryOp { op: datafusion::sql::sqlparser::ast::UnaryOperator::Minus, expr } => {
            literal(expr).map(|number| format!("-{number}"))
        }
        _ => None,
    }
}
