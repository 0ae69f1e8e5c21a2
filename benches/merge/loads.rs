//! Whole loads of one type 2 dimension over a change feed, from the source's log to the target's commit, control rows
//! included: the first load of all members, and a day that changes one member in a hundred, scattered over all keys.

use criterion::Criterion;

use crate::members::{DAYS, rows};
use crate::project::{Project, measure};

pub const TYPE_2: &str = "
table_name: gold.dim_customer
table_type: dimension
scd_type: 2
keys: {surrogate_key: customer_sk, natural_keys: [customer_id]}
effective_at: updated_at
track_history_columns: ['*']
sources: [{name: silver.customers, cdc_strategy: cdf}]
";

pub fn loads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("type_2");
    let first = |members| Project::of(TYPE_2).with_source("silver.customers", rows(0..members, DAYS[0]));
    for members in [10_000, 100_000, 1_000_000] {
        measure(&mut group, "first_load", members, members, first);
        measure(&mut group, "one_percent_day", members, members / 100, |members| {
            let project = first(members);
            project.load();
            project.merge("silver.customers", "customer_id", rows((0..members).step_by(100), DAYS[1]));
            project
        });
    }
    group.finish();
}
