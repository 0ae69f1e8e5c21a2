//! Lookups: a fact whose lines find the version of their customer that held when they were written.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use criterion::Criterion;

use crate::loads::TYPE_2;
use crate::members::{DAYS, rows};
use crate::project::{Project, measure};

const FACT: &str = "
table_name: gold.fact_sales
table_type: fact
merge_keys: [line_id]
foreign_keys:
  - column: customer_sk
    references: gold.dim_customer
    dimension_key: customer_sk
    lookup: {source_columns: [customer_id], dimension_columns: [customer_id], event_time: sold_at}
sources: [{name: silver.lines, cdc_strategy: cdf}]
";
/// An hour behind the start of each of the two versions that members have.
const SOLD: [i64; 2] = [DAYS[0] + 3_600_000_000, DAYS[1] + 3_600_000_000];

pub fn lookups(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lookups");
    for lines in [10_000, 100_000, 1_000_000] {
        measure(&mut group, "as_of", lines, lines, |lines| {
            let members = lines / 10;
            let project = Project::of(TYPE_2).with_source("silver.customers", rows(0..members, DAYS[0]));
            project.load();
            project.merge("silver.customers", "customer_id", rows(0..members, DAYS[1]));
            project.load();
            project.with_pipeline("fact", FACT).with_source("silver.lines", sales(lines, members))
        });
    }
    group.finish();
}

/// Lines of all members in turn, at two instants.
fn sales(lines: i64, members: i64) -> RecordBatch {
    let times = (0..lines).map(|line| Some(SOLD[usize::from(line % 2 == 1)]));
    let amounts = (0..i32::try_from(lines).expect("a number of lines")).map(|line| f64::from(line) / 100.0);
    let columns: [(&str, ArrayRef); 4] = [
        ("line_id", Arc::new((0..lines).collect::<Int64Array>())),
        ("customer_id", Arc::new((0..lines).map(|line| line % members).collect::<Int64Array>())),
        ("sold_at", Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))),
        ("amount", Arc::new(amounts.collect::<Float64Array>())),
    ];
    RecordBatch::try_from_iter(columns).expect("columns of one length")
}
