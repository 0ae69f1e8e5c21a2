//! Matching: a full snapshot that says of every member what its current version says already.

use criterion::Criterion;

use crate::members::{DAYS, rows};
use crate::project::{Project, measure};

const CONFIG: &str = "
table_name: gold.dim_customer
table_type: dimension
scd_type: 2
keys: {surrogate_key: customer_sk, natural_keys: [customer_id]}
effective_at: updated_at
track_history_columns: ['*']
sources: [{name: silver.customers, cdc_strategy: full}]
";

pub fn matching(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("matching");
    for members in [10_000, 100_000, 1_000_000] {
        measure(&mut group, "snapshot", members, members, |members| {
            let project = Project::of(CONFIG).with_source("silver.customers", rows(0..members, DAYS[0]));
            project.load();
            // The source gets a new version that says the same of one member.
            project.merge("silver.customers", "customer_id", rows(0..1, DAYS[0]));
            project
        });
    }
    group.finish();
}
