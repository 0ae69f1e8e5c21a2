//! What a parsed query reads, and whether it only reads.

use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast::{ObjectName, Query, Select, SetExpr, TableFactor, Visit, Visitor};

/// What a query turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A query over these relations; names that the query itself defines are left out.
    Reads(Vec<Relation>),
    /// No query, and why.
    Refused(String),
}

/// A relation that a query names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relation {
    /// As it is written, without quotes.
    pub(super) name: String,
    /// 1-based line and column in the SQL.
    pub(super) at: Option<(usize, usize)>,
}

impl Relation {
    /// The name in lower case: as written, and without its catalog.
    pub(super) fn spellings(&self) -> impl Iterator<Item = String> {
        let lower = self.name.to_lowercase();
        let parts: Vec<&str> = lower.split('.').collect();
        let without_catalog = (parts.len() == 3).then(|| parts[1..].join("."));
        [Some(lower), without_catalog].into_iter().flatten()
    }
}

/// Judges a whole query, subqueries and common table expressions included.
pub(super) fn judge(query: &Query) -> Verdict {
    if query.with.is_none() && !selects(&query.body) {
        return Verdict::Refused("the text is no SELECT or WITH query".to_owned());
    }
    let mut walk = Walk::default();
    if let ControlFlow::Break(message) = query.visit(&mut walk) {
        return Verdict::Refused(message);
    }
    let Walk { relations, defined } = walk;
    Verdict::Reads(
        relations.into_iter().filter(|relation| !defined.contains(&relation.name.to_lowercase())).collect(),
    )
}

/// Whether the first part of a query is a SELECT, inside any parentheses.
fn selects(body: &SetExpr) -> bool {
    let mut body = body;
    loop {
        body = match body {
            SetExpr::Select(_) => return true,
            SetExpr::Query(query) if query.with.is_some() => return true,
            SetExpr::Query(query) => &query.body,
            SetExpr::SetOperation { left, .. } => left,
            _ => return false,
        };
    }
}

#[derive(Default)]
struct Walk {
    relations: Vec<Relation>,
    defined: HashSet<String>,
}

impl Visitor for Walk {
    type Break = String;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<String> {
        if let Some(with) = &query.with {
            self.defined.extend(with.cte_tables.iter().map(|cte| cte.alias.name.value.to_lowercase()));
        }
        let mut bodies = vec![query.body.as_ref()];
        while let Some(body) = bodies.pop() {
            match body {
                SetExpr::SetOperation { left, right, .. } => bodies.extend([left.as_ref(), right.as_ref()]),
                SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                    return ControlFlow::Break("the text changes data instead of reading it".to_owned());
                }
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<String> {
        if select.into.is_some() {
            return ControlFlow::Break("SELECT INTO writes a table".to_owned());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<String> {
        // With arguments it is a table function, which no source has to provide.
        if let TableFactor::Table { name, args: None, .. } = factor {
            self.relations.push(relation(name));
        }
        ControlFlow::Continue(())
    }
}

fn relation(name: &ObjectName) -> Relation {
    let idents: Vec<_> = name.0.iter().filter_map(|part| part.as_ident()).collect();
    let at = idents.first().and_then(|ident| super::position(ident.span.start));
    let parts: Vec<&str> = idents.iter().map(|ident| ident.value.as_str()).collect();
    Relation { name: parts.join("."), at }
}
