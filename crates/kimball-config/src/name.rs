//! Names of tables.

use std::fmt;

use thiserror::Error;

/// `schema.table` or `catalog.schema.table`; every part is an identifier of letters, digits, `_` and
/// `-`, so that no name can leave the warehouse folder.
///
/// Names compare without their catalog, as tables lie at `<warehouse>/<schema>/<table>`.
#[derive(Debug, Clone)]
pub struct TableName {
    catalog: Option<String>,
    schema: String,
    table: String,
}

/// Why a text is no table name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidTableName {
    /// Not two or three dotted parts.
    #[error("`{0}` is not a table name: write `schema.table` or `catalog.schema.table`")]
    Parts(String),
    /// A part that is no identifier.
    #[error("`{name}` is not a table name: `{part}` may hold letters, digits, `_` and `-` only")]
    Part {
        /// The whole text.
        name: String,
        /// The part at fault.
        part: String,
    },
}

impl TableName {
    /// Reads a dotted name; backticks around parts are dropped.
    ///
    /// # Errors
    /// [`InvalidTableName`] when the text has not two or three parts, or a part is no identifier.
    pub fn parse(text: &str) -> Result<Self, InvalidTableName> {
        let parts: Vec<&str> = text.trim().split('.').map(|part| part.trim().trim_matches('`')).collect();
        let (catalog, schema, table) = match parts.as_slice() {
            [schema, table] => (None, *schema, *table),
            [catalog, schema, table] => (Some(*catalog), *schema, *table),
            _ => return Err(InvalidTableName::Parts(text.to_owned())),
        };
        for part in catalog.iter().chain([&schema, &table]) {
            if !is_identifier(part) {
                return Err(InvalidTableName::Part { name: text.to_owned(), part: (*part).to_owned() });
            }
        }
        Ok(Self { catalog: catalog.map(str::to_owned), schema: schema.to_owned(), table: table.to_owned() })
    }

    /// The schema, which is the folder in the warehouse.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The last part.
    pub fn table(&self) -> &str {
        &self.table
    }
}

/// Whether `part` is safe as one part of a table name and as one folder of a path.
pub fn is_identifier(part: &str) -> bool {
    !part.is_empty()
        && part.len() <= 255
        && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
        && !part.starts_with('-')
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(catalog) = &self.catalog {
            write!(f, "{catalog}.")?;
        }
        write!(f, "{}.{}", self.schema, self.table)
    }
}

impl PartialEq for TableName {
    fn eq(&self, other: &Self) -> bool {
        (&self.schema, &self.table) == (&other.schema, &other.table)
    }
}

impl Eq for TableName {}

impl PartialOrd for TableName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TableName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (&self.schema, &self.table).cmp(&(&other.schema, &other.table))
    }
}

impl std::hash::Hash for TableName {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (&self.schema, &self.table).hash(state);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn names_have_two_or_three_parts_and_compare_without_their_catalog() {
        let full = TableName::parse("cat.`gold`. dim_date ").unwrap();
        assert_eq!(full.to_string(), "cat.gold.dim_date");
        assert_eq!((full.schema(), full.table()), ("gold", "dim_date"));
        assert_eq!(full, TableName::parse("gold.dim_date").unwrap());
        assert_ne!(full, TableName::parse("cat.dim_date").unwrap());
    }

    #[test]
    fn no_name_leaves_the_warehouse_folder() {
        for text in ["", "dim", "a.b.c.d", "..", "../x.y", "a./b", "a..b", "a.-b", "a.b\0", "a.b c", ".a.b"] {
            assert!(TableName::parse(text).is_err(), "{text}");
        }
    }
}
