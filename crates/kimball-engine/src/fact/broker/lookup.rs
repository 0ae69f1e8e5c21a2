//! One foreign key: how a row meets the members of its dimension, and what it gets where it meets none.

use arrow::datatypes::{DataType, Field, Schema};
use kimball_config::{ForeignKey, Lookup};
use kimball_lake::LakeTable;

use super::Broker;
use crate::EngineError;
use crate::columns::{
    IS_CURRENT, IS_DELETED, OP, OPEN_END, VALID_FROM, VALID_TO, equal_keys, is_open, listed, qualified,
    quoted,
};
use crate::dimension::loaded_rows;
use crate::layout::timestamp;

/// Characters that a blank identity is made of: those that Unicode calls white space.
const BLANKS: &str = "\t\n\u{b}\u{c}\r \u{85}\u{a0}\u{1680}\u{2000}\u{2001}\u{2002}\u{2003}\u{2004}\u{2005}\u{2006}\
    \u{2007}\u{2008}\u{2009}\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}\u{3000}";

/// A foreign key that is ready to be found.
pub(super) struct Prepared<'k> {
    number: usize,
    pub(super) key: &'k ForeignKey,
    pub(super) lookup: &'k Lookup,
    /// The members: `__key`, `__durable` where it is wanted, the identity columns, and intervals of a history.
    members: String,
    /// When a row meets a member, over `s` and the alias of the members.
    condition: String,
    /// The time of a row's event, over `s`.
    event: Option<String>,
    /// Which identity columns are text, in their order.
    is_text: Vec<bool>,
}

/// An instant, NULL where a column holds none.
pub(super) fn instant(column: &str) -> String {
    format!("arrow_try_cast({column}, 'Timestamp(Microsecond, Some(\"UTC\"))')")
}

/// As [`instant`], for a column of a known type: dates, and timestamps without a zone, are instants of UTC by their
/// number alone, without a look at the rules of a time zone.
fn instant_of(column: &str, kind: Option<&DataType>) -> String {
    match kind {
        Some(DataType::Date32 | DataType::Timestamp(_, None)) => {
            instant(&format!("CAST(arrow_try_cast({column}, 'Timestamp(Microsecond, None)') AS BIGINT)"))
        }
        _ => instant(column),
    }
}

/// What the rows of a history say of their versions, as SQL. Others may have written it: what they left out is NULL,
/// and an open version ends with time, whatever stands on its row (semantics 4.7).
struct Versions {
    from: String,
    until: String,
    is_open: String,
    /// Whether a member ended with the version; `None` where the history marks no deleted ones.
    is_gone: Option<String>,
}

impl Versions {
    fn of(schema: &Schema) -> Self {
        let time = |column: &str| match schema.field_with_name(column).map(Field::data_type) {
            Ok(kind) if *kind == timestamp() => column.to_owned(),
            Ok(kind) => instant_of(column, Some(kind)),
            Err(_) => format!("arrow_cast(NULL, '{}')", timestamp()),
        };
        let (from, end) = (time(VALID_FROM), time(VALID_TO));
        let is_open = is_open(IS_CURRENT, &end);
        let marks_deleted = schema.field_with_name(IS_DELETED).is_ok();
        Self {
            from,
            until: format!("CASE WHEN {is_open} THEN {OPEN_END} ELSE {end} END"),
            is_gone: marks_deleted.then(|| format!("coalesce({IS_DELETED}, false) AND NOT {is_open}")),
            is_open,
        }
    }
}

