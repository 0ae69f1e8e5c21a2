//! A round: the histories of members, the rows that speak of them, and the facts that look them up.

use chrono::{DateTime, TimeDelta, Utc};
use kimball_engine::history::{Change, Commit, What};

use super::draws::Draws;

/// Runs of a round.
pub(super) const BATCHES: usize = 4;
/// Commits of the members' source between two runs.
const COMMITS_A_BATCH: u64 = 2;
/// Facts of a round.
const FACTS: u64 = 3;
/// When the commits were made, in hours: in among the effective times and the events, so that they meet.
const COMMIT_HOURS: [i64; 8] = [1, 2, 4, 5, 7, 8, 9, 11];

/// How far the times of changes and events reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Horizon {
    /// Nothing is told before it happens.
    Past,
    /// Changes and events can be announced, and taken back before they happen.
    Future,
}

/// A change whose attributes are letters.
pub(super) type MemberChange = Change<char, char>;

/// What is loaded, in which batches, and how it is looked up.
#[derive(Debug, Clone)]
pub(super) struct Round {
    pub(super) members: Vec<Member>,
    pub(super) rows: Vec<EventRow>,
    pub(super) facts: Vec<Fact>,
    pub(super) keys: KeyStrategy,
    /// Minutes from the last commit of each batch to its run.
    pub(super) delays: [i64; BATCHES],
}

/// How surrogate keys are given where a type leaves the choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyStrategy {
    Hash,
    Sequence,
}

/// A member that is known under several identities: a number, a code, and a number in an area.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) number: i64,
    /// At most one a commit, in commit order.
    pub(super) changes: Vec<MemberChange>,
}

/// A row of the facts' source.
#[derive(Debug, Clone)]
pub(super) struct EventRow {
    pub(super) event: i64,
    /// What the commit before each run says of it.
    pub(super) said: Vec<Said>,
}

/// What a commit says of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "most commits say something, and a round holds few")]
pub(super) enum Said {
    Nothing,
    Is(Event),
    Gone,
}

/// The values of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) kind: Option<&'static str>,
    pub(super) amount: i64,
    pub(super) sides: [Side; 2],
}

/// One of two members that a row speaks of, by all its identities, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) id: Option<i64>,
    pub(super) code: Option<String>,
    pub(super) area: Option<String>,
    pub(super) number: Option<i64>,
    pub(super) at: Option<i64>,
}

/// Under which of its identities a dimension knows a member, and what it keeps of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dimension {
    /// Type 1, by number.
    Overwritten,
    /// Type 2, by code.
    History,
    /// Type 7, by code.
    Durable,
    /// Type 2, by area and number in it.
    Composite,
}

pub(super) const DIMENSIONS: [Dimension; 4] =
    [Dimension::Overwritten, Dimension::History, Dimension::Durable, Dimension::Composite];

/// A fact over all rows of the source.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    pub(super) number: u64,
    pub(super) keys: Vec<ForeignKey>,
}

/// A foreign key with its lookup.
#[derive(Debug, Clone)]
pub(super) struct ForeignKey {
    pub(super) number: u64,
    pub(super) dimension: Dimension,
    /// The side whose identity is looked up.
    pub(super) side: usize,
    /// The side whose time counts; `None` looks up the present.
    pub(super) event: Option<usize>,
    pub(super) early: Early,
    /// Whether the key does not apply to rows of the kind `cash`.
    pub(super) guarded: bool,
    /// Whether a late version gives loaded rows another key.
    pub(super) restates: bool,
    /// Whether the row holds the durable key, too.
    pub(super) durable: bool,
}

/// What becomes of an identity without a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Early {
    Skeleton,
    Default,
}

/// Draws a round of `cases` members with the rows that speak of them.
pub(super) fn draw(cases: usize, seed: u64, horizon: Horizon) -> Round {
    let mut draws = Draws::new(seed);
    let cases = i64::try_from(cases).unwrap_or(i64::MAX);
    let facts = (0..FACTS).map(|number| fact(number, &mut draws)).collect();
    let members = (0..cases).map(|number| Member { number, changes: changes(horizon, &mut draws) }).collect();
    let mut rows = Vec::new();
    for case in 0..cases {
        for nth in 0..1 + draws.place(4) {
            rows.push(EventRow { event: case * 10 + nth, said: said(case, horizon, &mut draws) });
        }
    }
    let keys = if draws.happens(50) { KeyStrategy::Hash } else { KeyStrategy::Sequence };
    let delays = std::array::from_fn(|_| if draws.happens(50) { 0 } else { 30 });
    Round { members, rows, facts, keys, delays }
}

