//! Source files that are damaged: bytes of CSV, JSON and Parquet files changed by chance. A load ends, soon, and either
//! succeeds or fails with an error of the source; nothing panics, and what is not loaded leaves nothing behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use datafusion::parquet::arrow::ArrowWriter;
use kimball::Refresh;

use super::clock::now;
use super::dice::Dice;
use super::{Proof, Refuted, write_project};
use crate::columns::{batch_from_text, parse_schema};
use crate::error::{Result, TestkitError};
use crate::foreign_reader::read_table;
use crate::project_run::{OnFailure, RunOutcome, RunRequest, run_project};
use crate::text_table::TextTable;

/// How long a load of a few rows may take, on the slowest machine.
const SOON: Duration = Duration::from_secs(60);
const FORMATS: [&str; 3] = ["csv", "json", "parquet"];
/// Rows of an undamaged file.
const ROWS: usize = 40;

/// Loads `proof.cases` damaged files.
///
/// # Errors
/// When a folder cannot be written.
pub fn prove(proof: &Proof, tell: impl Fn(&str)) -> Result<Option<Refuted>> {
    let mut dice = Dice::new(proof.seed);
    for format in FORMATS {
        if !matches!(load(format, &undamaged(format)?)?, Ended::Loaded) {
            let difference = format!("an undamaged {format} file does not load");
            return Ok(Some(Refuted { difference, scenario: None }));
        }
    }
    let (mut loaded, mut refused) = (0, 0);
    for case in 0..proof.cases {
        let format = FORMATS[case % FORMATS.len()];
        let mut file = undamaged(format)?;
        for _ in 0..=dice.below(4) {
            damage(&mut dice, &mut file);
        }
        match load(format, &file)? {
            Ended::Loaded => loaded += 1,
            Ended::Refused => refused += 1,
            Ended::Wrong(difference) => {
                fs::create_dir_all(&proof.failures).map_err(TestkitError::io(&proof.failures))?;
                let path: PathBuf = proof.failures.join(format!("damaged.{format}"));
                fs::write(&path, &file).map_err(TestkitError::io(&path))?;
                return Ok(Some(Refuted { difference, scenario: Some(path) }));
            }
        }
    }
    tell(&format!("{loaded} damaged files loaded, {refused} refused"));
    Ok(None)
}

enum Ended {
    Loaded,
    Refused,
    Wrong(String),
}

fn load(format: &str, file: &[u8]) -> Result<Ended> {
    let folder = tempfile::tempdir().map_err(TestkitError::io("temp dir"))?;
    let (root, warehouse) = (folder.path(), folder.path().join("warehouse"));
    write_project(root, &warehouse)?;
    let source = root.join(format!("source.{format}"));
    fs::write(&source, file).map_err(TestkitError::io(&source))?;
    let config = format!(
        "table_name: gold.d\ntable_type: dimension\nscd_type: 1\nkeys: {{surrogate_key: sk, natural_keys: [id]}}\n\
         sources: [{{name: s, format: {format}, path: {}}}]\n",
        source.display()
    );
    let path = root.join("configs/d.yml");
    fs::write(&path, config).map_err(TestkitError::io(&path))?;
    let request = RunRequest {
        configs: vec![path],
        targets: root.join("kimball.targets.yml"),
        run_time: DateTime::<Utc>::UNIX_EPOCH + chrono::TimeDelta::days(20_000),
        on_failure: OnFailure::Stop,
        workers: 1,
        refresh: Refresh::Incremental,
        retries: 0,
    };
    let started = now();
    let outcome = run_project(&request)?;
    if started.elapsed() > SOON {
        return Ok(Ended::Wrong(format!("it takes {:?}", started.elapsed())));
    }
    let results = match outcome {
        RunOutcome::Refused(message) => return Ok(Ended::Wrong(format!("the run is refused: {message}"))),
        RunOutcome::Finished(results) => results,
    };
    let Some(result) = results.first() else { return Ok(Ended::Wrong("no result".to_owned())) };
    match result.error_class.as_deref() {
        None => Ok(Ended::Loaded),
        Some("InternalError") => Ok(Ended::Wrong(format!("{:?}", result.message))),
        Some(_) => left_nothing(&warehouse),
    }
}

/// A first load that failed leaves no table.
fn left_nothing(warehouse: &Path) -> Result<Ended> {
    let runtime = tokio::runtime::Runtime::new().map_err(TestkitError::io("tokio runtime"))?;
    Ok(match runtime.block_on(read_table(warehouse, "gold.d"))? {
        None => Ended::Refused,
        Some(_) => Ended::Wrong("a load that failed left a table".to_owned()),
    })
}

fn undamaged(format: &str) -> Result<Vec<u8>> {
    let row = |id: usize| {
        (id, format!("city {}", id % 7), format!("{}.5", id), format!("2024-01-{:02}", id % 28 + 1))
    };
    let rows = (0..ROWS).map(row);
    Ok(match format {
        "csv" => {
            let lines = rows.map(|(id, city, amount, day)| format!("{id},\"{city}\",{amount},{day}\n"));
            format!("id,city,amount,day\n{}", lines.collect::<String>()).into_bytes()
        }
        "json" => {
            let lines = rows.map(|(id, city, amount, day)| {
                format!("{{\"id\":{id},\"city\":\"{city}\",\"amount\":{amount},\"day\":\"{day}\"}}\n")
            });
            lines.collect::<String>().into_bytes()
        }
        _ => {
            let schema = parse_schema("id bigint, city string, amount double, day date")?;
            let lines = rows.map(|(id, city, amount, day)| format!("{id} | {city} | {amount} | {day}\n"));
            let text = format!("id | city | amount | day\n{}", lines.collect::<String>());
            let batch = batch_from_text(&schema, &TextTable::parse(&text)?)?;
            let mut bytes = Vec::new();
            let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None)?;
            writer.write(&batch)?;
            writer.close()?;
            bytes
        }
    })
}

fn damage(dice: &mut Dice, file: &mut Vec<u8>) {
    let at = dice.below(file.len() + 1);
    let end = (at + dice.below(30)).min(file.len());
    match dice.below(5) {
        0 => file.truncate(at),
        1 => drop(file.drain(at..end)),
        2 => {
            let again = file[at..end].to_vec();
            file.splice(at..at, again);
        }
        3 => {
            let pieces = [
                "\"",
                "\n",
                ",",
                "\0",
                "\u{feff}",
                "{",
                "}",
                "[",
                "\\",
                "é",
                "99999999999999999999999",
                "NaN",
            ];
            file.splice(at..at, dice.word(&pieces).into_bytes());
        }
        _ if at < file.len() => file[at] = u8::try_from(dice.below(256)).unwrap_or_default(),
        _ => {}
    }
}
