//! The demo: builds the binaries and leaves the rest to `kimball-testkit demo`.

use std::process::{Command, Stdio};

use crate::process::{self, Binary, Failure, build, output_of, workspace_root};

/// What the build directory may grow to, in GiB, with all of the storage and compute stack in it.
const BUILD_GIB: u64 = 8;

/// Checks what the build needs from the machine, builds, and runs the demo with `arguments`.
pub fn run(arguments: &[String]) -> Result<(), Failure> {
    check_c_compiler()?;
    hint_at_disk_space();
    println!("Building; the first time takes a while, the compute stack is large.");
    let [kimball, testkit] = build(&[Binary::Kimball, Binary::Testkit])?;
    process::run(Command::new(testkit).arg("demo").arg("--kimball").arg(kimball).args(arguments))
}

/// A dependency compiles C, and rustc links through `cc`.
fn check_c_compiler() -> Result<(), Failure> {
    let compiler = Command::new("cc").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if compiler.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    Err(Failure::new(
        "no C compiler `cc` was found, which the build needs to compile and link: install one, \
         for example with `apt-get install build-essential`, `dnf install gcc` or `xcode-select --install`",
    ))
}

/// Says so when the disk may be too small; only the build itself knows for certain.
fn hint_at_disk_space() {
    let free = free_gib();
    if let Some(free) = free.filter(|free| *free < BUILD_GIB) {
        println!(
            "Note: {free} GiB are free here and the build may need {BUILD_GIB}; CARGO_TARGET_DIR moves it."
        );
    }
}

/// Free space of the disk that cargo builds on, in GiB; `None` where `df` does not say.
fn free_gib() -> Option<u64> {
    let metadata = output_of(&mut process::cargo(["metadata", "--no-deps", "--format-version", "1"])).ok()?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata).ok()?;
    let mut directory = workspace_root().join(metadata["target_directory"].as_str()?);
    while !directory.exists() && directory.pop() {}
    available_gib(&output_of(Command::new("df").arg("-Pk").arg(directory)).ok()?)
}

/// The fourth column of the second line of `df -Pk`, which is KiB.
fn available_gib(table: &str) -> Option<u64> {
    let kib: u64 = table.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kib / (1024 * 1024))
}

#[cfg(test)]
mod tests {
    use super::available_gib;

    #[test]
    fn free_space_is_read_from_the_table_of_df() {
        let table = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda 263174212 1 79921152 17% /\n";
        assert_eq!(available_gib(table), Some(76));
        assert_eq!(available_gib("df: no such file\n"), None);
    }
}
