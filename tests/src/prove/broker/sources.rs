//! The commits of a round's sources as small tables.

use kimball_engine::history::What;

use super::round::{Event, Member, Round, Said, area, code, number_in_area, text};
use crate::text_table::{Cell, TextTable};

/// A member of the first commit that no row speaks of: so that there is one.
pub(super) const FIRST_MEMBER: i64 = 1_000_000;

/// What one commit merges.
#[derive(Debug)]
pub(super) struct Merge {
    pub(super) upserts: Option<TextTable>,
    pub(super) deletes: Option<TextTable>,
}

impl Merge {
    fn of(columns: &[&str], upserts: Vec<Vec<Cell>>, deletes: Vec<Vec<Cell>>) -> Option<Self> {
        let table = |columns: &[&str], rows: Vec<Vec<Cell>>| {
            (!rows.is_empty()).then(|| TextTable {
                columns: columns.iter().map(|column| (*column).to_owned()).collect(),
                rows,
            })
        };
        let merge = Self {
            upserts: table(columns, upserts),
            // The key comes first.
            deletes: table(columns.get(..1).unwrap_or_default(), deletes),
        };
        (merge.upserts.is_some() || merge.deletes.is_some()).then_some(merge)
    }
}

/// What commit `version` says of the members; version 0 brings the first one.
pub(super) fn member_merge(round: &Round, version: u64) -> Option<Merge> {
    let (mut upserts, mut deletes) = (Vec::new(), Vec::new());
    if version == 0 {
        upserts.push(member_row(FIRST_MEMBER, 0, 'a', 'u'));
    }
    for Member { number, changes } in &round.members {
        match changes.iter().find(|change| change.commit.version == version).map(|change| &change.what) {
            Some(What::Is { effective, tracked, untracked }) => {
                upserts.push(member_row(*number, *effective, *tracked, *untracked));
            }
            Some(What::Gone) => deletes.push(vec![cell(*number)]),
            None => {}
        }
    }
    Merge::of(&["id", "code", "region", "no", "eff", "v", "u"], upserts, deletes)
}

fn member_row(number: i64, effective: i64, tracked: char, untracked: char) -> Vec<Cell> {
    vec![
        cell(number),
        cell(code(number)),
        cell(area(number)),
        cell(number_in_area(number)),
        cell(text(effective)),
        cell(tracked),
        cell(untracked),
    ]
}

/// What the commit before run `batch` says of the rows.
pub(super) fn event_merge(round: &Round, batch: usize) -> Option<Merge> {
    let (mut upserts, mut deletes) = (Vec::new(), Vec::new());
    for (event, said) in round.said(batch) {
        match said {
            Said::Is(values) => upserts.push(event_row(event, values)),
            Said::Gone => deletes.push(vec![cell(event)]),
            Said::Nothing => {}
        }
    }
    Merge::of(
        &[
            "event_id", "kind", "amount", "a_id", "a_code", "a_area", "a_num", "a_at", "b_id", "b_code",
            "b_area", "b_num", "b_at",
        ],
        upserts,
        deletes,
    )
}

fn event_row(event: i64, values: &Event) -> Vec<Cell> {
    let mut cells = vec![cell(event), optional(values.kind), cell(values.amount)];
    for side in &values.sides {
        cells.extend([
            optional(side.id),
            optional(side.code.as_ref()),
            optional(side.area.as_ref()),
            optional(side.number),
            optional(side.at.map(text)),
        ]);
    }
    cells
}

fn cell(value: impl ToString) -> Cell {
    Cell::Text(value.to_string())
}

fn optional(value: Option<impl ToString>) -> Cell {
    value.map_or(Cell::Null, cell)
}
