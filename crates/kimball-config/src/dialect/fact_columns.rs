//! The columns that a fact names, so that none which the engine adds hides another.

use std::collections::{HashMap, HashSet};

use crate::reader::{Located, MapReader};

/// What each column is; a column may well be several things, such as a merge key and a foreign key.
#[derive(Debug, Default)]
pub(super) struct FactColumns {
    /// Name in lower case → the first thing it is called, with its article.
    roles: HashMap<String, &'static str>,
}

impl FactColumns {
    /// Adds a column as `role`, unless it is something already.
    pub(super) fn add(&mut self, column: &str, role: &'static str) {
        self.roles.entry(column.to_lowercase()).or_insert(role);
    }

    /// Adds several columns.
    pub(super) fn add_all<'a>(
        &mut self,
        columns: impl IntoIterator<Item = &'a Located<String>>,
        role: &'static str,
    ) {
        columns.into_iter().for_each(|column| self.add(&column.value, role));
    }

    /// What `column` is already.
    pub(super) fn role_of(&self, column: &str) -> Option<&'static str> {
        self.roles.get(&column.to_lowercase()).copied()
    }
}

/// Reports a name that another item of the list has already.
pub(super) fn unique(
    reader: &MapReader<'_>,
    name: Option<Located<String>>,
    known: &mut HashSet<String>,
    what: &str,
) {
    if let Some(name) = name
        && !known.insert(name.value.to_lowercase())
    {
        reader.findings().error(name.span, format!("the {what} `{}` is there twice", name.value));
    }
}
