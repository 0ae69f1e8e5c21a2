//! The broker as nested loops: each row of a batch against each row of a dimension, one after the other.

use std::collections::BTreeMap;

use kimball_engine::history::OPEN_END;

use super::round::{Dimension, Early, Event, Fact, ForeignKey, Said, Side};

/// The default members, in the order in which they are given.
const NOT_APPLICABLE: i64 = -2;
const MISSING: i64 = -1;
const BAD_VALUE: i64 = -4;
pub(super) const NOT_YET_AVAILABLE: i64 = -3;

/// A row of a dimension; one without versions spans all time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MemberRow {
    pub(super) key: i64,
    pub(super) durable: i64,
    pub(super) identity: Vec<String>,
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) is_current: bool,
    pub(super) is_deleted: bool,
    pub(super) is_skeleton: bool,
    pub(super) tracked: String,
}

/// A row of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FactRow {
    pub(super) event: Event,
    pub(super) is_deleted: bool,
    /// Surrogate and durable key for each foreign key, in their order.
    pub(super) keys: Vec<Found>,
}

/// What a lookup finds: a member's keys, or the same sentinel twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) key: i64,
    pub(super) durable: i64,
}

pub(super) type Dimensions = BTreeMap<Dimension, Vec<MemberRow>>;
pub(super) type FactRows = BTreeMap<i64, FactRow>;

impl Found {
    fn sentinel(key: i64) -> Self {
        Self { key, durable: key }
    }

    pub(super) fn is_member(self) -> bool {
        !(-4..=-1).contains(&self.key)
    }
}

/// Loads one batch of a fact at `clock`: infers the members that it is the first to speak of, gives its rows their
/// keys, and those of earlier batches what they wait for.
pub(super) fn load(
    fact: &Fact,
    rows: &mut FactRows,
    batch: &[(i64, &Said)],
    dimensions: &mut Dimensions,
    clock: i64,
) {
    infer_all(fact, batch, dimensions, clock);
    for (event, said) in batch.iter().copied() {
        match said {
            Said::Is(values) => {
                let old = rows.get(&event);
                let keys = fact.keys.iter().enumerate();
                let keys = keys
                    .map(|(place, key)| stamped(key, values, old.map(|old| (old, place)), dimensions))
                    .collect();
                rows.insert(event, FactRow { event: values.clone(), is_deleted: false, keys });
            }
            Said::Gone => {
                if let Some(row) = rows.get_mut(&event) {
                    row.is_deleted = true;
                }
            }
            Said::Nothing => {}
        }
    }
    let untouched = rows
        .iter_mut()
        .filter(|(event, row)| !batch.iter().any(|(touched, _)| touched == *event) && !row.is_deleted);
    for (_, row) in untouched {
        for (key, old) in fact.keys.iter().zip(&mut row.keys) {
            let now = look_up(key, &row.event, dimensions);
            if now.is_member() && (old.key == NOT_YET_AVAILABLE || key.restates) {
                *old = now;
            }
        }
    }
}

/// The key of a row of the batch: the one that it was given first, while it speaks of the same member and time.
fn stamped(
    key: &ForeignKey,
    values: &Event,
    old: Option<(&FactRow, usize)>,
    dimensions: &Dimensions,
) -> Found {
    let now = look_up(key, values, dimensions);
    let Some((old, place)) = old else { return now };
    let Some(stamped) = old.keys.get(place).copied() else { return now };
    let speaks_of_a_member = now.is_member() || now.key == NOT_YET_AVAILABLE;
    let is_restated = key.restates && now.is_member();
    let stays = stamped.is_member() && speaks_of_a_member && !is_restated;
    if stays && inputs(key, values) == inputs(key, &old.event) { stamped } else { now }
}

/// Everything that a lookup reads of a row but the condition of its guard.
fn inputs(key: &ForeignKey, values: &Event) -> (Option<Vec<Option<String>>>, Option<Option<i64>>) {
    let side = values.sides.get(key.side);
    let event = key.event.map(|side| values.sides.get(side).and_then(|side| side.at));
    (side.map(|side| key.dimension.identity(side)), event)
}

impl Dimension {
    /// The parts of the identity by which a row speaks of a member of this dimension.
    pub(super) fn identity(self, side: &Side) -> Vec<Option<String>> {
        match self {
            Self::Overwritten => vec![side.id.map(|id| id.to_string())],
            Self::History | Self::Durable => vec![side.code.clone()],
            Self::Composite => vec![side.area.clone(), side.number.map(|number| number.to_string())],
        }
    }
}

