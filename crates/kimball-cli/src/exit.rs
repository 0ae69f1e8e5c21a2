//! How the process ends.

use std::process::ExitCode;

use kimball::ExecutionSummary;

/// The exit codes that scripts may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything succeeded or had nothing to do.
    Success,
    /// A pipeline failed or was skipped.
    Unsuccessful,
    /// The usage or the configuration is wrong, or the program is.
    Error,
    /// A gate refused: a plan that would break something, a state that somebody has to look at.
    Refused,
    /// The run was interrupted.
    Interrupted,
}

impl Exit {
    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Unsuccessful => 1,
            Self::Error => 2,
            Self::Refused => 3,
            Self::Interrupted => 130,
        }
    }

    /// What a run came to.
    pub fn of(summary: &ExecutionSummary) -> Self {
        match summary.interrupted {
            true => Self::Interrupted,
            false => Self::of_work(summary.is_success(), false),
        }
    }

    /// What work on tables came to; one that is interrupted at its end has succeeded.
    pub fn of_work(is_success: bool, is_interrupted: bool) -> Self {
        match (is_success, is_interrupted) {
            (true, _) => Self::Success,
            (false, true) => Self::Interrupted,
            (false, false) => Self::Unsuccessful,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use kimball::ExecutionSummary;

    use super::Exit;

    fn summary(successful: usize, failed: usize, skipped: usize) -> ExecutionSummary {
        ExecutionSummary {
            total_pipelines: successful + failed + skipped,
            successful,
            failed,
            skipped,
            total_rows_read: 0,
            total_rows_written: 0,
            total_duration_seconds: 0.0,
            interrupted: false,
            results: Vec::new(),
        }
    }

    #[test]
    fn a_run_ends_with_0_when_all_succeeded_1_when_one_did_not_and_130_when_interrupted() {
        let interrupted = ExecutionSummary { interrupted: true, ..summary(1, 0, 1) };
        let summaries = [summary(2, 0, 0), summary(1, 1, 0), summary(1, 0, 1), interrupted];
        assert_eq!(summaries.map(|summary| Exit::of(&summary).code()), [0, 1, 1, 130]);
    }
}
