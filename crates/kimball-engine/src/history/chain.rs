//! A chain of versions, and the chain after a batch of changes.

use std::collections::{BTreeMap, BTreeSet};

/// The end of a version that is open: 9999-12-31 23:59:59.999999 UTC, in microseconds since 1970.
pub const OPEN_END: i64 = 253_402_300_799_999_999;

/// A commit of a feed: its version, and when it was made, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Commit {
    /// Orders commits.
    pub version: u64,
    /// Never earlier than that of the commit before.
    pub time: i64,
}

/// What one commit says of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<T, U> {
    /// Which commit says it.
    pub commit: Commit,
    /// What it says.
    pub what: What<T, U>,
}

/// A row, or its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What<T, U> {
    /// From an instant on the member has these attributes.
    Is {
        /// The effective time, in microseconds since 1970.
        effective: i64,
        /// Attributes whose change opens a version.
        tracked: T,
        /// Attributes that are overwritten in place.
        untracked: U,
    },
    /// The member is deleted.
    Gone,
}

/// A row of the history: true from `from`, included, to `to`, excluded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version<T, U> {
    /// Start, in microseconds since 1970; with the member it stands for the surrogate key.
    pub from: i64,
    /// End; [`OPEN_END`] while it is open.
    pub to: i64,
    /// The effective time of the change that it shows; before `from` where a life began later than that.
    pub effective: i64,
    /// The newest of a member that lives.
    pub is_current: bool,
    /// Ended by a delete, not by a successor.
    pub is_deleted: bool,
    /// Attributes whose change opens a version.
    pub tracked: T,
    /// Attributes that are overwritten in place.
    pub untracked: U,
}

/// All versions of a member, and what is remembered besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain<T, U> {
    /// Lives that have ended, oldest first.
    past: Vec<Version<T, U>>,
    /// The life that goes on, in the order of time; empty for a member that is unknown or deleted.
    present: Vec<Version<T, U>>,
    /// Instants at which a change of the present life repeated what held already (semantics 4.2).
    repeats: BTreeSet<i64>,
    /// The newest delete.
    deleted_at: Option<i64>,
}

/// Who restates a member: a row of the present, without the changes that led to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restated {
    /// A full snapshot, read at an instant (semantics 4.2).
    BySnapshot,
    /// A query that was evaluated again because of a commit of that instant (semantics 4.11).
    ByQuery,
}

/// The changes of one life: from an insert to a delete, if there is one.
struct Life<'c, T, U> {
    changes: Vec<(Commit, i64, &'c T, &'c U)>,
    deleted_at: Option<i64>,
}

/// What holds from an instant on, until the next one.
struct Point<T, U> {
    effective: i64,
    tracked: T,
    untracked: U,
    source: Source,
}

/// Where the attributes of a point come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// A row that is published: it keeps its key and its start, whatever becomes of its attributes.
    Published,
    /// A change of the batch.
    Change,
    /// A repeat that was remembered.
    Repeat,
}

impl<T: Clone + Eq, U: Clone + Eq> Default for Chain<T, U> {
    fn default() -> Self {
        Self { past: Vec::new(), present: Vec::new(), repeats: BTreeSet::new(), deleted_at: None }
    }
}

impl<T: Clone + Eq, U: Clone + Eq> Chain<T, U> {
    /// All rows, in the order of lives and of time.
    pub fn versions(&self) -> impl Iterator<Item = &Version<T, U>> {
        self.past.iter().chain(&self.present)
    }

    /// The chain after a batch.
    #[must_use]
    pub fn after(&self, batch: &[Change<T, U>]) -> Self {
        let mut chain = self.clone();
        for life in lives(batch) {
            chain.go_on(&life);
        }
        chain
    }

