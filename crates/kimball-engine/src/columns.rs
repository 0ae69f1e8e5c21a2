//! Names of columns that the engine itself writes, and how names are quoted.

/// When the row was last written.
pub(crate) const PROCESSED_AT: &str = "__etl_processed_at";
/// The batch that last wrote the row.
pub(crate) const BATCH_ID: &str = "__etl_batch_id";
/// Whether the row's source is gone.
pub(crate) const IS_DELETED: &str = "__is_deleted";
/// Start of a version, included.
pub(crate) const VALID_FROM: &str = "__valid_from";
/// End of a version, excluded.
pub(crate) const VALID_TO: &str = "__valid_to";
/// Whether a version is the member's newest and its member lives.
pub(crate) const IS_CURRENT: &str = "__is_current";
/// Hash of a version's tracked attributes.
pub(crate) const HASHDIFF: &str = "hashdiff";
/// Whether a member was inferred from a fact.
pub(crate) const IS_SKELETON: &str = "__is_skeleton";
/// REAL, or which default member.
pub(crate) const MEMBER_STATUS: &str = "__member_status";
/// How the surrogate key came about: generated, skeleton, default.
pub(crate) const KEY_ORIGIN: &str = "__key_origin";

/// Type 7: hex SHA-256 of the natural key's payload.
pub(crate) const MEMBER_FINGERPRINT: &str = "__durable_key_fingerprint";
/// Type 7: hex SHA-256 of the row's payload.
pub(crate) const ROW_FINGERPRINT: &str = "__row_key_fingerprint";

/// Staged rows: 1 writes the row's key, 0 deletes it.
pub(crate) const OP: &str = "__k_op";
/// Staged rows: the source version that made the change.
pub(crate) const VERSION: &str = "__k_version";
/// Staged rows: when that version was committed.
pub(crate) const TIME: &str = "__k_time";
/// Staged rows: a number of the row's own.
pub(crate) const ROW_ID: &str = "__k_id";
/// Netted rows: what happened to the row's key last, 1 or 0.
pub(crate) const LAST_OP: &str = "__k_last_op";
/// Netted rows: whether the key's row was removed and came back within the batch.
pub(crate) const REBORN: &str = "__k_reborn";
/// Action rows: what becomes of a row, one of the codes in [`action`].
pub(crate) const ACTION: &str = "__k_action";

/// Codes of [`ACTION`].
pub(crate) mod action {
    /// A new row.
    pub(crate) const INSERT: i64 = 1;
    /// A row takes the place of an old one with other content.
    pub(crate) const UPDATE: i64 = 2;
    /// A row takes the place of an old one to mark it deleted.
    pub(crate) const DELETE: i64 = 3;
    /// A row takes the place of an old one because its interval ended.
    pub(crate) const EXPIRE: i64 = 4;
    /// An old row goes without a successor.
    pub(crate) const REMOVE: i64 = 5;
}

/// Largest instant; versions that run to it are open.
pub(crate) const OPEN_END: &str =
    "arrow_cast('9999-12-31T23:59:59.999999Z', 'Timestamp(Microsecond, Some(\"UTC\"))')";

/// First instant that is no effective time any more.
pub(crate) const BEYOND: &str = "arrow_cast('9999-12-31T00:00:00Z', 'Timestamp(Microsecond, Some(\"UTC\"))')";

/// Whether a version is open, as an SQL expression over whether it is current and when it ends: in tables taken over
/// one of the two may be missing (semantics 4.7).
pub(crate) fn is_open(current: &str, end: &str) -> String {
    format!("(coalesce({current}, false) OR coalesce({end} >= {BEYOND}, false))")
}

/// Keys of the default members (semantics 3).
pub(crate) const DEFAULT_MEMBERS: [i64; 4] = [-4, -3, -2, -1];
/// The same as SQL.
pub(crate) const DEFAULT_KEYS: &str = "(-4, -3, -2, -1)";

/// Whether a column is one that the engine itself writes.
pub(crate) fn is_system(column: &str) -> bool {
    column.starts_with("__") || column == HASHDIFF
}

/// A name as an SQL identifier.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as an SQL literal.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// `prefix."a", prefix."b"`.
pub(crate) fn listed(prefix: &str, names: &[String]) -> String {
    names.iter().map(|name| qualified(prefix, name)).collect::<Vec<_>>().join(", ")
}

/// `prefix."name"`, or the bare name without a prefix.
pub(crate) fn qualified(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { quoted(name) } else { format!("{prefix}.{}", quoted(name)) }
}

/// The condition that two rows have equal keys, NULL equal to NULL.
pub(crate) fn equal_keys(left: &str, right: &str, names: &[String]) -> String {
    let equal = |name: &String| {
        format!("({} IS NOT DISTINCT FROM {})", qualified(left, name), qualified(right, name))
    };
    names.iter().map(equal).collect::<Vec<_>>().join(" AND ")
}

/// The greatest `value` among the rows of a partition, on every one of them, as an SQL expression.
///
/// It is sorted to the front: with a frame that ends at the row itself a partition is handed on when it is complete,
/// while a frame that looks ahead would hold all rows of all partitions in memory.
pub(crate) fn greatest_in(partition: &str, value: &str) -> String {
    format!(
        "max({value}) OVER (PARTITION BY {partition} ORDER BY {value} DESC NULLS LAST \
         ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
    )
}

/// The least `value`, as [`greatest_in`] the greatest.
pub(crate) fn least_in(partition: &str, value: &str) -> String {
    format!(
        "min({value}) OVER (PARTITION BY {partition} ORDER BY {value} NULLS LAST \
         ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
    )
}

/// An instant, in microseconds since 1970, as an SQL expression.
pub(crate) fn instant_sql(micros: i64) -> String {
    format!("arrow_cast(CAST({micros} AS BIGINT), 'Timestamp(Microsecond, Some(\"UTC\"))')")
}
