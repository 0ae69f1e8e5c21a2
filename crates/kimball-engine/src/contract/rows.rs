//! Rules for the rows of a source.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::prelude::DataFrame;
use kimball_config::{RuleCheck, Severity, ValidationMode};

use super::{Inspection, Rows};
use crate::EngineError;
use crate::columns::{VERSION, instant_sql, listed, literal, quoted};
use crate::finding::{Category, Finding, Verdicts};
use crate::keys::row_hash;
use crate::quality::samples_of;
use crate::session::query;
use crate::stage::{Relation, Transformation};

/// The rows that are judged.
pub(super) const ROWS: &str = "__k_judged";
/// What a share of rows is drawn from.
const SLOTS: i64 = 1_000_000;

/// A rule for single rows.
struct RowRule {
    category: Category,
    check: String,
    severity: Severity,
    /// Columns that a failing row is shown with.
    columns: Vec<String>,
    /// What holds of a failing row.
    fails: String,
    /// The share of rows that may fail.
    allowed: f64,
    /// A failure in words.
    details: String,
}

/// Judges the rows that the batch reads of a source, and leaves them as tables of a session.
pub(super) async fn judge(it: Inspection<'_>, verdicts: &mut Verdicts) -> Result<Rows, EngineError> {
    let rows = read(it).await?;
    let rules = rules(it, &rows);
    let (total, failing) = counts(&rows, &rules).await?;
    for (rule, failed) in rules.into_iter().zip(failing) {
        let passed = failed == 0 || failed as f64 / total as f64 <= rule.allowed;
        let samples = match passed {
            true => Vec::new(),
            false => samples(it, &rows, &rule.columns, &rule.fails).await?,
        };
        let details = match passed {
            true => format!("{total} rows, {failed} of them against the rule"),
            false => format!("{} in {failed} of {total} rows", rule.details),
        };
        let finding = it.finding(rule.category, rule.check, rule.severity, passed);
        let (failed_rows, total_rows) = (Some(failed), Some(total));
        it.keep(verdicts, Finding { failed_rows, total_rows, details, samples, ..finding });
    }
    for (category, check, severity, columns) in unique_rules(it) {
        judge_unique(it, &rows, total, (category, check, severity, columns), verdicts).await?;
    }
    Ok(rows)
}

/// Makes the rows that are judged a table of a new session.
async fn read(it: Inspection<'_>) -> Result<Rows, EngineError> {
    let session = it.batch.runtime.session(it.batch.clock);
    session.register_udf(row_hash());
    let (columns, feed) = it.batch.register_read(&session, it.source, "__k_read").await?;
    let has_versions = feed.is_some();
    let shown = listed("", &columns);
    let version = if has_versions { format!(", {VERSION}") } else { String::new() };
    // Of a feed the images that are true now.
    let current = if has_versions { format!(" WHERE {} = 1", crate::columns::OP) } else { String::new() };
    let mut sql = format!("SELECT {shown}{version} FROM __k_read{current}");
    if let ValidationMode::Sampled { fraction, seed, most } = it.contract.validation.mode {
        let schema = query(&session, &sql).await?;
        let flat: Vec<String> = schema
            .schema()
            .fields()
            .iter()
            .filter(|field| !field.data_type().is_nested())
            .map(|field| field.name().clone())
            .collect();
        let drawn = (fraction * SLOTS as f64) as i64;
        let limit = most.map(|most| format!(" LIMIT {most}")).unwrap_or_default();
        sql = format!(
            "SELECT * FROM ({sql}) WHERE abs(row_hash(CAST({seed} AS BIGINT), {}) % {SLOTS}) < {drawn}{limit}",
            listed("", &flat)
        );
    }
    let judged = query(&session, &sql).await?;
    session.register_table(ROWS, judged.into_view())?;
    Ok(Rows { session, columns, has_versions, _feed: feed.map(Arc::new) })
}

