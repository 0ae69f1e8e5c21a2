//! The folder of a scenario and everything a step changes in it before the run.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use datafusion::parquet::arrow::ArrowWriter;

use crate::columns::{batch_from_text, parse_schema};
use crate::error::{Result, TestkitError};
use crate::scenario::format::{FileSpec, ParquetSpec, Scenario, SourceSpec, Step, WriteOp};
use crate::source_table::{ChangeFeed, SourceTable, TableLayout};
use crate::targets::targets_file;
use crate::text_table::TextTable;

/// The folder of one scenario while it runs: configs, targets file, warehouse, a clock.
#[derive(Debug)]
pub struct Workspace {
    folder: tempfile::TempDir,
    layouts: BTreeMap<String, TableLayout>,
    clock: DateTime<Utc>,
}

impl Workspace {
    /// Makes the folder, the configs and the empty source tables.
    ///
    /// # Errors
    /// When a file cannot be written or a source's columns cannot be read.
    pub async fn create(scenario: &Scenario) -> Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("scenario-").tempdir().map_err(TestkitError::io("temp dir"))?;
        let mut workspace = Self { folder, layouts: BTreeMap::new(), clock: midnight(2025) };
        let warehouse = workspace.warehouse();
        fs::create_dir_all(&warehouse).map_err(TestkitError::io(&warehouse))?;
        let location = warehouse.display().to_string();
        let targets = match &scenario.targets {
            Some(targets) => targets.replace("@WAREHOUSE@", &location),
            None => targets_file(&location),
        };
        workspace.write_file("kimball.targets.yml", targets.as_bytes())?;
        workspace.write_configs(&scenario.configs)?;
        for (name, spec) in &scenario.sources {
            let layout = table_layout(spec)?;
            SourceTable::at(&warehouse, name)?.create(&layout, Some(midnight(2000))).await?;
            workspace.layouts.insert(name.clone(), layout);
        }
        Ok(workspace)
    }

    /// Where the tables lie.
    pub fn warehouse(&self) -> PathBuf {
        self.folder.path().join("warehouse")
    }

    /// The folder of it all.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Where the pipelines lie.
    pub fn configs(&self) -> PathBuf {
        self.folder.path().join("configs")
    }

    /// The targets file.
    pub fn targets(&self) -> PathBuf {
        self.folder.path().join("kimball.targets.yml")
    }

    /// Keeps the folder after the scenario and says where it is.
    pub fn keep(self) -> PathBuf {
        self.folder.keep()
    }

    /// Carries out what a step changes before its run.
    ///
    /// # Errors
    /// When a change cannot be made as written.
    pub async fn prepare(&mut self, step: &Step) -> Result<()> {
        self.write_configs(&step.configs)?;
        for table in &step.drop {
            SourceTable::at(&self.warehouse(), table)?.drop_table()?;
            if let Some(layout) = self.layouts.get(table).cloned() {
                let time = self.tick(None)?;
                SourceTable::at(&self.warehouse(), table)?.create(&layout, Some(time)).await?;
            }
        }
        for path in &step.remove {
            let path = self.folder.path().join(path);
            fs::remove_file(&path).map_err(TestkitError::io(path))?;
        }
        for (path, content) in &step.files {
            match content {
                FileSpec::Text(text) => self.write_file(path, text.as_bytes())?,
                FileSpec::Parquet(parquet) => self.write_parquet(path, parquet)?,
            }
        }
        for (table, operations) in &step.write {
            for (index, operation) in operations.iter().enumerate() {
                self.commit(table, operation).await.map_err(|error| {
                    TestkitError::Step(format!("commit {} to {table}: {error}", index + 1))
                })?;
            }
        }
        Ok(())
    }

    /// The time of the next commit or run: the one written, or a minute after the last.
    ///
    /// # Errors
    /// [`TestkitError::Step`] when the text is no time.
    pub fn tick(&mut self, written: Option<&str>) -> Result<DateTime<Utc>> {
        let time = match written {
            Some(text) => parse_time(text)?,
            None => self.clock + TimeDelta::minutes(1),
        };
        self.clock = self.clock.max(time);
        Ok(time)
    }

    async fn commit(&mut self, name: &str, operation: &WriteOp) -> Result<()> {
        let time = Some(self.tick(operation.at.as_deref())?);
        let table = SourceTable::at(&self.warehouse(), name)?;
        let layout = self.layouts.get(name);
        let layout =
            || layout.ok_or_else(|| TestkitError::Step(format!("{name} is no source of the scenario")));
        let rows = |text: &String| batch_from_text(&layout()?.schema, &TextTable::parse(text)?);
        if let Some(text) = &operation.insert {
            table.insert([rows(text)?], time).await?;
        } else if let Some(text) = &operation.replace {
            table.replace([rows(text)?], time).await?;
        } else if operation.redefine == Some(true) {
            table.redefine(layout()?, time).await?;
        } else if let Some(update) = &operation.update {
            let assignments = update.set.iter().map(|(column, value)| (column.as_str(), value.as_str()));
            table.update(update.predicate.as_deref(), assignments, time).await?;
        } else if let Some(predicate) = &operation.delete {
            table.delete(Some(predicate), time).await?;
        } else if let Some(merge) = &operation.merge {
            let upserts = merge.upsert.as_ref().map(rows).transpose()?;
            let deletes = merge.delete.as_ref().map(rows).transpose()?;
            table.merge(&merge.on, upserts, deletes, time).await?;
        } else if let Some(properties) = &operation.properties {
            for (name, value) in properties {
                table.set_property(name, value, time).await?;
            }
        }
        Ok(())
    }

    fn write_configs(&self, configs: &BTreeMap<String, String>) -> Result<()> {
        configs
            .iter()
            .try_for_each(|(name, text)| self.write_file(&format!("configs/{name}"), text.as_bytes()))
    }

    fn write_file(&self, path: &str, content: &[u8]) -> Result<()> {
        let path = self.make_way(path)?;
        fs::write(&path, content).map_err(TestkitError::io(path))
    }

    fn write_parquet(&self, path: &str, parquet: &ParquetSpec) -> Result<()> {
        let schema = parse_schema(&parquet.columns)?;
        let rows = batch_from_text(&schema, &TextTable::parse(&parquet.rows)?)?;
        let path = self.make_way(path)?;
        let file = File::create(&path).map_err(TestkitError::io(path))?;
        let mut writer = ArrowWriter::try_new(file, schema, None)?;
        writer.write(&rows)?;
        writer.close()?;
        Ok(())
    }

    fn make_way(&self, path: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(path);
        let parent = path.parent().unwrap_or(Path::new("")).to_path_buf();
        fs::create_dir_all(&parent).map_err(TestkitError::io(parent))?;
        Ok(path)
    }
}

