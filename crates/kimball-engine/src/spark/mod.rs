//! What people write in Spark's SQL, planned by DataFusion with the meaning that it has in Spark.
//!
//! A query is looked at three times: its *spellings* in the parsed text (`spellings.rs`, `date_units.rs`, `intervals.rs`),
//! its operators and functions while it is planned (`operators.rs`, `functions.rs`), and its casts in the plan
//! (`casts.rs`). The engine's own queries are DataFusion's and know nothing of this.

mod calendar;
mod casts;
mod date_patterns;
mod date_texts;
mod date_units;
mod functions;
mod intervals;
mod operators;
mod spellings;
mod splitting;
#[cfg(test)]
mod tests;
mod types;

use std::sync::Arc;

use datafusion::error::Result as QueryResult;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as ParsedStatement;
use datafusion::sql::sqlparser::ast::VisitMut;

pub(crate) use types::SparkTypes;

/// Plans queries of users over the tables of a session.
#[derive(Debug)]
pub struct SparkPlanner {
    state: SessionState,
}

impl SparkPlanner {
    /// For the tables, the clock and the memory of `session`.
    ///
    /// # Errors
    /// When a function cannot be registered, which no input brings about.
    pub fn new(session: &SessionContext) -> QueryResult<Self> {
        let mut builder = SessionStateBuilder::new_from_existing(session.state());
        // The first that knows an expression plans it.
        builder.expr_planners().get_or_insert_default().insert(0, Arc::new(operators::SparkOperators));
        let mut state = builder.build();
        *state.execution_props_mut() = session.state().execution_props().clone();
        functions::register(&mut state)?;
        // NULL is less than any value: first in ascending order, last in descending order.
        state.config_mut().options_mut().sql_parser.default_null_ordering = "nulls_min".to_owned();
        Ok(Self { state })
    }

    /// The names that queries may call, and everything else that planning depends on.
    pub fn state(&self) -> &SessionState {
        &self.state
    }

    /// The same planner that remembers where in the text names stand, for its messages.
    #[must_use]
    pub fn with_places(mut self) -> Self {
        self.state.config_mut().options_mut().sql_parser.collect_spans = true;
        self
    }

    /// Plans a statement whose spellings are [settled](settle_spellings).
    ///
    /// # Errors
    /// When names or types do not fit.
    pub async fn plan(&self, statement: ParsedStatement) -> QueryResult<LogicalPlan> {
        casts::settle(self.state.statement_to_plan(statement).await?)
    }
}

/// Turns what Spark spells in its own way (`datediff(minute, a, b)`, `INTERVAL 24 HOURS`, `a RLIKE b`, `count_if(a)`)
/// into what DataFusion plans.
pub fn settle_spellings(tree: &mut impl VisitMut) {
    date_units::settle(tree);
    intervals::settle(tree);
    spellings::settle(tree);
}
