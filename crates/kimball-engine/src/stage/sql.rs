//! From the text of a transformation to a query plan, with Spark's habits: names of tables and columns
//! match whatever their case, backticks quote, and a source goes by its alias or its full name.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;

use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as ParsedStatement;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem, Statement, TableAlias, TableFactor,
    VisitMut, VisitorMut,
};

use super::nameless::first_nameless;
use crate::EngineError;
use crate::explanation::{Asker, Functions, Origin, explained, refused};
use crate::spark::{SparkPlanner, settle_spellings};

/// A relation that a query may read: its name in the session, and the other name it goes by.
#[derive(Debug, Clone)]
pub struct Relation {
    /// Its name in the session.
    pub alias: String,
    /// The other name that a query may use.
    pub name: String,
    /// Its columns, as they are spelled.
    pub columns: Vec<String>,
}

impl Relation {
    /// Whether a query means this relation by `written`: its alias or its name, with or without a catalog.
    fn is_meant_by(&self, written: &str) -> bool {
        let last_two = |name: &str| {
            let parts: Vec<String> = name.split('.').map(str::to_lowercase).collect();
            parts.get(parts.len().saturating_sub(2)..).unwrap_or_default().join(".")
        };
        self.alias.eq_ignore_ascii_case(written)
            || self.name.eq_ignore_ascii_case(written)
            || (self.name.contains('.') && written.contains('.') && last_two(&self.name) == last_two(written))
    }
}

/// A transformation whose relations are aliases of sources and whose columns have their real names.
#[derive(Debug, Clone)]
pub(crate) struct Transformation {
    statement: Statement,
    written: Written,
}

/// A query as it is written, and by whom.
#[derive(Debug, Clone)]
struct Written {
    sql: String,
    relations: Vec<Relation>,
    /// Where it stands; `None` for an expression inside a query of the engine's own.
    origin: Option<Origin>,
}

impl Written {
    fn blamed(&self, session: &SessionContext, cause: DataFusionError) -> EngineError {
        let asker = match &self.origin {
            Some(_) => Asker::Pipeline(&self.relations),
            None => Asker::Expression,
        };
        explained(cause, asker, self.origin.as_ref(), &self.sql, &Functions::of(session))
    }
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
    ) -> Result<Self, EngineError> {
        Self::parsed(session, Written { sql: sql.to_owned(), relations: relations.to_vec(), origin: None })
    }

    /// As [`resolve`](Self::resolve), for the query of a pipeline whose file is `file`; every column of its output has to
    /// have a name.
    ///
    /// # Errors
    /// As for [`resolve`](Self::resolve), and [`EngineError::Sql`] for a column without a name.
    pub(crate) fn of_pipeline(
        session: &SessionContext,
        query: &kimball_config::Transformation,
        file: &Path,
        relations: &[Relation],
    ) -> Result<Self, EngineError> {
        let origin = Some(Origin::new(file, query));
        Self::parsed(session, Written { sql: query.sql.clone(), relations: relations.to_vec(), origin })
    }

    fn parsed(session: &SessionContext, written: Written) -> Result<Self, EngineError> {
        // Places are counted from the beginning of the text: nothing is taken away there.
        let text = written.sql.trim_end().trim_end_matches(';');
        let parsed = session.state().sql_to_statement(text, &datafusion::common::config::Dialect::Databricks);
        let mut statement = match parsed.map_err(|cause| written.blamed(session, cause))? {
            ParsedStatement::Statement(statement) if matches!(*statement, Statement::Query(_)) => *statement,
            _ => {
                let cause = DataFusionError::Plan("one SELECT or WITH query is expected".to_owned());
                return Err(written.blamed(session, cause));
            }
        };
        if let (Some(origin), Statement::Query(query)) = (&written.origin, &statement)
            && let Some((message, span)) = first_nameless(query)
        {
            return Err(refused(message, span, origin));
        }
        settle_spellings(&mut statement);
        tie_names(&mut statement, &written.relations)?;
        Ok(Self { statement, written })
    }

    /// Plans the query over the tables that `session` holds under the sources' aliases.
    ///
    /// # Errors
    /// [`EngineError::Sql`] when names or types do not fit.
    pub(crate) async fn plan(&self, session: &SessionContext) -> Result<LogicalPlan, EngineError> {
        let planner = SparkPlanner::new(session)?;
        match planner.plan(self.statement()).await {
            Ok(plan) => Ok(plan),
            // Places of names come with a second look, which a plan that succeeds does without.
            Err(cause) => {
                let cause = planner.with_places().plan(self.statement()).await.err().unwrap_or(cause);
                Err(self.blamed(session, cause))
            }
        }
    }

    /// The failure to plan or run the query, in words and with its place.
    pub(crate) fn blamed(&self, session: &SessionContext, cause: DataFusionError) -> EngineError {
        self.written.blamed(session, cause)
    }

    fn statement(&self) -> ParsedStatement {
        ParsedStatement::Statement(Box::new(self.statement.clone()))
    }
}

