//! Tables that one dimension writes together: wherever its process dies, the next run brings all of them to where
//! an undisturbed run would have brought them (semantics 5, 9).

use crate::crash::killed_at;
use crate::project::Project;
use crate::shop;

const DIMENSION: &str = "gold.dim_tracked";
const HISTORY: &str = "gold.dim_tracked_history";
const PLACES: &str = "gold.dim_place";

const CONFIG: &str = "\
table_name: gold.dim_tracked
table_type: dimension
scd_type: 4
keys: {surrogate_key: customer_key, natural_keys: [id]}
history_table: gold.dim_tracked_history
mini_dimensions: [{table: gold.dim_place, surrogate_key: place_key, columns: [city]}]
sources: [{name: silver.customers}]
";

fn opened() -> Project {
    let project = shop::open();
    project.write("configs/dim_tracked.yml", CONFIG);
    project
}

/// Kills a run of the dimension when one of its tables has been committed and another has not, and runs again.
fn interrupted_between(before: &Project, line: &str, first: &str, second: &str) -> Project {
    let version = |table: &str| before.next_version(table).max(1);
    let (committed, awaited) = (version(first), version(second));
    let is_between = |project: &Project| {
        project.commit_file(first, committed).exists() && !project.commit_file(second, awaited).exists()
    };
    let (project, ()) =
        killed_at(before, line, &format!("between {first} and {second}"), is_between, |project| {
            is_between(project).then_some(())
        });
    project.call(line).with_code(0);
    project
}

fn require_same(project: &Project, twin: &Project, when: &str) {
    for table in [DIMENSION, HISTORY, PLACES] {
        assert_eq!(project.logical_rows(table), twin.logical_rows(table), "{when}: {table}");
    }
    project.require_honest_control();
}

#[test]
fn a_dimension_and_its_companions_agree_after_a_crash_between_their_commits() {
    let first = format!("run configs/dim_tracked.yml {}", shop::FIRST_RUN);
    let second = format!("run configs/dim_tracked.yml {}", shop::SECOND_RUN);
    let before_first = opened();
    let after_first = before_first.copy();
    after_first.call(&first).with_code(0);
    let before_second = after_first.copy();
    shop::second_day(&before_second);
    let after_second = before_second.copy();
    after_second.call(&second).with_code(0);
    for (before, line, after) in
        [(&before_first, &first, &after_first), (&before_second, &second, &after_second)]
    {
        for (done, awaited) in [(PLACES, DIMENSION), (DIMENSION, HISTORY)] {
            let project = interrupted_between(before, line, done, awaited);
            require_same(&project, after, &format!("{line}, killed between {done} and {awaited}"));
        }
    }
}
