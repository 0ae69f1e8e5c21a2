//! Benchmarks against the tools that a user would pick instead: builds for release, makes a Python environment with
//! these tools, and leaves the rest to the scripts in `benches/peers`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::process::{self, Binary, Failure, build, cargo, output_of, workspace_root};

/// The peers and what measures them; a change makes the environment anew.
const PACKAGES: &[&str] = &["deltalake==1.6.6", "duckdb==1.5.5", "polars==2.1.0", "pyarrow==26.0.1"];

/// Runs `CASE ARGS`: `scd2`, `days`, `idle`, `fact_sales` or `guard`.
pub fn run(arguments: &[String]) -> Result<(), Failure> {
    let Some((case, rest)) = arguments.split_first() else {
        return Err(Failure::new("say what to measure: scd2, days, idle, fact_sales or guard"));
    };
    let target = target_folder()?;
    let python = environment(&target.join("bench-venv"))?;
    process::run(&mut cargo(["build", "--release", "--locked", "-p", "kimball-cli"]))?;
    let scripts = workspace_root().join("benches/peers");
    let mut command = Command::new(python);
    match case.as_str() {
        "fact_sales" => {
            let [testkit] = build(&[Binary::Testkit])?;
            command.arg(scripts.join("fact_sales.py")).arg("--testkit").arg(testkit)
        }
        "guard" => command.arg(scripts.join("guard.py")),
        case => command.arg(scripts.join("scd2.py")).arg(case),
    };
    command.arg("--kimball").arg(target.join("release/kimball"));
    command.arg("--dir").arg(target.join("bench").join(case));
    process::run(command.args(rest))
}

fn target_folder() -> Result<PathBuf, Failure> {
    let metadata = output_of(&mut cargo(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: serde_json::Value =
        serde_json::from_str(&metadata).map_err(|error| Failure::new(format!("cargo metadata: {error}")))?;
    let folder = metadata["target_directory"].as_str();
    folder.map(PathBuf::from).ok_or_else(|| Failure::new("cargo does not say where it builds"))
}

/// The Python of an environment with all peers, made when it is not there.
fn environment(folder: &std::path::Path) -> Result<PathBuf, Failure> {
    let (python, marker) = (folder.join("bin/python"), folder.join("packages.txt"));
    let wanted = PACKAGES.join("\n");
    if fs::read_to_string(&marker).is_ok_and(|made| made == wanted) {
        return Ok(python);
    }
    process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
    let install =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"];
    process::run(Command::new(&python).args(install).args(PACKAGES))?;
    fs::write(marker, wanted).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    Ok(python)
}
