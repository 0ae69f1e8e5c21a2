//! `kimball plan`, also `kimball run --dry-run`.

use std::io;

use kimball::PipelineExecutor;

use crate::args::{Configs, Format, Options};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::json_line::json_line;
use crate::output::Output;
use crate::stderr;

/// Shows the waves and what each pipeline would do.
pub fn plan(configs: &Configs, options: &Options) -> Result<Exit, Failure> {
    let executor = options.builder(configs).build()?;
    if !options.quiet {
        executor.warnings().iter().for_each(stderr::line);
    }
    let mut output = Output::new(io::stdout());
    let obstacle = write(&executor, options.format, &mut output)?;
    if let Some(error) = output.take_error() {
        return Err(Failure::Output(error));
    }
    match obstacle {
        Some(obstacle) => Err(Failure::Obstacle(obstacle)),
        None => Ok(Exit::Success),
    }
}

/// Writes the plan and says why a run would refuse to start, if it would.
fn write(
    executor: &PipelineExecutor,
    format: Format,
    output: &mut Output<impl io::Write>,
) -> Result<Option<String>, Failure> {
    match format {
        // A picture of the waves says nothing of the tables, so none is looked at.
        Format::Mermaid => output.write(ending_in_line_break(executor.plan().to_mermaid())),
        Format::Dot => output.write(ending_in_line_break(executor.plan().to_dot())),
        Format::Text | Format::Table | Format::Csv | Format::Parquet => {
            let dry_run = executor.dry_run()?;
            output.line(&dry_run);
            return Ok(dry_run.obstacle());
        }
        Format::Json => {
            let dry_run = executor.dry_run()?;
            output.write(json_line("plan", dry_run.to_json())?);
            return Ok(dry_run.obstacle());
        }
    }
    Ok(None)
}

fn ending_in_line_break(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}