    /// The chain after a row (effective time, tracked, untracked) that speaks of the present, or after its absence;
    /// `time` is the instant of the snapshot or commit.
    #[must_use]
    pub fn restated(&self, row: Option<(i64, T, U)>, time: i64, by: Restated) -> Self {
        let mut chain = self.clone();
        let Some((effective, tracked, untracked)) = row else {
            if !chain.present.is_empty() {
                chain.end(time);
            }
            return chain;
        };
        let Some(current) = chain.present.last_mut() else {
            let new = Life {
                changes: vec![(Commit { version: 0, time }, effective, &tracked, &untracked)],
                deleted_at: None,
            };
            chain.go_on(&new);
            return chain;
        };
        let from = match by {
            // An effective time that did not advance does not tell when the row changed; the commit does.
            Restated::ByQuery if effective <= current.from => time.max(current.from),
            Restated::ByQuery | Restated::BySnapshot => effective.max(current.from),
        };
        if tracked == current.tracked || from == current.from {
            (current.tracked, current.untracked) = (tracked, untracked);
            return chain;
        }
        (current.to, current.is_current) = (from, false);
        let (to, is_current, is_deleted) = (OPEN_END, true, false);
        chain.present.push(Version { from, to, effective, is_current, is_deleted, tracked, untracked });
        chain
    }

    /// Takes in the changes of one life: the present one while there is one, else a new one.
    fn go_on(&mut self, life: &Life<'_, T, U>) {
        let floor = self.floor(life);
        let before = self.present.len();
        let points = self.points(life, floor);
        let newest = newest_untracked(&points);
        self.remember(life, floor, &points);
        self.present = chained(points, newest);
        debug_assert!(self.present.len() >= before, "published rows stay");
        if let Some(deleted_at) = life.deleted_at
            && !self.present.is_empty()
        {
            self.end(deleted_at);
        }
    }

    /// The earliest instant that a change of this life may reach back to. A new life starts at max(e, its commit
    /// time, the previous d), and no change reaches back behind a delete (semantics 4.1, 4.6).
    fn floor(&self, life: &Life<'_, T, U>) -> i64 {
        let is_first = self.past.is_empty();
        match (self.present.first(), life.changes.first()) {
            _ if is_first => i64::MIN,
            (Some(start), _) => start.from,
            (None, Some((commit, effective, _, _))) => {
                (*effective).max(commit.time).max(self.deleted_at.unwrap_or(i64::MIN))
            }
            (None, None) => i64::MIN,
        }
    }

    /// Versions, remembered repeats and changes by the instant from which they count. At one instant the newest
    /// change wins: by effective time, then by commit (semantics 4.1).
    fn points(&self, life: &Life<'_, T, U>, floor: i64) -> BTreeMap<i64, Point<T, U>> {
        let mut points = BTreeMap::new();
        for repeat in &self.repeats {
            let covering = self.present.iter().find(|version| version.from < *repeat && *repeat < version.to);
            if let Some(version) = covering {
                points.insert(*repeat, Point { effective: *repeat, ..Point::of(version, Source::Repeat) });
            }
        }
        for version in &self.present {
            points.insert(version.from, Point::of(version, Source::Published));
        }
        let mut changes: Vec<_> = life.changes.iter().collect();
        changes.sort_by_key(|(commit, effective, _, _)| (*effective, commit.version));
        for (_, effective, tracked, untracked) in changes {
            let at = (*effective).max(floor);
            let source = match points.get(&at) {
                // What stands there already is newer: the change was pushed here from behind a delete.
                Some(Point { effective: newer, .. }) if newer > effective => continue,
                Some(Point { source: Source::Published, .. }) => Source::Published,
                _ => Source::Change,
            };
            let (tracked, untracked) = ((*tracked).clone(), (*untracked).clone());
            points.insert(at, Point { effective: *effective, tracked, untracked, source });
        }
        points
    }

