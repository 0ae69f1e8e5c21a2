//! `kimball vacuum`.

use std::io;
use std::time::Duration;

use kimball::{CancelToken, Vacuum, VacuumOutcome, VacuumSummary};

use crate::args::{Format, Options, VacuumArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt;
use crate::json_line::json_line;
use crate::output::Output;
use crate::text_table::{Align, TextTable};

const SECONDS_AN_HOUR: f64 = 3600.0;

/// Deletes files that no version of the project's tables needs any more; the exit says whether it worked for all.
pub fn vacuum(asked: &VacuumArgs, options: &Options) -> Result<Exit, Failure> {
    let cancel = CancelToken::new();
    let executor = options.builder(&asked.configs).cancel_token(cancel.clone()).build()?;
    let stop = cancel.clone();
    interrupt::cancel_on_signals(cancel);
    let how = Vacuum {
        retain: asked.retain.map(|hours| Duration::from_secs_f64(hours * SECONDS_AN_HOUR)),
        allow_shorter: asked.allow_shorter,
        dry_run: asked.dry_run,
    };
    let summary = executor.vacuum(&how)?;
    let interrupted = stop.is_cancelled();
    let mut output = Output::new(io::stdout());
    if options.format == Format::Json {
        for table in &summary.tables {
            output.write(json_line("table_vacuumed", table)?);
        }
    } else {
        output.write(text_of(&summary));
    }
    match output.take_error() {
        Some(error) => Err(Failure::Output(error)),
        None => Ok(Exit::of_work(summary.is_success(), interrupted)),
    }
}

/// A line for each table, then the failures with their messages.
fn text_of(summary: &VacuumSummary) -> String {
    let mut table = TextTable::new(&[
        ("TABLE", Align::Left),
        ("STATUS", Align::Left),
        ("FILES", Align::Right),
        ("BYTES", Align::Right),
    ]);
    let mut failures = String::new();
    for vacuumed in &summary.tables {
        let name = vacuumed.table_name.to_string();
        let (status, files, bytes) = match &vacuumed.outcome {
            VacuumOutcome::Vacuumed { files, bytes } => ("vacuumed", files.to_string(), bytes.to_string()),
            VacuumOutcome::Found { files, bytes } => ("would vacuum", files.to_string(), bytes.to_string()),
            VacuumOutcome::Clean => ("clean", "-".to_owned(), "-".to_owned()),
            VacuumOutcome::Failed { error_message, .. } => {
                failures += &format!("\n✗ {name}\n    {}\n", error_message.replace('\n', "\n    "));
                ("failed", "-".to_owned(), "-".to_owned())
            }
        };
        table.row([name, status.to_owned(), files, bytes]);
    }
    format!("{table}{failures}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use kimball::{FaultKind, TableName, VacuumOutcome, VacuumSummary, VacuumedTable};

    use super::text_of;

    #[test]
    fn each_table_has_a_line_and_each_failure_its_message() {
        let table =
            |name: &str, outcome| VacuumedTable { table_name: TableName::parse(name).unwrap(), outcome };
        let failed =
            VacuumOutcome::Failed { error_class: FaultKind::Busy, error_message: "busy\nnow".to_owned() };
        let summary = VacuumSummary {
            tables: vec![
                table("gold.dim_a", VacuumOutcome::Vacuumed { files: 18, bytes: 9000 }),
                table("gold.dim_b", VacuumOutcome::Clean),
                table("gold.dim_c", VacuumOutcome::Found { files: 1, bytes: 70 }),
                table("gold.fact_d", failed),
            ],
        };
        assert_eq!(
            text_of(&summary),
            "TABLE        STATUS        FILES  BYTES\n\
             gold.dim_a   vacuumed         18   9000\n\
             gold.dim_b   clean             -      -\n\
             gold.dim_c   would vacuum      1     70\n\
             gold.fact_d  failed            -      -\n\
             \n✗ gold.fact_d\n    busy\n    now\n"
        );
    }
}
