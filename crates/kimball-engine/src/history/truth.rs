//! The truth about a member: a function of the set of its changes, whatever batches brought them.

use super::{Change, What};

/// The tracked attributes as of `at`: the newest change at or before it within the life that covers it
/// (semantics 4); `None` where no life does.
pub fn as_of<T, U>(changes: &[Change<T, U>], at: i64) -> Option<&T> {
    let mut commits: Vec<&Change<T, U>> = changes.iter().collect();
    commits.sort_by_key(|change| match change.what {
        // In one commit a write beats a delete: the delete is the life's before.
        What::Gone => (change.commit.version, 0, i64::MIN),
        What::Is { effective, .. } => (change.commit.version, 1, effective),
    });
    let mut known = None;
    let mut life: Vec<(i64, i64, u64, &T)> = Vec::new();
    let mut start = None;
    let mut last_delete = None;
    for (place, change) in commits.iter().enumerate() {
        match &change.what {
            What::Is { effective, tracked, .. } => {
                let floor = *start.get_or_insert_with(|| {
                    last_delete
                        .map_or(i64::MIN, |deleted: i64| deleted.max(*effective).max(change.commit.time))
                });
                life.push(((*effective).max(floor), *effective, change.commit.version, tracked));
            }
            What::Gone => {
                let rewritten = commits.iter().skip(place).any(|other| {
                    other.commit.version == change.commit.version && matches!(other.what, What::Is { .. })
                });
                if rewritten || life.is_empty() {
                    continue;
                }
                if at < change.commit.time {
                    known = known.or_else(|| newest(&life, at));
                }
                last_delete = last_delete.max(Some(change.commit.time));
                life.clear();
                start = None;
            }
        }
    }
    known.or_else(|| newest(&life, at))
}

fn newest<'c, T>(life: &[(i64, i64, u64, &'c T)], at: i64) -> Option<&'c T> {
    let reached = life.iter().filter(|(counts_from, ..)| *counts_from <= at);
    reached
        .max_by_key(|(counts_from, effective, version, _)| (*counts_from, *effective, *version))
        .map(|found| found.3)
}
