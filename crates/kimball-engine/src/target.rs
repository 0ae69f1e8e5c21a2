//! The target's rows as a merge sees them: with the columns and types that the table is to have.
//!
//! Where the table lacks a column of the layout, or has it in a narrower type, every look at its rows goes
//! through a view that fills and casts. What the merge leaves as it is, is then written anew by
//! [`TargetRows::rewrite_rest`], in the same commit.
//!
//! Timestamps that the table has without a zone are seen in UTC through such a view, too. They stay as they are stored:
//! nothing is written anew for them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use kimball_config::Pipeline;
use kimball_lake::{FILE_COLUMN, LiveRows, ROW_COLUMN, read_type};

use crate::EngineError;
use crate::columns::{HASHDIFF, VALID_FROM, VALID_TO, listed, quoted};
use crate::keys::{arguments, hash_of, junk_key, value_hash};
use crate::layout::{Computed, Layout, Role};
use crate::merge::Collector;
use crate::nulls::filler;
use crate::session::query;

/// The rows of a target's pinned version.
#[derive(Clone, Copy)]
pub(crate) struct TargetRows<'a> {
    pub(crate) session: &'a SessionContext,
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) layout: &'a Layout,
    /// The table's columns as they are.
    pub(crate) stored: &'a Schema,
    pub(crate) live: &'a LiveRows,
    /// Columns whose values the session has as [`ADDED_KEYS`], row by row.
    pub(crate) added_keys: &'a [String],
}

/// The values of columns, each as [`added_name`]: one row for each of the table's own, which it names by its address.
pub(crate) const ADDED_KEYS: &str = "__k_added_keys";
/// As [`FILE_COLUMN`].
pub(crate) const ADDED_FILE: &str = "__k_file_of_added";
/// As [`ROW_COLUMN`].
pub(crate) const ADDED_ROW: &str = "__k_row_of_added";

/// A column of [`ADDED_KEYS`].
pub(crate) fn added_name(column: &str) -> String {
    format!("__k_added_{column}")
}

/// A stored value in the type that its table is to have. One without a zone is an instant of UTC by its number alone,
/// without a look at the rules of a time zone.
pub(crate) fn retyped(value: &str, stored: &DataType, wanted: &DataType) -> String {
    match stored {
        DataType::Timestamp(_, None) if read_type(stored) == *wanted => {
            format!("arrow_cast(arrow_cast({value}, 'Int64'), '{wanted}')")
        }
        _ => format!("arrow_cast({value}, '{wanted}')"),
    }
}

/// Makes rows of a table a table of the session, their timestamps in UTC.
pub(crate) async fn register_in_utc(
    session: &SessionContext,
    name: &str,
    rows: LiveRows,
) -> Result<(), EngineError> {
    let stored = rows.schema();
    let is_read = |field: &Arc<Field>| read_type(field.data_type()) == *field.data_type();
    if stored.fields().iter().all(is_read) {
        session.register_table(name, Arc::new(rows))?;
        return Ok(());
    }
    let raw = format!("__k_stored_{name}");
    session.register_table(&raw, Arc::new(rows))?;
    let columns = stored.fields().iter().map(|field| {
        let column = quoted(field.name());
        match is_read(field) {
            true => column,
            false => {
                let kind = read_type(field.data_type());
                format!("{} AS {column}", retyped(&column, field.data_type(), &kind))
            }
        }
    });
    let sql = format!("SELECT {} FROM {raw}", columns.collect::<Vec<_>>().join(", "));
    session.register_table(name, query(session, &sql).await?.into_view())?;
    Ok(())
}

