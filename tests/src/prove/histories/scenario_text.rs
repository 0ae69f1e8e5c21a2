//! A case as a scenario file: its commits, the batches of its dimension, and the rows that the algebra demands.

use std::fmt::Write;

use kimball_engine::history::{Chain, OPEN_END, What};

use super::cases::{Case, CaseChange, text};
use super::dimension::Dimension;

/// The scenario in which `case` is all that `dimension` loads; a batch ends after each of its batches' commits.
pub(super) fn scenario(case: &Case, dimension: &Dimension, commits: u64) -> String {
    let mut yaml = String::from(
        "name: The rows of a history are what the algebra of its changes says, batch after batch\n\
         rule: [semantics 4]\nconfigs:\n  dim.yml: |\n",
    );
    for line in dimension.config().lines() {
        let _ = writeln!(yaml, "    {line}");
    }
    yaml.push_str(
        "sources:\n  silver.changes: id bigint, eff timestamp, v string, u string\n  silver.letters: letter string\n\
         steps:\n  - write:\n      silver.letters:\n        - insert: |\n            letter\n            a\n            b\n            c\n",
    );
    let mut chain = Chain::default();
    let mut seen = 0;
    for end in dimension.batches() {
        let batch = case.between(seen + 1, *end, commits);
        if batch.is_empty() {
            continue;
        }
        chain = dimension.chain_after(&chain, case, (seen + 1, *end), commits);
        seen = *end;
        step(&mut yaml, &batch, &chain, dimension);
    }
    yaml
}

fn step(yaml: &mut String, batch: &[CaseChange], chain: &Chain<char, char>, dimension: &Dimension) {
    yaml.push_str("  - write:\n      silver.changes:\n");
    for change in batch {
        let at = text(change.commit.time);
        match change.what {
            What::Is { effective, tracked, untracked } => {
                let _ = writeln!(
                    yaml,
                    "        - at: {at}\n          merge:\n            on: [id]\n            upsert: |\n              id | eff | v | u\n              \
                     0 | {} | {tracked} | {untracked}",
                    text(effective)
                );
            }
            What::Gone => {
                let _ = writeln!(yaml, "        - at: {at}\n          delete: id = 0");
            }
        }
    }
    let last = batch.last().map(|change| text(change.commit.time)).unwrap_or_default();
    let _ = writeln!(yaml, "    run: {{at: {last}}}\n    tables:\n      {}: |", dimension.table());
    yaml.push_str("        id | __valid_from | __valid_to | eff | __is_current | __is_deleted | v | u\n");
    for row in chain.versions() {
        let to = if row.to == OPEN_END { "∞".to_owned() } else { text(row.to) };
        let _ = writeln!(
            yaml,
            "        0 | {} | {to} | {} | {} | {} | {} | {}",
            text(row.from),
            text(row.effective),
            row.is_current,
            row.is_deleted,
            row.tracked,
            row.untracked
        );
    }
}
