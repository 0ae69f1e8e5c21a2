//! What the configuration of a lookup refuses.

use kimball_config::{EarlyArriving, ForeignKey, InvalidAction, Lookup};

use super::lookup::Prepared;
use super::{Broker, Sentinels};
use crate::EngineError;
use crate::columns::{DEFAULT_KEYS, OP, ROW_ID, listed, quoted};
use crate::gates::Keys;
use crate::quality::refuse_any;

impl Broker<'_> {
    /// Identities that match several rows of their dimension at the time of the event.
    pub(super) async fn refuse_fanout(&self, prepared: &[Prepared<'_>]) -> Result<(), EngineError> {
        for one in prepared.iter().filter(|one| one.lookup.detect_fanout) {
            let sql = format!(
                "SELECT DISTINCT {} FROM __k_mapped s JOIN (SELECT s.{ROW_ID} AS __k_row FROM {} GROUP BY s.{ROW_ID} \
                 HAVING count(*) > 1) f ON s.{ROW_ID} = f.__k_row",
                shown(one.lookup),
                one.fanout("__k_mapped")
            );
            let rule = format!(
                "foreign key `{}`: an identity matches several rows of {}{}; look it up by columns that are unique there, or \
                 set `detect_fanout: false` to take the smallest key",
                one.key.column,
                referenced(one.key),
                if one.lookup.event_time.is_some() { " at the time of its event" } else { "" }
            );
            refuse_any(self.session, &sql, &rule).await?;
        }
        Ok(())
    }

    /// Refuses identities of the session's table `rows` that can never match, and early ones, where the lookups do not
    /// allow them.
    ///
    /// # Errors
    /// [`EngineError::DataQuality`] with up to five of the identities.
    pub(crate) async fn refuse_invalid(
        &self,
        rows: &str,
        sentinels: &[Sentinels],
    ) -> Result<(), EngineError> {
        for (key, lookup, found) in self.lookups(sentinels) {
            let having = |sentinel: i64| {
                format!(
                    "SELECT DISTINCT {} FROM {rows} s WHERE s.{OP} = 1 AND s.{} = {sentinel}",
                    shown(lookup),
                    quoted(&key.column)
                )
            };
            if lookup.invalid_action == InvalidAction::Error && found.bad > 0 {
                let missing = match &lookup.event_time {
                    Some(event) => format!("an identity is blank, or `{event}` is no time"),
                    None => "an identity is blank".to_owned(),
                };
                let advice = "correct it, make it NULL, or set `invalid_action: default` for key -4";
                let rule = refused(key, &format!("{missing}; {advice}"));
                refuse_any(self.session, &having(-4), &rule).await?;
            }
            if lookup.early_arriving == EarlyArriving::Error && found.not_yet > 0 {
                let rule = refused(
                    key,
                    &format!(
                        "an identity has no member in {}; load it there first, or let `early_arriving: skeleton` infer it",
                        referenced(key)
                    ),
                );
                refuse_any(self.session, &having(-3), &rule).await?;
            }
        }
        Ok(())
    }

    /// Refuses every sentinel where a lookup wants a member for every identity; not, while keys are open, those for
    /// which a member is to be inferred.
    ///
    /// # Errors
    /// As [`refuse_invalid`](Self::refuse_invalid).
    pub(crate) async fn refuse_unresolved(
        &self,
        rows: &str,
        sentinels: &[Sentinels],
        keys: Keys,
    ) -> Result<(), EngineError> {
        let strict = self.lookups(sentinels).filter(|(_, lookup, _)| lookup.validate_resolution);
        for (key, lookup, _) in strict.filter(|(_, _, found)| found.any > 0) {
            let column = quoted(&key.column);
            let refused_keys = match (keys, lookup.early_arriving) {
                (Keys::Open, EarlyArriving::Skeleton) => "(-4, -2, -1)",
                _ => DEFAULT_KEYS,
            };
            let sql = format!(
                "SELECT DISTINCT {}, s.{column} FROM {rows} s WHERE s.{OP} = 1 AND s.{column} IN {refused_keys}",
                shown(lookup)
            );
            let rule = refused(
                key,
                &format!("`validate_resolution` wants a member of {} for every identity", referenced(key)),
            );
            refuse_any(self.session, &sql, &rule).await?;
        }
        Ok(())
    }

    fn lookups<'s>(
        &'s self,
        sentinels: &'s [Sentinels],
    ) -> impl Iterator<Item = (&'s ForeignKey, &'s Lookup, Sentinels)> {
        let lookups = self.fact.foreign_keys.iter().filter_map(|key| Some((key, key.lookup.as_ref()?)));
        lookups.zip(sentinels).map(|((key, lookup), found)| (key, lookup, *found))
    }
}

/// The dimension of a key, as it is called in messages.
fn referenced(key: &ForeignKey) -> String {
    key.references.as_ref().map_or_else(|| "its dimension".to_owned(), ToString::to_string)
}

fn refused(key: &ForeignKey, rule: &str) -> String {
    format!("foreign key `{}`: {rule}", key.column)
}

fn shown(lookup: &Lookup) -> String {
    let columns: Vec<String> = lookup.source_columns.iter().chain(&lookup.event_time).cloned().collect();
    listed("s", &columns)
}
