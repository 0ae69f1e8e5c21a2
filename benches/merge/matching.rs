//! Matching: a full snapshot that says of every member what its current version says already.

use criterion::Criterion;

use crate::loads::TYPE_2;
use crate::members::{DAYS, rows};
use crate::project::{Project, measure};

pub fn matching(criterion: &mut Criterion) {
    let config = TYPE_2.replace("cdc_strategy: cdf", "cdc_strategy: full");
    let mut group = criterion.benchmark_group("matching");
    for members in [10_000, 100_000, 1_000_000] {
        measure(&mut group, "snapshot", members, members, |members| {
            let project = Project::of(&config).with_source("silver.customers", rows(0..members, DAYS[0]));
            project.load();
            // The source gets a new version that says the same of one member.
            project.merge("silver.customers", "customer_id", rows(0..1, DAYS[0]));
            project
        });
    }
    group.finish();
}