    /// Remembers the changes that say what holds already.
    fn remember(&mut self, life: &Life<'_, T, U>, floor: i64, points: &BTreeMap<i64, Point<T, U>>) {
        for (_, effective, _, _) in &life.changes {
            let at = (*effective).max(floor);
            let before = points.range(..at).next_back().map(|(_, point)| &point.tracked);
            let repeats = points
                .get(&at)
                .is_some_and(|point| point.source == Source::Change && before == Some(&point.tracked));
            if repeats {
                self.repeats.insert(at);
            }
        }
    }

    /// A delete: the version covering d ends at d, versions that would have begun after it end where they begin
    /// (semantics 4.4).
    fn end(&mut self, deleted_at: i64) {
        for version in &mut self.present {
            if version.to > deleted_at {
                version.to = version.from.max(deleted_at);
                version.is_deleted = true;
            }
            version.is_current = false;
        }
        self.past.append(&mut self.present);
        self.repeats.clear();
        self.deleted_at = self.deleted_at.max(Some(deleted_at));
    }
}

impl<T: Clone, U: Clone> Point<T, U> {
    fn of(version: &Version<T, U>, source: Source) -> Self {
        let (tracked, untracked) = (version.tracked.clone(), version.untracked.clone());
        Self { effective: version.effective, tracked, untracked, source }
    }
}

/// The newest change of the life, which speaks for the untracked attributes of the current row (semantics 4.5):
/// when it counts from, and what it says.
fn newest_untracked<T, U: Clone>(points: &BTreeMap<i64, Point<T, U>>) -> Option<(i64, U)> {
    let said = points.iter().rev().find(|(_, point)| point.source != Source::Repeat);
    said.map(|(at, point)| (*at, point.untracked.clone()))
}

/// Points as rows: one that repeats what holds already is no version of its own, unless it is published; each row
/// ends where the next one begins (semantics 4.2).
fn chained<T: Clone + Eq, U: Clone>(
    points: BTreeMap<i64, Point<T, U>>,
    newest: Option<(i64, U)>,
) -> Vec<Version<T, U>> {
    let mut versions: Vec<Version<T, U>> = Vec::new();
    let mut before: Option<T> = None;
    for (from, point) in points {
        let repeats = before.as_ref() == Some(&point.tracked);
        before = Some(point.tracked.clone());
        if repeats && point.source != Source::Published {
            continue;
        }
        if let Some(last) = versions.last_mut() {
            last.to = from;
            last.is_current = false;
        }
        versions.push(Version {
            from,
            to: OPEN_END,
            effective: point.effective,
            is_current: true,
            is_deleted: false,
            tracked: point.tracked,
            untracked: point.untracked,
        });
    }
    if let (Some(current), Some((at, untracked))) = (versions.last_mut(), newest)
        && at >= current.from
    {
        current.untracked = untracked;
    }
    versions
}

/// Commit order cuts changes into lives: a delete ends everything committed earlier, and in one commit an insert
/// beats a delete (semantics 4.1).
fn lives<T, U>(batch: &[Change<T, U>]) -> Vec<Life<'_, T, U>> {
    let mut changes: Vec<&Change<T, U>> = batch.iter().collect();
    changes.sort_by_key(|change| change.commit.version);
    let writes: BTreeSet<u64> = changes
        .iter()
        .filter(|change| matches!(change.what, What::Is { .. }))
        .map(|change| change.commit.version)
        .collect();
    let mut lives = vec![Life { changes: Vec::new(), deleted_at: None }];
    for change in changes {
        let Some(life) = lives.last_mut() else { break };
        match &change.what {
            What::Is { effective, tracked, untracked } => {
                life.changes.push((change.commit, *effective, tracked, untracked));
            }
            What::Gone if writes.contains(&change.commit.version) => {}
            What::Gone => {
                life.deleted_at = Some(change.commit.time);
                lives.push(Life { changes: Vec::new(), deleted_at: None });
            }
        }
    }
    for life in &mut lives {
        life.changes.sort_by_key(|(commit, effective, _, _)| (commit.version, *effective));
    }
    lives
}
