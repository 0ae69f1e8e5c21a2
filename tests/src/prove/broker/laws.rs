//! What must hold of the rows of a dimension in themselves, and between two batches.

use std::collections::{BTreeMap, BTreeSet};

use kimball_engine::history::{OPEN_END, What, as_of};

use super::model::MemberRow;
use super::round::{Dimension, Member, MemberChange, area, code, number_in_area, text};

/// A breach, and whose.
pub(super) type Breach = (Vec<String>, String);

/// The identity under which `dimension` knows a member.
pub(super) fn identity_of(dimension: Dimension, member: i64) -> Vec<String> {
    match dimension {
        Dimension::Overwritten => vec![member.to_string()],
        Dimension::History | Dimension::Durable => vec![code(member)],
        Dimension::Composite => vec![area(member).to_owned(), number_in_area(member).to_string()],
    }
}

/// The first breach in `rows`, which stood at `before` a batch ago and know what the changes until `batch` say.
pub(super) fn breach(
    dimension: Dimension,
    before: &[MemberRow],
    rows: &[MemberRow],
    members: &[Member],
    batch: usize,
) -> Option<Breach> {
    let mut by_identity: BTreeMap<&[String], Vec<&MemberRow>> = BTreeMap::new();
    let mut keys = BTreeSet::new();
    for row in rows {
        by_identity.entry(&row.identity).or_default().push(row);
        if !keys.insert(row.key) {
            return Some((row.identity.clone(), format!("the key {} is there twice", row.key)));
        }
    }
    let of_chain = by_identity.iter().find_map(|(identity, rows)| {
        let wrong = overlap(rows).or_else(|| misplaced_skeleton(dimension, rows))?;
        Some((identity.to_vec(), wrong))
    });
    of_chain.or_else(|| moved_key(before, rows)).or_else(|| {
        members.iter().find_map(|member| {
            let identity = identity_of(dimension, member.number);
            let rows = by_identity.get(identity.as_slice()).map(Vec::as_slice).unwrap_or_default();
            let old = before.iter().find(|old| old.is_skeleton && old.identity == identity);
            let wrong = untrue(dimension, rows, member, batch)
                .or_else(|| unfilled(old?, rows, &member.until(batch)))?;
            Some((identity, wrong))
        })
    })
}

/// Rows of one member that are true at one time, or two of the present.
fn overlap(rows: &[&MemberRow]) -> Option<String> {
    if rows.iter().filter(|row| row.is_current).count() > 1 {
        return Some("two rows are current".to_owned());
    }
    for (place, row) in rows.iter().enumerate() {
        if row.from > row.to {
            return Some(format!("the row from {} ends before", text(row.from)));
        }
        let others = rows.iter().skip(place + 1);
        if let Some(other) = others.into_iter().find(|other| row.from.max(other.from) < row.to.min(other.to))
        {
            return Some(format!("the rows from {} and {} overlap", text(row.from), text(other.from)));
        }
    }
    None
}

/// A skeleton is a member's first row, and ends at its first real one or is open and current. A delete that comes in
/// between ends it earlier, as any row.
fn misplaced_skeleton(dimension: Dimension, rows: &[&MemberRow]) -> Option<String> {
    if rows.iter().filter(|row| row.is_skeleton).count() > 1 {
        return Some("two rows are inferred".to_owned());
    }
    let skeleton = rows.iter().find(|row| row.is_skeleton)?;
    if !dimension.is_history() {
        return None;
    }
    let first = rows.iter().filter(|row| !row.is_skeleton).map(|row| row.from).min();
    let as_it_should_be = match first {
        Some(first) if skeleton.is_deleted => skeleton.to <= first && !skeleton.is_current,
        Some(first) => skeleton.from < first && skeleton.to == first && !skeleton.is_current,
        None => skeleton.to == OPEN_END && skeleton.is_current && !skeleton.is_deleted,
    };
    (!as_it_should_be).then(|| {
        format!("the inferred row from {} to {} is misplaced", text(skeleton.from), text(skeleton.to))
    })
}

/// Keys stay where they were published; only what is inferred may begin earlier.
fn moved_key(before: &[MemberRow], rows: &[MemberRow]) -> Option<Breach> {
    let by_key: BTreeMap<i64, &MemberRow> = rows.iter().map(|row| (row.key, row)).collect();
    before.iter().find_map(|old| {
        let breach = |wrong: &str| Some((old.identity.clone(), format!("the key {} {wrong}", old.key)));
        let Some(now) = by_key.get(&old.key) else { return breach("is gone") };
        if now.identity != old.identity {
            return breach("stands for another member");
        }
        if now.durable != old.durable {
            return breach("has another durable key");
        }
        match (old.is_skeleton, now.is_skeleton) {
            (false, true) => breach("was real and is inferred"),
            (false, false) if now.from != old.from => breach("stands for a row that begins elsewhere"),
            (true, _) if now.from > old.from => breach("was inferred and begins later"),
            _ => None,
        }
    })
}

/// Where rows of a member tell something else than its changes; a skeleton tells nothing.
fn untrue(dimension: Dimension, rows: &[&MemberRow], member: &Member, batch: usize) -> Option<String> {
    let changes = member.until(batch);
    if !dimension.is_history() {
        let last = changes.last().map(|change| &change.what);
        let found = rows.first().filter(|row| !row.is_skeleton).map(|row| row.is_deleted);
        let true_now = last.map(|what| *what == What::Gone);
        return (found != true_now).then(|| format!("deleted is {found:?}, but {true_now:?} is true"));
    }
    let of_changes = changes.iter().map(|change| match change.what {
        What::Is { effective, .. } => effective,
        What::Gone => change.commit.time,
    });
    let of_commits = changes.iter().map(|change| change.commit.time);
    let of_rows = rows.iter().map(|row| row.from);
    let mut places = of_changes.chain(of_commits).chain(of_rows).flat_map(|place| [place - 1, place]);
    places.find_map(|at| {
        let real = rows.iter().find(|row| !row.is_skeleton && row.from <= at && at < row.to);
        let found = real.map(|row| row.tracked.clone());
        let truth = as_of(&changes, at).map(char::to_string);
        (found != truth).then(|| format!("as of {} it is {found:?}, but {truth:?} is true", text(at)))
    })
}

/// A skeleton at whose start a member really was is of the row that was true then.
fn unfilled(old: &MemberRow, rows: &[&MemberRow], changes: &[MemberChange]) -> Option<String> {
    as_of(changes, old.from)?;
    let is_filled = |row: &&MemberRow| {
        row.key == old.key && !row.is_skeleton && row.from <= old.from && old.from < row.to
    };
    let message = || format!("the inferred row from {} is not of the row that is true then", text(old.from));
    (!rows.iter().any(is_filled)).then(message)
}
