//! Facts: their foreign keys are found, then their rows are appended or merged by their merge keys.

mod broker;

pub(crate) use broker::Broker;

use datafusion::prelude::SessionContext;
use kimball_config::{Fact, FactLoading, Pipeline, Severity};
use kimball_lake::{FILE_COLUMN, ROW_COLUMN};

use crate::EngineError;
use crate::columns::{
    ACTION, BATCH_ID, DEFAULT_KEYS, IS_DELETED, OP, PROCESSED_AT, VERSION, action, equal_keys, listed,
    literal, qualified, quoted,
};
use crate::merge::Collector;
use crate::quality::{offenders, refuse_any};
use crate::session::query;
use crate::stage::{Arrival, Staged};
use crate::target::TargetRows;
use crate::upsert::{Derived, Net, Upsert};

/// What a fact's merge works with; `session` holds the rows as `staged`, foreign keys included.
pub(crate) struct FactMerge<'a> {
    pub(crate) session: &'a SessionContext,
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) fact: &'a Fact,
    pub(crate) staged: &'a Staged,
    /// Columns of the query's output.
    pub(crate) output: Vec<String>,
    pub(crate) target: TargetRows<'a>,
    pub(crate) has_rows: bool,
    /// The run's clock reading as an SQL expression.
    pub(crate) clock: String,
    pub(crate) batch_id: &'a str,
}

impl FactMerge<'_> {
    /// Merges the staged rows; returns warnings.
    pub(crate) async fn run(&self, collector: &mut Collector) -> Result<Vec<String>, EngineError> {
        let warnings = self.check_grain().await?;
        if self.fact.loading == FactLoading::Append {
            self.target.register_all("target").await?;
            collector.take(query(self.session, &self.appended()).await?).await?;
            self.target.rewrite_rest("true", collector).await?;
        } else {
            self.upsert().run(&self.target, collector).await?;
        }
        Ok(warnings)
    }

    /// One row a merge key, in one commit or in one snapshot.
    async fn check_grain(&self) -> Result<Vec<String>, EngineError> {
        let keys = listed("", &self.fact.merge_keys);
        let group = match self.staged.arrival {
            Arrival::Changes => format!("{keys}, {VERSION}"),
            _ => keys.clone(),
        };
        let sql = format!(
            "SELECT DISTINCT {keys} FROM (SELECT {keys} FROM staged WHERE {OP} = 1 GROUP BY {group} HAVING count(*) > 1)"
        );
        let rule = "several rows have one merge key, which breaks the grain of the fact";
        match self.fact.grain_validation {
            Severity::Error => refuse_any(self.session, &sql, rule).await.map(|()| Vec::new()),
            Severity::Warn => {
                let found = offenders(self.session, &sql).await?;
                let warning = || format!("{rule}: {}", found.join("; "));
                Ok(if found.is_empty() { Vec::new() } else { vec![warning()] })
            }
            Severity::Skip => Ok(Vec::new()),
        }
    }

    fn appended(&self) -> String {
        let mut columns = self.output.clone();
        columns.extend(self.staged.layout.looked_up.iter().cloned());
        // Sources that are read again bring rows that are here already.
        let new_only = match self.staged.arrival {
            Arrival::Changes => String::new(),
            _ => format!("LEFT ANTI JOIN target t ON {}", equal_keys("s", "t", &self.fact.merge_keys)),
        };
        format!(
            "SELECT {}, false AS {IS_DELETED}, {} AS {PROCESSED_AT}, {} AS {BATCH_ID}, \
             arrow_cast(NULL, 'UInt32') AS {FILE_COLUMN}, CAST(NULL AS BIGINT) AS {ROW_COLUMN}, \
             CAST({} AS BIGINT) AS {ACTION} FROM (SELECT * FROM staged WHERE {OP} = 1) s {new_only}",
            listed("s", &columns),
            self.clock,
            literal(self.batch_id),
            action::INSERT
        )
    }

    fn upsert(&self) -> Upsert<'_> {
        let mut derived: Vec<Derived> = self
            .fact
            .foreign_keys
            .iter()
            .filter_map(|key| {
                let lookup = key.lookup.as_ref()?;
                let inputs = lookup.source_columns.iter().chain(&lookup.event_time).map(String::as_str);
                Some(Derived {
                    column: key.column.clone(),
                    value: stamped(&key.column, inputs),
                    compared: true,
                })
            })
            .collect();
        let plain =
            |column: &str, value: String| Derived { column: column.to_owned(), value, compared: false };
        derived.push(plain(PROCESSED_AT, self.clock.clone()));
        derived.push(plain(BATCH_ID, literal(self.batch_id)));
        Upsert {
            keys: &self.fact.merge_keys,
            key_role: "merge key",
            staged: "staged",
            output: &self.output,
            net: Net::LastChange,
            derived,
            loaded: "true".to_owned(),
            arrival: self.staged.arrival,
            closes_missing: self.staged.closes_missing,
            delete_strategy: self.pipeline.delete_strategy,
            missing: self.pipeline.missing,
            has_rows: self.has_rows,
            inferred: None,
        }
    }
}

/// A foreign key counts as first stamped (semantics 8.2): while its identity and event time stay the same, a
/// row keeps the key of a real member that it has; a deleted row keeps any.
fn stamped<'c>(column: &str, inputs: impl Iterator<Item = &'c str>) -> String {
    let (new, old) = (qualified("s", column), qualified("h", column));
    let same = inputs
        .map(|input| format!("({} IS NOT DISTINCT FROM {})", qualified("s", input), qualified("h", input)));
    let same = same.collect::<Vec<_>>().join(" AND ");
    format!(
        "CASE WHEN coalesce(s.{OP}, 0) = 0 THEN {old} WHEN h.{FILE_COLUMN} IS NOT NULL AND {old} NOT IN {DEFAULT_KEYS} \
         AND {new} NOT IN (-4, -2, -1) AND {same} THEN {old} ELSE {new} END"
    )
}

/// Foreign keys that the query itself gives: never NULL, and every one but a sentinel exists in its
/// dimension (semantics 7, 8.5).
pub(crate) async fn refuse_dangling(
    session: &SessionContext,
    fact: &Fact,
    dimensions: &broker::Dimensions,
) -> Result<(), EngineError> {
    for key in fact.foreign_keys.iter().filter(|key| key.lookup.is_none()) {
        let column = quoted(&key.column);
        let shown = listed("s", &fact.merge_keys);
        let null = format!("SELECT {shown} FROM staged s WHERE s.{OP} = 1 AND s.{column} IS NULL");
        refuse_any(session, &null, &format!("foreign key `{}` is NULL; give a sentinel instead", key.column))
            .await?;
        let (Some(table), Some(surrogate)) = (&key.references, &key.dimension_key) else { continue };
        let Some(dimension) = dimensions.get(table) else { continue };
        session.register_table("referenced", dimension.rows().await?)?;
        let dangling = format!(
            "SELECT {shown}, s.{column} FROM (SELECT * FROM staged WHERE {OP} = 1 AND {column} NOT IN {DEFAULT_KEYS}) s \
             LEFT ANTI JOIN referenced d ON s.{column} = d.{}",
            quoted(surrogate)
        );
        let rule = format!("foreign key `{}` points at no row of {table}", key.column);
        let checked = refuse_any(session, &dangling, &rule).await;
        session.deregister_table("referenced")?;
        checked?;
    }
    Ok(())
}