impl Broker<'_> {
    pub(super) async fn prepare<'k>(
        &self,
        number: usize,
        key: &'k ForeignKey,
        lookup: &'k Lookup,
        rows: &str,
    ) -> Result<Prepared<'k>, EngineError> {
        let (Some(table), Some(surrogate)) = (&key.references, &key.dimension_key) else {
            let rule =
                format!("foreign key `{}`: a lookup needs `references` and `dimension_key`", key.column);
            return Err(EngineError::Config(rule));
        };
        let Some(dimension) = self.dimensions.get(table) else {
            return Err(EngineError::Config(format!("foreign key `{}`: {table} does not exist", key.column)));
        };
        let schema = dimension.schema()?;
        let durable = key.durable.as_ref().map(|durable| &durable.dimension_key);
        require(&schema, table, lookup.dimension_columns.iter().chain([surrogate]).chain(durable))?;
        let raw = format!("__k_dimension_{number}");
        self.session.deregister_table(&raw)?;
        self.session.register_table(raw.as_str(), dimension.rows().await?)?;
        let staged = self.session.table(rows).await?;
        let staged = staged.schema().as_arrow();
        let has_text = |schema: &Schema, name: &str| {
            schema.field_with_name(name).is_ok_and(|field| *field.data_type() == DataType::Utf8)
        };
        let alias = format!("d{number}");
        let mut conditions: Vec<String> = Vec::new();
        for (place, (source, column)) in
            lookup.source_columns.iter().zip(&lookup.dimension_columns).enumerate()
        {
            let (left, right) = (format!("s.{}", identity(number, place)), qualified(&alias, column));
            // A text that is no number is no error: it just has no member.
            conditions.push(match (has_text(staged, source), has_text(&schema, column)) {
                (true, false) => format!("{left} = arrow_cast({right}, 'Utf8')"),
                (false, true) => format!("arrow_cast({left}, 'Utf8') = {right}"),
                _ => format!("{left} = {right}"),
            });
        }
        let event = lookup.event_time.as_ref().map(|event| {
            let kind = staged.field_with_name(event).ok().map(|field| field.data_type());
            instant_of(&qualified("s", event), kind)
        });
        let versions = is_history(dimension)?.then(|| Versions::of(&schema));
        if let (Some(_), Some(event)) = (&versions, &event) {
            // Without ends nobody knows which version held at a time.
            require(&schema, table, [VALID_TO.to_owned()].iter())?;
            conditions.push(format!("{event} >= {alias}.{VALID_FROM} AND {event} < {alias}.{VALID_TO}"));
        }
        Ok(Prepared {
            number,
            key,
            lookup,
            members: members(&raw, surrogate, durable, lookup, versions.as_ref()),
            condition: conditions.join(" AND "),
            event,
            is_text: lookup.source_columns.iter().map(|column| has_text(staged, column)).collect(),
        })
    }
}

fn require<'c>(
    schema: &Schema,
    table: &kimball_config::TableName,
    columns: impl Iterator<Item = &'c String>,
) -> Result<(), EngineError> {
    for column in columns {
        if schema.field_with_name(column).is_err() {
            return Err(EngineError::MissingColumn {
                role: "dimension column",
                column: column.clone(),
                of: table.to_string(),
                found: schema.fields().iter().map(|field| field.name().clone()).collect(),
            });
        }
    }
    Ok(())
}

/// Whether a dimension keeps versions with intervals.
pub(crate) fn is_history(dimension: &LakeTable) -> Result<bool, EngineError> {
    let schema = dimension.schema()?;
    Ok(schema.field_with_name(VALID_FROM).is_ok() && schema.field_with_name(IS_CURRENT).is_ok())
}

/// The rows of a dimension that a lookup may meet. Without an event time these are the open versions, and of members
/// that are gone the last one: they are members all the same.
fn members(
    raw: &str,
    surrogate: &str,
    durable: Option<&String>,
    lookup: &Lookup,
    versions: Option<&Versions>,
) -> String {
    let identity = listed("", &lookup.dimension_columns);
    let durable = durable.map(|column| format!(", {} AS __durable", quoted(column))).unwrap_or_default();
    let loaded = loaded_rows(surrogate);
    let columns = format!("{} AS __key, {identity}{durable}", quoted(surrogate));
    let Some(Versions { from, until, is_open, is_gone }) = versions else {
        return format!("SELECT {columns} FROM {raw} WHERE {loaded}");
    };
    if lookup.event_time.is_some() {
        return format!(
            "SELECT {columns}, {from} AS {VALID_FROM}, {until} AS {VALID_TO} FROM {raw} WHERE {loaded}"
        );
    }
    let open = format!("SELECT {columns} FROM {raw} WHERE {loaded} AND {is_open}");
    let Some(is_gone) = is_gone else { return open };
    let last = format!(
        "SELECT {columns}, row_number() OVER (PARTITION BY {identity} ORDER BY {until} > {from} DESC, {until} DESC, \
         {from} DESC) AS __nth FROM {raw} WHERE {loaded} AND {is_gone}"
    );
    let kept = if durable.is_empty() { "x.__key" } else { "x.__key, x.__durable" };
    let gone = format!(
        "SELECT {kept}, {} FROM ({last}) x LEFT ANTI JOIN (SELECT {identity} FROM {raw} WHERE {loaded} AND {is_open}) c ON {} \
         WHERE x.__nth = 1",
        listed("x", &lookup.dimension_columns),
        equal_keys("x", "c", &lookup.dimension_columns)
    );
    let order = if durable.is_empty() { "__key" } else { "__key, __durable" };
    format!("SELECT {order}, {identity} FROM ({open}) UNION ALL {gone}")
}

