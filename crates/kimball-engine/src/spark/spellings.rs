//! Calls and operators that Spark spells in its own way, each said in words that DataFusion knows.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, NullTreatment,
    ObjectNamePart, UnaryOperator, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

/// Other names of functions, whatever they are given.
const NAMES: [(&str, &str); 15] = [
    ("approx_count_distinct", "approx_distinct"),
    ("endswith", "ends_with"),
    ("every", "bool_and"),
    ("first", "first_value"),
    ("iff", "if"),
    ("last", "last_value"),
    ("lcase", "lower"),
    ("len", "length"),
    ("listagg", "string_agg"),
    ("regexp", "regexp_like"),
    ("rlike", "regexp_like"),
    ("sign", "signum"),
    ("startswith", "starts_with"),
    ("std", "stddev"),
    ("ucase", "upper"),
];

/// Calls with so many arguments, and what they mean; `$1` stands for the first argument.
const CALLS: [(&str, usize, &str); 29] = [
    ("bigint", 1, "CAST($1 AS BIGINT)"),
    ("boolean", 1, "CAST($1 AS BOOLEAN)"),
    ("count_if", 1, "count(CASE WHEN $1 THEN 1 END)"),
    ("date", 1, "CAST($1 AS DATE)"),
    ("date_trunc", 2, "date_trunc($1, CAST($2 AS TIMESTAMP))"),
    ("double", 1, "CAST($1 AS DOUBLE)"),
    ("float", 1, "CAST($1 AS FLOAT)"),
    ("int", 1, "CAST($1 AS INT)"),
    ("isnotnull", 1, "($1 IS NOT NULL)"),
    ("isnull", 1, "($1 IS NULL)"),
    ("locate", 2, "strpos($2, $1)"),
    (
        "locate",
        3,
        "CASE strpos(substring($2, $3), $1) WHEN 0 THEN 0 ELSE strpos(substring($2, $3), $1) + $3 - 1 END",
    ),
    ("max_by", 2, "first_value($1 ORDER BY $2 DESC NULLS LAST)"),
    ("min_by", 2, "first_value($1 ORDER BY $2 ASC NULLS LAST)"),
    ("nullifzero", 1, "nullif($1, 0)"),
    (
        "regexp_extract",
        2,
        "if($1 IS NULL, NULL, coalesce(array_element(regexp_match($1, '(' || $2 || ')'), 2), ''))",
    ),
    (
        "regexp_extract",
        3,
        "if($1 IS NULL, NULL, coalesce(array_element(regexp_match($1, '(' || $2 || ')'), $3 + 1), ''))",
    ),
    ("regexp_replace", 3, "regexp_replace($1, $2, $3, 'g')"),
    ("replace", 2, "replace($1, $2, '')"),
    ("smallint", 1, "CAST($1 AS SMALLINT)"),
    ("sort_array", 1, "array_sort($1)"),
    ("string", 1, "CAST($1 AS STRING)"),
    ("timestamp", 1, "CAST($1 AS TIMESTAMP)"),
    ("tinyint", 1, "CAST($1 AS TINYINT)"),
    ("to_unix_timestamp", 1, "unix_timestamp($1)"),
    ("to_unix_timestamp", 2, "unix_timestamp($1, $2)"),
    ("trunc", 2, "CAST(date_trunc($2, CAST($1 AS TIMESTAMP)) AS DATE)"),
    ("try_divide", 2, "($1 / nullif($2, 0))"),
    ("zeroifnull", 1, "coalesce($1, 0)"),
];

/// Says them in other words.
pub(super) fn settle(tree: &mut impl VisitMut) {
    let _: ControlFlow<()> = tree.visit(&mut Spellings);
}

struct Spellings;

impl VisitorMut for Spellings {
    type Break = ();

    // Arguments come first, so that nothing is looked at that stands here.
    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let said = match expr {
            Expr::Function(call) => in_other_words(call),
            // Sunday is the first day of a week.
            Expr::Extract { field: DateTimeField::Dow | DateTimeField::DayOfWeek, expr, .. } => {
                filled("dayofweek($1)", &[(**expr).clone()])
            }
            Expr::UnaryOp { op: op @ UnaryOperator::BangNot, .. } => {
                *op = UnaryOperator::Not;
                None
            }
            Expr::RLike { negated, expr, pattern, .. } => {
                matching(*negated, &[(**expr).clone(), (**pattern).clone()])
            }
            _ => None,
        };
        if let Some(said) = said {
            *expr = said;
        }
        ControlFlow::Continue(())
    }
}

