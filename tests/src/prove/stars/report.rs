//! A failing case cut down to what matters, as a scenario file.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use tokio::runtime::Runtime;

use super::round::{Round, Wrong, shown};
use super::source::{self, COLUMNS};
use crate::error::{Result, TestkitError};
use crate::prove::Refuted;

/// Rounds that are tried to make a failing one smaller.
const TRIES: usize = 40;

/// Leaves out the other facts, the sources that the query does not read, the batches after the failure, the other
/// worlds and then commit after commit, as long as the rest fails, and writes that as a scenario.
pub(super) fn report(
    runtime: &Runtime,
    round: &Round,
    wrong: Wrong,
    seed: u64,
    failures: &Path,
) -> Result<Refuted> {
    std::fs::create_dir_all(failures).map_err(TestkitError::io(failures))?;
    let Some(query) = round.queries.get(wrong.query).cloned() else {
        return Ok(Refuted { difference: wrong.difference, scenario: None });
    };
    let told = |wrong: &Wrong| {
        format!("round of seed {seed}, batch {}: {}\n  {}", wrong.batch, query.sql, wrong.difference)
    };
    let world = wrong.world.filter(|_| query.by_world);
    let mut tries = TRIES;
    let mut fails = |candidate: &Round| -> Result<Option<Wrong>> {
        tries = tries.saturating_sub(1);
        if tries == 0 { Ok(None) } else { candidate.check(runtime, &mut BTreeMap::new()) }
    };
    let batches = wrong.batch + 1;
    let alone = |world| Round {
        queries: vec![query.clone()],
        history: round.history.part(&query.sources, world, batches),
    };
    let mut found = None;
    for world in [world, None] {
        let candidate = alone(world);
        if let Some(wrong) = fails(&candidate)? {
            found = Some((candidate, wrong));
            break;
        }
    }
    let Some((mut smallest, mut shows)) = found else {
        return Ok(Refuted { difference: told(&wrong), scenario: None });
    };
    for batch in (0..smallest.history.batches.len()).rev() {
        let mut place = 0;
        while place < smallest.history.batches.get(batch).map_or(0, Vec::len) {
            let mut shorter = smallest.clone();
            if let Some(commits) = shorter.history.batches.get_mut(batch) {
                commits.remove(place);
            }
            match fails(&shorter)? {
                Some(wrong) => (smallest, shows) = (shorter, wrong),
                None => place += 1,
            }
        }
    }
    let path = failures.join("a_fact_that_differs.yaml");
    let text = scenario(runtime, &smallest)?;
    std::fs::write(&path, text).map_err(TestkitError::io(&path))?;
    Ok(Refuted { difference: told(&shows), scenario: Some(path) })
}

/// The first query of a round over its history as a scenario.
fn scenario(runtime: &Runtime, round: &Round) -> Result<String> {
    let mut yaml = String::from(
        "name: After any run a fact holds what a full recomputation would hold\nrule: [semantics 8.2]\nconfigs:\n  fact.yml: |\n",
    );
    let Some(query) = round.queries.first() else { return Ok(yaml) };
    for line in query.config(0).lines() {
        let _ = writeln!(yaml, "    {line}");
    }
    yaml.push_str("sources:\n");
    for number in round.sources() {
        let _ = writeln!(yaml, "  {}: {COLUMNS}", source::table(number));
    }
    yaml.push_str("steps:\n");
    let truths = runtime.block_on(query.truths(&round.history))?;
    for (batch, truth) in round.history.batches.iter().zip(truths) {
        yaml.push_str("  - run: {}\n");
        if !batch.is_empty() {
            yaml.push_str("    write:\n");
        }
        for number in round.sources() {
            let commits: Vec<_> = batch.iter().filter(|(source, _)| *source == number).collect();
            if !commits.is_empty() {
                let _ = writeln!(yaml, "      {}:", source::table(number));
            }
            for (_, commit) in commits {
                commit.scenario(&mut yaml);
            }
        }
        let _ = writeln!(
            yaml,
            "    tables:\n      gold.fact_0: |\n        {} | __is_deleted",
            truth.columns.join(" | ")
        );
        for row in &truth.live {
            let _ = writeln!(yaml, "        {} | false", shown(row));
        }
        for row in truth.gone.values().filter(|_| !query.deletes_hard) {
            let _ = writeln!(yaml, "        {} | true", shown(row));
        }
    }
    Ok(yaml)
}
