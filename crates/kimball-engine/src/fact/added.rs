//! Foreign keys that a loaded fact gets: the rows that are there are looked up in the batch that adds the columns, as
//! they would have been on their way in (semantics 8.4).

use arrow::datatypes::Schema;
use datafusion::prelude::SessionContext;
use kimball_config::{EarlyArriving, Fact, ForeignKey};
use kimball_lake::{FILE_COLUMN, ROW_COLUMN};

use super::broker::{Broker, Dimensions, LookedUp, Sentinels};
use super::early::{EarlyMembers, early_members};
use crate::EngineError;
use crate::columns::{IS_DELETED, OP, quoted};
use crate::gates::Keys;
use crate::session::query;
use crate::stage::{Numbering, Spool};
use crate::target::{ADDED_FILE, ADDED_KEYS, ADDED_ROW, TargetRows, added_name};

const UNKEYED: &str = "__k_unkeyed";
const KEYED: &str = "__k_keyed";

/// The foreign keys of a fact whose columns its table lacks.
pub(crate) struct AddedKeys<'a> {
    session: &'a SessionContext,
    dimensions: &'a Dimensions,
    /// The fact with these keys alone.
    fact: Fact,
    /// Their columns, and those that come to hold canonical identities.
    columns: Vec<String>,
}

impl<'a> AddedKeys<'a> {
    /// `None` where the table has them all.
    pub(crate) fn of(
        session: &'a SessionContext,
        fact: &Fact,
        dimensions: &'a Dimensions,
        stored: &Schema,
    ) -> Option<Self> {
        let added = |key: &&ForeignKey| lacking(key, stored).next().is_some();
        let foreign_keys: Vec<ForeignKey> = fact.foreign_keys.iter().filter(added).cloned().collect();
        let keys = foreign_keys.iter().flat_map(|key| lacking(key, stored));
        let mapped = foreign_keys.iter().filter_map(|key| key.lookup.as_ref());
        let mapped =
            mapped.filter(|lookup| lookup.identity_map.is_some()).flat_map(|lookup| &lookup.source_columns);
        let mut columns: Vec<String> = keys.chain(mapped).cloned().collect();
        columns.sort();
        columns.dedup();
        let fact = Fact { foreign_keys, ..fact.clone() };
        (!columns.is_empty()).then_some(Self { session, dimensions, fact, columns })
    }

    /// The columns that get other values.
    pub(crate) fn into_columns(self) -> Vec<String> {
        self.columns
    }

    /// Members that the dimensions have to infer for the rows of `target`.
    ///
    /// # Errors
    /// As for [`register`](Self::register).
    pub(crate) async fn early_members(
        &self,
        target: &TargetRows<'_>,
        clock: &str,
    ) -> Result<Vec<EarlyMembers>, EngineError> {
        let mut lookups = self.fact.foreign_keys.iter().filter_map(|key| key.lookup.as_ref());
        if !lookups.any(|lookup| lookup.early_arriving == EarlyArriving::Skeleton) {
            return Ok(Vec::new());
        }
        let (_rows, sentinels) = self.look_up(target).await?;
        early_members(self.session, &self.fact, self.dimensions, (KEYED, &sentinels), clock).await
    }

    /// Finds the keys of the rows of `target` and leaves them in the session for its other views.
    ///
    /// # Errors
    /// [`EngineError::DataQuality`] for fan-outs and for identities that the lookups refuse.
    pub(crate) async fn register(&self, target: &TargetRows<'_>, keys: Keys) -> Result<Spool, EngineError> {
        let (rows, sentinels) = self.look_up(target).await?;
        self.broker().refuse_unresolved(KEYED, &sentinels, keys).await?;
        let added = self
            .columns
            .iter()
            .map(|column| format!("{} AS {}", quoted(column), quoted(&added_name(column))));
        let keys = format!(
            "SELECT {FILE_COLUMN} AS {ADDED_FILE}, {ROW_COLUMN} AS {ADDED_ROW}, {} FROM {KEYED}",
            added.collect::<Vec<_>>().join(", ")
        );
        self.session.deregister_table(ADDED_KEYS)?;
        self.session.register_table(ADDED_KEYS, query(self.session, &keys).await?.into_view())?;
        Ok(rows)
    }

    fn broker(&self) -> Broker<'_> {
        Broker { session: self.session, fact: &self.fact, dimensions: self.dimensions }
    }

    /// The rows with their keys, in the session as [`KEYED`] while they are kept. Deleted ones get keys, too, and
    /// nothing is refused or inferred for them.
    async fn look_up(&self, target: &TargetRows<'_>) -> Result<(Spool, Vec<Sentinels>), EngineError> {
        target.register_all("__k_before").await?;
        let output: Vec<String> = target.layout.output.iter().map(|field| quoted(field.name())).collect();
        let sql = format!(
            "SELECT {}, {FILE_COLUMN}, {ROW_COLUMN}, \
             CAST(CASE WHEN coalesce({IS_DELETED}, false) THEN 2 ELSE 1 END AS BIGINT) AS {OP} FROM __k_before",
            output.join(", ")
        );
        let rows = query(self.session, &sql).await?;
        let unkeyed = Spool::fill(rows, Numbering::Numbered).await?;
        unkeyed.register(self.session, UNKEYED).await?;
        let broker = self.broker();
        let Some(LookedUp { rows, sentinels }) = broker.resolve(UNKEYED, unkeyed.rows()).await? else {
            return Err(EngineError::Config("internal: a key without a lookup was looked up".to_owned()));
        };
        rows.register(self.session, KEYED).await?;
        broker.refuse_invalid(KEYED, &sentinels).await?;
        Ok((rows, sentinels))
    }
}

/// The columns of a key that is looked up which `stored` lacks.
fn lacking<'k>(key: &'k ForeignKey, stored: &Schema) -> impl Iterator<Item = &'k String> {
    let columns = key.lookup.iter().flat_map(|_| {
        let durable = key.durable.as_ref().map(|durable| &durable.column);
        [&key.column].into_iter().chain(durable)
    });
    columns.filter(|column| stored.field_with_name(column).is_err())
}
