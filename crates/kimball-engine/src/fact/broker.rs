//! The key broker: foreign keys of all staged rows, found by identity in one pass (semantics 8.4).

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Schema};
use datafusion::prelude::SessionContext;
use kimball_config::{EarlyArriving, Fact, ForeignKey, InvalidAction, Lookup, TableName};
use kimball_lake::LakeTable;

use crate::EngineError;
use crate::columns::{DEFAULT_KEYS, IS_CURRENT, OP, ROW_ID, VALID_FROM, VALID_TO, listed, qualified, quoted};
use crate::dimension::loaded_rows;
use crate::quality::{offenders, refuse_any};
use crate::session::query;
use crate::stage::{Numbering, Relation, Spool, Transformation};

/// The dimensions that a fact references, each pinned to one version.
pub(crate) type Dimensions = BTreeMap<TableName, LakeTable>;

/// Finds the foreign keys of a fact's staged rows.
pub(crate) struct Broker<'a> {
    pub(crate) session: &'a SessionContext,
    pub(crate) fact: &'a Fact,
    pub(crate) dimensions: &'a Dimensions,
    /// How many rows are staged.
    pub(crate) staged_rows: u64,
}

struct Resolved<'a> {
    key: &'a ForeignKey,
    lookup: &'a Lookup,
    /// `LEFT JOIN …` on the dimension.
    join: String,
    /// The key or its sentinel.
    value: String,
}

impl Broker<'_> {
    /// The staged rows with their foreign keys, or `None` when the fact looks none up. Replaces the table
    /// `staged` of the session.
    ///
    /// # Errors
    /// [`EngineError::DataQuality`] for fan-outs, and for early or invalid identities where the
    /// configuration refuses them.
    pub(crate) async fn resolve(&self) -> Result<Option<Spool>, EngineError> {
        let mut resolved = Vec::new();
        for (number, key) in self.fact.foreign_keys.iter().enumerate() {
            if let Some(lookup) = &key.lookup {
                resolved.push(self.prepare(number, key, lookup).await?);
            }
        }
        if resolved.is_empty() {
            return Ok(None);
        }
        let values: Vec<String> = resolved
            .iter()
            .map(|found| format!("CAST({} AS BIGINT) AS {}", found.value, quoted(&found.key.column)))
            .collect();
        let joins: Vec<&str> = resolved.iter().map(|found| found.join.as_str()).collect();
        let sql = format!("SELECT s.*, {} FROM staged s {}", values.join(", "), joins.join(" "));
        let stream = query(self.session, &sql).await?.execute_stream().await?;
        let mut spool = Spool::fill(stream, Numbering::Plain).await?;
        if spool.rows() > self.staged_rows {
            self.refuse_fanout(&resolved).await?;
            let keys: Vec<String> = resolved.iter().map(|found| found.key.column.clone()).collect();
            spool = self.one_each(&spool, &keys).await?;
        }
        spool.register(self.session, "staged").await?;
        for found in &resolved {
            self.refuse_sentinels(found).await?;
        }
        Ok(Some(spool))
    }

    async fn prepare<'k>(
        &self,
        number: usize,
        key: &'k ForeignKey,
        lookup: &'k Lookup,
    ) -> Result<Resolved<'k>, EngineError> {
        let (Some(table), Some(surrogate)) = (&key.references, &key.dimension_key) else {
            let rule =
                format!("foreign key `{}`: a lookup needs `references` and `dimension_key`", key.column);
            return Err(EngineError::Config(rule));
        };
        let Some(dimension) = self.dimensions.get(table) else {
            return Err(EngineError::Config(format!("foreign key `{}`: {table} does not exist", key.column)));
        };
        let schema = dimension.schema()?;
        for column in lookup.dimension_columns.iter().chain([surrogate]) {
            if schema.field_with_name(column).is_err() {
                let found = schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>();
                return Err(EngineError::MissingColumn {
                    role: "dimension column",
                    column: format!("{table}.{column}"),
                    found: found.join(", "),
                });
            }
        }
        let raw = format!("dimension_{number}");
        self.session.register_table(raw.as_str(), dimension.rows().await?)?;
        let alias = format!("d{number}");
        let is_history =
            schema.field_with_name(VALID_FROM).is_ok() && schema.field_with_name(IS_CURRENT).is_ok();
        let current = if is_history && lookup.event_time.is_none() {
            format!(" AND {IS_CURRENT}")
        } else {
            String::new()
        };
        let interval = if is_history { format!(", {VALID_FROM}, {VALID_TO}") } else { String::new() };
        let members = format!(
            "SELECT {} AS __key, {}{interval} FROM {raw} WHERE {}{current}",
            quoted(surrogate),
            listed("", &lookup.dimension_columns),
            loaded_rows(surrogate)
        );
        let staged = self.session.table("staged").await?;
        let is_text = |schema: &Schema, name: &str| {
            schema.field_with_name(name).is_ok_and(|field| *field.data_type() == DataType::Utf8)
        };
        let mut conditions: Vec<String> = lookup
            .source_columns
            .iter()
            .zip(&lookup.dimension_columns)
            .map(|(source, column)| {
                let (left, right) = (qualified("s", source), qualified(&alias, column));
                // A text that is no number is no error: it just has no member.
                match (is_text(staged.schema().as_arrow(), source), is_text(&schema, column)) {
                    (true, false) => format!("{left} = arrow_cast({right}, 'Utf8')"),
                    (false, true) => format!("arrow_cast({left}, 'Utf8') = {right}"),
                    _ => format!("{left} = {right}"),
                }
            })
            .collect();
        let event = lookup.event_time.as_ref().map(|column| instant(&qualified("s", column)));
        if let (true, Some(event)) = (is_history, &event) {
            conditions.push(format!("{event} >= {alias}.{VALID_FROM} AND {event} < {alias}.{VALID_TO}"));
        }
        let applicable = self.applicability(number, lookup).await?;
        let join = format!("{applicable}LEFT JOIN ({members}) {alias} ON {}", conditions.join(" AND "));
        let value = sentinel(number, lookup, event.as_deref(), &alias, !applicable.is_empty());
        Ok(Resolved { key, lookup, join, value })
    }

    /// Evaluates `not_applicable_when` once, as a table of row number and answer; returns its join.
    async fn applicability(&self, number: usize, lookup: &Lookup) -> Result<String, EngineError> {
        let Some(condition) = &lookup.not_applicable_when else { return Ok(String::new()) };
        let sql = format!("SELECT {ROW_ID} AS __k_row, ({condition}) AS __k_holds FROM staged");
        let columns =
            self.session.table("staged").await?.schema().fields().iter().map(|f| f.name().clone()).collect();
        let staged = Relation { alias: "staged".to_owned(), name: "staged".to_owned(), columns };
        let plan = Transformation::resolve(self.session, &sql, &[staged])?.plan(self.session).await?;
        let answers = datafusion::prelude::DataFrame::new(self.session.state(), plan);
        let table = format!("applicable_{number}");
        self.session.register_table(table.as_str(), answers.into_view())?;
        Ok(format!("LEFT JOIN {table} a{number} ON s.{ROW_ID} = a{number}.__k_row "))
    }

    async fn refuse_fanout(&self, resolved: &[Resolved<'_>]) -> Result<(), EngineError> {
        for found in resolved.iter().filter(|found| found.lookup.detect_fanout) {
            let shown = shown(found.lookup);
            let sql = format!(
                "SELECT DISTINCT {shown} FROM staged s JOIN (SELECT s.{ROW_ID} AS id FROM staged s {} \
                 GROUP BY s.{ROW_ID} HAVING count(*) > 1) f ON s.{ROW_ID} = f.id",
                found.join
            );
            let rule = format!(
                "foreign key `{}`: an identity matches several rows of its dimension",
                found.key.column
            );
            refuse_any(self.session, &sql, &rule).await?;
        }
        Ok(())
    }

    /// Where a fan-out is allowed, the smallest keys win.
    async fn one_each(&self, spool: &Spool, keys: &[String]) -> Result<Spool, EngineError> {
        spool.register(self.session, "fanned").await?;
        let columns: Vec<String> = spool.schema().fields().iter().map(|field| field.name().clone()).collect();
        let sql = format!(
            "SELECT {} FROM (SELECT *, row_number() OVER (PARTITION BY {ROW_ID} ORDER BY {}) AS __k_nth FROM fanned) \
             WHERE __k_nth = 1",
            listed("", &columns),
            listed("", keys)
        );
        let stream = query(self.session, &sql).await?.execute_stream().await?;
        Spool::fill(stream, Numbering::Plain).await
    }

    async fn refuse_sentinels(&self, found: &Resolved<'_>) -> Result<(), EngineError> {
        let column = quoted(&found.key.column);
        let rows = |key: i64| {
            format!(
                "SELECT DISTINCT {} FROM staged s WHERE s.{OP} = 1 AND s.{column} = {key}",
                shown(found.lookup)
            )
        };
        let refused = |rule: &str| format!("foreign key `{}`: {rule}", found.key.column);
        if found.lookup.invalid_action == InvalidAction::Error {
            let rule = refused("an identity is blank or has no event time");
            refuse_any(self.session, &rows(-4), &rule).await?;
        }
        if found.lookup.validate_resolution {
            let sql = format!(
                "SELECT DISTINCT {}, s.{column} FROM staged s WHERE s.{OP} = 1 AND s.{column} IN {DEFAULT_KEYS}",
                shown(found.lookup)
            );
            let rule = refused("`validate_resolution` wants a member for every identity");
            refuse_any(self.session, &sql, &rule).await?;
        }
        if found.lookup.early_arriving == EarlyArriving::Error {
            let keys = offenders(self.session, &rows(-3)).await?;
            if !keys.is_empty() {
                return Err(EngineError::quality(
                    refused("an identity has no member in its dimension"),
                    keys,
                ));
            }
        }
        Ok(())
    }
}

