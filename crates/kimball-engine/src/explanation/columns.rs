//! Columns that a query names and that are not there, and what there is instead.

use datafusion::common::{Column, Diagnostic};
use kimball_config::nearest;

use super::text::Sought;
use super::{Asker, Explained};
use crate::columns::is_system;

/// Columns of one relation that a message lists.
const LISTED: usize = 40;

/// What a query can see: relations in the order of its FROM, with their columns.
struct Scope<'a>(Vec<(Option<&'a str>, Vec<&'a str>)>);

impl<'a> Scope<'a> {
    fn of(fields: &'a [Column]) -> Self {
        let mut relations: Vec<(Option<&str>, Vec<&str>)> = Vec::new();
        for field in fields.iter().filter(|field| !is_system(&field.name)) {
            let relation = field.relation.as_ref().map(|relation| relation.table());
            let place = relations.iter().position(|(known, _)| *known == relation);
            let place = place.unwrap_or_else(|| {
                relations.push((relation, Vec::new()));
                relations.len() - 1
            });
            let columns = &mut relations[place].1;
            if !columns.contains(&field.name.as_str()) {
                columns.push(&field.name);
            }
        }
        Self(relations)
    }

    fn names(&self) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter_map(|(name, _)| *name)
    }

    fn columns_of(&self, relation: &str) -> Option<&[&'a str]> {
        let found =
            self.0.iter().find(|(name, _)| name.is_some_and(|name| name.eq_ignore_ascii_case(relation)));
        found.map(|(_, columns)| columns.as_slice())
    }

    /// The relations that have a column.
    fn with(&self, column: &str) -> Vec<&'a str> {
        let has = |columns: &[&str]| columns.iter().any(|known| known.eq_ignore_ascii_case(column));
        self.0.iter().filter(|(_, columns)| has(columns)).filter_map(|(name, _)| *name).collect()
    }

    /// A column as the query would have to write it.
    fn written(&self, column: &str) -> String {
        match self.with(column).as_slice() {
            [first, _, ..] => format!("{first}.{column}"),
            _ => column.to_owned(),
        }
    }

    /// `customers has customer_id, name; shops has shop_id`.
    fn listed(&self, asker: Asker<'_>) -> String {
        let one = |(relation, columns): &(Option<&str>, Vec<&str>)| {
            let shown = columns.iter().take(LISTED).copied().collect::<Vec<_>>().join(", ");
            let more = match columns.len().saturating_sub(LISTED) {
                0 => String::new(),
                more => format!(", … and {more} more"),
            };
            match relation.filter(|_| !matches!(asker, Asker::Expression)) {
                Some(relation) => format!("{relation} has {shown}{more}"),
                None => format!("the columns are {shown}{more}"),
            }
        };
        self.0.iter().map(one).collect::<Vec<_>>().join("; ")
    }
}

/// A column that the query names and cannot see.
pub(super) fn unknown(field: &Column, visible: &[Column], asker: Asker<'_>) -> Explained {
    let scope = Scope::of(visible);
    let (relation, name) = (field.relation.as_ref().map(|relation| relation.table()), field.name.as_str());
    let written = relation.map_or_else(|| name.to_owned(), |relation| format!("{relation}.{name}"));
    let (message, meant) = match relation.map(|relation| (relation, scope.columns_of(relation))) {
        Some((relation, None)) => (
            format!("the query names `{written}`, and there is no `{relation}` in its FROM"),
            aliased(&scope, relation, name),
        ),
        Some((relation, Some(columns))) => {
            let meant = nearest(name, columns.iter().copied()).map(|near| format!("{relation}.{near}"));
            (format!("the query names `{written}`, which `{relation}` does not have"), meant)
        }
        None => {
            let all = scope.0.iter().flat_map(|(_, columns)| columns.iter().copied());
            (unqualified(name, &scope, asker), nearest(name, all).map(|near| scope.written(near)))
        }
    };
    let message = match asker {
        Asker::Pipeline(_) => message,
        Asker::Console | Asker::Expression => format!("there is no column `{written}`"),
    };
    let meant = meant.map(|meant| format!("did you mean `{meant}`? ")).unwrap_or_default();
    Explained {
        message,
        help: (!scope.0.is_empty()).then(|| format!("{meant}{}", scope.listed(asker))),
        sought: Some(Sought::Column { relation: relation.map(str::to_owned), name: name.to_owned() }),
    }
}

/// What to write for a relation that is not there: one with that column.
fn aliased(scope: &Scope<'_>, relation: &str, name: &str) -> Option<String> {
    let with_column = scope.with(name);
    let near = nearest(relation, with_column.iter().copied()).or(match with_column.as_slice() {
        [only] => Some(*only),
        _ => None,
    });
    match near {
        Some(near) => Some(format!("{near}.{name}")),
        None => {
            let near = nearest(relation, scope.names())?;
            let column = nearest(name, scope.columns_of(near)?.iter().copied())?;
            Some(format!("{near}.{column}"))
        }
    }
}

fn unqualified(name: &str, scope: &Scope<'_>, asker: Asker<'_>) -> String {
    let is_in_a_source = match asker {
        Asker::Pipeline(relations) => relations
            .iter()
            .flat_map(|relation| &relation.columns)
            .any(|known| known.eq_ignore_ascii_case(name)),
        Asker::Console | Asker::Expression => false,
    };
    match (is_in_a_source, scope.names().collect::<Vec<_>>().as_slice()) {
        (false, _) => format!("the query names `{name}`, which no source has"),
        (true, [only]) => format!("the query names `{name}`, which `{only}` does not have"),
        (true, _) => format!("the query names `{name}` where it cannot be seen"),
    }
}

/// A column that several relations have; the planner's notes name them.
pub(super) fn ambiguous(field: &Column, diagnostic: Option<&Diagnostic>) -> Explained {
    let notes = diagnostic.iter().flat_map(|diagnostic| &diagnostic.notes);
    let candidates: Vec<String> = notes
        .filter_map(|note| note.message.strip_prefix("possible column "))
        .map(|column| column.replace('"', ""))
        .collect();
    let name = &field.name;
    let relations: Vec<String> = candidates
        .iter()
        .filter_map(|column| column.strip_suffix(&format!(".{name}")))
        .map(|relation| format!("`{relation}`"))
        .collect();
    let message = match relations.as_slice() {
        [] | [_] => {
            format!("the query's `{name}` may be several columns: write the name of its source in front")
        }
        relations => format!(
            "the query's `{name}` is in {}: write {}",
            relations.join(" and in "),
            candidates.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(" or ")
        ),
    };
    Explained { message, help: None, sought: Some(Sought::Column { relation: None, name: name.clone() }) }
}