fn rules(it: Inspection<'_>, rows: &Rows) -> Vec<RowRule> {
    let name = |column: &str| {
        let real = rows.columns.iter().find(|it| it.eq_ignore_ascii_case(column));
        ticked(real.map_or(column, String::as_str))
    };
    let mut rules = Vec::new();
    let key = it.key();
    let required = it.contract.columns.iter().filter(|column| !column.nullable).map(|column| &column.name);
    for column in required {
        rules.push(RowRule {
            category: Category::ContractSchema,
            check: format!("nullable:{column}"),
            severity: Severity::Error,
            columns: vec![column.clone()],
            fails: format!("{} IS NULL", name(column)),
            allowed: 0.0,
            details: format!("`{column}` is NULL"),
        });
    }
    if !it.contract.primary_key.is_empty() {
        let null = key.iter().map(|column| format!("{} IS NULL", name(column))).collect::<Vec<_>>();
        rules.push(RowRule {
            category: Category::ContractCdc,
            check: "primary_key_not_null".to_owned(),
            severity: Severity::Error,
            columns: Vec::new(),
            fails: null.join(" OR "),
            allowed: 0.0,
            details: format!("the primary key ({}) is NULL", key.join(", ")),
        });
    }
    for rule in &it.contract.rules {
        let (columns, fails, allowed, details) = match &rule.check {
            RuleCheck::Unique(_) => continue,
            RuleCheck::NotNull(column) => (
                vec![column.clone()],
                format!("{} IS NULL", name(column)),
                0.0,
                format!("`{column}` is NULL"),
            ),
            RuleCheck::NullRate { column, max_ratio } => (
                vec![column.clone()],
                format!("{} IS NULL", name(column)),
                *max_ratio,
                format!("`{column}` is NULL more often than a share of {max_ratio} allows,"),
            ),
            RuleCheck::AcceptedValues { column, values } => {
                let own = name(column);
                let accepted = values.iter().map(|value| literal(value)).collect::<Vec<_>>().join(", ");
                let accepted = if accepted.is_empty() { "NULL".to_owned() } else { accepted };
                (
                    vec![column.clone()],
                    format!("{own} IS NOT NULL AND (CAST({own} AS STRING) IN ({accepted})) IS NOT TRUE"),
                    0.0,
                    format!("`{column}` is none of {}", values.join(", ")),
                )
            }
            RuleCheck::Expression(expression) => {
                (Vec::new(), format!("NOT ({expression})"), 0.0, format!("`{expression}` does not hold"))
            }
        };
        let (check, severity) = (rule.name.clone(), rule.severity);
        rules.push(RowRule {
            category: Category::SourceQuality,
            check,
            severity,
            columns,
            fails,
            allowed,
            details,
        });
    }
    if let Some(temporal) = &it.contract.temporal
        && let Some(allowed) = temporal.allowed_lateness
    {
        let column = &temporal.event_time_column;
        let late = i64::try_from(allowed.as_micros()).unwrap_or(i64::MAX);
        let from = it.batch.clock.timestamp_micros().saturating_sub(late);
        rules.push(RowRule {
            category: Category::LateEvent,
            check: "allowed_lateness".to_owned(),
            severity: temporal.late,
            columns: vec![column.clone()],
            fails: format!("CAST({} AS TIMESTAMP) < {}", name(column), instant_sql(from)),
            allowed: 0.0,
            details: format!("`{column}` lies more than {} s before the run", allowed.as_secs()),
        });
    }
    rules
}

/// How many rows there are, and how many fail each rule, in one aggregation.
async fn counts(rows: &Rows, rules: &[RowRule]) -> Result<(u64, Vec<u64>), EngineError> {
    let failing = rules
        .iter()
        .enumerate()
        .map(|(place, rule)| format!(", count(CASE WHEN {} THEN 1 END) AS k{place}", rule.fails));
    let sql = format!("SELECT count(*) AS k{} FROM {ROWS}", failing.collect::<String>());
    let sql = sql.replacen("count(*) AS k,", "count(*) AS k_total,", 1);
    let planned = match resolved(rows, &sql).await {
        Ok(planned) => planned,
        Err(error) => return Err(blamed(rows, rules, error).await),
    };
    let batches = planned.collect().await?;
    let number = |place: usize| -> Result<u64, EngineError> {
        let Some(batch) = batches.iter().find(|batch| batch.num_rows() > 0) else { return Ok(0) };
        let column = cast(batch.column(place), &DataType::Int64)?;
        let column = column.as_primitive::<Int64Type>();
        Ok(if column.is_valid(0) { u64::try_from(column.value(0)).unwrap_or_default() } else { 0 })
    };
    let failing: Result<Vec<u64>, EngineError> = (1..=rules.len()).map(number).collect();
    Ok((number(0)?, failing?))
}

/// The error of the rule that cannot be judged: one query holds them all.
async fn blamed(rows: &Rows, rules: &[RowRule], error: EngineError) -> EngineError {
    for rule in rules {
        let alone = format!("SELECT count(CASE WHEN {} THEN 1 END) AS k FROM {ROWS}", rule.fails);
        if resolved(rows, &alone).await.is_err() {
            return EngineError::Config(format!(
                "the rule `{}` of a contract cannot be judged: it looks at columns that the source does not have, or is no \
                 condition; the source has {}",
                rule.check,
                rows.columns.join(", ")
            ));
        }
    }
    error
}

