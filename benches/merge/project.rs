//! A project in a folder of its own, and its sources.

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use arrow::array::RecordBatch;
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Throughput};
use kimball::PipelineExecutor;
use kimball_tests::source_table::{ChangeFeed, SourceTable, TableLayout};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A project that lies in a temporary folder.
pub struct Project {
    folder: TempDir,
    runtime: Runtime,
}

impl Project {
    /// A project of one pipeline, and no sources yet.
    pub fn of(config: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        fs::create_dir(folder.path().join("configs")).expect("a folder for configs");
        let project = Self { folder, runtime: Runtime::new().expect("a runtime") };
        project.with_pipeline("first", config)
    }

    /// With one more pipeline.
    pub fn with_pipeline(self, name: &str, config: &str) -> Self {
        fs::write(self.path().join("configs").join(name).with_extension("yml"), config).expect("a config");
        self
    }

    /// With a source of these rows.
    pub fn with_source(self, name: &str, rows: RecordBatch) -> Self {
        let layout =
            TableLayout { schema: rows.schema(), partition_by: Vec::new(), change_feed: ChangeFeed::Enabled };
        let source = self.source(name);
        self.runtime.block_on(async {
            source.create(&layout, None).await.expect("a source table");
            source.insert([rows], None).await.expect("first rows");
        });
        self
    }

    /// Replaces the rows of a source that have the keys of `rows`, and inserts the others.
    pub fn merge(&self, source: &str, key: &str, rows: RecordBatch) {
        let merged = async { self.source(source).merge(&[key.to_owned()], Some(rows), None, None).await };
        self.runtime.block_on(merged).expect("changed rows");
    }

    fn source(&self, name: &str) -> SourceTable {
        SourceTable::at(&self.folder.path().join("warehouse"), name).expect("a table name")
    }

    /// Loads all pipelines; returns how many rows that wrote.
    pub fn load(&self) -> u64 {
        let path = |name: &str| self.path().join(name).display().to_string();
        let executor = PipelineExecutor::builder()
            .config_paths([path("configs")])
            .warehouse(path("warehouse"))
            .working_dir(self.path())
            .build()
            .expect("a project that holds");
        let summary = executor.run().expect("a run");
        assert_eq!(summary.failed, 0, "{summary}");
        summary.total_rows_written
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Measures one load of what `prepared` makes, as `elements` rows.
pub fn measure(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    size: i64,
    elements: i64,
    prepared: impl Fn(i64) -> Project,
) {
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.throughput(Throughput::Elements(elements.unsigned_abs()));
    group.bench_with_input(BenchmarkId::new(name, size), &size, |bencher, size| {
        bencher.iter_batched(
            || prepared(*size),
            |project| {
                black_box(project.load());
                project
            },
            BatchSize::PerIteration,
        );
    });
}
