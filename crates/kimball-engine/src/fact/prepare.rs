//! A fact's rows before they meet the table: one a merge key, with foreign keys.

use datafusion::prelude::SessionContext;
use kimball_config::{Fact, FactLoading, FactPattern, Severity};

use super::broker::{Broker, Dimensions, Sentinels};
use crate::EngineError;
use crate::columns::{DEFAULT_KEYS, OP, ROW_ID, VERSION, listed, quoted};
use crate::quality::{number, offenders, refuse_any};
use crate::session::query;
use crate::stage::{Arrival, Numbering, Spool, Staged};

/// A fact's rows on their way into the table.
#[derive(Debug, Default)]
pub(crate) struct FactRows {
    /// `None`: the staged rows as they are.
    rows: Option<Spool>,
    /// Whether there is one row a merge key.
    pub(crate) is_net: bool,
    /// Foreign keys with a lookup, in their order.
    pub(crate) sentinels: Vec<Sentinels>,
    pub(crate) warnings: Vec<String>,
}

impl FactRows {
    /// Rows of which nothing is left but what their foreign keys are.
    pub(crate) fn with_sentinels(sentinels: Vec<Sentinels>) -> Self {
        Self { sentinels, ..Self::default() }
    }

    /// Makes the rows the table `staged` of a session.
    pub(crate) async fn register(
        &self,
        session: &SessionContext,
        staged: &Staged,
    ) -> Result<(), EngineError> {
        self.rows.as_ref().unwrap_or(&staged.rows).register(session, "staged").await
    }
}

/// Gets the rows of one batch ready. The session holds them as `staged`.
pub(crate) struct Preparation<'a> {
    pub(crate) session: &'a SessionContext,
    pub(crate) fact: &'a Fact,
    pub(crate) staged: &'a Staged,
    pub(crate) dimensions: &'a Dimensions,
}

