//! From the text of a transformation to a query plan, with Spark's habits: names of tables and columns
//! match whatever their case, backticks quote, and a source goes by its alias or its full name.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as ParsedStatement;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem, Statement, TableAlias, TableFactor,
    VisitMut, VisitorMut,
};

use crate::EngineError;

/// A relation that a query may read: its name in the session, and the other name it goes by.
#[derive(Debug, Clone)]
pub(crate) struct Relation {
    pub(crate) alias: String,
    pub(crate) name: String,
}

/// A transformation whose relations are aliases of sources and whose columns have their real names.
#[derive(Debug, Clone)]
pub(crate) struct Transformation {
    statement: Statement,
}

impl Transformation {
    /// Parses `sql` and ties its names to the sources and their columns.
    ///
    /// # Errors
    /// [`EngineError::Sql`] when it is no query, [`EngineError::UnknownRelation`] when it reads anything
    /// but the sources.
    pub(crate) fn resolve(
        session: &SessionContext,
        sql: &str,
        relations: &[Relation],
        columns: &BTreeSet<String>,
    ) -> Result<Self, EngineError> {
        let parsed = session
            .state()
            .sql_to_statement(
                sql.trim().trim_end_matches(';'),
                &datafusion::common::config::Dialect::Databricks,
            )
            .map_err(|source| EngineError::Sql { source: Box::new(source) })?;
        let mut statement = match parsed {
            ParsedStatement::Statement(statement) if matches!(*statement, Statement::Query(_)) => *statement,
            _ => {
                let source =
                    Box::new(DataFusionError::Plan("one SELECT or WITH query is expected".to_owned()));
                return Err(EngineError::Sql { source });
            }
        };
        let mut names = Names::collect(&mut statement, columns);
        let common_tables = std::mem::take(&mut names.common_tables);
        let mut replaced = Relations { known: relations, common_tables };
        if let ControlFlow::Break(relation) = statement.visit(&mut replaced) {
            let known = relations.iter().map(|known| known.alias.as_str()).collect::<Vec<_>>().join(", ");
            return Err(EngineError::UnknownRelation { relation, sources: known });
        }
        let _: ControlFlow<()> = statement.visit(&mut names);
        Ok(Self { statement })
    }

    /// Plans the query over the tables that `session` holds under the sources' aliases.
    ///
    /// # Errors
    /// [`EngineError::Sql`] when names or types do not fit.
    pub(crate) async fn plan(&self, session: &SessionContext) -> Result<LogicalPlan, EngineError> {
        session
            .state()
            .statement_to_plan(ParsedStatement::Statement(Box::new(self.statement.clone())))
            .await
            .map_err(|source| EngineError::Sql { source: Box::new(source) })
    }
}

/// Replaces each relation by the alias of the source it means; breaks with the first unknown one.
struct Relations<'a> {
    known: &'a [Relation],
    common_tables: BTreeSet<String>,
}

impl VisitorMut for Relations<'_> {
    type Break = String;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<String> {
        let TableFactor::Table { name, alias, args: None, version, .. } = factor else {
            return ControlFlow::Continue(());
        };
        let parts: Vec<String> =
            name.0.iter().filter_map(|part| Some(part.as_ident()?.value.clone())).collect();
        let written = parts.join(".");
        if version.is_some() {
            return ControlFlow::Break(format!("{written} … AS OF"));
        }
        if parts.len() == 1 && self.common_tables.contains(&written.to_lowercase()) {
            return ControlFlow::Continue(());
        }
        let meant = self.known.iter().find(|known| {
            known.alias.eq_ignore_ascii_case(&written) || known.name.eq_ignore_ascii_case(&written)
        });
        let Some(source) = meant else { return ControlFlow::Break(written) };
        if alias.is_none()
            && let Some(last) = parts.last()
        {
            *alias = Some(TableAlias { explicit: true, name: quoted(last), columns: Vec::new(), at: None });
        }
        *name = ObjectName(vec![ObjectNamePart::Identifier(quoted(&source.alias))]);
        ControlFlow::Continue(())
    }
}

fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// Every name that a column reference can mean, by its lower-case form.
struct Names {
    known: BTreeMap<String, Option<String>>,
    tables: BTreeSet<String>,
    common_tables: BTreeSet<String>,
}

impl Names {
    fn collect(statement: &mut Statement, columns: &BTreeSet<String>) -> Self {
        let mut collector = Aliases::default();
        let _: ControlFlow<()> = statement.visit(&mut collector);
        let tables = collector.tables.iter().map(|name| name.to_lowercase()).collect();
        let mut names = Self { known: BTreeMap::new(), tables, common_tables: BTreeSet::new() };
        for column in columns.iter().chain(&collector.columns) {
            names.add(column);
        }
        for table in &collector.tables {
            names.add(table);
        }
        names.common_tables = collector.common_tables.iter().map(|name| name.to_lowercase()).collect();
        for table in &collector.common_tables {
            names.add(table);
        }
        names
    }

    fn is_table(&self, ident: &Ident) -> bool {
        self.tables.contains(&ident.value.to_lowercase())
    }

    /// Two names that differ only in case make the lower-case form ambiguous: then case counts.
    fn add(&mut self, name: &str) {
        let entry = self.known.entry(name.to_lowercase()).or_insert_with(|| Some(name.to_owned()));
        if entry.as_deref().is_some_and(|known| known != name) {
            *entry = None;
        }
    }

    fn settle(&self, ident: &mut Ident) {
        if let Some(Some(real)) = self.known.get(&ident.value.to_lowercase()) {
            *ident = quoted(real);
        }
    }
}

impl VisitorMut for Names {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(ident) => self.settle(ident),
            Expr::CompoundIdentifier(parts) => {
                // `schema.table.column` means the same as `table.column` here; `table.column.field` stays.
                while parts.len() > 2 && parts.first().is_some_and(|first| !self.is_table(first)) {
                    parts.remove(0);
                }
                parts.iter_mut().for_each(|part| self.settle(part));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            if let SelectItem::QualifiedWildcard(kind, _) = item
                && let datafusion::sql::sqlparser::ast::SelectItemQualifiedWildcardKind::ObjectName(name) =
                    kind
                && let Some(last) = name.0.last().and_then(ObjectNamePart::as_ident).cloned()
            {
                let mut last = last;
                self.settle(&mut last);
                *name = ObjectName(vec![ObjectNamePart::Identifier(last)]);
            }
        }
        ControlFlow::Continue(())
    }
}

/// The names that a query itself gives to columns and tables.
#[derive(Default)]
struct Aliases {
    columns: Vec<String>,
    tables: Vec<String>,
    common_tables: Vec<String>,
}

impl VisitorMut for Aliases {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        for table in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.common_tables.push(table.alias.name.value.clone());
            self.columns.extend(table.alias.columns.iter().map(|column| column.name.value.clone()));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                self.columns.push(alias.value.clone());
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, alias, .. } => {
                let named = alias.as_ref().map(|alias| alias.name.value.clone());
                let last = name.0.last().and_then(ObjectNamePart::as_ident).map(|ident| ident.value.clone());
                self.tables.extend(named.or(last));
            }
            TableFactor::Derived { alias: Some(alias), .. } => self.tables.push(alias.name.value.clone()),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
