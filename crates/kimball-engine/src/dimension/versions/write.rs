//! The rows to write, with all their columns.

use kimball_lake::{FILE_COLUMN, ROW_COLUMN};

use super::VersionMerge;
use super::chain::Fetched;
use crate::EngineError;
use crate::columns::{self as name, ACTION, ROW_ID, equal_keys, qualified, quoted};
use crate::keys::{SEED, arguments};
use crate::layout::Role;
use crate::merge::{Collector, addresses};
use crate::session::query;
use crate::stage::Arrival;

impl VersionMerge<'_> {
    /// Hands on the rows of `outcome`; those that they replace are in `versions`, as far as `fetched` says.
    pub(super) async fn write(&self, fetched: Fetched, collector: &mut Collector) -> Result<(), EngineError> {
        let session = self.merge.session;
        if fetched == Fetched::Whole {
            session.register_table("hit", session.table("versions").await?.into_view())?;
            return collector.take(query(session, &self.action_rows()).await?).await;
        }
        let read = format!(
            "SELECT __f AS {FILE_COLUMN}, __r AS {ROW_COLUMN} FROM outcome WHERE __f IS NOT NULL UNION ALL \
             SELECT __cf, __cr FROM outcome WHERE __cf IS NOT NULL"
        );
        let chosen = addresses(query(session, &read).await?).await?;
        self.merge.target.register("hit", self.merge.target.live.at(chosen)).await?;
        collector.take(query(session, &self.action_rows()).await?).await
    }

    fn action_rows(&self) -> String {
        let mut columns: Vec<String> = Vec::new();
        for field in &self.merge.staged.layout.output {
            columns.push(format!("{} AS {}", self.output_value(field.name()), quoted(field.name())));
        }
        for computed in &self.merge.staged.layout.computed {
            let column = quoted(&computed.column);
            columns.push(format!("{} AS {column}", self.computed_value(&computed.role, &column)));
        }
        columns.push(format!("coalesce(o.__sk, k.__new_sk) AS {}", self.merge.surrogate_key()));
        columns.push(format!(
            "CASE WHEN o.__f IS NULL THEN 'generated' ELSE coalesce(h.{origin}, 'generated') END AS {origin}",
            origin = name::KEY_ORIGIN
        ));
        let is_real = "o.__f IS NULL OR o.__id IS NOT NULL OR o.__uid IS NOT NULL";
        columns.extend(
            self.merge.stamps(is_real).into_iter().map(|(column, value)| format!("{value} AS {column}")),
        );
        let hash = format!("coalesce(o.__th, {})", qualified("h", name::HASHDIFF));
        for (column, value) in [
            (name::VALID_FROM, "o.__p"),
            (name::VALID_TO, "o.__vt"),
            (name::IS_CURRENT, "o.__cur"),
            (name::IS_DELETED, "o.__del"),
            // What a member that is still inferred says is never compared, but its hash stands on the row.
            (name::HASHDIFF, hash.as_str()),
            (FILE_COLUMN, "o.__f"),
            (ROW_COLUMN, "o.__r"),
        ] {
            columns.push(format!("{value} AS {column}"));
        }
        // What is nobody's stays with its row.
        for column in &self.merge.staged.layout.evolution.foreign {
            let old = qualified("h", column);
            columns.push(format!("CASE WHEN o.__f IS NOT NULL THEN {old} END AS {}", quoted(column)));
        }
        let newest = match self.current_columns().is_empty() {
            true => String::new(),
            false => format!("LEFT JOIN newest n ON {}", equal_keys("o", "n", self.merge.keys())),
        };
        format!(
            "SELECT {}, o.{ACTION} FROM outcome o LEFT JOIN staged s ON o.__id = s.{ROW_ID} \
             LEFT JOIN staged u ON o.__uid = u.{ROW_ID} LEFT JOIN keyed k ON o.{ROW_ID} = k.__n \
             LEFT JOIN hit h ON o.__cf = h.{FILE_COLUMN} AND o.__cr = h.{ROW_COLUMN} {newest}",
            columns.join(", ")
        )
    }

    fn output_value(&self, column: &str) -> String {
        let (own, newest, old) = (qualified("s", column), qualified("u", column), qualified("h", column));
        if self.merge.keys().iter().any(|key| key == column) {
            return qualified("o", column);
        }
        if self.effective_at == Some(column) {
            let takes_staged = match self.arrival() {
                Arrival::Changes => "o.__id IS NOT NULL OR o.__f IS NULL",
                // A version's effective time is its own (semantics 4.5).
                _ => "o.__f IS NULL",
            };
            let fresh = self.own_effective("o", "s").unwrap_or(own);
            return format!("CASE WHEN {takes_staged} THEN {fresh} ELSE {old} END");
        }
        if self.tracked.iter().any(|tracked| tracked == column) {
            return format!("CASE WHEN o.__id IS NOT NULL THEN {own} ELSE {old} END");
        }
        format!("CASE WHEN o.__uid IS NOT NULL THEN {newest} ELSE {old} END")
    }

    fn computed_value(&self, role: &Role, column: &str) -> String {
        let keys = arguments("o", self.merge.keys());
        let member = format!("member_fingerprint({keys})");
        match role {
            Role::Current(_) => format!("n.{column}"),
            Role::DurableKey => format!("coalesce(h.{column}, member_key({SEED}, {keys}))"),
            Role::MemberFingerprint => format!("coalesce(h.{column}, {member})"),
            Role::RowFingerprint => {
                let fresh = match self.own_effective("o", "s") {
                    Some(own) => format!(
                        "CASE WHEN o.__p = o.__e THEN row_fingerprint({member}, {own}) \
                         ELSE row_fingerprint({member}, o.__p) END"
                    ),
                    None => format!("row_fingerprint({member}, o.__p)"),
                };
                format!("CASE WHEN o.__f IS NULL THEN {fresh} ELSE coalesce(h.{column}, {fresh}) END")
            }
            // Columns of types that keep one row a member, and of facts.
            Role::Previous(_) | Role::MiniKey(_) | Role::JunkKey(_) | Role::Lag { .. } => {
                format!("h.{column}")
            }
        }
    }
}
