//! A run as the guide shows it.

use kimball::{Banner, Event, EventKind, Heading, PipelineResult};

/// How much of a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Everything.
    Full,
    /// What went wrong, and the summary.
    Quiet,
}

/// The text of one event, with its line breaks; empty for what is not shown.
pub fn text_of(event: &Event, detail: Detail) -> String {
    let full = match &event.kind {
        EventKind::PipelineRetrying { table_name, attempt, delay_seconds, error_message, .. } => {
            return format!(
                "  ↻ Retrying: {table_name} in {delay_seconds:.0}s - attempt {attempt} failed: {}\n",
                indented(error_message)
            );
        }
        EventKind::PipelineWarning { table_name, message } => {
            return format!("  ! Warning: {table_name} - {}\n", indented(message));
        }
        EventKind::PipelineFailed(result) => {
            let message = result.error_message.as_deref().unwrap_or("unknown error");
            return format!("  ✗ Failed: {} - {}\n", result.table_name, indented(message));
        }
        EventKind::PipelineSkipped(result) => {
            let reason = result.skip_reason.as_deref().unwrap_or("unknown reason");
            return format!("  ↷ Skipped: {} - {}\n", result.table_name, indented(reason));
        }
        EventKind::RunFinished(summary) => return format!("{summary}\n"),
        EventKind::RunStarted { dimensions, facts, max_workers, .. } => {
            let title = "Kimball Pipeline Executor";
            let banner = Banner { title, dimensions: *dimensions, facts: *facts, max_workers: *max_workers };
            format!("{banner}\n\n")
        }
        EventKind::WaveStarted { label, pipelines, .. } => {
            format!("{}\n", Heading { label, pipelines: *pipelines })
        }
        EventKind::PipelineStarted { table_name, .. } => format!("  Starting: {table_name}\n"),
        EventKind::PipelineCompleted(result) => completed(result),
        EventKind::WaveFinished { .. } => "\n".to_owned(),
    };
    match detail {
        Detail::Full => full,
        Detail::Quiet => String::new(),
    }
}

/// The guide's line, whatever the number of rows: programs read it. What became of keys and members stands below it.
fn completed(result: &PipelineResult) -> String {
    let PipelineResult { table_name, duration_seconds, rows_written, .. } = result;
    let nothing_new = if result.up_to_date { " - up to date" } else { "" };
    let mut text =
        format!("  ✓ Completed: {table_name} ({duration_seconds:.1}s, {rows_written} rows){nothing_new}\n");
    for (count, what) in [
        (result.members_inferred, "members inferred for facts that came before them"),
        (result.rows_repaired, "rows repaired: their members have arrived"),
        (result.rows_restated, "rows restated: a late version of their member covers them"),
    ] {
        if count > 0 {
            text.push_str(&format!("    {count} {what}\n"));
        }
    }
    text
}

/// Further lines of a message stand below its first.
fn indented(message: &str) -> String {
    message.trim_end().replace('\n', "\n      ")
}

#[cfg(test)]
mod tests;
