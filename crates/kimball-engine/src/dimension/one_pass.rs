//! The first load of a dimension in one pass: rows get their keys and hashes on their way from the source into data
//! files. That is all that becomes of a member's only row; where a member has several, or anything is wrong with a
//! row, the batch begins again and looks at its rows as often as it takes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Field, Int64Type};
use datafusion::prelude::DataFrame;
use kimball_config::{Dimension, KeyStrategy, Scd};
use kimball_lake::{FILE_COLUMN, ROW_COLUMN};

use super::DimensionMerge;
use crate::EngineError;
use crate::columns::{
    self as name, ACTION, BEYOND, DEFAULT_MEMBERS, OPEN_END, action, literal, qualified, quoted,
};
use crate::key_hashes::KeyHashes;
use crate::keys::{
    SEED, arguments, durable_version_key, hash_of, key_hash, row_fingerprint, spark_text_function,
};
use crate::layout::Role;
use crate::merge::Collector;
use crate::passing::{self, Checks, Streams, locked, unlocked};
use crate::session::query;
use crate::stage::{Spread, Unread};

/// The hash of a row's natural key.
const MEMBER: &str = "__k_member";
/// Whether there is something wrong with a row.
const AMISS: &str = "__k_amiss";

/// Whether the first rows of a dimension can be loaded without being kept: no other table is made from them, and no
/// key depends on their order.
pub(crate) fn fits_one_pass(dimension: &Dimension) -> bool {
    let writes_one_table =
        dimension.mini_dimensions.is_empty() && !matches!(dimension.scd, Scd::Type4 { .. });
    writes_one_table && dimension.key_strategy == KeyStrategy::Hash
}

impl DimensionMerge<'_> {
    /// Loads the rows of `unread`, one of `collectors` a stream. Says whether that was all; if not, they need a second
    /// look, and what was written is in the collectors, too.
    ///
    /// # Errors
    /// Whatever reading and writing can bring.
    pub(crate) async fn pass(
        &self,
        unread: &Unread,
        collectors: &mut Vec<Collector>,
        open: impl Fn() -> Result<Collector, EngineError>,
        streams: Streams,
    ) -> Result<bool, EngineError> {
        self.register_functions();
        let effective = self.effective_column().unwrap_or(name::VALID_FROM).to_owned();
        let mut names = self.keys().to_vec();
        names.push(effective);
        self.session.register_udf(key_hash("version_key", &names));
        self.session.register_udf(durable_version_key());
        self.session.register_udf(row_fingerprint());
        self.session.register_udf(spark_text_function());
        unread.register(self.session, "staged", Spread::AsRead)?;
        let checks = Arc::new(MemberChecks::of(self.dimension));
        passing::pass(self.new_rows().await?, streams, &checks, open, collectors).await?;
        passing::ended(checks)?.are_passed()
    }

    fn effective_column(&self) -> Option<&str> {
        self.staged.layout.effective_at.as_deref()
    }

    /// The action rows: each staged row as the only one of its member, with [`MEMBER`] and [`AMISS`].
    async fn new_rows(&self) -> Result<DataFrame, EngineError> {
        let layout = &self.staged.layout;
        let keys = arguments("s", self.keys());
        let instant = match self.effective_column() {
            Some(column) => {
                format!("arrow_try_cast({}, 'Timestamp(Microsecond, Some(\"UTC\"))')", qualified("s", column))
            }
            None => self.clock.clone(),
        };
        let start =
            self.effective_column().map_or_else(|| self.clock.clone(), |column| qualified("s", column));
        let member = format!("member_fingerprint({keys})");
        let key = match &self.dimension.scd {
            Scd::Type2(_) | Scd::Type6 { .. } => format!("version_key({SEED}, {keys}, {start})"),
            Scd::Type7 { .. } => format!("durable_version_key({SEED}, {member}, {start})"),
            _ => format!("member_key({SEED}, {keys})"),
        };
        let mut values: Vec<(String, String)> =
            layout.output.iter().map(|field| (qualified("s", field.name()), field.name().clone())).collect();
        for computed in &layout.computed {
            let value = match &computed.role {
                Role::Current(of) => qualified("s", of),
                Role::DurableKey => format!("member_key({SEED}, {keys})"),
                Role::MemberFingerprint => member.clone(),
                Role::RowFingerprint => format!("row_fingerprint({member}, {start})"),
                // No value came before the first, and the others are of tables that are not loaded in one pass.
                Role::Previous(_) | Role::MiniKey(_) | Role::JunkKey(_) | Role::Lag { .. } => {
                    let field = Field::new(&computed.column, computed.kind.clone(), true);
                    crate::nulls::filler(self.pipeline, layout, &field)?
                }
            };
            values.push((value, computed.column.clone()));
        }
        values.push((key, self.dimension.surrogate_key.clone()));
        let system = [
            ("'generated'".to_owned(), name::KEY_ORIGIN),
            (self.clock.clone(), name::PROCESSED_AT),
            (literal(self.batch_id), name::BATCH_ID),
            ("false".to_owned(), name::IS_SKELETON),
            ("'REAL'".to_owned(), name::MEMBER_STATUS),
            ("false".to_owned(), name::IS_DELETED),
            ("arrow_cast(NULL, 'UInt32')".to_owned(), FILE_COLUMN),
            ("CAST(NULL AS BIGINT)".to_owned(), ROW_COLUMN),
            (format!("CAST({} AS BIGINT)", action::INSERT), ACTION),
        ];
        // Durable keys are published: two members must not share one.
        let told_apart = match &self.dimension.scd {
            Scd::Type7 { .. } => format!("member_key({SEED}, {keys})"),
            _ => hash_of("s", self.keys()),
        };
        let version = [
            (instant.clone(), name::VALID_FROM),
            (OPEN_END.to_owned(), name::VALID_TO),
            ("true".to_owned(), name::IS_CURRENT),
            (hash_of("s", &layout.tracked), name::HASHDIFF),
            (told_apart, MEMBER),
        ];
        values.extend(system.map(|(value, column)| (value, column.to_owned())));
        if layout.is_history {
            values.extend(version.map(|(value, column)| (value, column.to_owned())));
        }
        let mut amiss: Vec<String> = Vec::new();
        if !self.staged.keys_may_be_null {
            amiss.extend(self.keys().iter().map(|key| format!("{} IS NULL", qualified("s", key))));
        }
        if layout.is_history {
            amiss.push(format!("coalesce({instant} >= {BEYOND}, true)"));
        }
        let listed = values.iter().map(|(value, column)| format!("{value} AS {}", quoted(column)));
        let listed = listed.collect::<Vec<_>>().join(", ");
        amiss.push("false".to_owned());
        let rows = format!("SELECT {listed}, ({}) AS {AMISS} FROM staged s", amiss.join(" OR "));
        Ok(query(self.session, &rows).await?)
    }
}

