//! Type 6: the newest values of some columns stand on every row of their member.

use kimball_lake::{FILE_COLUMN, ROW_COLUMN};

use super::VersionMerge;
use crate::EngineError;
use crate::columns::{ACTION, ROW_ID, action, equal_keys, listed, qualified, quoted};
use crate::keys::hash_of;
use crate::layout::Role;
use crate::merge::addresses;
use crate::session::query;

impl VersionMerge<'_> {
    /// Columns with newest values, and the columns they are values of.
    pub(super) fn current_columns(&self) -> Vec<(String, String)> {
        let computed = self.merge.staged.layout.computed.iter();
        computed
            .filter_map(|new| match &new.role {
                Role::Current(of) => Some((new.column.clone(), of.clone())),
                _ => None,
            })
            .collect()
    }

    /// `newest`: for each touched member the newest values, under the names of the columns that take them.
    /// Rows that the batch leaves alone but that show older ones join `outcome`.
    pub(super) async fn register_newest(&self) -> Result<(), EngineError> {
        let keys = &self.keys;
        let columns = self.current_columns();
        let own: Vec<String> = self.merge.keys().to_vec();
        let left_alone = "SELECT c.* FROM chain c LEFT JOIN outcome o ON c.__f = o.__f AND c.__r = o.__r WHERE o.__f IS NULL";
        let last = format!(
            "SELECT {keys}, __id, __uid, __cf, __cr FROM (SELECT *, row_number() OVER (PARTITION BY {keys} \
             ORDER BY __life DESC, __p DESC, __vt DESC) AS __nth FROM \
             (SELECT {keys}, __life, __p, __vt, __id, __uid, __cf, __cr FROM outcome UNION ALL \
             SELECT {keys}, CASE WHEN __present THEN CAST(0 AS BIGINT) ELSE CAST(-1 AS BIGINT) END AS __life, __vf AS __p, __vt, \
             CAST(NULL AS BIGINT) AS __id, CAST(NULL AS BIGINT) AS __uid, __f AS __cf, __r AS __cr FROM ({left_alone}))) WHERE __nth = 1"
        );
        self.register("last_rows", &last).await?;
        let contents = format!(
            "SELECT __cf AS {FILE_COLUMN}, __cr AS {ROW_COLUMN} FROM last_rows WHERE __cf IS NOT NULL"
        );
        let contents = addresses(query(self.merge.session, &contents).await?).await?;
        let target = &self.merge.target;
        target.register("last_contents", target.live.at(contents)).await?;
        let values = columns.iter().map(|(column, of)| {
            let (prefix, id) = if self.untracked.contains(of) { ("u", "__uid") } else { ("s", "__id") };
            format!(
                "CASE WHEN n.{id} IS NOT NULL THEN {} ELSE {} END AS {}",
                qualified(prefix, of),
                qualified("h", of),
                quoted(column)
            )
        });
        let newest = format!(
            "SELECT {}, {} FROM last_rows n LEFT JOIN staged s ON n.__id = s.{ROW_ID} LEFT JOIN staged u ON n.__uid = u.{ROW_ID} \
             LEFT JOIN last_contents h ON n.__cf = h.{FILE_COLUMN} AND n.__cr = h.{ROW_COLUMN}",
            listed("n", &own),
            values.collect::<Vec<_>>().join(", ")
        );
        self.register("newest", &newest).await?;
        let names: Vec<String> = columns.into_iter().map(|(column, _)| column).collect();
        let outcome_columns =
            "__life, __p, __e, __id, __uid, __th, __sk, __f, __r, __cf, __cr, __vt, __cur, __del";
        let all = format!(
            "SELECT {keys}, {outcome_columns}, {ACTION} FROM outcome UNION ALL \
             SELECT {}, CAST(0 AS BIGINT) AS __life, c.__vf AS __p, c.__e, CAST(NULL AS BIGINT) AS __id, CAST(NULL AS BIGINT) AS __uid, \
             c.__th, c.__sk, c.__f, c.__r, c.__f AS __cf, c.__r AS __cr, c.__vt, c.__was_current AS __cur, c.__del, \
             CAST({} AS BIGINT) AS {ACTION} FROM ({left_alone}) c JOIN newest n ON {} \
             WHERE c.__ch <> {}",
            listed("c", &own),
            action::UPDATE,
            equal_keys("c", "n", &own),
            hash_of("n", &names)
        );
        self.register_numbered("outcome", &all).await?;
        Ok(())
    }
}
