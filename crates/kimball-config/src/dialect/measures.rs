//! Measures: numbers of a fact, with what may be done with them.

use std::collections::HashSet;

use super::columns::{columns as column_names, plain, required_column, same};
use super::fact_columns::{FactColumns, unique};
use super::keys::MEASURE;
use crate::model::{Additivity, Aggregation, Measure};
use crate::reader::{Located, MapReader};

/// Reads `measures`; their columns are added to `columns`.
pub(super) fn read(reader: &MapReader<'_>, columns: &mut FactColumns) -> Vec<Measure> {
    let mut names = HashSet::new();
    let items = reader.mappings("measures", &MEASURE);
    items.iter().filter_map(|measure| read_one(measure, &mut names, columns)).collect()
}

fn read_one(
    measure: &MapReader<'_>,
    names: &mut HashSet<String>,
    columns: &mut FactColumns,
) -> Option<Measure> {
    let name = required_column(measure, "name");
    unique(measure, name.clone(), names, "measure");
    columns.add_all(&name, "a measure");
    let aggregations = [
        ("sum", Aggregation::Sum),
        ("avg", Aggregation::Avg),
        ("min", Aggregation::Min),
        ("max", Aggregation::Max),
        ("count", Aggregation::Count),
        ("count_distinct", Aggregation::CountDistinct),
    ];
    let aggregation = measure.choice("aggregation", &aggregations);
    let additivity = read_additivity(measure, name.as_ref(), columns);
    if let (Some(aggregation), Additivity::NonAdditive, Some(name)) = (&aggregation, &additivity, &name)
        && aggregation.value == Aggregation::Sum
    {
        let message = format!("`{}` is not additive: its sum says nothing", name.value);
        measure.findings().warning(aggregation.span, message);
    }
    Some(Measure {
        column: name?.value,
        aggregation: aggregation.map(|aggregation| aggregation.value),
        additivity,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Additive,
    SemiAdditive,
    NonAdditive,
}

fn read_additivity(
    measure: &MapReader<'_>,
    name: Option<&Located<String>>,
    columns: &mut FactColumns,
) -> Additivity {
    let choices = [
        ("additive", Kind::Additive),
        ("semi_additive", Kind::SemiAdditive),
        ("non_additive", Kind::NonAdditive),
    ];
    let kind = measure.choice("additivity", &choices).map_or(Kind::Additive, |kind| kind.value);
    let dimensions = column_names(measure, "non_additive_dimensions").unwrap_or_default();
    columns.add_all(&dimensions, "a dimension of a measure");
    if kind == Kind::SemiAdditive && dimensions.is_empty() {
        let span = measure.key_span("additivity");
        measure.findings().error(span, "a semi-additive measure needs `non_additive_dimensions`");
    }
    if kind != Kind::SemiAdditive && !dimensions.is_empty() {
        let span = measure.key_span("non_additive_dimensions");
        measure.findings().error(span, "`non_additive_dimensions` is for `additivity: semi_additive`");
    }
    let own = |dimension: &&Located<String>| name.is_some_and(|name| same(&name.value, &dimension.value));
    if let Some(dimension) = dimensions.iter().find(own) {
        let message = format!("`{}` is the measure itself, which is no dimension", dimension.value);
        measure.findings().error(dimension.span, message);
    }
    match kind {
        Kind::Additive => Additivity::Additive,
        Kind::SemiAdditive => Additivity::SemiAdditive(plain(dimensions)),
        Kind::NonAdditive => Additivity::NonAdditive,
    }
}
