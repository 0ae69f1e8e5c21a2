//! What a parsed query reads, and whether it only reads.

use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast::{ObjectName, Query, Select, SetExpr, TableFactor, Visit, Visitor};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Span as Stretch;

/// What a query turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A query over these relations; names that the query itself defines are left out.
    Reads(Vec<Relation>),
    /// No query that only reads: why, and by which of these keywords; none where it is the first word.
    Refused {
        /// What is wrong.
        message: &'static str,
        /// The keywords that make it so.
        keywords: &'static [Keyword],
    },
}

/// A relation that a query names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relation {
    /// As it is written, without quotes.
    pub(super) name: String,
    /// Where in the SQL.
    pub(super) at: Option<Stretch>,
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
        return Verdict::Refused { message: "the text is no SELECT or WITH query", keywords: &[] };
    }
    let mut walk = Walk::default();
    if let ControlFlow::Break(refused) = query.visit(&mut walk) {
        return refused;
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
    type Break = Verdict;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Verdict> {
        if let Some(with) = &query.with {
            self.defined.extend(with.cte_tables.iter().map(|cte| cte.alias.name.value.to_lowercase()));
        }
        let mut bodies = vec![query.body.as_ref()];
        while let Some(body) = bodies.pop() {
            match body {
                SetExpr::SetOperation { left, right, .. } => bodies.extend([left.as_ref(), right.as_ref()]),
                SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                    return ControlFlow::Break(Verdict::Refused {
                        message: "the text changes data instead of reading it",
                        keywords: &[Keyword::INSERT, Keyword::UPDATE, Keyword::DELETE, Keyword::MERGE],
                    });
                }
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Verdict> {
        if select.into.is_some() {
            return ControlFlow::Break(Verdict::Refused {
                message: "SELECT INTO writes a table",
                keywords: &[Keyword::INTO],
            });
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Verdict> {
        // With arguments it is a table function, which no source has to provide.
        if let TableFactor::Table { name, args: None, .. } = factor {
            self.relations.push(relation(name));
        }
        ControlFlow::Continue(())
    }
}

fn relation(name: &ObjectName) -> Relation {
    let idents: Vec<_> = name.0.iter().filter_map(|part| part.as_ident()).collect();
    let ends = idents.first().zip(idents.last());
    let at = ends.map(|(first, last)| Stretch { start: first.span.start, end: last.span.end });
    let parts: Vec<&str> = idents.iter().map(|ident| ident.value.as_str()).collect();
    Relation { name: parts.join("."), at }
}
