//! The `tests` of a pipeline: what has to hold of the rows of a batch, as they are written, before its commit.
//!
//! Judged are the rows that the batch inserts or corrects, not those that it closes. A value that is to be unique is
//! held against the rest of the table, too; in a history against current versions alone.

use std::collections::BTreeMap;

use datafusion::prelude::{DataFrame, SessionContext};
use kimball_config::{Pipeline, TableKind, TableName, Test};
use kimball_lake::{LakeTable, read_type};

use crate::EngineError;
use crate::columns::{IS_CURRENT, IS_DELETED, VALID_TO, is_open, listed, literal, qualified, quoted};
use crate::dimension::loaded_rows;
use crate::finding::{Category, Finding, Findings, Verdicts};
use crate::layout::Layout;
use crate::merge::Collector;
use crate::quality::{counted_offenders, with_rest};
use crate::session::query;
use crate::stage::{Relation, SpoolRoom, Transformation};
use crate::target::TargetRows;

/// The tests of one batch.
pub(crate) struct Gates<'a> {
    pub(crate) session: &'a SessionContext,
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) layout: &'a Layout,
    pub(crate) target: &'a TargetRows<'a>,
    /// Tables that tests look into, pinned.
    pub(crate) tables: &'a BTreeMap<TableName, LakeTable>,
    pub(crate) keys: Keys,
    pub(crate) findings: &'a Findings,
}

/// Whether the foreign keys of the rows are those that will be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    Final,
    /// Members are to be inferred: what looks at a key cannot be judged yet.
    Open,
}

const WRITTEN: &str = "__k_written";