impl Horizon {
    /// `at`, but no later than `told` where that is the horizon.
    fn until(self, at: i64, told: i64) -> i64 {
        match self {
            Self::Past => at.min(told),
            Self::Future => at,
        }
    }
}

fn fact(number: u64, draws: &mut Draws) -> Fact {
    let keys = (0..2 + draws.below(3)).map(|number| foreign_key(number, draws)).collect();
    Fact { number, keys }
}

fn foreign_key(number: u64, draws: &mut Draws) -> ForeignKey {
    let dimension = draws.of(&DIMENSIONS).unwrap_or(Dimension::History);
    let is_history = dimension != Dimension::Overwritten;
    let side = usize::from(draws.happens(40));
    let other = usize::from(side == 0);
    let has_event = draws.happens(if is_history { 75 } else { 30 });
    let event = has_event.then(|| if draws.happens(20) { other } else { side });
    ForeignKey {
        number,
        dimension,
        side,
        event,
        early: if draws.happens(60) { Early::Skeleton } else { Early::Default },
        guarded: draws.happens(30),
        restates: is_history && has_event && draws.happens(20),
        durable: dimension == Dimension::Durable && has_event && draws.happens(70),
    }
}

/// When commit `version` of the members' source was made.
fn commit_time(version: u64) -> i64 {
    let place = usize::try_from(version.saturating_sub(1)).unwrap_or_default();
    hour(COMMIT_HOURS.get(place).copied().unwrap_or(12))
}

/// Micros of an hour of the grid.
fn hour(hours: i64) -> i64 {
    let start = DateTime::from_timestamp(1_704_067_200, 0).unwrap_or_default();
    (start + TimeDelta::hours(hours)).timestamp_micros()
}

fn changes(horizon: Horizon, draws: &mut Draws) -> Vec<MemberChange> {
    let commits = BATCHES as u64 * COMMITS_A_BATCH;
    // Some never come.
    let arrival = 1 + draws.below(commits + 2);
    let mut changes = Vec::new();
    let mut lives = false;
    for version in arrival..=commits {
        let is_first = version == arrival;
        if !is_first && draws.happens(40) {
            continue;
        }
        let what = if lives && draws.happens(25) {
            What::Gone
        } else {
            let tracked = draws.of(&['a', 'b', 'c']).unwrap_or('a');
            let effective = horizon.until(hour(draws.place(13)), commit_time(version));
            What::Is { effective, tracked, untracked: 'u' }
        };
        lives = what != What::Gone;
        changes.push(Change { commit: Commit { version, time: commit_time(version) }, what });
    }
    changes
}

fn said(case: i64, horizon: Horizon, draws: &mut Draws) -> Vec<Said> {
    let arrival = usize::try_from(draws.below(BATCHES as u64)).unwrap_or_default();
    let mut now: Option<Event> = None;
    let mut last: Option<Event> = None;
    let mut said = vec![Said::Nothing; arrival];
    for batch in arrival..BATCHES {
        let mut next = match &now {
            None if batch == arrival => Said::Is(event(case, draws)),
            // Some of those that were deleted come back as they were.
            None => match last.clone().filter(|_| draws.happens(60)) {
                Some(event) => Said::Is(event),
                None => Said::Nothing,
            },
            Some(_) if draws.happens(50) => Said::Nothing,
            Some(_) if draws.happens(15) => Said::Gone,
            Some(event) => Said::Is(changed(case, event, draws)),
        };
        if let Said::Is(event) = &mut next {
            // Runs are never earlier than the last commit before them.
            let told = commit_time((batch as u64 + 1) * COMMITS_A_BATCH);
            event.sides.iter_mut().for_each(|side| side.at = side.at.map(|at| horizon.until(at, told)));
        }
        match &next {
            Said::Is(event) => {
                now = Some(event.clone());
                last = Some(event.clone());
            }
            Said::Gone => now = None,
            Said::Nothing => {}
        }
        said.push(next);
    }
    said
}

