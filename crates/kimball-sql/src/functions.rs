//! Functions that people know from Spark.
//!
//! What DataFusion has keeps its meaning, which is that of a `transformation_sql`; where it has nothing of a name, Spark's
//! function stands in.

mod calendar;
mod date_units;

use std::ops::ControlFlow;

use datafusion::error::Result as QueryResult;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectNamePart, Value, VisitMut,
    VisitorMut,
};

use calendar::{AddMonths, DatePart, DateSub};
use date_units::{DateAdd, DateDiff, Unit};

/// Functions whose first of three arguments is a unit, written as a word.
const WITH_UNIT: [&str; 6] =
    ["datediff", "date_diff", "timestampdiff", "dateadd", "date_add", "timestampadd"];

/// Makes Spark's functions known to a session.
pub(crate) fn register(session: &SessionContext) -> QueryResult<()> {
    let known = session.udfs();
    for function in datafusion_spark::all_default_scalar_functions() {
        if !known.contains(function.name()) && !WITH_UNIT.contains(&function.name()) {
            session.register_udf(function.as_ref().clone());
        }
    }
    let known = session.udafs();
    for function in datafusion_spark::all_default_aggregate_functions() {
        if !known.contains(function.name()) {
            session.register_udaf(function.as_ref().clone());
        }
    }
    session.register_udf(ScalarUDF::from(DateDiff::default()));
    session.register_udf(ScalarUDF::from(DateAdd::default()));
    session.register_udf(ScalarUDF::from(DateSub::default()));
    session.register_udf(ScalarUDF::from(AddMonths::default()));
    for part in DatePart::all() {
        session.register_udf(ScalarUDF::from(part));
    }
    Ok(())
}

/// Quotes units that stand as words: `datediff(minute, a, b)` is `datediff('minute', a, b)`.
pub(crate) fn settle_units(tree: &mut impl VisitMut) {
    let _: ControlFlow<()> = tree.visit(&mut Units);
}

struct Units;

impl VisitorMut for Units {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) = expr else {
            return ControlFlow::Continue(());
        };
        let called = name.0.last().and_then(ObjectNamePart::as_ident).map(|ident| ident.value.to_lowercase());
        let takes_unit = called.is_some_and(|called| WITH_UNIT.contains(&called.as_str()));
        if takes_unit
            && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(unit)), _, _] = list.args.as_mut_slice()
            && let Expr::Identifier(word) = unit
            && Unit::of(&word.value).is_some()
        {
            *unit = Expr::value(Value::SingleQuotedString(word.value.clone()));
        }
        ControlFlow::Continue(())
    }
}
