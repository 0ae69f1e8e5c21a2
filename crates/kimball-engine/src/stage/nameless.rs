//! Columns of a query's output that nobody has given a name: a table would call them by their expression.

use datafusion::common::Span;
use datafusion::sql::sqlparser::ast::{Expr, Query, SelectItem, SetExpr, Spanned};

/// Characters of an expression that a message shows.
const SHOWN_CHARS: usize = 60;

/// The first column without a name: what to say of it, and where it stands.
pub(super) fn first_nameless(query: &Query) -> Option<(String, Option<Span>)> {
    let mut body = query.body.as_ref();
    let select = loop {
        body = match body {
            SetExpr::Select(select) => break select,
            SetExpr::Query(query) => &query.body,
            // The first part names the columns of the whole.
            SetExpr::SetOperation { left, .. } => left,
            _ => return None,
        };
    };
    let (place, expr) = select.projection.iter().enumerate().find_map(|(place, item)| match item {
        SelectItem::UnnamedExpr(expr) if !has_name(expr) => Some((place, expr)),
        _ => None,
    })?;
    let before = select.projection.iter().take(place);
    let is_counted = before
        .clone()
        .all(|item| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }));
    let column = if is_counted { format!("column {}", place + 1) } else { "a column".to_owned() };
    let text = expr.to_string();
    let shown = match text.char_indices().nth(SHOWN_CHARS) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    };
    let message = format!("{column} of the query has no name: add `AS name` to `{shown}`");
    Some((message, Span::try_from_sqlparser_span(expr.span())))
}

/// Names of columns, also in parentheses.
fn has_name(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => true,
        Expr::Nested(inner) => has_name(inner),
        _ => false,
    }
}
