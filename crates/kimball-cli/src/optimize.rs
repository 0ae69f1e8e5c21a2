//! `kimball optimize`.

use std::io;

use kimball::{CancelToken, OptimizeSummary, Upkeep};

use crate::args::{Configs, Format, Options};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt;
use crate::json_line::json_line;
use crate::output::Output;
use crate::text_table::{Align, TextTable};

/// Writes worn files of the project's tables anew; the exit says whether it worked for all.
pub fn optimize(configs: &Configs, options: &Options) -> Result<Exit, Failure> {
    let cancel = CancelToken::new();
    let executor = options.builder(configs).cancel_token(cancel.clone()).build()?;
    let stop = cancel.clone();
    interrupt::cancel_on_signals(cancel);
    let summary = executor.optimize()?;
    let interrupted = stop.is_cancelled();
    let mut output = Output::new(io::stdout());
    if options.format == Format::Json {
        for table in &summary.tables {
            output.write(json_line("table_optimized", table)?);
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
fn text_of(summary: &OptimizeSummary) -> String {
    let mut table = TextTable::new(&[
        ("TABLE", Align::Left),
        ("STATUS", Align::Left),
        ("FILES", Align::Right),
        ("NOW", Align::Right),
        ("BYTES", Align::Right),
        ("NOW", Align::Right),
        ("ROWS PURGED", Align::Right),
    ]);
    let mut failures = String::new();
    for optimized in &summary.tables {
        let name = optimized.table_name.to_string();
        let (status, numbers) = match &optimized.upkeep {
            Upkeep::Optimized { files_before, files_after, bytes_before, bytes_after, rows_purged } => (
                "optimized",
                [files_before, files_after, bytes_before, bytes_after, rows_purged].map(ToString::to_string),
            ),
            Upkeep::Healthy => ("healthy", ["-"; 5].map(str::to_owned)),
            Upkeep::Failed { error_message, .. } => {
                failures += &format!("\n✗ {name}\n    {}\n", error_message.replace('\n', "\n    "));
                ("failed", ["-"; 5].map(str::to_owned))
            }
        };
        let [files, files_now, bytes, bytes_now, purged] = numbers;
        table.row([name, status.to_owned(), files, files_now, bytes, bytes_now, purged]);
    }
    format!("{table}{failures}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use kimball::{FaultKind, OptimizeSummary, OptimizedTable, TableName, Upkeep};

    use super::text_of;

    #[test]
    fn each_table_has_a_line_and_each_failure_its_message() {
        let table =
            |name: &str, upkeep| OptimizedTable { table_name: TableName::parse(name).unwrap(), upkeep };
        let summary = OptimizeSummary {
            tables: vec![
                table(
                    "gold.dim_a",
                    Upkeep::Optimized {
                        files_before: 18,
                        files_after: 1,
                        bytes_before: 9000,
                        bytes_after: 800,
                        rows_purged: 7,
                    },
                ),
                table("gold.dim_b", Upkeep::Healthy),
                table(
                    "gold.fact_c",
                    Upkeep::Failed { error_class: FaultKind::Busy, error_message: "busy\nnow".to_owned() },
                ),
            ],
        };
        assert_eq!(
            text_of(&summary),
            "TABLE        STATUS     FILES  NOW  BYTES  NOW  ROWS PURGED\n\
             gold.dim_a   optimized     18    1   9000  800            7\n\
             gold.dim_b   healthy        -    -      -    -            -\n\
             gold.fact_c  failed         -    -      -    -            -\n\
             \n✗ gold.fact_c\n    busy\n    now\n"
        );
    }
}
