#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::{Chain, Change, Commit, OPEN_END, What, as_of};

type TestChange = Change<u8, u8>;

/// Changes of one member, a commit each; commit times and effective times lie on one small grid.
fn changes() -> impl Strategy<Value = Vec<TestChange>> {
    let one = (0i64..12, 0u8..3, 0u8..2, 0u8..6);
    proptest::collection::vec(one, 1..9).prop_map(|drawn| {
        let commits = (1u64..).zip([0i64, 1, 2, 4, 5, 7, 8, 9, 10, 11]);
        let change = |((version, time), (effective, tracked, untracked, kind))| Change {
            commit: Commit { version, time },
            what: if kind == 0 { What::Gone } else { What::Is { effective, tracked, untracked } },
        };
        commits.zip(drawn).map(change).collect()
    })
}

fn batches(changes: &[TestChange], cuts: &[bool]) -> Vec<Vec<TestChange>> {
    let mut batches = vec![Vec::new()];
    for (change, cut) in changes.iter().zip(cuts.iter().chain(std::iter::repeat(&true))) {
        if *cut && batches.last().is_some_and(|batch: &Vec<_>| !batch.is_empty()) {
            batches.push(Vec::new());
        }
        batches.last_mut().unwrap().push(change.clone());
    }
    batches
}

fn value_at(chain: &Chain<u8, u8>, at: i64) -> Option<u8> {
    chain.versions().find(|version| version.from <= at && at < version.to).map(|version| version.tracked)
}

fn assert_invariants(chain: &Chain<u8, u8>) {
    let rows: Vec<_> = chain.versions().collect();
    assert!(rows.iter().all(|row| row.from <= row.to), "no interval ends before it starts");
    assert!(rows.iter().filter(|row| row.is_current).count() <= 1, "at most one current row");
    assert!(rows.iter().all(|row| row.is_current == (row.to == OPEN_END)), "the current row is the open one");
    assert!(rows.iter().all(|row| row.from < row.to || row.is_deleted), "only a delete empties an interval");
    for (left, right) in rows.iter().zip(rows.iter().skip(1)) {
        assert!(
            left.to <= right.from || left.from == left.to || right.from == right.to,
            "intervals are disjoint"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_batching_tells_the_truth(changes in changes(), cuts in proptest::collection::vec(any::<bool>(), 8)) {
        let mut chain = Chain::default();
        let mut published: Vec<i64> = Vec::new();
        for batch in batches(&changes, &cuts) {
            chain = chain.after(&batch);
            assert_invariants(&chain);
            for from in &published {
                prop_assert!(chain.versions().any(|row| row.from == *from), "a published row stays");
            }
            published = chain.versions().map(|row| row.from).collect();
        }
        for at in -1..14 {
            prop_assert_eq!(value_at(&chain, at), as_of(&changes, at).copied(), "as of {}", at);
        }
    }

    #[test]
    fn the_order_of_arrival_within_a_life_does_not_matter(
        changes in changes(),
        cuts in proptest::collection::vec(any::<bool>(), 8),
        order in Just((0usize..8).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        // One life, and no two changes at one instant: those are ordered by their commits.
        let mut seen = std::collections::BTreeSet::new();
        let mut distinct: Vec<_> = changes
            .into_iter()
            .filter(|change| matches!(change.what, What::Is { effective, .. } if seen.insert(effective)))
            .collect();
        let commits: Vec<Commit> = distinct.iter().map(|change| change.commit).collect();
        let in_order = Chain::default().after(&distinct);
        distinct.sort_by_key(|change| order.get(change.commit.version as usize % 8).copied());
        for (change, commit) in distinct.iter_mut().zip(commits) {
            change.commit = commit;
        }
        let shuffled = batches(&distinct, &cuts).iter().fold(Chain::default(), |chain, batch| chain.after(batch));
        for at in -1..14 {
            prop_assert_eq!(value_at(&in_order, at), value_at(&shuffled, at), "as of {}", at);
        }
    }

    #[test]
    fn saying_it_again_changes_nothing(changes in changes(), cuts in proptest::collection::vec(any::<bool>(), 8)) {
        let chain = batches(&changes, &cuts).iter().fold(Chain::default(), |chain, batch| chain.after(batch));
        let last_delete = changes.iter().rposition(|change| change.what == What::Gone).map_or(0, |place| place + 1);
        let again: Vec<TestChange> = changes
            .iter()
            .skip(last_delete)
            .filter(|change| is_last_word(change, &changes))
            .map(|change| Change { commit: Commit { version: change.commit.version + 100, time: 12 }, ..change.clone() })
            .collect();
        let repeated = chain.after(&again);
        let tracked = |chain: &Chain<u8, u8>| {
            chain.versions().map(|row| (row.from, row.to, row.tracked)).collect::<Vec<_>>()
        };
        prop_assert_eq!(tracked(&chain), tracked(&repeated));
    }
}

/// Whether no later commit corrected this one at its instant.
fn is_last_word(change: &TestChange, all: &[TestChange]) -> bool {
    let instant = |other: &TestChange| match other.what {
        What::Is { effective, .. } => Some(effective),
        What::Gone => None,
    };
    !all.iter().any(|other| other.commit > change.commit && instant(other) == instant(change))
}