/// Plans a query over the rows in which names match whatever their case, as in the rules that people write.
async fn resolved(rows: &Rows, sql: &str) -> Result<DataFrame, EngineError> {
    let relation = Relation { alias: ROWS.to_owned(), name: ROWS.to_owned(), columns: rows.columns.clone() };
    let of_a_contract = |error: EngineError| error.about(|| "a rule of its contract".to_owned());
    let rules = Transformation::resolve(&rows.session, sql, &[relation]).map_err(of_a_contract)?;
    let plan = rules.plan(&rows.session).await.map_err(of_a_contract)?;
    Ok(DataFrame::new(rows.session.state(), plan))
}

/// A name as rules write it, in the dialect that they are parsed in.
fn ticked(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Some failing rows: their key, and the columns at fault as far as they may be shown.
async fn samples(
    it: Inspection<'_>,
    rows: &Rows,
    columns: &[String],
    fails: &str,
) -> Result<Vec<String>, EngineError> {
    let mut shown = it.key();
    for column in columns {
        if !shown.iter().any(|known| known.eq_ignore_ascii_case(column)) {
            shown.push(column.clone());
        }
    }
    if shown.is_empty() {
        shown.clone_from(&rows.columns);
    }
    if it.has_personal_columns() {
        return Ok(Vec::new());
    }
    let shown = shown.iter().map(|column| ticked(column)).collect::<Vec<_>>().join(", ");
    let most = it.contract.validation.failure_samples;
    let sql = format!("SELECT {shown} FROM {ROWS} WHERE {fails} LIMIT {most}");
    samples_of(resolved(rows, &sql).await?).await
}

/// What has to be unique: the primary key, and what rules say.
fn unique_rules(it: Inspection<'_>) -> Vec<(Category, String, Severity, Vec<String>)> {
    let key = (!it.contract.primary_key.is_empty()).then(|| {
        let check = "primary_key_unique".to_owned();
        (Category::ContractCdc, check, Severity::Error, it.contract.primary_key.clone())
    });
    let rules = it.contract.rules.iter().filter_map(|rule| match &rule.check {
        RuleCheck::Unique(columns) => {
            Some((Category::SourceQuality, rule.name.clone(), rule.severity, columns.clone()))
        }
        _ => None,
    });
    key.into_iter().chain(rules).collect()
}

/// Judges whether combinations of columns are there once: of a feed, once in each commit.
async fn judge_unique(
    it: Inspection<'_>,
    rows: &Rows,
    total: u64,
    (category, check, severity, columns): (Category, String, Severity, Vec<String>),
    verdicts: &mut Verdicts,
) -> Result<(), EngineError> {
    let real: Vec<String> = columns
        .iter()
        .map(|column| {
            let found = rows.columns.iter().find(|it| it.eq_ignore_ascii_case(column));
            found.cloned().unwrap_or_else(|| column.clone())
        })
        .collect();
    let present = real.iter().map(|column| format!("{} IS NOT NULL", quoted(column)));
    let present = present.collect::<Vec<_>>().join(" AND ");
    let version = if rows.has_versions { format!(", {VERSION}") } else { String::new() };
    let shown = listed("", &real);
    let failed = match it.contract.validation.mode {
        ValidationMode::Approximate => {
            let sql = format!(
                "SELECT greatest(count(*) - CAST(approx_distinct(row_hash({shown}{version})) AS BIGINT), 0) \
                 FROM {ROWS} WHERE {present}"
            );
            let found = crate::quality::number(&rows.session, &sql).await?;
            // The estimate errs by a few per cent: less than that is none.
            if found as f64 > total as f64 * 0.05 { found } else { 0 }
        }
        _ => {
            let sql = format!(
                "SELECT CAST(coalesce(sum(n), 0) AS BIGINT) FROM (SELECT count(*) AS n FROM {ROWS} WHERE {present} \
                 GROUP BY {shown}{version} HAVING count(*) > 1)"
            );
            crate::quality::number(&rows.session, &sql).await?
        }
    };
    let mut samples = Vec::new();
    if failed > 0 && !it.has_personal_columns() {
        let repeated = format!(
            "SELECT {shown} FROM {ROWS} WHERE {present} GROUP BY {shown}{version} HAVING count(*) > 1 LIMIT {}",
            it.contract.validation.failure_samples
        );
        samples = samples_of(query(&rows.session, &repeated).await?).await?;
    }
    let details = match failed {
        0 => format!("{total} rows, no combination of {} twice", columns.join(", ")),
        failed => format!("{} is not unique in {failed} of {total} rows", columns.join(", ")),
    };
    let finding = it.finding(category, check, severity, failed == 0);
    let (failed_rows, total_rows) = (Some(failed), Some(total));
    it.keep(verdicts, Finding { failed_rows, total_rows, details, samples, ..finding });
    Ok(())
}