/// Ties the names of a query to `relations` and their columns as Spark does: whatever their case, a relation by either of
/// its names, and columns of the output spelled as the query spells them.
///
/// # Errors
/// [`EngineError::UnknownRelation`] when the query reads anything else, an `AS OF` included.
pub fn tie_names(statement: &mut Statement, relations: &[Relation]) -> Result<(), EngineError> {
    let mut names = Names::collect(statement, relations);
    let common_tables = std::mem::take(&mut names.common_tables);
    let mut replaced = Relations { known: relations, common_tables };
    if let ControlFlow::Break(relation) = statement.visit(&mut replaced) {
        let known = relations.iter().map(|known| known.alias.as_str()).collect::<Vec<_>>().join(", ");
        return Err(EngineError::UnknownRelation { relation, sources: known });
    }
    let _: ControlFlow<()> = statement.visit(&mut names);
    Ok(())
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
        let meant = self.known.iter().find(|known| known.is_meant_by(&written));
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

/// Another name in the place of a written one.
fn replaced(written: &Ident, name: &str) -> Ident {
    Ident { span: written.span, ..quoted(name) }
}

/// What names in a query can mean. Columns of the sources go before names that the query gives itself.
struct Names {
    /// Columns of all relations, by their lower-case form, as they are spelled.
    columns: BTreeMap<String, Vec<String>>,
    /// Names that the query gives to columns, by their lower-case form.
    given: BTreeMap<String, String>,
    /// Tables by the lower-case form of the name that the query uses: that name, and the relation's columns.
    tables: BTreeMap<String, (String, Vec<String>)>,
    common_tables: BTreeSet<String>,
}

impl Names {
    fn collect(statement: &mut Statement, relations: &[Relation]) -> Self {
        let mut aliases = Aliases::default();
        let _: ControlFlow<()> = statement.visit(&mut aliases);
        let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for column in relations.iter().flat_map(|relation| &relation.columns) {
            let spellings = columns.entry(column.to_lowercase()).or_default();
            if !spellings.contains(column) {
                spellings.push(column.clone());
            }
        }
        let lower = |name: String| (name.to_lowercase(), name);
        let given = aliases.columns.into_iter().map(lower).collect();
        let mut tables = BTreeMap::new();
        for (name, written) in aliases.tables {
            let relation = relations.iter().find(|relation| relation.is_meant_by(&written));
            let columns = relation.map(|relation| relation.columns.clone()).unwrap_or_default();
            tables.insert(name.to_lowercase(), (name, columns));
        }
        let common_tables = aliases.common_tables.iter().map(|name| name.to_lowercase()).collect();
        Self { columns, given, tables, common_tables }
    }

    fn is_table(&self, ident: &Ident) -> bool {
        self.tables.contains_key(&ident.value.to_lowercase())
    }

    /// A bare column name.
    fn settle(&self, ident: &mut Ident) {
        let lower = ident.value.to_lowercase();
        let spellings = self.columns.get(&lower).map(Vec::as_slice).unwrap_or_default();
        let real = spellings.iter().find(|name| **name == ident.value).or_else(|| spellings.first());
        if let Some(real) = real.or_else(|| self.given.get(&lower)) {
            *ident = replaced(ident, real);
        }
    }

    /// As in Spark, a column of the output is spelled as the query spells it.
    fn keep_written_name(&self, item: &mut SelectItem) {
        let SelectItem::UnnamedExpr(expr) = item else { return };
        let written = match &*expr {
            Expr::Identifier(ident) => ident.clone(),
            Expr::CompoundIdentifier(parts) => match parts.last() {
                Some(last) => last.clone(),
                None => return,
            },
            _ => return,
        };
        let alias = quoted(&written.value);
        *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
    }

    fn settle_table(&self, ident: &mut Ident) {
        if let Some((name, _)) = self.tables.get(&ident.value.to_lowercase()) {
            *ident = replaced(ident, name);
        }
    }

    /// `table.column` and what may follow it.
    fn settle_qualified(&self, parts: &mut [Ident]) {
        let [table, column, ..] = parts else { return };
        let own = self.tables.get(&table.value.to_lowercase()).map(|(_, columns)| columns.as_slice());
        self.settle_table(table);
        match own.and_then(|columns| columns.iter().find(|name| name.eq_ignore_ascii_case(&column.value))) {
            Some(real) => *column = replaced(column, real),
            None => self.settle(column),
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
                self.settle_qualified(parts);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            self.keep_written_name(item);
            if let SelectItem::QualifiedWildcard(kind, _) = item
                && let datafusion::sql::sqlparser::ast::SelectItemQualifiedWildcardKind::ObjectName(name) =
                    kind
                && let Some(last) = name.0.last().and_then(ObjectNamePart::as_ident).cloned()
            {
                let mut last = last;
                self.settle_table(&mut last);
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
    /// The name a table goes by in the query, and the name it was written with.
    tables: Vec<(String, String)>,
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
                let parts: Vec<String> =
                    name.0.iter().filter_map(|part| Some(part.as_ident()?.value.clone())).collect();
                let named = alias.as_ref().map(|alias| alias.name.value.clone());
                if let Some(named) = named.or_else(|| parts.last().cloned()) {
                    self.tables.push((named, parts.join(".")));
                }
            }
            TableFactor::Derived { alias: Some(alias), .. } => {
                self.tables.push((alias.name.value.clone(), String::new()));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