fn instant(column: &str) -> String {
    format!("arrow_try_cast({column}, 'Timestamp(Microsecond, Some(\"UTC\"))')")
}

fn shown(lookup: &Lookup) -> String {
    let columns: Vec<String> = lookup.source_columns.iter().chain(&lookup.event_time).cloned().collect();
    listed("s", &columns)
}

/// The sentinels in their order (semantics 8.4), then the member's key. Deletes need no key.
fn sentinel(number: usize, lookup: &Lookup, event: Option<&str>, alias: &str, conditional: bool) -> String {
    let any = |test: &dyn Fn(&String) -> String| {
        lookup.source_columns.iter().map(test).collect::<Vec<_>>().join(" OR ")
    };
    let null = any(&|column| format!("{} IS NULL", qualified("s", column)));
    let mut invalid = any(&|column| format!("trim(arrow_cast({}, 'Utf8')) = ''", qualified("s", column)));
    if let Some(event) = event {
        invalid = format!("{invalid} OR {event} IS NULL");
    }
    let not_applicable =
        if conditional { format!("WHEN a{number}.__k_holds THEN -2 ") } else { String::new() };
    format!(
        "CASE WHEN s.{OP} = 0 THEN NULL {not_applicable}WHEN {null} THEN -1 WHEN {invalid} THEN -4 \
         WHEN {alias}.__key IS NULL THEN -3 ELSE {alias}.__key END"
    )
}
