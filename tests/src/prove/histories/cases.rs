//! Cases: the changes of one member, drawn so that commit times and effective times meet on one small grid.

use chrono::{DateTime, TimeDelta, Utc};
use kimball_engine::history::{Change, Commit, What};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// A change whose attributes are letters.
pub(super) type CaseChange = Change<char, char>;

/// The changes of one member, at most one a commit, in commit order.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) changes: Vec<CaseChange>,
}

/// Draws `count` cases of up to `commits` changes each.
pub(super) fn draw(count: usize, commits: u64, seed: u64) -> Vec<Case> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let one = (0u8..4, 0i64..12, 0usize..3, 0usize..2);
    let changes = proptest::collection::vec(one, usize::try_from(commits).unwrap_or_default());
    let drawn = |_| match changes.new_tree(&mut runner) {
        Ok(tree) => Case { changes: changes_of(&tree.current()) },
        Err(_) => Case { changes: Vec::new() },
    };
    (0..count).map(drawn).collect()
}

fn changes_of(drawn: &[(u8, i64, usize, usize)]) -> Vec<CaseChange> {
    let commits = (1u64..).zip(drawn);
    let mut lives = false;
    commits
        .filter_map(|(version, (kind, effective, tracked, untracked))| {
            let what = match kind {
                0 => return None,
                // A table does not tell of a delete of what it does not hold.
                1 if *effective < 6 && !lives => return None,
                1 if *effective < 6 => What::Gone,
                _ => What::Is {
                    effective: micros(*effective),
                    tracked: letter(*tracked),
                    untracked: letter(*untracked),
                },
            };
            lives = what != What::Gone;
            Some(Change { commit: commit(version), what })
        })
        .collect()
}

fn letter(number: usize) -> char {
    ['a', 'b', 'c'][number % 3]
}

/// Commit `version` of a source.
pub(super) fn commit(version: u64) -> Commit {
    Commit { version, time: commit_time(version).timestamp_micros() }
}

/// When commit `version` was made.
pub(super) fn commit_time(version: u64) -> DateTime<Utc> {
    // Some commits lie between the places of the grid, some on them.
    let hours = [0, 1, 2, 4, 5, 7, 8, 9, 11];
    let place = usize::try_from(version).unwrap_or_default();
    let past = i64::try_from(place.saturating_sub(hours.len() - 1)).unwrap_or_default();
    instant(hours[place.min(hours.len() - 1)] + past)
}

fn micros(hours: i64) -> i64 {
    instant(hours).timestamp_micros()
}

fn instant(hours: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_704_067_200, 0).unwrap_or_default() + TimeDelta::hours(hours)
}

/// An instant of the algebra as canonical text.
pub(super) fn text(micros: i64) -> String {
    let instant = DateTime::from_timestamp_micros(micros).unwrap_or_default();
    let whole = instant.format("%Y-%m-%d %H:%M:%S").to_string();
    match instant.timestamp_subsec_micros() {
        0 => whole,
        micros => format!("{whole}.{micros:06}"),
    }
}

impl Case {
    /// What commit `version` says of the member. The commit behind the last says again what was said last.
    pub(super) fn said(&self, version: u64, commits: u64) -> Option<CaseChange> {
        if version <= commits {
            return self.changes.iter().find(|change| change.commit.version == version).cloned();
        }
        let last = self.changes.last().filter(|last| last.what != What::Gone)?;
        Some(Change { commit: commit(version), what: last.what.clone() })
    }

    /// What commits `from` to `to` say.
    pub(super) fn between(&self, from: u64, to: u64, commits: u64) -> Vec<CaseChange> {
        (from..=to).filter_map(|version| self.said(version, commits)).collect()
    }
}
