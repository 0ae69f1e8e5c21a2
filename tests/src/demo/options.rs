//! What the demo can be asked for.

use std::path::{Path, PathBuf};

/// How the demo is called.
pub const USAGE: &str = "usage: kimball-testkit demo --kimball PROGRAM [--scale S] [--dir DIR]

  --kimball PROGRAM  the command to show
  --scale S          size of the source, 0.01 to 100; 1 is about 1 GB of text [default: 0.01]
  --dir DIR          where everything is made [default: demo in the checkout]";

/// Below this the generator's rule for partsupp names some suppliers of a product twice.
const SMALLEST_SCALE: f64 = 0.01;
const LARGEST_SCALE: f64 = 100.0;

/// What the demo was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct DemoOptions {
    /// The program `kimball`, absolute.
    pub kimball: PathBuf,
    /// The scale factor of TPC-H.
    pub scale: f64,
    /// The folder that everything goes into, absolute.
    pub folder: PathBuf,
}

impl DemoOptions {
    /// Reads the arguments behind the verb; relative paths start at `working_dir`.
    ///
    /// # Errors
    /// A sentence that says which argument is wrong.
    pub fn parse(arguments: &[String], working_dir: &Path) -> Result<Self, String> {
        let (mut kimball, mut scale, mut folder) = (None, SMALLEST_SCALE, default_folder());
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let (name, inline) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            if !["--kimball", "--scale", "--dir"].contains(&name) {
                return Err(format!("`{argument}` is no option of the demo"));
            }
            let value = inline.or_else(|| rest.next().cloned()).ok_or(format!("`{name}` needs a value"))?;
            match name {
                "--kimball" => kimball = Some(working_dir.join(value)),
                "--scale" => scale = parse_scale(&value)?,
                _ => folder = working_dir.join(value),
            }
        }
        let kimball = kimball.ok_or("`--kimball` is needed: the program to show")?;
        Ok(Self { kimball, scale, folder })
    }
}

/// Reads a scale factor.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn parse_scale(text: &str) -> Result<f64, String> {
    let scale: f64 = text.parse().map_err(|_| format!("`{text}` is no scale"))?;
    if (SMALLEST_SCALE..=LARGEST_SCALE).contains(&scale) {
        return Ok(scale);
    }
    Err(format!("the scale must be {SMALLEST_SCALE} to {LARGEST_SCALE}, not {text}"))
}

/// `demo` in the checkout that this program was built from.
fn default_folder() -> PathBuf {
    checkout().join("demo")
}

/// The root of the checkout.
pub(super) fn checkout() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::DemoOptions;

    fn parse(arguments: &[&str]) -> Result<DemoOptions, String> {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        DemoOptions::parse(&arguments, Path::new("/here"))
    }

    #[test]
    fn options_are_taken_in_both_spellings_and_paths_start_at_the_working_folder() {
        let options = parse(&["--scale=0.1", "--kimball", "bin/kimball", "--dir", "d"]).unwrap();
        assert_eq!(options.kimball, PathBuf::from("/here/bin/kimball"));
        assert_eq!((options.scale, options.folder), (0.1, PathBuf::from("/here/d")));
    }

    #[test]
    fn without_a_folder_the_demo_lies_in_the_checkout() {
        let options = parse(&["--kimball", "/bin/kimball"]).unwrap();
        assert_eq!(options.kimball, PathBuf::from("/bin/kimball"));
        assert!(options.folder.ends_with("demo") && options.folder.is_absolute());
    }

    #[test]
    fn a_missing_program_a_bad_scale_and_an_unknown_option_are_refused() {
        assert!(parse(&[]).unwrap_err().contains("--kimball"));
        assert!(parse(&["--kimball", "k", "--scale", "0.001"]).unwrap_err().contains("0.01 to 100"));
        assert!(parse(&["--kimball", "k", "--scale", "big"]).unwrap_err().contains("no scale"));
        assert!(parse(&["--kimball", "k", "--dir"]).unwrap_err().contains("needs a value"));
        assert!(parse(&["--kimball", "k", "--fast"]).unwrap_err().contains("--fast"));
    }
}
