//! Cutting a round that differs down to what matters.

use std::collections::BTreeSet;

use kimball_engine::history::What;
use tokio::runtime::Runtime;

use super::check::{Difference, Refutation, check, listed};
use super::laws::identity_of;
use super::round::{DIMENSIONS, EventRow, ForeignKey, MemberChange, Round, Said, text};
use super::scenario::scenario;
use crate::error::{Result, TestkitError};
use crate::prove::{Proof, Refuted};

/// Leaves out facts, rows, members and changes as long as the rest differs, and writes that as a scenario.
pub(super) fn report(
    runtime: &Runtime,
    round: Round,
    difference: Difference,
    proof: &Proof,
) -> Result<Refuted> {
    let first = difference.told.clone();
    let Some((round, (difference, expected))) = Reduction { runtime }.reduce(round, &difference)? else {
        return Ok(Refuted { difference: first, scenario: None });
    };
    std::fs::create_dir_all(&proof.failures).map_err(TestkitError::io(&proof.failures))?;
    let path = proof.failures.join("keys_that_differ.yaml");
    let text = scenario(&round, &difference, &expected);
    std::fs::write(&path, text).map_err(TestkitError::io(&path))?;
    Ok(Refuted { difference: difference.told, scenario: Some(path) })
}

struct Reduction<'a> {
    runtime: &'a Runtime,
}

impl Reduction<'_> {
    /// A small round that differs; `None` when the rows concerned do not differ by themselves.
    fn reduce(&self, round: Round, difference: &Difference) -> Result<Option<(Round, Refutation)>> {
        let tried = [Facts::Key, Facts::Fact, Facts::All].map(|facts| concerned(&round, difference, facts));
        let mut found = None;
        for smaller in tried.into_iter().flatten().chain([round]) {
            if let Some(refuted) = check(self.runtime, &smaller)? {
                found = Some((smaller, refuted));
                break;
            }
        }
        let Some((mut round, mut refuted)) = found else { return Ok(None) };
        loop {
            let before = size(&round);
            for part in [facts, keys, rows, said, members, changes, settings] {
                let mut place = 0;
                while let Some(smaller) = part(&round, place) {
                    match check(self.runtime, &smaller)? {
                        Some(still) => (round, refuted) = (smaller, still),
                        None => place += 1,
                    }
                }
            }
            if size(&round) == before {
                return Ok(Some((round, refuted)));
            }
        }
    }
}

/// How much of the facts is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Facts {
    Key,
    Fact,
    All,
}

/// The members and rows that a difference speaks of; `None` where it speaks of no such fact.
fn concerned(round: &Round, difference: &Difference, facts: Facts) -> Option<Round> {
    let mut round = round.clone();
    if facts != Facts::All {
        let place = difference.row?;
        round.facts.retain(|fact| fact.number == place.fact);
        let number = place.key.filter(|_| facts == Facts::Key);
        round
            .facts
            .iter_mut()
            .for_each(|fact| fact.keys.retain(|key| number.is_none_or(|own| key.number == own)));
    }
    let is_row = |row: &EventRow| difference.row.is_some_and(|place| place.event == row.event);
    let mut identities: BTreeSet<_> = difference.member.iter().cloned().collect();
    identities.extend(round.rows.iter().filter(|row| is_row(row)).flat_map(spoken_of));
    round.rows.retain(|row| spoken_of(row).iter().any(|identity| identities.contains(identity)));
    let is_known = |number: i64| {
        DIMENSIONS.iter().any(|dimension| identities.contains(&(*dimension, identity_of(*dimension, number))))
    };
    round.members.retain(|member| is_known(member.number));
    Some(round)
}

fn spoken_of(row: &EventRow) -> BTreeSet<(super::round::Dimension, Vec<String>)> {
    let events = row.said.iter().filter_map(|said| match said {
        Said::Is(event) => Some(event),
        Said::Gone | Said::Nothing => None,
    });
    let sides = events.flat_map(|event| &event.sides);
    let named = sides.flat_map(|side| DIMENSIONS.map(|dimension| (dimension, dimension.identity(side))));
    named
        .filter_map(|(dimension, parts)| Some((dimension, parts.into_iter().collect::<Option<_>>()?)))
        .collect()
}

fn size(round: &Round) -> usize {
    let keys: usize = round.facts.iter().map(|fact| fact.keys.len()).sum();
    let said = round.rows.iter().flat_map(|row| &row.said).filter(|said| **said != Said::Nothing).count();
    let changes: usize = round.members.iter().map(|member| member.changes.len()).sum();
    keys + said + changes + round.rows.len() + round.members.len()
}

/// The round without its fact at `place`.
fn facts(round: &Round, place: usize) -> Option<Round> {
    let mut smaller = round.clone();
    (place < round.facts.len() && round.facts.len() > 1).then(|| {
        smaller.facts.remove(place);
        smaller
    })
}

