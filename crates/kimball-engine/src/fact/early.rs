//! Members that facts speak of before their dimension knows them (semantics 8.4, `early_arriving: skeleton`).

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use datafusion::prelude::SessionContext;
use kimball_config::{EarlyArriving, Fact, ForeignKey, Lookup, TableName};

use super::broker::{Dimensions, Sentinels, is_history};
use crate::EngineError;
use crate::columns::{BEYOND, OP, VALID_FROM, equal_keys, listed, qualified, quoted};
use crate::dimension::{EVENT, loaded_rows};
use crate::session::query;
use crate::stage::{Numbering, Spool};

/// Members that a dimension has to infer: their natural keys and the earliest event of each.
#[derive(Debug)]
pub struct EarlyMembers {
    pub(crate) table: TableName,
    pub(crate) rows: Spool,
}

impl EarlyMembers {
    /// The dimension.
    pub fn table(&self) -> &TableName {
        &self.table
    }
}

/// The early members among rows that `session` holds as a table, by dimension: those of all its roles together.
pub(crate) async fn early_members(
    session: &SessionContext,
    fact: &Fact,
    dimensions: &Dimensions,
    (rows, sentinels): (&str, &[Sentinels]),
    clock: &str,
) -> Result<Vec<EarlyMembers>, EngineError> {
    let lookups = fact.foreign_keys.iter().filter_map(|key| Some((key, key.lookup.as_ref()?)));
    let mut roles: BTreeMap<&TableName, Vec<(&ForeignKey, &Lookup)>> = BTreeMap::new();
    for ((key, lookup), found) in lookups.zip(sentinels) {
        if let (EarlyArriving::Skeleton, Some(table), 1..) =
            (lookup.early_arriving, &key.references, found.not_yet)
        {
            roles.entry(table).or_default().push((key, lookup));
        }
    }
    let mut early = Vec::new();
    for (table, roles) in roles {
        let Some(dimension) = dimensions.get(table) else { continue };
        let schema = dimension.schema()?;
        let Some((first, _)) = roles.first() else { continue };
        let mut parts = Vec::new();
        for (key, lookup) in &roles {
            parts.push(events((key, lookup), rows, &schema, clock)?);
        }
        let Some((_, lookup)) = roles.first() else { continue };
        let keys = listed("", &lookup.dimension_columns);
        let known: Vec<String> =
            lookup.dimension_columns.iter().map(|key| format!("{} IS NOT NULL", quoted(key))).collect();
        let members = format!(
            "SELECT {keys}, min({EVENT}) AS {EVENT} FROM ({}) WHERE {EVENT} < {BEYOND} AND {} GROUP BY {keys}",
            parts.join(" UNION ALL "),
            known.join(" AND ")
        );
        session.deregister_table("__k_early")?;
        session.register_table("__k_early", query(session, &members).await?.into_view())?;
        session.deregister_table("__k_known")?;
        session.register_table("__k_known", dimension.rows().await?)?;
        let surrogate = first.dimension_key.clone().unwrap_or_default();
        // A member that is there, but not yet or no more at the time of the event, is inferred up to its first version.
        let known = match is_history(dimension)? {
            true => format!(
                "SELECT {keys}, min({VALID_FROM}) AS __first FROM __k_known WHERE {} GROUP BY {keys}",
                loaded_rows(&surrogate)
            ),
            false => format!("SELECT {keys}, {EVENT} AS __first FROM __k_early WHERE false"),
        };
        let wanted = format!(
            "SELECT {}, e.{EVENT} FROM ({known}) k RIGHT JOIN __k_early e ON {} WHERE k.__first IS NULL OR e.{EVENT} < k.__first",
            listed("e", &lookup.dimension_columns),
            equal_keys("k", "e", &lookup.dimension_columns)
        );
        let rows = Spool::fill(query(session, &wanted).await?, Numbering::Plain).await?;
        if rows.rows() > 0 {
            early.push(EarlyMembers { table: table.clone(), rows });
        }
    }
    Ok(early)
}

/// The identities of one role that have no member, in the types of the dimension, with the time of their events.
fn events(
    (key, lookup): (&ForeignKey, &Lookup),
    rows: &str,
    dimension: &arrow::datatypes::Schema,
    clock: &str,
) -> Result<String, EngineError> {
    let mut columns = Vec::new();
    // All roles list the identity in one order.
    let mut pairs: Vec<_> = lookup.dimension_columns.iter().zip(&lookup.source_columns).collect();
    pairs.sort();
    for (column, source) in pairs {
        let kind: &DataType = dimension.field_with_name(column)?.data_type();
        let own = qualified("s", source);
        let value = format!("arrow_try_cast({own}, '{kind}')");
        // Only what the member would be found by again: the text `007` is no 7.
        let as_found = match kind {
            DataType::Utf8 => value,
            _ => format!(
                "CASE WHEN arrow_typeof({own}) <> 'Utf8' OR arrow_cast({value}, 'Utf8') = arrow_cast({own}, 'Utf8') \
                 THEN {value} END"
            ),
        };
        columns.push(format!("{as_found} AS {}", quoted(column)));
    }
    let event = match &lookup.event_time {
        Some(event) => {
            format!("arrow_try_cast({}, 'Timestamp(Microsecond, Some(\"UTC\"))')", qualified("s", event))
        }
        None => clock.to_owned(),
    };
    Ok(format!(
        "SELECT {}, {event} AS {EVENT} FROM {rows} s WHERE s.{OP} = 1 AND s.{} = -3",
        columns.join(", "),
        quoted(&key.column)
    ))
}
