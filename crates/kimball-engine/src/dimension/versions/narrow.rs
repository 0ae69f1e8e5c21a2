//! A snapshot narrowed to what it changes: rows that say again what the current version of their member says are left
//! out on their way from the source, in one pass past the hashes of the current versions. What is left, and the
//! members that are gone, is all that the merge has to look at.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, Schema};
use datafusion::error::{DataFusionError, Result as QueryResult};
use kimball_config::Dimension;

use super::{DimensionMerge, VersionMerge};
use crate::EngineError;
use crate::columns::{
    self as name, BEYOND, OP, TIME, VERSION, equal_keys, instant_sql, listed, qualified, quoted,
};
use crate::key_hashes::KeyHashes;
use crate::keys::hash_of;
use crate::passing::locked;
use crate::quality::number;
use crate::session::query;
use crate::stage::{Numbering, Spool, SpoolRoom, SpoolWriter, Spread, Unread};
use crate::upsert::guard_close;

/// The hash of a row's natural key.
const MEMBER: &str = "__k_member";
/// The hash of a row's tracked attributes, and that of the others.
const CONTENT: [&str; 2] = ["__k_tracked", "__k_untracked"];
/// Whether there is something wrong with a row.
const AMISS: &str = "__k_amiss";

/// Whether nothing but the history itself is made from the rows of a snapshot.
pub(crate) fn can_be_narrowed(dimension: &Dimension) -> bool {
    dimension.scd.history().is_some() && dimension.mini_dimensions.is_empty()
}

/// The rows of an unread snapshot that the merge has to look at, as staged rows: those that differ from the current
/// versions, and a delete for each member that is gone. `None` when all rows need a second look, as one of them is no
/// good or a member may be there twice.
///
/// # Errors
/// [`EngineError::DataQuality`] for a snapshot that would close more than it may; read failures.
pub(crate) async fn narrow(
    merge: &DimensionMerge<'_>,
    unread: &Unread,
) -> Result<Option<Spool>, EngineError> {
    let Some(history) = merge.dimension.scd.history() else { return Ok(None) };
    merge.register_functions();
    merge.target.register_all("target").await?;
    let versions = VersionMerge::of(merge, history);
    let session = merge.session;
    let columns = unread.schema();
    let passing = Arc::new(SnapshotChecks::of(&columns, merge.keys(), SpoolRoom::of(session))?);
    unread.register(session, "arriving", Spread::AsRead)?;
    let hashed = Unread::of(query(session, &versions.hashed()).await?, &[]).await?;
    let look = Arc::clone(&passing);
    hashed.register_watched(session, "hashed", Arc::new(move |rows: &RecordBatch| look.note(rows)))?;
    let changed = Spool::fill(query(session, &versions.changed(&columns)).await?, Numbering::Plain).await?;
    let Some(keys) = passing.take_keys_of_good_rows()? else { return Ok(None) };
    changed.register(session, "changed").await?;
    let mut rows = "SELECT * FROM changed".to_owned();
    let mut kept = Vec::new();
    if merge.staged.absent.is_gone() {
        keys.register(session, "said").await?;
        let gone = Spool::fill(query(session, &versions.missing()).await?, Numbering::Plain).await?;
        gone.register(session, "missing").await?;
        // A row that is known stands for a member that stays open: then only a declared ratio asks how many there are.
        let any_stays = keys.rows() > changed.rows();
        if !any_stays || merge.pipeline.missing.max_close_ratio.is_some() {
            let open = number(session, &format!("SELECT count(*) FROM ({})", versions.open_rows())).await?;
            guard_close(merge.pipeline.missing, gone.rows(), open, "natural key")?;
        }
        rows = format!("{rows} UNION ALL SELECT {} FROM missing", versions.deletes(&columns).join(", "));
        kept.push(gone);
    }
    let narrowed = Spool::fill(query(session, &rows).await?, Numbering::Numbered).await?;
    tracing::info!(table = %merge.pipeline.table, rows = narrowed.rows(), "the rest of the snapshot is known");
    drop(kept);
    Ok(Some(narrowed))
}

