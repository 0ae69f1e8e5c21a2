//! A round as a scenario file: its commits and runs up to the one that differs, and what that one should leave.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::check::{Difference, Expected};
use super::model::{FactRow, MemberRow};
use super::project::{EVENT_COLUMNS, EVENTS, MEMBER_COLUMNS, MEMBERS, pipelines};
use super::round::{Dimension, Fact, Round, text};
use super::sources::{Merge, event_merge, member_merge};
use crate::text_table::{TextTable, write_cell, write_value};

/// The scenario of `round` up to the batch of `difference`, which should leave `expected`.
pub(super) fn scenario(round: &Round, difference: &Difference, expected: &Expected) -> String {
    let mut yaml = String::from(
        "name: The keys of facts are those of plain nested loops over their dimensions\nrule: [semantics 8.4]\n",
    );
    for line in difference.told.lines() {
        let _ = writeln!(yaml, "# {line}");
    }
    yaml.push_str("configs:\n");
    for (name, text) in pipelines(round) {
        let _ = writeln!(yaml, "  {name}: |");
        for line in text.lines() {
            let _ = writeln!(yaml, "    {line}");
        }
    }
    let _ = writeln!(yaml, "sources:\n  {MEMBERS}: {MEMBER_COLUMNS}\n  {EVENTS}: {EVENT_COLUMNS}\nsteps:");
    for batch in 0..=difference.batch {
        step(&mut yaml, round, batch);
    }
    tables(&mut yaml, round, expected);
    yaml
}

fn step(yaml: &mut String, round: &Round, batch: usize) {
    let clock = round.clock(batch);
    let first = (batch == 0).then(|| member_merge(round, 0).map(|merge| (0, merge))).flatten();
    let commits = Round::commits(batch)
        .filter_map(|(version, at)| member_merge(round, version).map(|merge| (at, merge)));
    let members: Vec<(i64, Merge)> = first.into_iter().chain(commits).collect();
    let events = event_merge(round, batch);
    yaml.push_str(if members.is_empty() && events.is_none() { "  -\n" } else { "  - write:\n" });
    if !members.is_empty() {
        let _ = writeln!(yaml, "      {MEMBERS}:");
    }
    for (at, merge) in &members {
        commit(yaml, "id", *at, merge);
    }
    if let Some(merge) = events {
        let _ = writeln!(yaml, "      {EVENTS}:");
        commit(yaml, "event_id", clock, &merge);
    }
    let _ = writeln!(yaml, "    run: {{at: {}}}", text(clock));
}

fn commit(yaml: &mut String, key: &str, at: i64, merge: &Merge) {
    let _ = writeln!(yaml, "        - at: {}\n          merge:\n            on: [{key}]", text(at));
    for (what, rows) in [("upsert", &merge.upserts), ("delete", &merge.deletes)] {
        if let Some(TextTable { columns, rows }) = rows {
            let _ = writeln!(yaml, "            {what}: |\n              {}", columns.join(" | "));
            for row in rows {
                let cells: Vec<String> = row.iter().map(write_cell).collect();
                let _ = writeln!(yaml, "              {}", cells.join(" | "));
            }
        }
    }
}

fn tables(yaml: &mut String, round: &Round, expected: &Expected) {
    yaml.push_str("    tables:\n");
    let mut names = BTreeMap::new();
    for (dimension, rows) in &expected.dimensions {
        dimension_rows(yaml, *dimension, rows, &mut names);
    }
    for fact in &round.facts {
        if let Some(rows) = expected.facts.get(&fact.number) {
            fact_rows(yaml, fact, rows.iter(), &names);
        }
    }
}

fn dimension_rows(
    yaml: &mut String,
    dimension: Dimension,
    rows: &[MemberRow],
    names: &mut BTreeMap<(Dimension, i64), String>,
) {
    let intervals = if dimension.is_history() { " | __valid_from | __valid_to | __is_current" } else { "" };
    let _ = writeln!(
        yaml,
        "      {}: |\n        sk | {}{intervals} | __is_deleted | __is_skeleton | v",
        dimension.table(),
        dimension.natural_key().join(" | ")
    );
    for (place, row) in rows.iter().enumerate() {
        let name = format!("${}{place}", dimension.name());
        let mut cells = vec![name.clone()];
        names.insert((dimension, row.key), name);
        cells.extend(row.identity.iter().map(|part| write_value(Some(part))));
        if dimension.is_history() {
            let instants = [row.from, row.to].map(|at| write_value(Some(&text(at))));
            cells.extend(instants);
            cells.push(row.is_current.to_string());
        }
        cells.extend([row.is_deleted.to_string(), row.is_skeleton.to_string(), row.tracked.clone()]);
        let _ = writeln!(yaml, "        {}", cells.join(" | "));
    }
}

fn fact_rows<'e>(
    yaml: &mut String,
    fact: &Fact,
    rows: impl Iterator<Item = (&'e i64, &'e FactRow)>,
    names: &BTreeMap<(Dimension, i64), String>,
) {
    let columns: Vec<String> = fact.keys.iter().map(super::round::ForeignKey::column).collect();
    let _ = writeln!(
        yaml,
        "      {}: |\n        event_id | __is_deleted | {}",
        fact.table(),
        columns.join(" | ")
    );
    for (event, row) in rows {
        let keys = fact.keys.iter().zip(&row.keys).map(|(key, found)| {
            names.get(&(key.dimension, found.key)).cloned().unwrap_or_else(|| found.key.to_string())
        });
        let cells = [event.to_string(), row.is_deleted.to_string()].into_iter().chain(keys);
        let _ = writeln!(yaml, "        {}", cells.collect::<Vec<_>>().join(" | "));
    }
}
