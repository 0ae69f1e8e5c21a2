//! Pipelines for tests that need no table.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::PathBuf;
use std::time::Duration;

use kimball_config::{
    CdcStrategy, DeleteStrategy, Dimension, Fact, ForeignKey, KeyStrategy, MergeStrategy, MissingRows,
    NullPolicy, Observability, Pipeline, Project, Scd, Severity, Source, SourceLocation, TableKind,
    TableName, Target,
};
use kimball_retry::FaultKind;

use crate::outcome::{FailedBatch, Failure, PipelineLoad, SourceVersions};
use crate::summary::{Ending, ExecutionSummary, PipelineResult};

pub(crate) fn table(name: &str) -> TableName {
    TableName::parse(name).unwrap()
}

fn pipeline(name: &str, kind: TableKind) -> Pipeline {
    let table = table(name);
    Pipeline {
        config_path: PathBuf::from(format!("configs/{}.yml", table.table())),
        kind,
        sources: vec![Source {
            name: format!("silver.{}", table.table()),
            alias: table.table().to_owned(),
            location: SourceLocation::Table(self::table(&format!("silver.{}", table.table()))),
            strategy: CdcStrategy::Cdf,
            primary_keys: Vec::new(),
            starting_version: None,
            starting_timestamp: None,
            contract: None,
        }],
        transformation: None,
        depends_on: Vec::new(),
        delete_strategy: DeleteStrategy::Soft,
        missing: MissingRows { close: false, allow_full_close: false, max_close_ratio: None },
        null_policy: NullPolicy::Legacy,
        schema_evolution: false,
        merge_strategy: MergeStrategy::default(),
        optimize_after_merge: false,
        cluster_by: Vec::new(),
        description: None,
        column_descriptions: Default::default(),
        tests: Vec::new(),
        tags: Vec::new(),
        pii: Vec::new(),
        observability: Observability::default(),
        notes: Vec::new(),
        fingerprint: 0,
        table,
    }
}

/// A dimension that needs nothing of the project.
pub(crate) fn dimension(name: &str) -> Pipeline {
    pipeline(
        name,
        TableKind::Dimension(Dimension {
            scd: Scd::Type1,
            surrogate_key: "key".to_owned(),
            key_strategy: KeyStrategy::Hash,
            natural_keys: vec!["id".to_owned()],
            mini_dimensions: Vec::new(),
            default_rows: Default::default(),
            member_labels: Default::default(),
        }),
    )
}

/// A fact with a foreign key to each of `dimensions`.
pub(crate) fn fact(name: &str, dimensions: &[&str]) -> Pipeline {
    let foreign_keys = dimensions
        .iter()
        .map(|name| ForeignKey {
            column: format!("{}_key", table(name).table()),
            references: Some(table(name)),
            dimension_key: Some("key".to_owned()),
            durable: None,
            restate_on_late_dimension: false,
            lookup: None,
        })
        .collect();
    pipeline(
        name,
        TableKind::Fact(Fact {
            merge_keys: vec!["id".to_owned()],
            loading: kimball_config::FactLoading::Upsert,
            partition_by: Vec::new(),
            pattern: kimball_config::FactPattern::Transaction,
            measures: Vec::new(),
            degenerate_dimensions: Vec::new(),
            junk_dimensions: Vec::new(),
            foreign_keys,
            grain_validation: Severity::Error,
        }),
    )
}

/// A project of these pipelines over a warehouse that does not exist.
pub(crate) fn project(pipelines: Vec<Pipeline>) -> Project {
    let target = Target {
        name: "default".to_owned(),
        warehouse: "warehouse".to_owned(),
        etl_schema: "gold".to_owned(),
        storage_options: Default::default(),
        control_history_days: None,
        merge_strategy: MergeStrategy::default(),
        base_dir: PathBuf::new(),
    };
    Project { pipelines, known: Vec::new(), target }
}

/// A load of `rows` new rows.
pub(crate) fn load_of(rows: u64) -> PipelineLoad {
    PipelineLoad {
        batch_id: Some("b-1".to_owned()),
        rows_read: rows,
        rows_written: rows,
        rows_inserted: rows,
        sources: vec![SourceVersions {
            name: "silver.dates".to_owned(),
            alias: "dates".to_owned(),
            from_version: None,
            to_version: Some(7),
        }],
        ..PipelineLoad::default()
    }
}

/// One success, one failure, one skip.
pub(crate) fn summary_of_three() -> ExecutionSummary {
    let results = vec![
        PipelineResult::loaded(
            &dimension("gold.dim_date"),
            load_of(1_234_567),
            1,
            Duration::from_millis(12_345),
        ),
        PipelineResult::failed(
            &dimension("gold.dim_product"),
            Failure {
                kind: FaultKind::DataQuality,
                message: "2 rows have no product_id".to_owned(),
                batch: Some(Box::new(FailedBatch {
                    batch_id: "b-2".to_owned(),
                    sources: vec![SourceVersions {
                        name: "silver.products".to_owned(),
                        alias: "products".to_owned(),
                        from_version: Some(3),
                        to_version: Some(5),
                    }],
                })),
            },
            2,
            Duration::from_micros(1_500_499),
        ),
        PipelineResult::skipped(&fact("gold.fact_sales", &[]), "gold.dim_product failed".to_owned()),
    ];
    ExecutionSummary::of(results, Duration::from_millis(87_149), Ending::Complete)
}