impl VersionMerge<'_> {
    /// The rows of the snapshot with their hashes, and with whether there is something wrong with them.
    fn hashed(&self) -> String {
        let instant = self.instant("s");
        let mut amiss: Vec<String> =
            self.merge.keys().iter().map(|key| format!("{} IS NULL", qualified("s", key))).collect();
        amiss.push(format!("coalesce({instant} >= {BEYOND}, true)"));
        let [tracked, untracked] = CONTENT;
        format!(
            "SELECT s.*, {} AS {tracked}, {} AS {untracked}, {} AS {MEMBER}, ({}) AS {AMISS} FROM arriving s",
            self.tracked_hash("s"),
            self.untracked_hash("s"),
            hash_of("s", self.merge.keys()),
            amiss.join(" OR ")
        )
    }

    /// The rows of the snapshot that no current version is like.
    fn changed(&self, columns: &Schema) -> String {
        let [tracked, untracked] = CONTENT;
        let hash = match self.merge.hashdiff_holds {
            true => quoted(name::HASHDIFF),
            false => self.tracked_hash(""),
        };
        let current = format!(
            "SELECT {}, {hash} AS {tracked}, {} AS {untracked} FROM target WHERE {} AND coalesce({}, false) \
             AND NOT coalesce({}, false) AND NOT coalesce({}, false)",
            self.keys,
            self.untracked_hash(""),
            self.merge.loaded(),
            name::IS_CURRENT,
            name::IS_DELETED,
            name::IS_SKELETON
        );
        let mut alike = self.merge.keys().to_vec();
        alike.extend(CONTENT.map(str::to_owned));
        let names: Vec<String> = columns.fields().iter().map(|field| field.name().clone()).collect();
        // The current versions are hashed, the snapshot streams.
        format!(
            "SELECT {} FROM ({current}) h RIGHT ANTI JOIN hashed s ON {}",
            listed("s", &names),
            equal_keys("h", "s", &alike)
        )
    }

    /// The keys of open versions that the snapshot does not hold.
    fn missing(&self) -> String {
        format!(
            "SELECT {} FROM said s RIGHT ANTI JOIN ({}) o ON {}",
            listed("o", self.merge.keys()),
            self.open_rows(),
            equal_keys("s", "o", self.merge.keys())
        )
    }

    /// The columns of a staged row that deletes a member at the time of the snapshot.
    fn deletes(&self, columns: &Schema) -> Vec<String> {
        let value = |column: &str, kind: &DataType| match column {
            OP | VERSION => "CAST(0 AS BIGINT)".to_owned(),
            TIME => instant_sql(self.merge.staged.moment),
            column if self.merge.keys().iter().any(|key| key == column) => quoted(column),
            _ => format!("arrow_cast(NULL, '{kind}')"),
        };
        let column = |field: &Arc<arrow::datatypes::Field>| {
            format!("{} AS {}", value(field.name(), field.data_type()), quoted(field.name()))
        };
        columns.fields().iter().map(column).collect()
    }
}

/// What is looked for in the rows of a snapshot, and what is kept of all of them.
struct SnapshotChecks {
    members: Mutex<KeyHashes>,
    is_amiss: AtomicBool,
    /// Where the natural key stands.
    places: Vec<usize>,
    /// Until they are taken.
    keys: Mutex<Option<SpoolWriter>>,
}

impl SnapshotChecks {
    fn of(columns: &Schema, keys: &[String], room: SpoolRoom) -> Result<Self, EngineError> {
        let places = keys.iter().map(|key| columns.index_of(key)).collect::<Result<Vec<_>, _>>()?;
        let schema = Arc::new(columns.project(&places)?);
        Ok(Self {
            members: Mutex::new(KeyHashes::new()),
            is_amiss: AtomicBool::new(false),
            places,
            keys: Mutex::new(Some(SpoolWriter::new(room, schema))),
        })
    }

    fn note(&self, rows: &RecordBatch) -> QueryResult<()> {
        if rows.column_by_name(AMISS).is_some_and(|amiss| amiss.as_boolean().has_true()) {
            self.is_amiss.store(true, Ordering::Relaxed);
        }
        let external = |error: EngineError| DataFusionError::External(Box::new(error));
        if let Some(members) = rows.column_by_name(MEMBER) {
            let members = members.as_primitive::<Int64Type>().values();
            locked(&self.members)
                .extend(members.iter().map(|member| member.cast_unsigned()))
                .map_err(external)?;
        }
        match locked(&self.keys).as_mut() {
            Some(keys) => keys.push(rows.project(&self.places)?).map_err(external),
            None => Ok(()),
        }
    }

    /// The natural keys of all rows, once these have passed; `None` when one of them is no good or a key may be there
    /// twice. Plans that have ended may hold on to this for a while, so that it cannot be consumed.
    fn take_keys_of_good_rows(&self) -> Result<Option<Spool>, EngineError> {
        let members = std::mem::replace(&mut *locked(&self.members), KeyHashes::new());
        if self.is_amiss.load(Ordering::Relaxed) || members.has_repeats()? {
            return Ok(None);
        }
        locked(&self.keys).take().map(SpoolWriter::finish).transpose()
    }
}