impl Preparation<'_> {
    /// The rows with their foreign keys. Leaves them in the session as `staged`.
    ///
    /// # Errors
    /// [`EngineError::DataQuality`] for merge keys that are there twice, foreign keys that point nowhere, and
    /// identities that the lookups refuse.
    pub(crate) async fn run(&self) -> Result<FactRows, EngineError> {
        let looks_up_key = comes_from_lookups(self.fact, &self.fact.merge_keys);
        let mut warnings = Vec::new();
        let mut net = None;
        if !looks_up_key {
            warnings = self.check_grain().await?;
            net = self.net().await?;
        }
        if let Some(Net::Kept(spool)) = &net {
            spool.register(self.session, "staged").await?;
        }
        self.refuse_dangling().await?;
        let count = match &net {
            Some(Net::Kept(spool)) => spool.rows(),
            _ => self.staged.rows.rows(),
        };
        let broker = Broker { session: self.session, fact: self.fact, dimensions: self.dimensions };
        let (rows, sentinels) = match broker.resolve("staged", count).await? {
            Some(found) => {
                found.rows.register(self.session, "staged").await?;
                (Some(found.rows), found.sentinels)
            }
            None => (None, Vec::new()),
        };
        broker.refuse_invalid("staged", &sentinels).await?;
        if looks_up_key {
            warnings = self.check_grain().await?;
        }
        let is_net = matches!(net, Some(Net::AsItIs | Net::Kept(_)));
        let rows = rows.or(match net {
            Some(Net::Kept(spool)) => Some(spool),
            _ => None,
        });
        Ok(FactRows { rows, is_net, sentinels, warnings })
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
        let rule = "several rows have one merge key, which breaks the grain of the fact; does a join multiply rows? Name what \
                    tells them apart in `merge_keys`, or make one row of them";
        match self.fact.grain_validation {
            Severity::Error => match refuse_any(self.session, &sql, rule).await {
                Ok(()) => Ok(Vec::new()),
                Err(EngineError::DataQuality { rule, keys }) => {
                    Err(EngineError::RepeatedKey(Box::new(EngineError::DataQuality { rule, keys })))
                }
                Err(other) => Err(other),
            },
            Severity::Warn => {
                let found = offenders(self.session, &sql).await?;
                let warning = || format!("{rule}: {}", found.join("; "));
                Ok(if found.is_empty() { Vec::new() } else { vec![warning()] })
            }
            Severity::Skip => Ok(Vec::new()),
        }
    }

    /// What the changes of each merge key come to: the last one. `None` for tables that take every row.
    async fn net(&self) -> Result<Option<Net>, EngineError> {
        if self.fact.loading != FactLoading::Upsert {
            return Ok(None);
        }
        if self.fact.grain_validation == Severity::Error && self.is_one_commit().await? {
            return Ok(Some(Net::AsItIs));
        }
        let columns: Vec<String> =
            self.staged.rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        let keys = listed("", &self.fact.merge_keys);
        let newest = format!("{VERSION} DESC, {OP} DESC, {ROW_ID}");
        let milestones = milestones(self.fact);
        let values = columns.iter().map(|column| {
            let name = quoted(column);
            match milestones.contains(&column.as_str()) {
                // What one commit reached, a later one of the batch does not lose.
                true => format!(
                    "first_value(CASE WHEN {OP} = 1 THEN {name} END) IGNORE NULLS OVER (PARTITION BY {keys} ORDER BY {newest} \
                     ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS {name}"
                ),
                false => name,
            }
        });
        let sql = format!(
            "SELECT {} FROM (SELECT {}, row_number() OVER (PARTITION BY {keys} ORDER BY {newest}) AS __k_rank FROM staged) \
             WHERE __k_rank = 1",
            listed("", &columns),
            values.collect::<Vec<_>>().join(", ")
        );
        let rows = query(self.session, &sql).await?;
        Ok(Some(Net::Kept(Spool::fill(rows, Numbering::Plain).await?)))
    }

    /// Whether all rows come from one commit, without deletes, or from none: then no key is there twice.
    async fn is_one_commit(&self) -> Result<bool, EngineError> {
        if self.staged.arrival != Arrival::Changes {
            return Ok(true);
        }
        let one = format!(
            "SELECT CAST(CASE WHEN count(*) = 0 OR (min({VERSION}) = max({VERSION}) AND min({OP}) = 1) THEN 1 ELSE 0 END AS BIGINT) \
             FROM staged"
        );
        Ok(number(self.session, &one).await? == 1)
    }

    /// Foreign keys that the query itself gives: never NULL, and every one but a sentinel exists in its
    /// dimension (semantics 7, 8.5).
    async fn refuse_dangling(&self) -> Result<(), EngineError> {
        for key in self.fact.foreign_keys.iter().filter(|key| key.lookup.is_none()) {
            let column = quoted(&key.column);
            let shown = listed("s", &self.fact.merge_keys);
            let null = format!("SELECT {shown} FROM staged s WHERE s.{OP} = 1 AND s.{column} IS NULL");
            let rule = format!(
                "foreign key `{0}` is NULL; give the key of a default member instead, such as `coalesce({0}, -1)`",
                key.column
            );
            refuse_any(self.session, &null, &rule).await?;
            let (Some(table), Some(surrogate)) = (&key.references, &key.dimension_key) else { continue };
            let Some(dimension) = self.dimensions.get(table) else { continue };
            self.session.deregister_table("__k_referenced")?;
            self.session.register_table("__k_referenced", dimension.rows().await?)?;
            let dangling = format!(
                "SELECT {shown}, s.{column} FROM __k_referenced d RIGHT ANTI JOIN \
                 (SELECT * FROM staged WHERE {OP} = 1 AND {column} NOT IN {DEFAULT_KEYS}) s ON d.{} = s.{column}",
                quoted(surrogate)
            );
            let rule = format!(
                "foreign key `{}` points at no row of {table}; load the member there first",
                key.column
            );
            refuse_any(self.session, &dangling, &rule).await?;
        }
        Ok(())
    }
}

/// Whether the value of one of `columns` is known after the lookups alone: a foreign key that one finds, or an
/// identity that one maps.
pub(crate) fn comes_from_lookups(fact: &Fact, columns: &[String]) -> bool {
    fact.foreign_keys.iter().filter_map(|key| Some((key, key.lookup.as_ref()?))).any(|(key, lookup)| {
        let durable = key.durable.as_ref().map(|durable| &durable.column);
        let mapped = lookup.identity_map.iter().flat_map(|_| &lookup.source_columns);
        [&key.column].into_iter().chain(durable).chain(mapped).any(|column| columns.contains(column))
    })
}

/// The last change of every merge key.
enum Net {
    /// The rows are that already.
    AsItIs,
    Kept(Spool),
}

/// The columns of an accumulating snapshot that are never lost to NULL (semantics 8.1).
pub(super) fn milestones(fact: &Fact) -> Vec<&str> {
    match &fact.pattern {
        FactPattern::AccumulatingSnapshot { milestones } => {
            milestones.iter().map(|milestone| milestone.column.as_str()).collect()
        }
        FactPattern::Transaction | FactPattern::PeriodicSnapshot => Vec::new(),
    }
}
