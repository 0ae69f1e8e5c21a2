//! Identity maps: which identity a source identity stood for at the time of an event.
//!
//! A map is a table of the user's: source_identity, canonical_identity, valid_from, valid_to. It is one step deep and
//! says one thing at a time, which is checked before it is used. The row keeps the canonical identity.

use std::collections::BTreeMap;

use kimball_config::TableName;

use super::Broker;
use super::lookup::{Prepared, instant};
use crate::EngineError;
use crate::columns::{IS_DELETED, qualified, quoted};
use crate::quality::refuse_any;
use crate::session::query;

const COLUMNS: [&str; 4] = ["source_identity", "canonical_identity", "valid_from", "valid_to"];

impl Broker<'_> {
    /// `__k_mapped`: the judged rows with the identities that they are looked up by.
    pub(super) async fn map_identities(
        &self,
        columns: &[String],
        prepared: &[Prepared<'_>],
    ) -> Result<(), EngineError> {
        let mut maps: BTreeMap<&TableName, String> = BTreeMap::new();
        let mut stored: BTreeMap<&str, String> = BTreeMap::new();
        let mut identities = Vec::new();
        let mut joined = "__k_judged s".to_owned();
        for (place, one) in prepared.iter().enumerate() {
            let (Some(map), [column], Some(event)) =
                (&one.lookup.identity_map, one.lookup.source_columns.as_slice(), &one.lookup.event_time)
            else {
                identities.extend(one.identities(None));
                continue;
            };
            let known = maps.len();
            let table = match maps.get(map) {
                Some(table) => table.clone(),
                None => self.register_map(map, known).await?,
            };
            maps.insert(map, table.clone());
            let alias = format!("m{place}");
            let event = instant(&qualified("s", event));
            let rows = super::lookup::nested(&joined);
            joined = format!(
                "{table} {alias} RIGHT JOIN {rows} ON {alias}.__source = arrow_cast({}, 'Utf8') \
                 AND {event} >= {alias}.__from AND {event} < {alias}.__to",
                qualified("s", column)
            );
            let canonical = self.canonical(column, &alias).await?;
            identities.extend(one.identities(Some(&canonical)));
            stored.entry(column).or_insert(canonical);
        }
        let mut shown: Vec<String> = columns
            .iter()
            .map(|column| match stored.get(column.as_str()) {
                Some(canonical) => format!("{canonical} AS {}", quoted(column)),
                None => qualified("s", column),
            })
            .collect();
        shown.extend(prepared.iter().filter_map(Prepared::judged).map(|judged| format!("s.{judged}")));
        shown.extend(identities);
        let mapped = query(self.session, &format!("SELECT {} FROM {joined}", shown.join(", "))).await?;
        self.session.deregister_table("__k_mapped")?;
        self.session.register_table("__k_mapped", mapped.into_view())?;
        Ok(())
    }

    /// The identity that a row is looked up by and keeps, in the type of its column.
    async fn canonical(&self, column: &str, alias: &str) -> Result<String, EngineError> {
        let judged = self.session.table("__k_judged").await?;
        let kind = judged.schema().as_arrow().field_with_name(column)?.data_type().clone();
        Ok(format!(
            "CASE WHEN {alias}.__source IS NULL THEN {own} ELSE arrow_cast({alias}.__canonical, '{kind}') END",
            own = qualified("s", column)
        ))
    }

    /// Makes a map a table of the session: `__source`, `__canonical`, `__from`, `__to`.
    async fn register_map(&self, map: &TableName, place: usize) -> Result<String, EngineError> {
        let Some(table) = self.dimensions.get(map) else {
            return Err(EngineError::Config(format!("the identity map {map} does not exist")));
        };
        let schema = table.schema()?;
        if let Some(missing) = COLUMNS.iter().find(|column| schema.field_with_name(column).is_err()) {
            return Err(EngineError::MissingColumn {
                role: "identity map column",
                column: (*missing).to_owned(),
                of: map.to_string(),
                found: schema.fields().iter().map(|field| field.name().clone()).collect(),
            });
        }
        let (raw, name) = (format!("__k_map_rows_{place}"), format!("__k_map_{place}"));
        for table in [&raw, &name] {
            self.session.deregister_table(table)?;
        }
        self.session.register_table(raw.as_str(), table.rows().await?)?;
        // A pipeline of the project may write the map: what it marked as deleted holds no longer.
        let alive = match schema.field_with_name(IS_DELETED).is_ok() {
            true => format!(" WHERE NOT coalesce({IS_DELETED}, false)"),
            false => String::new(),
        };
        let typed = format!(
            "SELECT arrow_cast(source_identity, 'Utf8') AS __source, arrow_cast(canonical_identity, 'Utf8') AS __canonical, \
             {} AS __from, {} AS __to FROM {raw}{alive}",
            instant("valid_from"),
            instant("valid_to")
        );
        self.session.register_table(name.as_str(), query(self.session, &typed).await?.into_view())?;
        self.refuse_contradictions(map, &name).await?;
        Ok(name)
    }

    /// NULLs, intervals that end before they begin, overlaps, cycles and chains.
    async fn refuse_contradictions(&self, map: &TableName, table: &str) -> Result<(), EngineError> {
        let shown = "__source AS source_identity, __canonical AS canonical_identity, __from AS valid_from, __to AS valid_to";
        let null = format!(
            "SELECT {shown} FROM {table} WHERE __source IS NULL OR __canonical IS NULL OR __from IS NULL OR __to IS NULL"
        );
        let rule = format!("the identity map {map} holds a NULL");
        refuse_any(self.session, &null, &rule).await?;
        let inverted = format!("SELECT {shown} FROM {table} WHERE __to < __from");
        let rule = format!("the identity map {map} holds an interval that ends before it begins");
        refuse_any(self.session, &inverted, &rule).await?;
        let overlapping = format!(
            "SELECT {shown} FROM (SELECT *, max(__to) OVER (PARTITION BY __source ORDER BY __from, __to \
             ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS __before FROM {table}) WHERE __before > __from"
        );
        let rule = format!("the identity map {map} maps an identity twice at one time: intervals overlap");
        refuse_any(self.session, &overlapping, &rule).await?;
        let steps = |turns_back: &str| {
            format!(
                "SELECT a.__source AS source_identity, a.__canonical AS canonical_identity, b.__canonical AS leads_to \
                 FROM {table} a JOIN {table} b ON a.__canonical = b.__source \
                 WHERE a.__from < b.__to AND b.__from < a.__to AND a.__source <> a.__canonical \
                 AND b.__source <> b.__canonical AND (b.__canonical = a.__source) = {turns_back}"
            )
        };
        let rule = format!("the identity map {map} holds a cycle: an identity leads back to itself");
        refuse_any(self.session, &steps("true"), &rule).await?;
        let rule = format!(
            "the identity map {map} holds a chain: a canonical identity is itself mapped to another; map each \
             source identity to the last one"
        );
        refuse_any(self.session, &steps("false"), &rule).await
    }
}
