//! The first day: the source as it is before anything was loaded.

use std::fs;
use std::time::Instant;

use deltalake::DeltaTable;
use deltalake::writer::{DeltaWriter as _, RecordBatchWriter};

use super::folder::DemoFolder;
use super::retail::{RetailTable, tables};
use super::{calendar, grouped};
use crate::error::{Result, TestkitError};
use crate::source_table::{ChangeFeed, SourceTable, TableLayout};

/// The schema of the source tables.
pub(super) const SCHEMA: &str = "tpch";

/// Size in bytes at which a new data file is begun.
const FILE_BYTES: u64 = 64 << 20;

/// Makes the source: Delta tables with a change feed, and the calendar as a file.
pub(super) async fn write(folder: &DemoFolder, scale: f64) -> Result<()> {
    let started = Instant::now();
    println!("Delta tables with a change feed, in {}:", folder.warehouse().join(SCHEMA).display());
    for table in tables(scale) {
        let name = table.name;
        let rows = write_table(folder, table).await?;
        println!("  {SCHEMA}.{name:<10}{:>14} rows", grouped(rows));
    }
    let path = folder.data().join("calendar.csv");
    let text = calendar::csv();
    println!("And a file:\n  calendar.csv   {:>14} rows", grouped(text.lines().count() as u64 - 1));
    fs::write(&path, text).map_err(TestkitError::io(&path))?;
    println!("Made in {:.1} s.\n", started.elapsed().as_secs_f64());
    Ok(())
}

/// Writes a table in one commit; a batch at a time is in memory, besides the file that is being written.
async fn write_table(folder: &DemoFolder, retail: RetailTable) -> Result<u64> {
    let source = SourceTable::at(&folder.warehouse(), &format!("{SCHEMA}.{}", retail.name))?;
    let layout = TableLayout {
        schema: retail.schema.clone(),
        partition_by: Vec::new(),
        change_feed: ChangeFeed::Enabled,
    };
    source.create(&layout, None).await?;
    let mut table: DeltaTable = deltalake::open_table(source.url().clone()).await?;
    let mut writer = RecordBatchWriter::for_table(&table)?.with_target_file_size(FILE_BYTES);
    let mut rows = 0;
    for batch in retail.batches() {
        let batch = batch?;
        rows += batch.num_rows() as u64;
        writer.write(batch).await?;
    }
    writer.flush_and_commit(&mut table).await?;
    Ok(rows)
}
