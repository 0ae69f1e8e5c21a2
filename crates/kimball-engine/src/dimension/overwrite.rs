//! Types 0, 1, 3, 4 and 5: one row a member (semantics 5).
//!
//! They share the upsert. What sets them apart is which values a row takes, and which columns they add.

use kimball_config::{DeleteStrategy, KeyStrategy, Scd};

use super::{DimensionMerge, collisions};
use crate::EngineError;
use crate::columns::{
    IS_SKELETON, KEY_ORIGIN, OP, REBORN, ROW_ID, VERSION, greatest_in, listed, qualified, quoted,
};
use crate::keys::{SEED, arguments, mini_key};
use crate::layout::{Computed, Role};
use crate::merge::Collector;
use crate::upsert::{Derived, Net, Upsert};

pub(super) async fn merge(merge: &DimensionMerge<'_>, collector: &mut Collector) -> Result<(), EngineError> {
    let output = merge.output();
    merge.refuse_ties(&output, None).await?;
    // Its history table is written after the dimension, when it is too late to refuse a row.
    if let Scd::Type4 { history: Some(history) } = &merge.dimension.scd
        && let Some(column) = &history.effective_at
    {
        merge.refuse_bad_times(column).await?;
    }
    let key = member_key(merge).await?;
    let kept = |column: &str, value: String| Derived { column: column.to_owned(), value, compared: false };
    let mut derived = vec![
        kept(&merge.dimension.surrogate_key, key),
        kept(KEY_ORIGIN, format!("coalesce(h.{KEY_ORIGIN}, 'generated')")),
    ];
    let mut staged = "staged".to_owned();
    let mut previous = Vec::new();
    for computed in &merge.staged.layout.computed {
        match &computed.role {
            Role::Previous(of) => previous.push((computed, of.as_str())),
            Role::MiniKey(columns) => derived.push(Derived {
                column: computed.column.clone(),
                value: format!(
                    "CASE WHEN coalesce(s.{OP}, 0) = 1 THEN {} ELSE coalesce({}, {}) END",
                    mini_key(&computed.column, "s", columns),
                    qualified("h", &computed.column),
                    mini_key(&computed.column, "h", columns)
                ),
                compared: true,
            }),
            Role::Current(_) | Role::DurableKey | Role::MemberFingerprint | Role::RowFingerprint => {}
            // Of facts.
            Role::JunkKey(_) | Role::Lag { .. } => {}
        }
    }
    if !previous.is_empty() {
        staged = with_values_before(merge, &previous);
        for (place, (computed, of)) in previous.iter().enumerate() {
            derived.push(previous_value(merge, place, computed, of)?);
        }
    }
    // What is nobody's stays with its row.
    let foreign = &merge.staged.layout.evolution.foreign;
    derived.extend(foreign.iter().map(|column| kept(column, qualified("h", column))));
    derived.extend(
        merge
            .stamps(&format!("coalesce(s.{OP}, 0) = 1"))
            .into_iter()
            .map(|(column, value)| kept(column, value)),
    );
    let upsert = Upsert {
        keys: merge.keys(),
        key_role: "natural key",
        staged: &staged,
        output: &output,
        kept_over_null: Vec::new(),
        net: if merge.dimension.scd == Scd::Type0 { Net::FirstValues } else { Net::LastValues },
        derived,
        loaded: merge.loaded(),
        absent: merge.staged.absent,
        delete_strategy: merge.pipeline.delete_strategy,
        missing: merge.pipeline.missing,
        has_rows: merge.has_rows,
        inferred: Some(IS_SKELETON),
    };
    upsert.run(&merge.target, collector).await?;
    if let Some(mark) = merge.sequence {
        let given = i64::try_from(collector.change().counts.inserted).unwrap_or(i64::MAX);
        collector.change().sequence = Some(mark.saturating_add(given));
    }
    Ok(())
}

