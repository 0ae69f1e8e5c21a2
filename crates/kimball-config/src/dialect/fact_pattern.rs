//! The patterns of facts, and the milestones of a process.

use std::collections::HashSet;

use super::columns::{column, required_column};
use super::fact_columns::{FactColumns, unique};
use super::keys::MILESTONE;
use crate::model::{FactLoading, FactPattern, Milestone};
use crate::reader::{Located, MapReader};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pattern {
    Transaction,
    PeriodicSnapshot,
    AccumulatingSnapshot,
}

/// Reads `fact_pattern` with all that belongs to it. `columns` holds every other column that the fact names.
pub(super) fn read(reader: &MapReader<'_>, loading: FactLoading, columns: FactColumns) -> FactPattern {
    let patterns = [
        ("transaction", Pattern::Transaction),
        ("periodic_snapshot", Pattern::PeriodicSnapshot),
        ("accumulating_snapshot", Pattern::AccumulatingSnapshot),
    ];
    let pattern = reader.choice("fact_pattern", &patterns);
    reader.text("grain");
    reader.choice("snapshot_period", &["day", "week", "month", "quarter", "year"].map(|period| (period, ())));
    let listed = reader.list("milestones").unwrap_or_default().len();
    let milestones = read_milestones(reader, columns);
    if let Some(pattern) = &pattern {
        check_needs(reader, pattern, loading, listed);
    }
    let kind = pattern.map_or(Pattern::Transaction, |pattern| pattern.value);
    check_misplaced(reader, kind, listed);
    match kind {
        Pattern::Transaction => FactPattern::Transaction,
        Pattern::PeriodicSnapshot => FactPattern::PeriodicSnapshot,
        Pattern::AccumulatingSnapshot => FactPattern::AccumulatingSnapshot { milestones },
    }
}

fn check_needs(reader: &MapReader<'_>, pattern: &Located<Pattern>, loading: FactLoading, milestones: usize) {
    let findings = reader.findings();
    if reader.node("grain").is_none() {
        findings.error(pattern.span, "`fact_pattern` needs `grain`: say in words what one row is");
    }
    match pattern.value {
        Pattern::Transaction => {}
        Pattern::PeriodicSnapshot => {
            if reader.node("snapshot_period").is_none() {
                findings.error(pattern.span, "a periodic snapshot needs `snapshot_period`");
            }
        }
        Pattern::AccumulatingSnapshot => {
            if milestones < 2 {
                findings.error(pattern.span, "an accumulating snapshot needs two `milestones` at least");
            }
            let key = match loading {
                FactLoading::Upsert => return,
                FactLoading::Append => "append_only",
                FactLoading::ReplacePartitions => "replace_partitions",
            };
            let message = format!("an accumulating snapshot fills in rows that are there: `{key}` does not");
            findings.error(reader.key_span(key), message);
        }
    }
}

fn check_misplaced(reader: &MapReader<'_>, kind: Pattern, milestones: usize) {
    if reader.node("snapshot_period").is_some() && kind != Pattern::PeriodicSnapshot {
        let span = reader.key_span("snapshot_period");
        reader.findings().error(span, "`snapshot_period` is for `fact_pattern: periodic_snapshot`");
    }
    if milestones > 0 && kind != Pattern::AccumulatingSnapshot {
        let span = reader.key_span("milestones");
        reader.findings().error(span, "`milestones` are for `fact_pattern: accumulating_snapshot`");
    }
}

/// A milestone with the places that its rules need.
struct Read {
    name: Located<String>,
    column: Located<String>,
    order: i64,
    lag_column: Option<Located<String>>,
}

/// Reads `milestones` into their order.
fn read_milestones(reader: &MapReader<'_>, mut columns: FactColumns) -> Vec<Milestone> {
    let items = reader.mappings("milestones", &MILESTONE);
    let mut known = Known::default();
    let mut milestones: Vec<Read> =
        items.iter().filter_map(|item| read_milestone(item, &mut known)).collect();
    milestones.sort_by_key(|milestone| milestone.order);
    columns.add_all(milestones.iter().map(|milestone| &milestone.column), "the column of a milestone");
    check_lag_columns(reader, &milestones, &columns);
    milestones
        .into_iter()
        .map(|milestone| Milestone {
            name: milestone.name.value,
            column: milestone.column.value,
            lag_column: milestone.lag_column.map(|column| column.value),
        })
        .collect()
}

/// What the milestones before have taken.
#[derive(Default)]
struct Known {
    names: HashSet<String>,
    columns: HashSet<String>,
    lag_columns: HashSet<String>,
    orders: HashSet<i64>,
}

fn read_milestone(milestone: &MapReader<'_>, known: &mut Known) -> Option<Read> {
    let name = milestone.required_text("name");
    unique(milestone, name.clone(), &mut known.names, "milestone");
    let of_process = required_column(milestone, "column");
    unique(milestone, of_process.clone(), &mut known.columns, "milestone column");
    let lag_column = column(milestone, "lag_column");
    unique(milestone, lag_column.clone(), &mut known.lag_columns, "lag column");
    milestone.required("order");
    let order = milestone.integer("order", 1);
    if let Some(order) = &order
        && !known.orders.insert(order.value)
    {
        milestone.findings().error(order.span, format!("two milestones have the order {}", order.value));
    }
    Some(Read { name: name?, column: of_process?, order: order?.value, lag_column })
}

/// A lag column is added to the query's output, so it is none of the columns that are there already.
fn check_lag_columns(reader: &MapReader<'_>, milestones: &[Read], columns: &FactColumns) {
    let findings = reader.findings();
    for (position, milestone) in milestones.iter().enumerate() {
        let Some(lag) = &milestone.lag_column else { continue };
        if position == 0 {
            let message = format!(
                "`lag_column` takes the days since the milestone before: `{}` is the first",
                milestone.name.value
            );
            findings.error(lag.span, message);
        }
        if let Some(role) = columns.role_of(&lag.value) {
            let message = format!("`{}` is already {role}: a lag column is one of its own", lag.value);
            findings.error(lag.span, message);
        }
    }
}