fn in_other_words(call: &mut Function) -> Option<Expr> {
    let [ObjectNamePart::Identifier(name)] = call.name.0.as_mut_slice() else { return None };
    let called = name.value.to_lowercase();
    if let Some((_, known)) = NAMES.iter().find(|(spelled, _)| *spelled == called) {
        *name = Ident { span: name.span, ..Ident::new(*known) };
    }
    let arguments = arguments(call)?;
    match (called.as_str(), arguments.as_slice()) {
        ("first" | "last" | "first_value" | "last_value" | "any_value", [value, ignoring]) => {
            ignoring_nulls(call, value.clone(), ignoring);
            None
        }
        // Maps are asked by their keys, which are hardly ever numbers.
        ("element_at", [_, place]) if is_number(place) => filled("array_element($1, $2)", &arguments),
        ("decode", [value, rest @ ..]) if rest.len() > 1 => chosen(value, rest),
        (called, arguments) => {
            let fits =
                |(spelled, count, _): &&(&str, usize, &str)| *spelled == called && *count == arguments.len();
            let (_, _, meant) = CALLS.iter().find(fits)?;
            let mut meant = filled(meant, arguments)?;
            // What an aggregate goes over stays as it is written.
            if let Expr::Function(function) = &mut meant {
                function.filter = call.filter.take();
                function.over = call.over.take();
            }
            Some(meant)
        }
    }
}

fn is_number(expr: &Expr) -> bool {
    match expr {
        Expr::Value(literal) => matches!(literal.value, Value::Number(..)),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => is_number(expr),
        _ => false,
    }
}

/// The arguments of a call that has nothing else between its parentheses.
fn arguments(call: &Function) -> Option<Vec<Expr>> {
    let FunctionArguments::List(list) = &call.args else { return None };
    if list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
        return None;
    }
    let expression = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    list.args.iter().map(expression).collect()
}

/// `first(x, true)`: the first value that is none of the NULLs.
fn ignoring_nulls(call: &mut Function, value: Expr, ignoring: &Expr) {
    let Expr::Value(literal) = ignoring else { return };
    let Value::Boolean(ignoring) = literal.value else { return };
    if let FunctionArguments::List(list) = &mut call.args {
        list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(value))];
        call.null_treatment =
            Some(if ignoring { NullTreatment::IgnoreNulls } else { NullTreatment::RespectNulls });
    }
}

/// `decode(value, a, b, c, d, otherwise)`: `b` where the value is `a`, NULL being itself.
fn chosen(value: &Expr, rest: &[Expr]) -> Option<Expr> {
    let mut text = "CASE".to_owned();
    for place in (2..=rest.len()).step_by(2) {
        text.push_str(&format!(" WHEN $1 IS NOT DISTINCT FROM ${place} THEN ${}", place + 1));
    }
    if rest.len() % 2 == 1 {
        text.push_str(&format!(" ELSE ${}", rest.len() + 1));
    }
    text.push_str(" END");
    let all: Vec<Expr> = std::iter::once(value).chain(rest).cloned().collect();
    filled(&text, &all)
}

fn matching(negated: bool, arguments: &[Expr]) -> Option<Expr> {
    filled(if negated { "(NOT regexp_like($1, $2))" } else { "regexp_like($1, $2)" }, arguments)
}

/// The expression of `text` with arguments in the place of `$1`, `$2` and so on.
fn filled(text: &str, arguments: &[Expr]) -> Option<Expr> {
    let mut expr = Parser::new(&GenericDialect {}).try_with_sql(text).ok()?.parse_expr().ok()?;
    let _: ControlFlow<()> = expr.visit(&mut Places(arguments));
    Some(expr)
}

struct Places<'a>(&'a [Expr]);

impl VisitorMut for Places<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Value(value) = expr
            && let Value::Placeholder(place) = &value.value
            && let Ok(place) = place.trim_start_matches('$').parse::<usize>()
            && let Some(argument) = self.0.get(place - 1)
        {
            *expr = argument.clone();
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{CALLS, filled};
    use datafusion::sql::sqlparser::ast::Expr;

    #[test]
    fn every_meaning_is_an_expression_that_uses_each_argument() {
        for (name, count, meant) in CALLS {
            let arguments: Vec<Expr> = (0..count).map(|place| Expr::value(marker(place))).collect();
            let said = filled(meant, &arguments).unwrap_or_else(|| panic!("{name}: {meant}")).to_string();
            for place in 0..count {
                assert!(said.contains(&format!("'argument {place}'")), "{name}: {said}");
            }
            assert!(!said.contains('$'), "{name}: {said}");
        }
    }

    fn marker(place: usize) -> datafusion::sql::sqlparser::ast::Value {
        datafusion::sql::sqlparser::ast::Value::SingleQuotedString(format!("argument {place}"))
    }
}