fn event(case: i64, draws: &mut Draws) -> Event {
    let kind = draws.of(&[Some("card"), Some("card"), Some("cash"), None]).flatten();
    let other = if draws.happens(60) { case } else { draws.place(u64::try_from(case + 1).unwrap_or(1)) };
    Event { kind, amount: 0, sides: [side(case, draws), side(other, draws)] }
}

/// The row after a change of its identity, its time, its kind, or nothing that a lookup reads.
fn changed(case: i64, event: &Event, draws: &mut Draws) -> Event {
    let mut next = Event { amount: event.amount + 1, ..event.clone() };
    let place = usize::from(draws.happens(40));
    match draws.below(4) {
        0 => next.sides[place] = side(case, draws),
        1 => next.sides[place].at = instant(draws),
        2 => next.kind = draws.of(&[Some("card"), Some("cash"), None]).flatten(),
        _ => {}
    }
    next
}

fn side(case: i64, draws: &mut Draws) -> Side {
    // Some members are never heard of.
    let member = if draws.happens(10) { 100_000 + case } else { case };
    let mut side = Side {
        id: Some(member),
        code: Some(code(member)),
        area: Some(area(member).to_owned()),
        number: Some(number_in_area(member)),
        at: instant(draws),
    };
    match draws.below(16) {
        0 => side.id = None,
        1 => side.code = None,
        2 => side.area = None,
        3 => side.number = None,
        4 => side.code = draws.of(&["", " ", "   "]).map(str::to_owned),
        5 => side.area = draws.of(&["", " ", "   "]).map(str::to_owned),
        // Text is compared byte for byte: this is another member.
        6 => side.code = Some(format!("{} ", code(member))),
        7 => (side.area, side.number) = (draws.of(&[None, Some(" ")]).flatten().map(str::to_owned), None),
        _ => {}
    }
    side
}

fn instant(draws: &mut Draws) -> Option<i64> {
    if draws.happens(6) {
        return None;
    }
    let beside = draws.of(&[0, 0, 0, -1, 1_800_000_000]).unwrap_or_default();
    Some(hour(draws.place(15)) + beside)
}

pub(super) fn code(member: i64) -> String {
    format!("C{member}")
}

pub(super) fn area(member: i64) -> &'static str {
    if member % 2 == 0 { "North" } else { "South" }
}

pub(super) fn number_in_area(member: i64) -> i64 {
    member / 2
}

impl Round {
    /// The commits of the members' source before run `batch`: version and time.
    pub(super) fn commits(batch: usize) -> impl Iterator<Item = (u64, i64)> {
        let first = batch as u64 * COMMITS_A_BATCH + 1;
        (first..first + COMMITS_A_BATCH).map(|version| (version, commit_time(version)))
    }

    /// The clock of run `batch`.
    pub(super) fn clock(&self, batch: usize) -> i64 {
        let last = commit_time((batch as u64 + 1) * COMMITS_A_BATCH);
        last + self.delays.get(batch).copied().unwrap_or_default() * 60_000_000
    }

    /// What run `batch` is told of the rows.
    pub(super) fn said(&self, batch: usize) -> impl Iterator<Item = (i64, &Said)> {
        self.rows.iter().filter_map(move |row| {
            let said = row.said.get(batch)?;
            (*said != Said::Nothing).then_some((row.event, said))
        })
    }
}

impl Member {
    /// The changes that run `batch` and those before it know.
    pub(super) fn until(&self, batch: usize) -> Vec<MemberChange> {
        let last = (batch as u64 + 1) * COMMITS_A_BATCH;
        self.changes.iter().filter(|change| change.commit.version <= last).cloned().collect()
    }
}

/// An instant from its micros.
pub(super) fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

/// An instant as canonical text.
pub(super) fn text(micros: i64) -> String {
    time(micros).format("%Y-%m-%d %H:%M:%S%.f").to_string()
}
