//! Dimensions: a file a family of types over shared pieces.

mod collisions;
mod defaults;
mod field_history;
mod one_pass;
mod overwrite;
mod rebuilt;
mod skeletons;
mod versions;

pub(crate) use defaults::{loaded_rows, missing_defaults};
pub(crate) use field_history::{FieldHistoryMerge, field_history_schema};
pub(crate) use one_pass::fits_one_pass;
pub(crate) use rebuilt::keep_inferred;
pub(crate) use skeletons::{EVENT, infer};
pub(crate) use versions::{can_be_narrowed, narrow};

use std::sync::{Mutex, PoisonError};

use arrow::datatypes::DataType;
use datafusion::prelude::SessionContext;
use kimball_config::{Dimension, KeyStrategy, Pipeline};
use kimball_lake::LakeTable;

use crate::EngineError;
use crate::columns::{self as name, listed, literal, quoted};
use crate::keys::{key_hash, member_fingerprint, mini_key_function, row_hash};
use crate::merge::Collector;
use crate::quality::{any, refuse_any};
use crate::stage::{Arrival, Spool, Staged};
use crate::target::TargetRows;

/// What a dimension's merge works with.
pub(crate) struct DimensionMerge<'a> {
    pub(crate) session: &'a SessionContext,
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) dimension: &'a Dimension,
    pub(crate) staged: &'a Staged,
    pub(crate) target: TargetRows<'a>,
    pub(crate) has_rows: bool,
    /// The run's clock reading as an SQL expression.
    pub(crate) clock: String,
    pub(crate) batch_id: &'a str,
    /// Whether `hashdiff` of every row was computed from the columns that are tracked now.
    pub(crate) hashdiff_holds: bool,
    /// The high-water mark of `sequence` keys; `None` for keys that are hashed.
    pub(crate) sequence: Option<i64>,
    /// `etl_repeats`, where it exists.
    pub(crate) repeats: Option<&'a LakeTable>,
    /// How often the table was rebuilt.
    pub(crate) rebuilds: i64,
    /// Intermediate results, alive as long as the session may read them.
    pub(crate) kept: Mutex<Vec<Spool>>,
}

