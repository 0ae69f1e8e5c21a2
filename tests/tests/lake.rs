//! The storage layer by itself: what it writes is what it reads, by rows, by addresses and by changes.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::catalog::TableProvider;
use datafusion::prelude::SessionContext;
use kimball_lake::{
    Commit, CommitOutcome, DataFileWriter, LakeTable, NewTable, RowRemovals, TableId, Warehouse,
};
use tempfile::TempDir;

mod faults;
mod feeds;
mod partitions;
mod pruned;

/// A warehouse with one table that keeps a change feed.
struct Lake {
    _folder: TempDir,
    warehouse: Warehouse,
    table: LakeTable,
}

impl Lake {
    async fn create(first: &RecordBatch, partition_by: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = Warehouse::new(folder.path().to_str().unwrap(), &Default::default()).unwrap();
        let new = NewTable {
            partition_by: partition_by.iter().map(|&column| column.to_owned()).collect(),
            properties: [
                ("delta.enableChangeDataFeed".to_owned(), "true".to_owned()),
                ("delta.enableDeletionVectors".to_owned(), "true".to_owned()),
            ]
            .into(),
            ..NewTable::default()
        };
        let name = TableId::new("gold", "t").unwrap();
        let table = warehouse.create(&name, &first.schema(), &new).await.unwrap();
        let mut lake = Self { _folder: folder, warehouse, table };
        lake.commit(std::slice::from_ref(first), RowRemovals::new()).await;
        lake
    }

    /// Commits rows and removals on the newest version.
    async fn commit(&mut self, rows: &[RecordBatch], removals: RowRemovals) {
        let live = self.table.live_rows().await.unwrap();
        let mut writer = DataFileWriter::new(&self.table).unwrap();
        for batch in rows {
            writer.write(batch.clone()).await.unwrap();
        }
        let files = writer.finish().await.unwrap();
        let outcome =
            self.table.commit(&live, Commit { files, removals, ..Commit::default() }).await.unwrap();
        assert!(matches!(outcome, CommitOutcome::Committed { .. }));
        self.table = self.table.refreshed().await.unwrap();
    }

    /// Removes the rows for which a condition holds.
    async fn remove(&mut self, condition: &str) {
        let live = self.table.live_rows().await.unwrap();
        let sql = format!("SELECT __kimball_file, __kimball_row FROM t WHERE {condition}");
        let mut removals = RowRemovals::new();
        for line in lines(Arc::new(live), &sql).await {
            let (file, row) = line.split_once('|').unwrap();
            removals.entry(file.parse().unwrap()).or_default().insert(row.parse().unwrap());
        }
        assert!(!removals.is_empty(), "nothing to remove where {condition}");
        self.commit(&[], removals).await;
    }

    async fn live(&self, sql: &str) -> Vec<String> {
        lines(Arc::new(self.table.live_rows().await.unwrap()), sql).await
    }

    async fn changes(&self, from: i64, sql: &str) -> Vec<String> {
        lines(self.table.changes(from).await.unwrap(), sql).await
    }
}

/// The rows of a query over `t`, sorted, each as its values between bars.
async fn lines(table: Arc<dyn TableProvider>, sql: &str) -> Vec<String> {
    let session = SessionContext::new();
    session.register_table("t", table).unwrap();
    let batches = session.sql(sql).await.unwrap().collect().await.unwrap();
    let mut lines: Vec<String> = batches.iter().flat_map(shown).collect();
    lines.sort();
    lines
}

fn shown(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let columns: Vec<_> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
    let line = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|");
    (0..batch.num_rows()).map(line).collect()
}