/// A side of a join; one that is a join itself stands in parentheses.
pub(crate) fn nested(joined: &str) -> String {
    if joined.contains(" JOIN ") { format!("({joined})") } else { joined.to_owned() }
}

/// The column of an identity part as it is looked up.
fn identity(number: usize, place: usize) -> String {
    format!("__k_id_{number}_{place}")
}

impl Prepared<'_> {
    pub(super) fn alias(&self) -> String {
        format!("d{}", self.number)
    }

    /// `not_applicable_when` as a column, where there is one.
    pub(super) fn condition(&self) -> Option<String> {
        let condition = self.lookup.not_applicable_when.as_ref()?;
        Some(format!("({condition}) AS __k_na_{}", self.number))
    }

    /// The name of the column of [`condition`](Self::condition).
    pub(super) fn judged(&self) -> Option<String> {
        self.lookup.not_applicable_when.as_ref().map(|_| format!("__k_na_{}", self.number))
    }

    /// The identity columns that rows are looked up by, as columns over `s` and the alias of the identity map.
    pub(super) fn identities(&self, mapped: Option<&str>) -> Vec<String> {
        let columns = self.lookup.source_columns.iter().enumerate();
        columns
            .map(|(place, column)| {
                let value = mapped.map_or_else(|| qualified("s", column), str::to_owned);
                format!("{value} AS {}", identity(self.number, place))
            })
            .collect()
    }

    /// The rows of `inner` with what they meet. The members are the side that is hashed; the rows stream.
    pub(super) fn join(&self, inner: &str) -> String {
        format!("({}) {} RIGHT JOIN {} ON {}", self.members, self.alias(), nested(inner), self.condition)
    }

    /// What a row meets, to be counted.
    pub(super) fn fanout(&self, rows: &str) -> String {
        format!("({}) {} JOIN {rows} s ON {}", self.members, self.alias(), self.condition)
    }

    /// The foreign key columns: the sentinels in their order (semantics 8.4), then the member's key. Deletes need
    /// no key.
    pub(super) fn values(&self) -> Vec<String> {
        let alias = self.alias();
        let mut all = vec![self.value("__key", &alias, &self.key.column)];
        if let Some(durable) = &self.key.durable {
            all.push(self.value("__durable", &alias, &durable.column));
        }
        all
    }

    fn value(&self, found: &str, alias: &str, column: &str) -> String {
        let places = || (0..self.lookup.source_columns.len()).map(|place| identity(self.number, place));
        let null = places().map(|id| format!("s.{id} IS NULL")).collect::<Vec<_>>().join(" OR ");
        let texts = places().zip(&self.is_text).filter(|(_, is_text)| **is_text);
        let mut bad: Vec<String> = texts.map(|(id, _)| format!("btrim(s.{id}, '{BLANKS}') = ''")).collect();
        bad.extend(self.event.as_ref().map(|event| format!("{event} IS NULL")));
        let bad = match bad.as_slice() {
            [] => String::new(),
            bad => format!("WHEN {} THEN -4 ", bad.join(" OR ")),
        };
        let not_applicable =
            self.judged().map(|judged| format!("WHEN s.{judged} THEN -2 ")).unwrap_or_default();
        format!(
            "CAST(CASE WHEN s.{OP} = 0 THEN NULL {not_applicable}WHEN {null} THEN -1 {bad}\
             WHEN {alias}.__key IS NULL THEN -3 ELSE {alias}.{found} END AS BIGINT) AS {}",
            quoted(column)
        )
    }
}
