//! Running programs, cargo first of all.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use serde_json::Value;

/// A task that failed.
#[derive(Debug)]
pub struct Failure {
    /// One line for the developer.
    pub message: String,
    /// The exit code of this program.
    pub exit_code: u8,
}

impl Failure {
    /// A failure with exit code 1.
    pub fn new(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), exit_code: 1 }
    }
}

/// A program of the workspace.
#[derive(Clone, Copy)]
pub enum Binary {
    /// The command.
    Kimball,
    /// What makes test tables, and runs scenarios and the demo.
    Testkit,
}

impl Binary {
    fn name(self) -> &'static str {
        match self {
            Self::Kimball => "kimball",
            Self::Testkit => "kimball-testkit",
        }
    }
}

/// The root of the checkout.
#[allow(clippy::disallowed_methods, reason = "this is what this program is told about its own package")]
pub fn workspace_root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        // Checkouts may share a build cache: the one that this was built in need not be the one that it runs in.
        let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
        Path::new(&package).join("..")
    });
    &ROOT
}

/// A cargo command in the root of the checkout.
///
/// Cargo tells this program about its own package through the environment. Some build scripts look at these
/// variables, so that a cargo that inherits them compiles half the tree again.
#[allow(clippy::disallowed_methods, reason = "what this program was told must not be passed on")]
pub fn cargo<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).current_dir(workspace_root());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs `command` with the streams of this program.
///
/// # Errors
/// It cannot be started, or it fails; its exit code is kept.
pub fn run(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|error| not_started(command, &error))?;
    if status.success() {
        return Ok(());
    }
    let exit_code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Err(Failure { message: format!("{} failed ({status})", shown(command)), exit_code })
}

/// The standard output of `command`; its standard error is shown as it comes.
///
/// # Errors
/// It cannot be started, it fails, or its output is not UTF-8.
pub fn output_of(command: &mut Command) -> Result<String, Failure> {
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| not_started(command, &error))?;
    if !output.status.success() {
        return Err(Failure::new(format!("{} failed ({})", shown(command), output.status)));
    }
    String::from_utf8(output.stdout)
        .map_err(|error| Failure::new(format!("the output of {} is not UTF-8: {error}", shown(command))))
}

/// Builds `binaries` and says where they lie, in the same order. The whole workspace decides which features are
/// on, in the profile that the tests use, so that no dependency is compiled twice.
///
/// # Errors
/// The build fails, or cargo does not say where a binary lies.
pub fn build<const N: usize>(binaries: &[Binary; N]) -> Result<[PathBuf; N], Failure> {
    let selected = binaries.iter().flat_map(|binary| ["--bin", binary.name()]);
    let format = ["--message-format", "json-render-diagnostics"];
    let messages = output_of(&mut cargo(["build", "--workspace"].into_iter().chain(selected).chain(format)))?;
    let mut paths = [const { PathBuf::new() }; N];
    for (path, binary) in paths.iter_mut().zip(binaries) {
        let name = binary.name();
        *path = executable(&messages, name)
            .ok_or_else(|| Failure::new(format!("the build made no binary `{name}`")))?;
    }
    Ok(paths)
}

/// Where the binary `name` lies, in the messages of a build.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|message| {
        let is_wanted = message["target"]["name"] == name && message["target"]["kind"][0] == "bin";
        let path = message["executable"].as_str().filter(|_| is_wanted)?;
        Some(PathBuf::from(path))
    })
}

fn not_started(command: &Command, error: &std::io::Error) -> Failure {
    Failure::new(format!("{} cannot be started: {error}", shown(command)))
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = [program].into_iter().chain(command.get_args()).map(OsStr::to_string_lossy);
    format!("`{}`", words.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::executable;

    #[test]
    fn a_binary_is_found_in_the_messages_of_a_build_and_a_library_of_that_name_is_not() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"kimball"},"executable":null}"#,
            "\nno json\n",
            r#"{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"kimball"},"executable":"/t/kimball"}"#,
        );
        assert_eq!(executable(messages, "kimball"), Some(PathBuf::from("/t/kimball")));
        assert_eq!(executable(messages, "kimball-testkit"), None);
    }
}
