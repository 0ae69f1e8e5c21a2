//! The command `kimball` as a child process: run to its end, or started, stopped and killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Variables that would lead the child to other tables than those of its folder, or to other output.
const MISLEADING: &[&str] =
    &["KIMBALL_WAREHOUSE", "KIMBALL_ETL_SCHEMA", "RUST_LOG", "RUST_BACKTRACE", "TZ", "NO_COLOR"];

/// How long anything that a test waits for may take, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The folder that cargo builds into, with one folder a profile.
pub fn target_folder() -> PathBuf {
    profile_folder().parent().unwrap().to_path_buf()
}

/// This test lies in `<target>/<profile>/deps`.
fn profile_folder() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_path_buf()
}

/// The program under test.
pub fn program() -> PathBuf {
    let program = profile_folder().join(format!("kimball{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.is_file(),
        "{} is missing: `cargo xtask test` builds it first, as does `cargo build --workspace --bin kimball`",
        program.display()
    );
    program
}

/// `kimball` with the words of `line`, to be called in `folder`.
pub fn command(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(program());
    command.current_dir(folder).args(line.split_whitespace()).stdin(Stdio::null());
    MISLEADING.iter().for_each(|name| {
        command.env_remove(name);
    });
    command
}

/// What a call left behind.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Demands an exit code.
    pub fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The last line of a run with `--format json`.
    pub fn summary(&self) -> Value {
        let last = self.stdout.lines().last().unwrap_or_else(|| panic!("no line; stderr:\n{}", self.stderr));
        let summary: Value = serde_json::from_str(last).unwrap();
        assert_eq!(summary["event"], "run_finished", "{last}");
        summary
    }
}

/// The result of one table in the summary of a run.
pub fn result_of<'a>(summary: &'a Value, table: &str) -> &'a Value {
    let results = summary["results"].as_array().unwrap();
    results
        .iter()
        .find(|result| result["table_name"] == table)
        .unwrap_or_else(|| panic!("no {table} in {summary}"))
}

/// A child that does not outlive its test.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    /// Starts a command; what it says is not kept.
    pub fn start(command: &mut Command) -> Self {
        Self::start_as_it_is(command.stdout(Stdio::null()).stderr(Stdio::null()))
    }

    /// Starts a command with the streams it was given.
    pub fn start_as_it_is(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// SIGKILL, and the end of the process.
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// SIGSTOP: it stays alive and does nothing.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// SIGINT, as Ctrl-C sends it.
    pub fn interrupt(&self) {
        self.signal("-INT");
    }

    /// SIGCONT.
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        // The shell's own `kill`: not every machine has the program.
        let line = format!("kill {signal} {}", self.0.id());
        let sent = Command::new("sh").args(["-c", &line]).status().unwrap();
        assert!(sent.success(), "kill {signal}: {sent}");
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> ExitStatus {
        wait_until("the process ends", || self.has_ended());
        self.0.wait().unwrap()
    }

    /// Waits until `moment` has come, looking often; `false` when the process ended before.
    pub fn reaches(&mut self, moment: impl Fn() -> bool) -> bool {
        loop {
            if moment() {
                return true;
            }
            if self.has_ended() {
                return moment();
            }
            pause(Duration::from_micros(200));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended; nothing else can go wrong here.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for what must come.
pub fn wait_until(what: &str, mut moment: impl FnMut() -> bool) {
    let started = Instant::now();
    while !moment() {
        assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        pause(Duration::from_millis(2));
    }
}

#[allow(clippy::disallowed_methods, reason = "a file system and another process send no message")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}
