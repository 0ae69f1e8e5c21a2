//! Tests, and the checks that come before them.

use crate::process::{Binary, Failure, build, cargo, run};
use crate::{layers, tidy};

/// Every test of the workspace, or of the packages that `arguments` name with `-p`. Plain `cargo test` runs unit
/// tests, integration tests and the examples of the documentation, and leaves benches alone.
pub fn test(arguments: &[String]) -> Result<(), Failure> {
    let packages = Packages::named_in(arguments);
    // The end-to-end suites start the binaries, which no test target of theirs would build.
    if packages != Packages::NotEndToEnd {
        build(&[Binary::Kimball, Binary::Testkit])?;
    }
    let mut test = cargo(["test"]);
    if packages == Packages::All {
        test.arg("--workspace");
    }
    run(test.args(arguments))
}

/// What arguments for `cargo test` select.
#[derive(Debug, PartialEq, Eq)]
enum Packages {
    All,
    EndToEnd,
    NotEndToEnd,
}

impl Packages {
    fn named_in(arguments: &[String]) -> Self {
        let for_cargo: Vec<&String> = arguments.iter().take_while(|argument| *argument != "--").collect();
        let names_package =
            |argument: &&String| argument.starts_with("-p") || argument.starts_with("--package");
        if !for_cargo.iter().any(names_package) {
            Self::All
        } else if for_cargo.iter().any(|argument| argument.contains("kimball-tests")) {
            Self::EndToEnd
        } else {
            Self::NotEndToEnd
        }
    }
}

/// Everything short of the tests: formatting, lints, documentation, hygiene and layering.
pub fn everything() -> Result<(), Failure> {
    run(&mut cargo(["fmt", "--all", "--", "--check"]))?;
    run(&mut cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    documentation()?;
    tidy::run()?;
    layers::run()
}

/// The documentation of the libraries only: the command and the facade are both called `kimball`.
fn documentation() -> Result<(), Failure> {
    run(cargo(["doc", "--workspace", "--no-deps", "--lib"]).env("RUSTDOCFLAGS", "-D warnings"))
}

#[cfg(test)]
mod tests {
    use super::Packages;

    #[test]
    fn packages_are_those_named_before_the_arguments_of_the_tests() {
        let packages =
            |line: &str| Packages::named_in(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(packages("--profile dev cycle"), Packages::All);
        assert_eq!(packages("-- -p kimball-plan"), Packages::All);
        assert_eq!(packages("-p kimball-plan -- a_cycle"), Packages::NotEndToEnd);
        assert_eq!(packages("--package=kimball-tests"), Packages::EndToEnd);
    }
}