/// Either a sentinel, or the identity and the time that are looked up.
fn question(key: &ForeignKey, values: &Event) -> Result<(Vec<String>, Option<i64>), i64> {
    if key.guarded && values.kind == Some("cash") {
        return Err(NOT_APPLICABLE);
    }
    let Some(side) = values.sides.get(key.side) else { return Err(MISSING) };
    let Some(identity) = key.dimension.identity(side).into_iter().collect::<Option<Vec<_>>>() else {
        return Err(MISSING);
    };
    if identity.iter().any(|part| part.chars().all(|letter| letter == ' ')) {
        return Err(BAD_VALUE);
    }
    match key.event {
        None => Ok((identity, None)),
        Some(side) => match values.sides.get(side).and_then(|side| side.at) {
            None => Err(BAD_VALUE),
            at => Ok((identity, at)),
        },
    }
}

fn look_up(key: &ForeignKey, values: &Event, dimensions: &Dimensions) -> Found {
    let (identity, at) = match question(key, values) {
        Ok(question) => question,
        Err(sentinel) => return Found::sentinel(sentinel),
    };
    let rows = dimensions.get(&key.dimension).map(Vec::as_slice).unwrap_or_default();
    let found = match at {
        Some(at) => as_of(rows, &identity, at),
        None => present(rows, &identity),
    };
    found.map_or(Found::sentinel(NOT_YET_AVAILABLE), |row| Found { key: row.key, durable: row.durable })
}

fn as_of<'d>(rows: &'d [MemberRow], identity: &[String], at: i64) -> Option<&'d MemberRow> {
    rows.iter().find(|row| row.identity == identity && row.from <= at && at < row.to)
}

/// The current row of a member; of one that is gone the last row that a delete ended, if possible one that was ever
/// true.
fn present<'d>(rows: &'d [MemberRow], identity: &[String]) -> Option<&'d MemberRow> {
    let mut last: Option<&MemberRow> = None;
    for row in rows.iter().filter(|row| row.identity == identity) {
        if row.is_current {
            return Some(row);
        }
        let order = |row: &MemberRow| (row.from < row.to, row.to, row.from);
        if row.is_deleted && last.is_none_or(|last| order(last) < order(row)) {
            last = Some(row);
        }
    }
    last
}

/// Infers the members that no dimension knows at the time of their earliest event.
fn infer_all(fact: &Fact, batch: &[(i64, &Said)], dimensions: &mut Dimensions, clock: i64) {
    let mut earliest: BTreeMap<(Dimension, Vec<String>), i64> = BTreeMap::new();
    for key in fact.keys.iter().filter(|key| key.early == Early::Skeleton) {
        for (_, said) in batch {
            let Said::Is(values) = said else { continue };
            let Ok((identity, at)) = question(key, values) else { continue };
            if look_up(key, values, dimensions).is_member() {
                continue;
            }
            let at = at.unwrap_or(clock);
            let start = earliest.entry((key.dimension, identity)).or_insert(at);
            *start = at.min(*start);
        }
    }
    for ((dimension, identity), start) in earliest {
        infer(dimension, identity, start, dimensions.entry(dimension).or_default());
    }
}

fn infer(dimension: Dimension, identity: Vec<String>, start: i64, rows: &mut Vec<MemberRow>) {
    let skeleton = MemberRow {
        // No key that is given: the table tells which one it is.
        key: i64::MIN + i64::try_from(rows.len()).unwrap_or_default(),
        durable: i64::MIN,
        from: start,
        to: OPEN_END,
        is_current: true,
        is_deleted: false,
        is_skeleton: true,
        tracked: "Missing".to_owned(),
        identity,
    };
    let first =
        rows.iter_mut().filter(|row| row.identity == skeleton.identity).min_by_key(|row| (row.from, row.to));
    match first {
        None if dimension.is_history() => rows.push(skeleton),
        None => rows.push(MemberRow { from: i64::MIN, ..skeleton }),
        Some(first) if first.from <= start => {}
        Some(first) if first.is_skeleton => first.from = start,
        Some(first) => {
            let to = first.from;
            rows.push(MemberRow { to, is_current: false, ..skeleton });
        }
    }
}