fn keys(round: &Round, place: usize) -> Option<Round> {
    let all = round.facts.iter().enumerate();
    let mut all = all.flat_map(|(fact, keyed)| (0..keyed.keys.len()).map(move |key| (fact, key)));
    let (fact, key) = all.nth(place)?;
    let mut smaller = round.clone();
    if smaller.facts.get(fact)?.keys.len() == 1 {
        // Facts without a key are no facts of this proof: the next one.
        return keys(round, place + 1);
    }
    smaller.facts.get_mut(fact)?.keys.remove(key);
    Some(smaller)
}

fn rows(round: &Round, place: usize) -> Option<Round> {
    let mut smaller = round.clone();
    (place < round.rows.len()).then(|| {
        smaller.rows.remove(place);
        smaller
    })
}

fn said(round: &Round, place: usize) -> Option<Round> {
    let all = round.rows.iter().enumerate().flat_map(|(row, spoken)| {
        let told = spoken.said.iter().enumerate().filter(|(_, said)| **said != Said::Nothing);
        told.map(move |(batch, _)| (row, batch))
    });
    let (row, batch) = all.into_iter().nth(place)?;
    let mut smaller = round.clone();
    *smaller.rows.get_mut(row)?.said.get_mut(batch)? = Said::Nothing;
    Some(smaller)
}

fn members(round: &Round, place: usize) -> Option<Round> {
    let mut smaller = round.clone();
    (place < round.members.len()).then(|| {
        smaller.members.remove(place);
        smaller
    })
}

fn changes(round: &Round, place: usize) -> Option<Round> {
    let all = round.members.iter().enumerate();
    let mut all =
        all.flat_map(|(member, known)| (0..known.changes.len()).map(move |change| (member, change)));
    let (member, change) = all.nth(place)?;
    let mut smaller = round.clone();
    let known = &mut smaller.members.get_mut(member)?.changes;
    known.remove(change);
    drop_idle_deletes(known);
    Some(smaller)
}

/// A table does not tell of a delete of what it does not hold.
fn drop_idle_deletes(changes: &mut Vec<MemberChange>) {
    let mut lives = false;
    changes.retain(|change| {
        let is_told = lives || change.what != What::Gone;
        lives = change.what != What::Gone;
        is_told
    });
}

/// The round with one setting less.
fn settings(round: &Round, place: usize) -> Option<Round> {
    let plain: [fn(&mut ForeignKey); 3] =
        [|key| key.guarded = false, |key| key.restates = false, |key| key.durable = false];
    let is_set =
        [|key: &ForeignKey| key.guarded, |key: &ForeignKey| key.restates, |key: &ForeignKey| key.durable];
    let mut left = place;
    for (fact, keyed) in round.facts.iter().enumerate() {
        for (number, key) in keyed.keys.iter().enumerate() {
            for (set, unset) in is_set.iter().zip(plain) {
                if !set(key) {
                    continue;
                }
                if left == 0 {
                    let mut smaller = round.clone();
                    unset(smaller.facts.get_mut(fact)?.keys.get_mut(number)?);
                    return Some(smaller);
                }
                left -= 1;
            }
        }
    }
    None
}

/// What a difference is about: the rows, the changes of their members, what the model has of them, and how they are
/// looked up.
pub(super) fn story(round: &Round, (difference, expected): &Refutation) -> String {
    let Some(small) =
        concerned(round, difference, Facts::Key).or_else(|| concerned(round, difference, Facts::All))
    else {
        return String::new();
    };
    let mut told = format!("batch {}, {:?} keys\n", difference.batch, round.keys);
    for fact in &small.facts {
        let keys = fact.keys.iter().map(|key| format!("{} {key:?}\n", fact.table()));
        told.extend(keys);
    }
    for member in &small.members {
        for change in &member.changes {
            let at = text(change.commit.time);
            let what = match &change.what {
                What::Is { effective, tracked, .. } => format!("{tracked} from {}", text(*effective)),
                What::Gone => "gone".to_owned(),
            };
            told.push_str(&format!("member {} at {at}: {what}\n", member.number));
        }
        for (dimension, rows) in &expected.dimensions {
            let identity = identity_of(*dimension, member.number);
            told.push_str(&format!("  {} {identity:?}\n{}", dimension.table(), listed(rows, &identity)));
        }
    }
    for row in &small.rows {
        for (batch, said) in row.said.iter().enumerate().filter(|(_, said)| **said != Said::Nothing) {
            told.push_str(&format!(
                "row {} before run {batch} at {}: {}\n",
                row.event,
                text(round.clock(batch)),
                shown(said)
            ));
        }
    }
    told
}

fn shown(said: &Said) -> String {
    let Said::Is(event) = said else { return format!("{said:?}") };
    let at = |at: Option<i64>| at.map(text);
    let sides = event.sides.iter().map(|side| {
        format!("{:?} {:?} {:?}/{:?} at {:?}", side.id, side.code, side.area, side.number, at(side.at))
    });
    format!("{:?}; {}", event.kind, sides.collect::<Vec<_>>().join("; "))
}
