//! Python with packages in the hands of a test.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::command::target_folder;

/// The Python of the environment `name` with exactly these packages, made when it is not there; `None` where Python
/// or its pip is missing. A change of the packages makes a new one.
pub fn python(name: &str, packages: &[&str]) -> Option<PathBuf> {
    static MAKING: Mutex<()> = Mutex::new(());
    let _alone = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = target_folder().join(name);
    let python = folder.join("bin/python");
    let marker = folder.join("packages.txt");
    let wanted = packages.join("\n");
    if fs::read_to_string(&marker).is_ok_and(|made| made == wanted) {
        return Some(python);
    }
    if !succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"])) {
        println!("skipped: python3 with venv and pip is needed for {}", packages.join(", "));
        return None;
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    require(Command::new("python3").args(["-m", "venv"]).arg(&folder));
    let install =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"];
    require(Command::new(&python).args(install).args(packages));
    fs::write(marker, wanted).unwrap();
    Some(python)
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn require(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