fn table_layout(spec: &SourceSpec) -> Result<TableLayout> {
    let (columns, change_feed, partition_by) = match spec {
        SourceSpec::Columns(columns) => (columns, true, Vec::new()),
        SourceSpec::Table(table) => (&table.columns, table.change_feed, table.partition_by.clone()),
    };
    let change_feed = if change_feed { ChangeFeed::Enabled } else { ChangeFeed::Disabled };
    Ok(TableLayout { schema: parse_schema(columns)?, partition_by, change_feed })
}

/// The first instant of a year. Sources are created in 2000; without other times, commits and runs follow
/// each other a minute apart from 2025 on.
fn midnight(year: i32) -> DateTime<Utc> {
    NaiveDate::from_ymd_opt(year, 1, 1).map(|day| day.and_time(NaiveTime::MIN).and_utc()).unwrap_or_default()
}

/// Reads `2024-01-01`, `2024-01-01 10:00:00` or RFC 3339, UTC where no zone is given.
fn parse_time(text: &str) -> Result<DateTime<Utc>> {
    let day = || text.parse::<NaiveDate>().ok().map(|day| day.and_time(NaiveTime::MIN).and_utc());
    let zoneless = || text.parse::<NaiveDateTime>().ok().map(|time| time.and_utc());
    let spaced = || text.replacen(' ', "T", 1).parse::<NaiveDateTime>().ok().map(|time| time.and_utc());
    text.parse::<DateTime<Utc>>()
        .ok()
        .or_else(zoneless)
        .or_else(spaced)
        .or_else(day)
        .ok_or_else(|| TestkitError::Step(format!("`{text}` is no time")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn times_are_dates_zoneless_or_with_a_zone() {
        for (text, rfc) in [
            ("2024-03-01", "2024-03-01T00:00:00+00:00"),
            ("2024-03-01 10:00:00.5", "2024-03-01T10:00:00.500+00:00"),
            ("2024-03-01T10:00:00+02:00", "2024-03-01T08:00:00+00:00"),
        ] {
            assert_eq!(parse_time(text).unwrap().to_rfc3339(), rfc);
        }
        assert!(parse_time("tomorrow").is_err());
    }
}
