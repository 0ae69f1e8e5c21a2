//! Rows whose merge key holds what a lookup finds: by which key each meets its row of the table.
//!
//! A key that waits changes when its member arrives, and one that is stamped stays when its member gets other versions
//! (semantics 8.2). A row therefore meets the one that has its other merge keys, identities and event times, with
//! whatever key that one is stored; and it meets by the key that was found now where no row has these.

use kimball_config::FactLoading;
use kimball_lake::{FILE_COLUMN, ROW_COLUMN};

use super::FactMerge;
use crate::EngineError;
use crate::columns::{IS_DELETED, OP, ROW_ID, VERSION, equal_keys, listed, qualified, quoted};
use crate::session::query;
use crate::stage::{Arrival, Numbering, Spool};

/// The staged rows by the keys that they meet their rows by.
const MATCHED: &str = "__k_matched";
/// Matched rows: whether another row gets the key that the row is stored with.
const YIELDS: &str = "__k_yields";

impl FactMerge<'_> {
    /// The merge keys that lookups find.
    fn looked_up_keys(&self) -> Vec<String> {
        let looked_up = &self.staged.layout.looked_up;
        self.fact.merge_keys.iter().filter(|key| looked_up.contains(key)).cloned().collect()
    }

    /// Whether staged rows meet their rows by other keys than those that were found now.
    pub(super) fn is_matched(&self) -> bool {
        let meets = match self.fact.loading {
            FactLoading::Upsert => true,
            FactLoading::Append => self.staged.arrival != Arrival::Changes,
            FactLoading::ReplacePartitions => false,
        };
        meets && self.has_rows && !self.looked_up_keys().is_empty()
    }

    /// The table of the session with the staged rows as they meet those of the table.
    pub(super) fn arriving(&self) -> &'static str {
        if self.is_matched() { MATCHED } else { "staged" }
    }

    /// What a lookup has found for a row of [`arriving`](Self::arriving), over `s`.
    pub(super) fn found(&self, column: &str) -> String {
        match self.is_matched() && self.fact.merge_keys.iter().any(|key| key == column) {
            true => qualified("s", &found_name(column)),
            false => qualified("s", column),
        }
    }

    /// Whether a row of [`arriving`](Self::arriving) may keep the key in `column` that it is stored with, over `s`.
    pub(super) fn may_keep(&self, column: &str) -> String {
        match self.is_matched() && self.fact.merge_keys.iter().any(|key| key == column) {
            true => format!("NOT s.{YIELDS}"),
            false => "true".to_owned(),
        }
    }

    /// Makes [`arriving`](Self::arriving) a table of the session. It lives as long as the rows that are returned.
    pub(super) async fn match_rows(&self) -> Result<Vec<Spool>, EngineError> {
        if !self.is_matched() {
            return Ok(Vec::new());
        }
        self.target.register_all("target").await?;
        let net = self.keep("__k_net", &self.one_each()).await?;
        let stood = self.keep("__k_stood", &self.stood()).await?;
        let matched = self.keep(MATCHED, &self.matched().await?).await?;
        Ok(vec![net, stood, matched])
    }

    async fn keep(&self, table: &str, sql: &str) -> Result<Spool, EngineError> {
        let rows = query(self.session, sql).await?;
        let spool = Spool::fill(rows, Numbering::Plain).await?;
        spool.register(self.session, table).await?;
        Ok(spool)
    }

    /// The staged rows, in an upserted fact one for each merge key.
    fn one_each(&self) -> String {
        match self.fact.loading {
            FactLoading::Upsert => format!(
                "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY {} ORDER BY {VERSION} DESC, {OP} DESC, {ROW_ID}) \
                 AS __k_rank FROM staged) WHERE __k_rank = 1",
                listed("", &self.fact.merge_keys)
            ),
            FactLoading::Append | FactLoading::ReplacePartitions => "SELECT * FROM staged".to_owned(),
        }
    }

    /// The merge keys that the query gives.
    fn given_keys(&self) -> Vec<String> {
        let looked_up = self.looked_up_keys();
        self.fact.merge_keys.iter().filter(|key| !looked_up.contains(key)).cloned().collect()
    }

    /// What the lookups of the merge keys look at.
    fn inputs_of_keys(&self) -> Vec<String> {
        let looked_up = self.looked_up_keys();
        let mut inputs: Vec<String> = Vec::new();
        for key in &self.fact.foreign_keys {
            let durable = key.durable.as_ref().map(|durable| &durable.column);
            let is_merge_key =
                [&key.column].into_iter().chain(durable).any(|column| looked_up.contains(column));
            if let (Some(lookup), true) = (&key.lookup, is_merge_key) {
                inputs.extend(lookup.source_columns.iter().chain(&lookup.event_time).cloned());
            }
        }
        inputs.sort();
        inputs.dedup();
        inputs
    }

    /// `__k_stood`: staged rows that have a row in the table, with the keys that it is stored with. Rows that live come
    /// before deleted ones. What a key does not apply to is another row than what it applies to.
    fn stood(&self) -> String {
        let looked_up = self.looked_up_keys();
        let mut same = self.given_keys();
        same.extend(self.inputs_of_keys());
        let applies = looked_up.iter().map(|key| {
            let is_none = |prefix: &str| format!("coalesce({} = -2, false)", qualified(prefix, key));
            format!(" AND {} = {}", is_none("s"), is_none("t"))
        });
        let stored = looked_up
            .iter()
            .map(|key| format!("{} AS {}", qualified("t", key), quoted(&stored_name(key))))
            .chain(self.given_keys().iter().map(|key| qualified("s", key)))
            .collect::<Vec<_>>()
            .join(", ");
        format!(
            "SELECT * FROM (SELECT s.{ROW_ID} AS __k_row, {stored}, row_number() OVER (PARTITION BY s.{ROW_ID} \
             ORDER BY coalesce(t.{IS_DELETED}, false), NOT ({}), t.{FILE_COLUMN}, t.{ROW_COLUMN}) AS __k_nth \
             FROM (SELECT * FROM __k_net WHERE {OP} = 1) s JOIN target t ON {}{}) WHERE __k_nth = 1",
            equal_keys("s", "t", &looked_up),
            equal_keys("s", "t", &same),
            applies.collect::<String>()
        )
    }

    /// The staged rows with the keys that they meet their rows by. A row that has none must not meet the row of another
    /// that is stored with the key that it gets; that one gives the key up.
    async fn matched(&self) -> Result<String, EngineError> {
        let looked_up = self.looked_up_keys();
        let given = self.given_keys();
        let net = self.session.table("__k_net").await?;
        let columns = net.schema().fields().iter().map(|field| field.name().as_str());
        let plain = columns
            .filter(|column| !looked_up.iter().any(|key| key == column))
            .map(|column| qualified("s", column));
        let met = looked_up.iter().flat_map(|key| {
            let (own, stored) = (qualified("s", key), qualified("k", &stored_name(key)));
            let met = format!(
                "CASE WHEN k.__k_row IS NOT NULL THEN {stored} WHEN c.__k_is_taken THEN NULL ELSE {own} END AS {}",
                quoted(key)
            );
            [met, format!("{own} AS {}", quoted(&found_name(key)))]
        });
        let stored_names: Vec<String> = looked_up.iter().map(|key| stored_name(key)).collect();
        let equal = |left: &str, left_names: &[String], right: &str, right_names: &[String]| {
            let pairs = left_names.iter().zip(right_names);
            let of_lookups = pairs.map(|(l, r)| {
                format!("({} IS NOT DISTINCT FROM {})", qualified(left, l), qualified(right, r))
            });
            of_lookups.collect::<Vec<_>>()
        };
        let with_given = |right: &str, mut conditions: Vec<String>| {
            if !given.is_empty() {
                conditions.push(equal_keys("s", right, &given));
            }
            conditions.join(" AND ")
        };
        Ok(format!(
            "SELECT {}, coalesce(b.__k_is_sought, false) AND NOT ({}) AS {YIELDS} FROM __k_net s \
             LEFT JOIN __k_stood k ON s.{ROW_ID} = k.__k_row \
             LEFT JOIN (SELECT DISTINCT {}, true AS __k_is_taken FROM __k_stood) c ON {} \
             LEFT JOIN (SELECT DISTINCT {}, true AS __k_is_sought FROM __k_net) b ON {}",
            plain.chain(met).collect::<Vec<_>>().join(", "),
            equal("s", &looked_up, "k", &stored_names).join(" AND "),
            listed("", &[given.clone(), stored_names.clone()].concat()),
            with_given("c", equal("s", &looked_up, "c", &stored_names)),
            listed("", &self.fact.merge_keys),
            with_given("b", equal("k", &stored_names, "b", &looked_up)),
        ))
    }
}

/// What was found for a key, beside the one that its row meets its row of the table by, or will hold there.
pub(super) fn found_name(column: &str) -> String {
    format!("__k_found_{column}")
}

fn stored_name(column: &str) -> String {
    format!("__k_stored_{column}")
}
