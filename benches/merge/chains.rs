//! Chains: every member has two versions, and a change arrives that lies between them.

use criterion::Criterion;

use crate::loads::TYPE_2;
use crate::members::{DAYS, rows};
use crate::project::{Project, measure};

pub fn chains(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chains");
    for members in [10_000, 100_000] {
        measure(&mut group, "late_change", members, members, |members| {
            let [first, late, newest] = DAYS;
            let project = Project::of(TYPE_2).with_source("silver.customers", rows(0..members, first));
            project.load();
            for day in [newest, late] {
                project.merge("silver.customers", "customer_id", rows(0..members, day));
                if day == newest {
                    project.load();
                }
            }
            project
        });
    }
    group.finish();
}