impl TargetRows<'_> {
    /// Makes all rows a table of the session.
    pub(crate) async fn register_all(&self, name: &str) -> Result<(), EngineError> {
        self.register(name, self.live.clone()).await
    }

    /// Makes some rows a table of the session: the layout's columns, [`FILE_COLUMN`] and [`ROW_COLUMN`].
    pub(crate) async fn register(&self, name: &str, rows: LiveRows) -> Result<(), EngineError> {
        self.session.deregister_table(name)?;
        if self.is_as_wanted() {
            self.session.register_table(name, Arc::new(rows))?;
            return Ok(());
        }
        let stored = format!("__k_stored_{name}");
        self.session.deregister_table(&stored)?;
        self.session.register_table(&stored, Arc::new(rows))?;
        let columns = self.layout.schema.fields().iter().map(|field| self.shown(field));
        let columns = columns.collect::<Result<Vec<_>, _>>()?.join(", ");
        let rows = match self.added_keys {
            [] => stored,
            _ => format!(
                "{ADDED_KEYS} RIGHT JOIN {stored} ON {ADDED_FILE} = {FILE_COLUMN} AND {ADDED_ROW} = {ROW_COLUMN}"
            ),
        };
        self.session.register_udf(value_hash());
        let columns_by_row = self.layout.schema.fields().iter().map(|field| self.computed_by_row(field));
        let sql = format!(
            "SELECT {}, {FILE_COLUMN}, {ROW_COLUMN} FROM (SELECT {columns}, {FILE_COLUMN}, {ROW_COLUMN} FROM {rows})",
            columns_by_row.collect::<Vec<_>>().join(", ")
        );
        let view = query(self.session, &sql).await?.into_view();
        self.session.register_table(name, view)?;
        Ok(())
    }

    fn is_as_wanted(&self) -> bool {
        let fits = |field: &Arc<Field>| {
            self.stored.field_with_name(field.name()).is_ok_and(|old| old.data_type() == field.data_type())
        };
        self.layout.schema.fields().iter().all(fits)
    }

    fn shown(&self, field: &Field) -> Result<String, EngineError> {
        let name = quoted(field.name());
        if self.added_keys.contains(field.name()) {
            return Ok(format!("{} AS {name}", quoted(&added_name(field.name()))));
        }
        Ok(match self.stored.field_with_name(field.name()) {
            Ok(old) if old.data_type() == field.data_type() => name,
            Ok(old) => format!("{} AS {name}", retyped(&name, old.data_type(), field.data_type())),
            Err(_) => format!("{} AS {name}", filler(self.pipeline, self.layout, field)?),
        })
    }

    /// A column of the rows as they are shown: what is computed from a row alone is there from the start.
    fn computed_by_row(&self, field: &Field) -> String {
        let name = quoted(field.name());
        let is_lacking = self.stored.field_with_name(field.name()).is_err();
        let computed = self.layout.computed.iter().find(|new| new.column == *field.name());
        match computed.filter(|_| is_lacking).map(|computed| &computed.role) {
            Some(Role::JunkKey(columns)) => format!("{} AS {name}", junk_key("", columns)),
            Some(Role::Lag { from, to }) => {
                format!("{} AS {name}", crate::fact::days_between(&quoted(from), &quoted(to)))
            }
            _ => name,
        }
    }

    /// Writes the rows that the merge did not replace in their new form, when they have to have one; `loaded`
    /// is the condition for rows to keep.
    pub(crate) async fn rewrite_rest(
        &self,
        loaded: &str,
        collector: &mut Collector,
    ) -> Result<(), EngineError> {
        if !self.layout.evolution.rewrites() {
            return Ok(());
        }
        let rest = collector.untouched(self.live);
        self.register("rest", self.live.at(rest)).await?;
        let columns = self.layout.schema.fields().iter().map(|field| {
            let computed = self.layout.computed.iter().find(|new| new.column == *field.name());
            let name = quoted(field.name());
            match computed.filter(|new| self.layout.evolution.filled.contains(&new.column)) {
                Some(computed) => format!("{} AS {name}", self.computed(computed)),
                None if field.name() == HASHDIFF => {
                    format!("{} AS {name}", hash_of("", &self.layout.tracked))
                }
                None => name,
            }
        });
        let columns = columns.collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT {columns} FROM rest WHERE {loaded}");
        let mut rows = query(self.session, &sql).await?.execute_stream().await?;
        while let Some(batch) = rows.try_next().await? {
            collector.write_uncounted(batch).await?;
        }
        collector.replace_all(self.live);
        Ok(())
    }

    /// A computed column of a row that the batch does not speak of.
    fn computed(&self, computed: &Computed) -> String {
        let keys = listed("", &self.layout.keys);
        match &computed.role {
            Role::Current(of) => format!(
                "last_value({}) OVER (PARTITION BY {keys} ORDER BY {VALID_FROM}, {VALID_TO} \
                 ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)",
                quoted(of)
            ),
            Role::MiniKey(columns) => crate::keys::mini_key(&computed.column, "", columns),
            Role::DurableKey => {
                format!("member_key({}, {})", crate::keys::SEED, arguments("", &self.layout.keys))
            }
            Role::JunkKey(_)
            | Role::Lag { .. }
            | Role::MemberFingerprint
            | Role::RowFingerprint
            | Role::Previous(_) => quoted(&computed.column),
        }
    }
}
