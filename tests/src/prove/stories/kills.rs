//! Runs of the real command that are killed at a random moment.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use kimball::Refresh;

use super::super::clock::now;
use super::{Copied, Disturbance, Fate, StoryRun, TARGETS};
use crate::error::{Result, TestkitError};
use crate::prove::dice::Dice;

/// Processes of the command `kimball` that get SIGKILL.
#[derive(Debug)]
pub struct Kills {
    /// The command.
    pub kimball: PathBuf,
    /// How many processes each run is made by.
    pub rounds: u64,
    /// Where the moments come from.
    pub dice: Mutex<Dice>,
}

impl Kills {
    /// `rounds` for each run, at moments that `seed` decides.
    pub fn new(kimball: PathBuf, rounds: u64, seed: u64) -> Self {
        Self { kimball, rounds, dice: Mutex::new(Dice::new(seed)) }
    }

    fn command(&self, copied: &Copied, run: &StoryRun<'_>) -> Command {
        let mut command = Command::new(&self.kimball);
        let folder = copied.folder.path();
        command
            .current_dir(folder)
            .arg("run")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        for config in &run.request.configs {
            let name = config.file_name().filter(|_| config.is_file());
            command
                .arg(name.map_or_else(|| folder.join("configs"), |name| folder.join("configs").join(name)));
        }
        command.args(["--targets", TARGETS, "--run-time", &run.request.run_time.to_rfc3339()]);
        match run.request.refresh {
            Refresh::Incremental => {}
            Refresh::Reconcile => {
                command.arg("--full-refresh");
            }
            Refresh::Rebuild => {
                command.args(["--full-refresh", "--allow-history-loss"]);
            }
        }
        command
    }

    fn moment(&self, within: Duration) -> Duration {
        let mut dice = self.dice.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let micros = usize::try_from(within.as_micros()).unwrap_or(usize::MAX);
        Duration::from_micros(dice.below(micros) as u64)
    }
}

impl Disturbance for Kills {
    fn disturb(&self, run: &StoryRun<'_>) -> Result<u64> {
        let undisturbed = run.copy()?;
        let started = now();
        self.command(&undisturbed, run).status().map_err(TestkitError::io(&self.kimball))?;
        let took = started.elapsed();
        run.compare(&undisturbed, "not killed")?;
        for _ in 0..self.rounds {
            let killed = run.copy()?;
            let after = self.moment(took);
            let mut process = self.command(&killed, run).spawn().map_err(TestkitError::io(&self.kimball))?;
            pause(after);
            // It may have ended by itself.
            let _ = process.kill();
            process.wait().map_err(TestkitError::io(&self.kimball))?;
            killed.run(run.program, &run.request, Fate::Calm)?;
            run.compare(&killed, &format!("killed after {after:?}"))?;
        }
        Ok(self.rounds)
    }
}

#[allow(clippy::disallowed_methods, reason = "another process sends no message")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
