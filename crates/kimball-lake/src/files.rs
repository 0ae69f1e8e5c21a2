//! File sources: which files a path names, what version they are, and their rows.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use datafusion::prelude::{CsvReadOptions, DataFrame, JsonReadOptions, ParquetReadOptions, SessionContext};
use xxhash_rust::xxh64::Xxh64;

use crate::LakeError;

/// How files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Comma-separated values.
    Csv,
    /// Apache Parquet.
    Parquet,
    /// One JSON object a line.
    Json,
}

/// The files that a path, folder or pattern names at one moment.
#[derive(Debug, Clone)]
pub struct FileSource {
    format: FileFormat,
    options: BTreeMap<String, String>,
    files: Vec<PathBuf>,
    version: i64,
}

impl FileSource {
    /// Lists the files of a local path: a file, a folder (its files with the format's extension, also
    /// in folders below), or a pattern with `*`, `?`, `**` and `[…]`. Names that begin with `_` or `.`
    /// are no source files.
    ///
    /// # Errors
    /// [`LakeError::NoFiles`] when nothing matches, [`LakeError::BadPath`] when it cannot be listed.
    pub fn list(
        format: FileFormat,
        path: &str,
        options: &BTreeMap<String, String>,
    ) -> Result<Self, LakeError> {
        let bad = |reason: String| LakeError::BadPath { path: path.to_owned(), reason };
        if path.contains("://") && !path.starts_with("file://") {
            return Err(bad("file sources on object stores are not supported yet".to_owned()));
        }
        let local = path.strip_prefix("file://").unwrap_or(path);
        let pattern = if PathBuf::from(local).is_dir() {
            format!("{}/**/*.{}*", glob::Pattern::escape(local.trim_end_matches('/')), extension(format))
        } else {
            local.to_owned()
        };
        let mut files = Vec::new();
        for found in glob::glob(&pattern).map_err(|source| bad(source.to_string()))? {
            let found = found.map_err(|source| bad(source.to_string()))?;
            let hidden = found
                .file_name()
                .and_then(|name| name.to_str())
                .is_none_or(|name| name.starts_with(['_', '.']));
            if found.is_file() && !hidden {
                files.push(found);
            }
        }
        if files.is_empty() {
            return Err(LakeError::NoFiles { path: path.to_owned() });
        }
        files.sort();
        let version = fingerprint(&files).map_err(|source| bad(source.to_string()))?;
        Ok(Self { format, options: options.clone(), files, version })
    }

    /// A 63-bit fingerprint of names, sizes and change times (semantics 9).
    pub fn version(&self) -> i64 {
        self.version
    }

    /// The rows of all files.
    ///
    /// # Errors
    /// [`LakeError::BadPath`] for an option the format does not know, [`LakeError::Query`] when a file
    /// cannot be read.
    pub async fn rows(&self, session: &SessionContext) -> Result<DataFrame, LakeError> {
        let paths: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
        let ending = self.common_ending();
        let frame = match self.format {
            FileFormat::Csv => session.read_csv(paths, self.csv_options(&ending)?).await,
            FileFormat::Parquet => {
                let options = ParquetReadOptions { file_extension: &ending, ..Default::default() };
                session.read_parquet(paths, options).await
            }
            FileFormat::Json => {
                let options = JsonReadOptions::default().file_extension(&ending);
                session.read_json(paths, options).await
            }
        };
        frame.map_err(LakeError::Query)
    }

    fn csv_options<'a>(&'a self, ending: &'a str) -> Result<CsvReadOptions<'a>, LakeError> {
        let mut csv = CsvReadOptions::new().file_extension(ending).has_header(true);
        for (key, value) in &self.options {
            let bad = |reason: &str| LakeError::BadPath {
                path: format!("option `{key}: {value}`"),
                reason: reason.to_owned(),
            };
            let one = || match value.as_bytes() {
                [byte] => Ok(*byte),
                b"\\t" => Ok(b'\t'),
                _ => Err(bad("one character is expected")),
            };
            let flag = || value.parse::<bool>().map_err(|_| bad("true or false is expected"));
            match key.to_lowercase().as_str() {
                "header" => csv = csv.has_header(flag()?),
                "sep" | "delimiter" => csv = csv.delimiter(one()?),
                "quote" => csv = csv.quote(one()?),
                "escape" => csv = csv.escape(one()?),
                "comment" => csv = csv.comment(one()?),
                "multiline" => csv = csv.newlines_in_values(flag()?),
                "nullvalue" => csv = csv.null_regex(Some(format!("^{}$", escape_regex(value)))),
                "inferschema" | "samplingratio" | "mode" | "encoding" | "charset" => {}
                _ => return Err(bad("the CSV reader has no such option")),
            }
        }
        Ok(csv)
    }

    /// The longest ending that all files share, so that the reader takes each of them.
    fn common_ending(&self) -> String {
        let names: Vec<String> = self
            .files
            .iter()
            .filter_map(|file| file.file_name().and_then(|name| name.to_str()).map(str::to_owned))
            .collect();
        let Some(first) = names.first() else { return String::new() };
        let shares = |ending: &str| names.iter().all(|name| name.ends_with(ending));
        let endings = first.char_indices().filter(|(_, c)| *c == '.').filter_map(|(at, _)| first.get(at..));
        endings.into_iter().find(|ending| shares(ending)).unwrap_or_default().to_owned()
    }
}

fn extension(format: FileFormat) -> &'static str {
    match format {
        FileFormat::Csv => "csv",
        FileFormat::Parquet => "parquet",
        FileFormat::Json => "json",
    }
}

fn escape_regex(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_alphanumeric() { vec![c] } else { vec!['\\', c] }).collect()
}

fn fingerprint(files: &[PathBuf]) -> std::io::Result<i64> {
    let mut hash = Xxh64::new(0);
    for file in files {
        let meta = file.metadata()?;
        let changed = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        hash.update(file.to_string_lossy().as_bytes());
        hash.update(&[0]);
        hash.update(&meta.len().to_le_bytes());
        hash.update(&changed.as_nanos().to_le_bytes());
    }
    Ok(i64::try_from(hash.digest() >> 1).unwrap_or_default())
}