impl Gates<'_> {
    /// Has the collector keep what the tests need.
    ///
    /// # Errors
    /// [`EngineError::MissingColumn`] for a test of a column that the table does not have.
    pub(crate) fn watch(&self, collector: &mut Collector) -> Result<(), EngineError> {
        if self.pipeline.tests.is_empty() {
            return Ok(());
        }
        let all: Vec<String> = self.layout.schema.fields().iter().map(|field| field.name().clone()).collect();
        if let Some(tested) = self.pipeline.tests.iter().find(|tested| !all.contains(&tested.column)) {
            return Err(EngineError::MissingColumn {
                role: "tested column",
                column: tested.column.clone(),
                of: self.layout.table.clone(),
                found: all,
            });
        }
        let looks_at_rows = self
            .pipeline
            .tests
            .iter()
            .flat_map(|column| &column.tests)
            .any(|test| matches!(test, Test::Expression(_)));
        let needed = |column: &&String| {
            looks_at_rows
                || self.layout.keys.contains(column)
                || *column == IS_CURRENT
                || self.pipeline.tests.iter().any(|tested| tested.column == **column)
        };
        let watched: Vec<String> = all.iter().filter(needed).cloned().collect();
        collector.watch_columns(&watched, SpoolRoom::of(self.session))
    }

    /// Judges the rows that the collector has kept; returns warnings.
    ///
    /// # Errors
    /// [`EngineError::DataQuality`] with all failing tests, each with up to five offending rows.
    pub(crate) async fn judge(&self, collector: &mut Collector) -> Result<Vec<String>, EngineError> {
        let mut verdicts = Verdicts::default();
        self.findings.forget(Category::Test);
        let Some(rows) = collector.watched()? else { return Ok(Vec::new()) };
        rows.register(self.session, WRITTEN).await?;
        for tested in &self.pipeline.tests {
            for test in tested.tests.iter().filter(|test| self.can_judge(&tested.column, test)) {
                let (failing, what) = self.failing(&tested.column, test, collector).await?;
                let (failed, mut found) = counted_offenders(self.session, &failing).await?;
                let mut rows_found = failed;
                if failed > 0 && *test == Test::Unique {
                    (rows_found, found) = self.holders(&tested.column, &failing).await?;
                }
                if failed > 0 {
                    let rule = format!("test of column `{}` failed: {what}", tested.column);
                    verdicts.take(tested.severity, rule, with_rest(found.clone(), rows_found));
                }
                self.findings.add(Finding {
                    source: None,
                    contract: None,
                    category: Category::Test,
                    check: format!("{}:{}", named(test), tested.column),
                    severity: tested.severity,
                    passed: failed == 0,
                    failed_rows: Some(failed),
                    total_rows: Some(rows.rows()),
                    details: if failed > 0 { what } else { "holds".to_owned() },
                    samples: found,
                });
            }
        }
        verdicts.judge("tests")
    }

    /// Whether a test looks at nothing that is still to be found.
    fn can_judge(&self, column: &str, test: &Test) -> bool {
        let is_open = |name: &str| self.layout.looked_up.iter().any(|key| key.eq_ignore_ascii_case(name));
        self.keys == Keys::Final
            || match test {
                Test::Expression(expression) => {
                    let expression = expression.to_lowercase();
                    !self.layout.looked_up.iter().any(|key| expression.contains(&key.to_lowercase()))
                }
                _ => !is_open(column),
            }
    }

    /// A query for the rows that fail a test, and the test in words.
    async fn failing(
        &self,
        column: &str,
        test: &Test,
        collector: &Collector,
    ) -> Result<(String, String), EngineError> {
        let name = quoted(column);
        let mut shown = self.layout.keys.clone();
        if !shown.iter().any(|key| key == column) {
            shown.push(column.to_owned());
        }
        let shown = listed("w", &shown);
        let where_ = |condition: String| format!("SELECT {shown} FROM {WRITTEN} w WHERE {condition}");
        Ok(match test {
            Test::NotNull => (where_(format!("w.{name} IS NULL")), "a value is NULL".to_owned()),
            Test::AcceptedValues(values) => {
                let kind = self.layout.schema.field_with_name(column)?.data_type();
                let accepted: Vec<String> = values
                    .iter()
                    .map(|value| format!("arrow_try_cast({}, '{kind}')", literal(value)))
                    .collect();
                let accepted = if accepted.is_empty() { "NULL".to_owned() } else { accepted.join(", ") };
                (
                    where_(format!("w.{name} IS NOT NULL AND (w.{name} IN ({accepted})) IS NOT TRUE")),
                    format!("a value is none of {}", values.join(", ")),
                )
            }
            Test::Unique => (self.repeated(column, collector).await?, "a value is not unique".to_owned()),
            Test::Relationships { to, field } => {
                (self.dangling(column, to, field, &shown).await?, format!("a value is not in {to}.{field}"))
            }
            Test::Expression(expression) => {
                let about = || format!("test of column `{column}`: `{expression}`");
                self.judge_expression(expression).await.map_err(|error| error.about(about))?;
                let failing = format!("SELECT {shown} FROM __k_judged_rows w WHERE NOT w.__k_holds");
                (failing, format!("`{expression}` does not hold"))
            }
        })
    }

    /// Values that are there twice, among the rows of the batch or between them and the rest of the table.
    async fn repeated(&self, column: &str, collector: &Collector) -> Result<String, EngineError> {
        let name = quoted(column);
        self.target.register("__k_rest", self.target.live.at(collector.untouched(self.target.live))).await?;
        Ok(format!(
            "SELECT {name} FROM ({}) WHERE {name} IS NOT NULL GROUP BY {name} HAVING count(*) > 1 AND bool_or(__is_new)",
            self.written_and_rest(std::slice::from_ref(&column.to_owned()))
        ))
    }

    /// The columns of the rows that count: those of the batch, and those of the rest of the table.
    fn written_and_rest(&self, columns: &[String]) -> String {
        let (now, then) = match self.layout.is_history {
            true => (IS_CURRENT.to_owned(), is_open(IS_CURRENT, VALID_TO)),
            false => ("true".to_owned(), format!("NOT coalesce({IS_DELETED}, false)")),
        };
        let loaded = match &self.pipeline.kind {
            TableKind::Dimension(dimension) => loaded_rows(&dimension.surrogate_key),
            TableKind::Fact(_) => "true".to_owned(),
        };
        let columns = listed("", columns);
        format!(
            "SELECT {columns}, true AS __is_new FROM {WRITTEN} WHERE {now} UNION ALL \
             SELECT {columns}, false AS __is_new FROM __k_rest WHERE {then} AND {loaded}"
        )
    }

    /// The rows that have the `repeated` values: how many there are, and whose the first of them are.
    async fn holders(&self, column: &str, repeated: &str) -> Result<(u64, Vec<String>), EngineError> {
        let mut shown = vec![column.to_owned()];
        shown.extend(self.layout.keys.iter().filter(|key| *key != column).cloned());
        let sql = format!(
            "SELECT {} FROM ({}) w JOIN ({repeated}) r ON {} = {}",
            listed("w", &shown),
            self.written_and_rest(&shown),
            qualified("w", column),
            qualified("r", column)
        );
        counted_offenders(self.session, &sql).await
    }

    /// Values that another table does not have.
    async fn dangling(
        &self,
        column: &str,
        to: &TableName,
        field: &str,
        shown: &str,
    ) -> Result<String, EngineError> {
        let other = "__k_related";
        self.session.deregister_table(other)?;
        let own = self.layout.schema.field_with_name(column)?.data_type().clone();
        let found = if *to == self.pipeline.table {
            let rest = format!("SELECT {0} FROM {WRITTEN} UNION ALL SELECT {0} FROM target", quoted(field));
            self.target.register_all("target").await?;
            self.session.register_table(other, query(self.session, &rest).await?.into_view())?;
            own.clone()
        } else {
            let Some(table) = self.tables.get(to) else {
                return Err(EngineError::Config(format!("a test looks into {to}, which does not exist")));
            };
            let schema = table.schema()?;
            let Ok(found) = schema.field_with_name(field) else {
                return Err(EngineError::MissingColumn {
                    role: "tested relationship",
                    column: field.to_owned(),
                    of: to.to_string(),
                    found: schema.fields().iter().map(|field| field.name().clone()).collect(),
                });
            };
            self.session.register_table(other, table.rows().await?)?;
            read_type(found.data_type())
        };
        // Values of different kinds are compared as texts: that one is no number is no error of the test.
        let (left, right) = (qualified("r", field), qualified("w", column));
        let same = match own == found || (own.is_numeric() && found.is_numeric()) {
            true => format!("{left} = {right}"),
            false => format!("arrow_cast({left}, 'Utf8') = arrow_cast({right}, 'Utf8')"),
        };
        Ok(format!(
            "SELECT {shown} FROM {other} r RIGHT ANTI JOIN (SELECT * FROM {WRITTEN} WHERE {} IS NOT NULL) w ON {same}",
            quoted(column)
        ))
    }

    /// Makes the rows with whether the user's expression holds of each a table of the session.
    async fn judge_expression(&self, expression: &str) -> Result<(), EngineError> {
        let sql = format!("SELECT *, ({expression}) AS __k_holds FROM written_rows");
        let columns = self.session.table(WRITTEN).await?;
        let columns = columns.schema().fields().iter().map(|field| field.name().clone()).collect();
        let relation = Relation { alias: WRITTEN.to_owned(), name: "written_rows".to_owned(), columns };
        let plan = Transformation::resolve(self.session, &sql, &[relation])?.plan(self.session).await?;
        self.session.deregister_table("__k_judged_rows")?;
        let judged = DataFrame::new(self.session.state(), plan);
        self.session.register_table("__k_judged_rows", judged.into_view())?;
        Ok(())
    }
}

/// A test as the dialect calls it.
fn named(test: &Test) -> String {
    match test {
        Test::Unique => "unique".to_owned(),
        Test::NotNull => "not_null".to_owned(),
        Test::AcceptedValues(_) => "accepted_values".to_owned(),
        Test::Relationships { to, field } => format!("relationships({to}.{field})"),
        Test::Expression(expression) => format!("expression({expression})"),
    }
}
