//! Columns of an answer are called as the question writes them, not as the planner calls its expressions.

use datafusion::sql::sqlparser::ast::{Expr, Ident, Query, SelectItem, SetExpr, Statement};

/// Names the columns of an answer that have no name: `count(*)`, `1 + 1`.
pub(crate) fn name_columns(statement: &mut Statement) {
    if let Statement::Query(query) = statement {
        name_columns_of(query);
    }
}

fn name_columns_of(query: &mut Query) {
    let mut body = query.body.as_mut();
    // The first part of a UNION gives its columns their names.
    let select = loop {
        body = match body {
            SetExpr::Select(select) => break select,
            SetExpr::SetOperation { left, .. } => left.as_mut(),
            SetExpr::Query(query) => query.body.as_mut(),
            _ => return,
        };
    };
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) = item
            && !matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
        {
            let alias = Ident::with_quote('`', expr.to_string());
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
}
