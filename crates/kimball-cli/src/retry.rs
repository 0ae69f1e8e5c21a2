//! `kimball retry`: what failed or was skipped in the last run, with the same options.

use clap::Parser;
use kimball::{PipelineStatus, Selector, TableName};

use crate::args::{CommandLine, Configs, Options, Verb};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::last_run::{LastRun, RunCall};
use crate::run_json::RESULTS_FILE;
use crate::{arguments, run, stderr};

/// Runs again what did not succeed. Options of the last run are kept; those that are given now go before them.
pub fn retry(now: &Options) -> Result<Exit, Failure> {
    let unreadable = |source| Failure::Input { path: RESULTS_FILE.into(), source };
    let (last, call) = (LastRun::read().map_err(unreadable)?, RunCall::read().map_err(unreadable)?);
    let (last, call) = match (last, call) {
        (Some(last), Some(call)) if last.run_id == call.run_id => (last, call),
        (_, Some(_)) => {
            return Err(Failure::Obstacle(
                "the last run here did not end, so what became of its pipelines is not known; `kimball run` goes on \
                 where it stopped"
                    .to_owned(),
            ));
        }
        (_, None) => {
            return Err(Failure::Obstacle(format!(
                "there is nothing to retry: no run was made in this folder ({RESULTS_FILE})"
            )));
        }
    };
    let arguments = joined(&call.arguments, &arguments());
    let (configs, mut options) = parsed(&arguments)?;
    let unsuccessful: Vec<TableName> = last
        .statuses()
        .into_iter()
        .filter_map(|(table, status)| (status != PipelineStatus::Success).then_some(table))
        .collect();
    let (tables, gone) = still_there(unsuccessful, &configs, &options)?;
    for table in &gone {
        stderr::warning(format_args!("{table} is no longer in the project and is left out"));
    }
    if tables.is_empty() {
        stderr::note("there is nothing to retry: every pipeline of the last run succeeded");
        return Ok(Exit::Success);
    }
    options.select = tables.iter().filter_map(|table| table.to_string().parse::<Selector>().ok()).collect();
    options.exclude.clone_from(&now.exclude);
    run::run(&configs, &options, &arguments)
}

/// The words of the last run with those of this call behind them.
fn joined(last: &[String], now: &[String]) -> Vec<String> {
    let mut words = last.to_vec();
    let mut more = now.iter();
    words.extend(more.by_ref().take_while(|word| *word != "retry").cloned());
    words.extend(more.cloned());
    words
}

fn parsed(arguments: &[String]) -> Result<(Configs, Options), Failure> {
    let words = std::iter::once("kimball").chain(arguments.iter().map(String::as_str));
    match CommandLine::try_parse_from(words) {
        Ok(CommandLine { verb: Verb::Run { configs, .. }, options }) => Ok((configs, options)),
        Ok(_) => {
            Err(Failure::Obstacle("the last run was called in a way that cannot be repeated".to_owned()))
        }
        Err(error) => Err(Failure::Obstacle(format!(
            "the options of the last run do not fit these: {}",
            error.render()
        ))),
    }
}

/// Of `tables` those that a pipeline of the project still writes, and the others.
fn still_there(
    tables: Vec<TableName>,
    configs: &Configs,
    options: &Options,
) -> Result<(Vec<TableName>, Vec<TableName>), Failure> {
    let mut everything = options.clone();
    everything.select.clear();
    everything.exclude.clear();
    let executor = everything.builder(configs).build()?;
    Ok(tables.into_iter().partition(|table| executor.plan().pipeline(table).is_some()))
}

#[cfg(test)]
mod tests {
    use super::joined;

    #[test]
    fn words_of_the_retry_stand_behind_those_of_the_run() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            joined(&words("run configs -w 2"), &words("-q retry -w 3")),
            words("run configs -w 2 -q -w 3")
        );
    }
}
