//! The command `kimball` as a child process, timed and measured.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::folder::DemoFolder;
use crate::error::{Result, TestkitError};

/// How often the memory of the child is looked at. The system itself keeps the peak, so only what grows
/// after the last look is missed.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Variables that would lead the child to other tables than the demo's.
const MISLEADING: &[&str] = &["KIMBALL_WAREHOUSE", "KIMBALL_ETL_SCHEMA"];

/// The program, called in the folder of the demo.
pub(super) struct Kimball<'a> {
    program: PathBuf,
    folder: &'a DemoFolder,
}

/// What one call took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    /// From start to end.
    pub(super) elapsed: Duration,
    /// Most memory that was resident, in bytes; `None` where the system does not say.
    pub(super) peak_bytes: Option<u64>,
}

impl<'a> Kimball<'a> {
    pub(super) fn new(program: &Path, folder: &'a DemoFolder) -> Self {
        Self { program: program.to_path_buf(), folder }
    }

    /// Calls the program with the streams of this one and waits for it.
    ///
    /// # Errors
    /// When it cannot be started or does not succeed.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<Usage> {
        let shown = format!("kimball {}", arguments.join(" "));
        println!("$ {shown}");
        // The child writes to the same place, and must not overtake.
        std::io::stdout().flush().map_err(TestkitError::io("the standard output"))?;
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(self.folder.root());
        MISLEADING.iter().for_each(|name| {
            command.env_remove(name);
        });
        let started = Instant::now();
        let child = command.spawn().map_err(TestkitError::io(&self.program))?;
        let (status, peak_bytes) = wait(child).map_err(TestkitError::io(&self.program))?;
        let elapsed = started.elapsed();
        println!();
        if !status.success() {
            return Err(TestkitError::Step(format!("`{shown}` did not succeed ({status})")));
        }
        Ok(Usage { elapsed, peak_bytes })
    }
}

/// Waits for the end of a child, with an eye on its memory.
fn wait(mut child: Child) -> std::io::Result<(ExitStatus, Option<u64>)> {
    let id = child.id();
    let (sender, ended) = mpsc::channel();
    // The receiver lives until the child has ended.
    thread::spawn(move || drop(sender.send(child.wait())));
    let mut peak = None;
    loop {
        peak = peak.max(peak_of(id));
        match ended.recv_timeout(LOOK_EVERY) {
            Ok(status) => return Ok((status?, peak)),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err(std::io::Error::other("the waiting thread is gone"));
            }
        }
    }
}

/// The peak of a living process in bytes, from Linux' own books.
fn peak_of(id: u32) -> Option<u64> {
    peak_in(&std::fs::read_to_string(format!("/proc/{id}/status")).ok()?)
}

/// `VmHWM:   123456 kB`, the high-water mark of the resident memory.
fn peak_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::peak_in;

    #[test]
    fn the_peak_is_read_from_the_status_of_a_process_and_a_dead_one_has_none() {
        assert_eq!(peak_in("Name:\tkimball\nVmPeak:\t 9 kB\nVmHWM:\t  2048 kB\n"), Some(2 * 1024 * 1024));
        assert_eq!(peak_in("Name:\tkimball\nState:\tZ (zombie)\n"), None);
    }
}
