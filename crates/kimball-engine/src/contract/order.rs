//! Events in the order in which they happened: no event of a key was committed after one that happened later.
//!
//! Within a batch commits tell the order; between batches the newest event of each key is remembered.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use kimball_config::TemporalRule;
use kimball_lake::LakeTable;

use super::rows::ROWS;
use super::{Inspection, Rows};
use crate::EngineError;
use crate::columns::{VERSION, listed, literal, quoted};
use crate::finding::{Category, Finding, Verdicts};
use crate::keys::{arguments, key_hash};
use crate::quality::{counted_offenders, number};
use crate::session::query;

/// What is remembered of a key: its hash (as that of a natural key, semantics 2.1), when its newest event happened, and
/// the version that brought it.
pub fn newest_event_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("business_key_hash", DataType::Int64, true),
        Field::new("max_event_time", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        Field::new("max_commit_version", DataType::Int64, true),
    ]))
}

/// Judges the order of events; the newest event of each key, where keys are known.
pub(super) async fn judge(
    it: Inspection<'_>,
    rows: &Rows,
    newest: Option<&LakeTable>,
    verdicts: &mut Verdicts,
) -> Result<Option<Vec<RecordBatch>>, EngineError> {
    let Some(temporal) = &it.contract.temporal else { return Ok(None) };
    let key = it.key();
    if key.is_empty() {
        return Ok(None);
    }
    register_events(it, rows, temporal, &key).await?;
    // A snapshot has no order: what it holds was committed together, and is there again in the next one.
    if it.source.is_feed() {
        judge_order(it, rows, newest, temporal, &key, verdicts).await?;
    }
    let events = "SELECT __k_hash AS business_key_hash, max(__k_last) AS max_event_time, \
                  max(__k_version) AS max_commit_version FROM __k_events GROUP BY __k_hash";
    Ok(Some(query(&rows.session, events).await?.collect().await?))
}

async fn judge_order(
    it: Inspection<'_>,
    rows: &Rows,
    newest: Option<&LakeTable>,
    temporal: &TemporalRule,
    key: &[String],
    verdicts: &mut Verdicts,
) -> Result<(), EngineError> {
    let remembered = register_remembered(it, rows, newest).await?;
    let shown = if it.has_personal_columns() { &[] } else { key };
    let disordered = format!(
        "SELECT {}, __k_at AS event_time, __k_before AS after_event_time FROM __k_ordered \
         WHERE __k_first < __k_before",
        if shown.is_empty() { "'…' AS key".to_owned() } else { listed("", shown) }
    );
    let before = match remembered {
        true => "greatest(o.__k_in_batch, s.max_event_time)",
        false => "o.__k_in_batch",
    };
    let join = match remembered {
        true => {
            "LEFT JOIN __k_newest s ON s.business_key_hash = o.__k_hash AND o.__k_version > s.max_commit_version"
        }
        false => "",
    };
    let columns = listed("o", key);
    // The newest event of all earlier commits; the first of this one must not lie before it.
    let ordered = format!(
        "SELECT {columns}, o.__k_first, o.__k_first AS __k_at, {before} AS __k_before FROM (SELECT *, \
         max(__k_last) OVER (PARTITION BY __k_hash ORDER BY __k_version ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) \
         AS __k_in_batch FROM __k_events) o {join}"
    );
    let ordered = query(&rows.session, &ordered).await?;
    rows.session.register_table("__k_ordered", ordered.into_view())?;
    let failed =
        number(&rows.session, "SELECT count(*) FROM __k_ordered WHERE __k_first < __k_before").await?;
    let total = number(&rows.session, &format!("SELECT count(*) FROM {ROWS}")).await?;
    let samples =
        if failed > 0 { counted_offenders(&rows.session, &disordered).await?.1 } else { Vec::new() };
    let details = match failed {
        0 => "events are in order".to_owned(),
        failed => {
            format!("events of {failed} keys and commits happened before one that was committed earlier")
        }
    };
    let finding =
        it.finding(Category::OutOfOrderEvent, "commit_order".to_owned(), temporal.out_of_order, failed == 0);
    let (failed_rows, total_rows) = (Some(failed), Some(total));
    it.keep(verdicts, Finding { failed_rows, total_rows, details, samples, ..finding });
    Ok(())
}

/// The first and the last event of each key and commit.
async fn register_events(
    it: Inspection<'_>,
    rows: &Rows,
    temporal: &TemporalRule,
    key: &[String],
) -> Result<(), EngineError> {
    let session = &rows.session;
    session.register_udf(key_hash("business_key", key));
    let found = rows.columns.iter().find(|name| name.eq_ignore_ascii_case(&temporal.event_time_column));
    let event = quoted(found.unwrap_or(&temporal.event_time_column));
    let version = match rows.has_versions {
        true => VERSION.to_owned(),
        false => format!("CAST({} AS BIGINT)", it.source.version()),
    };
    let shown = listed("", key);
    let sql = format!(
        "SELECT {shown}, __k_hash, __k_version, min(__k_event) AS __k_first, max(__k_event) AS __k_last FROM \
         (SELECT {shown}, business_key(42, {}) AS __k_hash, {version} AS __k_version, \
         CAST({event} AS TIMESTAMP) AS __k_event FROM {ROWS}) WHERE __k_event IS NOT NULL \
         GROUP BY {shown}, __k_hash, __k_version",
        arguments("", key)
    );
    let events = query(session, &sql).await?;
    session.register_table("__k_events", events.into_view())?;
    Ok(())
}

/// Makes what earlier batches remembered of this source a table of the session, if there is anything.
async fn register_remembered(
    it: Inspection<'_>,
    rows: &Rows,
    newest: Option<&LakeTable>,
) -> Result<bool, EngineError> {
    let Some(newest) = newest else { return Ok(false) };
    rows.session.register_table("__k_all_newest", newest.rows().await?)?;
    let sql = format!(
        "SELECT business_key_hash, max(max_event_time) AS max_event_time, max(max_commit_version) AS max_commit_version \
         FROM __k_all_newest WHERE target_table = {} AND source_table = {} AND contract_id = {} \
         GROUP BY business_key_hash",
        literal(&it.batch.pipeline.table.to_string()),
        literal(&it.label()),
        literal(&it.contract.id)
    );
    let own = query(&rows.session, &sql).await?;
    rows.session.register_table("__k_newest", own.into_view())?;
    Ok(true)
}