impl DimensionMerge<'_> {
    /// Merges the staged rows, which `session` holds as `staged`.
    pub(crate) async fn run(&self, collector: &mut Collector) -> Result<(), EngineError> {
        self.register_functions();
        if !self.staged.keys_may_be_null {
            self.refuse_null_keys().await?;
        }
        self.target.register_all("target").await?;
        match self.dimension.scd.history() {
            Some(history) => versions::merge(self, history, collector).await,
            None => overwrite::merge(self, collector).await,
        }
    }

    /// The functions that make keys and hashes.
    fn register_functions(&self) {
        self.session.register_udf(row_hash());
        self.session.register_udf(key_hash("member_key", self.keys()));
        self.session.register_udf(member_fingerprint(self.keys()));
        for mini in &self.dimension.mini_dimensions {
            self.session.register_udf(key_hash(&mini_key_function(&mini.surrogate_key), &mini.columns));
        }
    }

    fn keep(&self, spool: Spool) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(spool);
    }

    fn keys(&self) -> &[String] {
        &self.dimension.natural_keys
    }

    fn surrogate_key(&self) -> String {
        quoted(&self.dimension.surrogate_key)
    }

    /// The condition for rows that are no default members.
    fn loaded(&self) -> String {
        loaded_rows(&self.dimension.surrogate_key)
    }

    /// NULL in a natural key (semantics 4.7).
    async fn refuse_null_keys(&self) -> Result<(), EngineError> {
        let null = |key: &String| format!("{} IS NULL", quoted(key));
        let any = self.keys().iter().map(null).collect::<Vec<_>>().join(" OR ");
        let shown = listed("", self.keys());
        let sql = format!("SELECT DISTINCT {shown} FROM staged WHERE {} = 1 AND ({any})", name::OP);
        let rule = "a natural key is NULL; give it a value in the query, or leave such rows out (`WHERE … IS NOT NULL`)";
        refuse_any(self.session, &sql, rule).await
    }

    /// NULL or unusable effective times (semantics 4.7).
    async fn refuse_bad_times(&self, column: &str) -> Result<(), EngineError> {
        let instant = format!("arrow_try_cast({}, 'Timestamp(Microsecond, Some(\"UTC\"))')", quoted(column));
        let shown = format!("{}, {}", listed("", self.keys()), quoted(column));
        let rows = format!("SELECT {shown} FROM staged WHERE {} = 1", name::OP);
        let beyond = format!("{instant} >= {}", name::BEYOND);
        if !any(self.session, &format!("{rows} AND coalesce({beyond}, true)")).await? {
            return Ok(());
        }
        let output = &self.staged.layout.output;
        let is_text = output.iter().any(|it| it.name() == column && *it.data_type() == DataType::Utf8);
        let advice = match is_text {
            true => format!(
                "write it as 2025-12-31, or read it with `to_timestamp({column}, 'dd.MM.yyyy')` or the like"
            ),
            false => "give such rows a time, or leave them out".to_owned(),
        };
        let absent = format!("`effective_at` column `{column}` is NULL or no timestamp; {advice}");
        refuse_any(self.session, &format!("{rows} AND {instant} IS NULL"), &absent).await?;
        let rule = format!("`effective_at` column `{column}` lies at or after 9999-12-31");
        refuse_any(self.session, &format!("{rows} AND {beyond}"), &rule).await
    }

    /// Two different rows of one key: in one snapshot, or in one commit (and at one effective time).
    async fn refuse_ties(&self, hashed: &[String], also: Option<&str>) -> Result<(), EngineError> {
        let keys = listed("", self.keys());
        let kept =
            format!("`QUALIFY row_number() OVER (PARTITION BY {} ORDER BY …) = 1`", self.keys().join(", "));
        let (group, many, rule) = match self.staged.arrival {
            Arrival::Changes => (
                format!("{keys}, {}{}", name::VERSION, also.map(|e| format!(", {e}")).unwrap_or_default()),
                format!("min(row_hash({h})) <> max(row_hash({h}))", h = listed("", hashed)),
                match also {
                    Some(_) => format!(
                        "one commit holds different rows of one natural key and `effective_at`, and nothing says which is \
                         newer; keep one with {kept}"
                    ),
                    None => format!(
                        "one commit holds different rows of one natural key, and nothing says which is newer; keep one with \
                         {kept}"
                    ),
                },
            ),
            _ => (
                keys.clone(),
                "count(*) > 1".to_owned(),
                format!(
                    "a snapshot holds several rows of one natural key; keep one with {kept}, or name what tells them apart \
                     in `natural_keys`"
                ),
            ),
        };
        let sql = format!(
            "SELECT DISTINCT {keys} FROM (SELECT {keys} FROM staged WHERE {} = 1 GROUP BY {group} HAVING {many})",
            name::OP
        );
        refuse_any(self.session, &sql, &rule).await
    }

    /// Values of the system columns of a row that is written; `is_real` is the condition that the batch brings its
    /// content, without which it stays whatever it is in `h`.
    fn stamps(&self, is_real: &str) -> Vec<(&'static str, String)> {
        let kept = |column: &str, real: &str| {
            format!("CASE WHEN {is_real} THEN {real} ELSE coalesce(h.{column}, {real}) END")
        };
        vec![
            (name::PROCESSED_AT, self.clock.clone()),
            (name::BATCH_ID, literal(self.batch_id)),
            (name::IS_SKELETON, kept(name::IS_SKELETON, "false")),
            (name::MEMBER_STATUS, kept(name::MEMBER_STATUS, "'REAL'")),
        ]
    }

    /// The output columns of the staged rows.
    fn output(&self) -> Vec<String> {
        self.staged.layout.output.iter().map(|field| field.name().clone()).collect()
    }
}

/// Whether a dimension's keys are dense numbers.
pub(crate) fn is_numbered(dimension: &Dimension) -> bool {
    dimension.key_strategy == KeyStrategy::Sequence
}

/// The start of a version in the type of the effective time's column.
fn start_as(start: &str, kind: &DataType) -> String {
    match kind {
        DataType::Utf8 => format!(
            "CASE WHEN {start} = date_trunc('day', {start}) THEN spark_text(CAST({start} AS DATE)) ELSE spark_text({start}) END"
        ),
        kind => format!("arrow_cast({start}, '{kind}')"),
    }
}
