//! Which tables a statement reads, and at which version.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Query, Statement, TableAlias, TableFactor, TableVersion,
    VisitMut, VisitorMut,
};

/// A table that a statement reads, as it is written.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// The parts of its name.
    pub(crate) parts: Vec<String>,
    /// Which version of it.
    pub(crate) version: Version,
}

/// Which version of a table is read.
#[derive(Debug, Clone)]
pub(crate) enum Version {
    Newest,
    Number(Expr),
    AsOf(Expr),
    /// A clause of another system.
    Unknown(String),
}

/// Gives each table of a statement a name of its own in the session; what each stands for is returned by that name.
pub(crate) fn name_readings(statement: &mut Statement) -> BTreeMap<String, Reading> {
    let mut given = CommonTables::default();
    let _: ControlFlow<()> = statement.visit(&mut given);
    let mut naming = Naming { common_tables: given.0, readings: BTreeMap::new() };
    let _: ControlFlow<()> = statement.visit(&mut naming);
    naming.readings
}

struct Naming {
    common_tables: BTreeSet<String>,
    readings: BTreeMap<String, Reading>,
}

impl Naming {
    /// The table's name, as plans show it; with a number where that alone would not tell it from another reading.
    fn own_name(&self, parts: &[String], version: &Version) -> String {
        let plain = parts.join(".");
        let is_free = |name: &str| !self.readings.keys().any(|taken| taken.eq_ignore_ascii_case(name));
        let is_same =
            |reading: &Reading| reading.parts == parts && matches!(reading.version, Version::Newest);
        match version {
            Version::Newest if is_free(&plain) || self.readings.get(&plain).is_some_and(is_same) => plain,
            _ => {
                let number = self.readings.len();
                format!("{plain}#{number}")
            }
        }
    }
}

impl VisitorMut for Naming {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, alias, args: None, version, .. } = factor else {
            return ControlFlow::Continue(());
        };
        let parts: Vec<String> =
            name.0.iter().filter_map(|part| Some(part.as_ident()?.value.clone())).collect();
        let is_common =
            matches!(parts.as_slice(), [only] if self.common_tables.contains(&only.to_lowercase()));
        if is_common && version.is_none() {
            return ControlFlow::Continue(());
        }
        if alias.is_none()
            && let Some(last) = parts.last()
        {
            *alias = Some(TableAlias { explicit: true, name: quoted(last), columns: Vec::new(), at: None });
        }
        let version = match version.take() {
            None => Version::Newest,
            Some(TableVersion::VersionAsOf(number)) => Version::Number(number),
            Some(TableVersion::TimestampAsOf(at) | TableVersion::ForSystemTimeAsOf(at)) => Version::AsOf(at),
            Some(other) => Version::Unknown(other.to_string()),
        };
        let own = self.own_name(&parts, &version);
        *name = ObjectName(vec![ObjectNamePart::Identifier(quoted(&own))]);
        self.readings.insert(own, Reading { parts, version });
        ControlFlow::Continue(())
    }
}

#[derive(Default)]
struct CommonTables(BTreeSet<String>);

impl VisitorMut for CommonTables {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.0.extend(tables.map(|table| table.alias.name.value.to_lowercase()));
        ControlFlow::Continue(())
    }
}

fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}
