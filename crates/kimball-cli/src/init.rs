//! `kimball init`: a project that runs as it is.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::schema;

/// The files, relative to the project's folder.
const FILES: [(&str, &str); 9] = [
    ("kimball.targets.yml", include_str!("init/project/kimball.targets.yml")),
    ("configs/dim_customer.yml", include_str!("init/project/configs/dim_customer.yml")),
    ("configs/dim_product.yml", include_str!("init/project/configs/dim_product.yml")),
    ("configs/fact_sales.yml", include_str!("init/project/configs/fact_sales.yml")),
    ("data/customers.csv", include_str!("init/project/data/customers.csv")),
    ("data/products.csv", include_str!("init/project/data/products.csv")),
    ("data/sales.csv", include_str!("init/project/data/sales.csv")),
    ("README.md", include_str!("init/project/README.md")),
    (".gitignore", include_str!("init/project/gitignore")),
];
/// What editors go by.
const SCHEMA_FILE: &str = "kimball.schema.json";

/// Makes the project in `folder`. A file that is there already is left alone, and then nothing is made.
pub fn init(folder: &Path) -> Result<Exit, Failure> {
    let schema = schema::text_of(&kimball::pipeline_schema())?;
    let files = FILES.into_iter().chain([(SCHEMA_FILE, schema.as_str())]);
    let files: Vec<(PathBuf, &str)> = files.map(|(name, text)| (folder.join(name), text)).collect();
    if let Some((taken, _)) = files.iter().find(|(path, _)| path.exists()) {
        return Err(Failure::Obstacle(format!(
            "`{}` is there already; nothing was made. Name an empty folder: kimball init FOLDER",
            taken.display()
        )));
    }
    for (path, text) in &files {
        write_new(path, text).map_err(|source| Failure::NotMade { path: path.clone(), source })?;
    }
    let mut output = Output::new(io::stdout());
    for (path, _) in &files {
        output.line(format_args!("made {}", path.display()));
    }
    output.write(next_steps(folder));
    match output.take_error() {
        Some(error) => Err(Failure::Output(error)),
        None => Ok(Exit::Success),
    }
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // Whoever makes the file at the same moment keeps it.
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

fn next_steps(folder: &Path) -> String {
    let enter = match folder.to_str() {
        Some("." | "") => String::new(),
        _ => format!("  cd {}\n", folder.display()),
    };
    format!(
        "\nNext:\n{enter}  kimball run\n  kimball sql \"SELECT * FROM gold.fact_sales\"\n\nREADME.md says what to try then.\n"
    )
}