/// The surrogate key of a row: the one it has, else a new one.
async fn member_key(merge: &DimensionMerge<'_>) -> Result<String, EngineError> {
    let stored = qualified("h", &merge.dimension.surrogate_key);
    if merge.dimension.key_strategy == KeyStrategy::Sequence {
        let mark = merge.sequence.unwrap_or_default();
        let keys = listed("s", merge.keys());
        // Rows that have no key yet are numbered among themselves.
        return Ok(format!(
            "coalesce({stored}, CAST({mark} AS BIGINT) + \
             CAST(row_number() OVER (PARTITION BY {stored} IS NULL ORDER BY {keys}) AS BIGINT))"
        ));
    }
    let hash = format!("member_key({SEED}, {})", arguments("s", merge.keys()));
    let keys = format!(
        "SELECT DISTINCT {hash} AS {}, {} FROM staged s WHERE {OP} = 1",
        merge.surrogate_key(),
        arguments("s", merge.keys())
    );
    collisions::refuse(merge, &merge.dimension.surrogate_key, &keys).await?;
    Ok(format!("coalesce({stored}, {hash})"))
}

/// The staged rows with, for each column that has a previous one, the value before the last change among the
/// key's rows of the batch (`__k_before_n`) and whether there is one (`__k_moved_n`).
fn with_values_before(merge: &DimensionMerge<'_>, previous: &[(&Computed, &str)]) -> String {
    let keys = listed("", merge.keys());
    let newest = format!("{OP} DESC, {VERSION} DESC, {ROW_ID}");
    // What a hard delete took away is no value before anything.
    let (counts, gone) = match merge.pipeline.delete_strategy {
        DeleteStrategy::Soft => ("true", String::new()),
        DeleteStrategy::Hard => (
            "(__k_gone IS NULL OR __k_version > __k_gone)",
            format!(
                ", {} AS __k_gone",
                greatest_in(&keys, &format!("CASE WHEN __k_wins = 0 THEN {VERSION} END"))
            ),
        ),
    };
    let mut last = Vec::new();
    let mut before = Vec::new();
    for (place, (_, of)) in previous.iter().enumerate() {
        let of = quoted(of);
        last.push(format!(
            "first_value({of}) OVER (PARTITION BY {keys} ORDER BY {newest}) AS __k_last_{place}"
        ));
        let other = format!("({OP} = 1 AND {counts} AND ({of} IS DISTINCT FROM __k_last_{place}))");
        before.push(format!(
            "first_value({of}) OVER (PARTITION BY {keys} ORDER BY CASE WHEN {other} THEN 0 ELSE 1 END, {newest}) \
             AS __k_before_{place}, {} = 1 AS __k_moved_{place}",
            greatest_in(&keys, &format!("CASE WHEN {other} THEN 1 ELSE 0 END"))
        ));
    }
    format!(
        "(SELECT *, {} FROM (SELECT *, {}{gone} FROM (SELECT *, {} AS __k_wins FROM staged)))",
        before.join(", "),
        last.join(", "),
        greatest_in(&format!("{keys}, {VERSION}"), OP)
    )
}

/// Type 3: the value before the last change, in this batch or in the table.
fn previous_value(
    merge: &DimensionMerge<'_>,
    place: usize,
    computed: &Computed,
    of: &str,
) -> Result<Derived, EngineError> {
    let (stored, column) = (qualified("h", of), qualified("h", &computed.column));
    let field = arrow::datatypes::Field::new(&computed.column, computed.kind.clone(), true);
    let none_yet = crate::nulls::filler(merge.pipeline, &merge.staged.layout, &field)?;
    let value = format!(
        "CASE WHEN coalesce(s.{OP}, 0) = 0 THEN {column} WHEN s.__k_moved_{place} THEN s.__k_before_{place} \
         WHEN h.{} IS NULL OR s.{REBORN} THEN {none_yet} WHEN {} IS DISTINCT FROM {stored} THEN {stored} ELSE {column} END",
        kimball_lake::FILE_COLUMN,
        qualified("s", of),
    );
    Ok(Derived { column: computed.column.clone(), value, compared: true })
}