/// What is looked for in the rows of a dimension.
struct MemberChecks {
    surrogate_key: String,
    /// Surrogate keys: two rows must not share one.
    keys: Mutex<KeyHashes>,
    /// Natural keys, where a surrogate key is not one's hash: two rows of a member are to be ordered.
    members: Mutex<KeyHashes>,
    is_amiss: AtomicBool,
}

impl MemberChecks {
    fn of(dimension: &Dimension) -> Self {
        Self {
            surrogate_key: dimension.surrogate_key.clone(),
            keys: Mutex::new(KeyHashes::new()),
            members: Mutex::new(KeyHashes::new()),
            is_amiss: AtomicBool::new(false),
        }
    }

    fn are_passed(self) -> Result<bool, EngineError> {
        Ok(!self.is_amiss.into_inner()
            && !unlocked(self.keys).has_repeats()?
            && !unlocked(self.members).has_repeats()?)
    }
}

impl Checks for MemberChecks {
    fn note(&self, rows: &RecordBatch) -> Result<(), EngineError> {
        let hashes = |column: &str| {
            rows.column_by_name(column).map(|found| found.as_primitive::<Int64Type>().values())
        };
        let keys = hashes(&self.surrogate_key).map_or(&[][..], |keys| keys);
        let is_amiss = rows.column_by_name(AMISS).is_some_and(|amiss| amiss.as_boolean().has_true());
        if is_amiss || keys.iter().any(|key| DEFAULT_MEMBERS.contains(key)) {
            self.is_amiss.store(true, Ordering::Relaxed);
        }
        locked(&self.keys).extend(keys.iter().map(|key| key.cast_unsigned()))?;
        let members = hashes(MEMBER).map_or(&[][..], |members| members);
        locked(&self.members).extend(members.iter().map(|member| member.cast_unsigned()))
    }

    fn is_stopped(&self) -> bool {
        self.is_amiss.load(Ordering::Relaxed)
    }
}
