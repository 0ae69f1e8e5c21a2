//! File sources: which files a path names, what version they are, and their rows.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Field, Fields, Schema};
use datafusion::common::Column;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::functions::core::expr_fn::nullif;
use datafusion::functions_aggregate::expr_fn::bool_or;
use datafusion::logical_expr::{Expr, cast, lit};
use datafusion::prelude::{CsvReadOptions, DataFrame, JsonReadOptions, ParquetReadOptions, SessionContext};
use futures::FutureExt;
use xxhash_rust::xxh64::Xxh64;

use crate::LakeError;
use crate::bad_file;

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

    /// Bytes of all files.
    ///
    /// # Errors
    /// [`LakeError::BadPath`] when one is gone.
    pub fn bytes(&self) -> Result<u64, LakeError> {
        let size = |file: &PathBuf| match file.metadata() {
            Ok(found) => Ok(found.len()),
            Err(source) => {
                Err(LakeError::BadPath { path: file.display().to_string(), reason: source.to_string() })
            }
        };
        self.files.iter().map(size).sum()
    }

    /// When the newest of the files was changed, in milliseconds since 1970.
    ///
    /// # Errors
    /// [`LakeError::BadPath`] when one is gone.
    pub fn changed_at(&self) -> Result<i64, LakeError> {
        let mut newest = 0;
        for file in &self.files {
            let changed = file.metadata().and_then(|found| found.modified()).map_err(|source| {
                LakeError::BadPath { path: file.display().to_string(), reason: source.to_string() }
            })?;
            let since = changed.duration_since(UNIX_EPOCH).unwrap_or_default();
            newest = newest.max(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        }
        Ok(newest)
    }

    /// The rows of all files. Columns and types are those of all files together, from all their rows.
    ///
    /// # Errors
    /// [`LakeError::BadPath`] for an option the format does not know and for CSV files with different columns,
    /// [`LakeError::BadFile`] for a file that is not what its format says, [`LakeError::Query`] when one cannot be read.
    pub async fn rows(&self, session: &SessionContext) -> Result<DataFrame, LakeError> {
        let mut schemas = Vec::with_capacity(self.files.len());
        for file in &self.files {
            // Readers of file formats panic at some damaged files.
            let read = AssertUnwindSafe(self.read(session, std::slice::from_ref(file), None)).catch_unwind();
            let found = read.await.unwrap_or_else(|_| {
                let reason = "the file is damaged".to_owned();
                Err(LakeError::BadPath { path: file.display().to_string(), reason })
            });
            let found = found.map_err(|source| bad_file::blamed(file, self.format, source))?;
            schemas.push(found.schema().as_arrow().clone());
        }
        let mut merged = self.merge(&schemas)?;
        if self.format != FileFormat::Csv {
            return self.read(session, &self.files, Some(&merged)).await;
        }
        if !self.has_header() {
            merged = spark_names(&merged);
        }
        self.typed_text(session, &merged).await
    }

    /// The rows of CSV files with the types that were guessed, read as text first: only there can be seen what
    /// stands for NULL, and which numbers are codes whose leading zeros count.
    async fn typed_text(&self, session: &SessionContext, guessed: &Schema) -> Result<DataFrame, LakeError> {
        let as_text = guessed.fields().iter().map(|field| Field::new(field.name(), DataType::Utf8, true));
        let as_text = Schema::new(as_text.collect::<Vec<_>>());
        let text = self.read(session, &self.files, Some(&as_text)).await?;
        let by_name = |field: &Field| Expr::Column(Column::from_name(field.name()));
        let numbers: Vec<&Field> = guessed
            .fields()
            .iter()
            .map(AsRef::as_ref)
            .filter(|field| field.data_type().is_integer())
            .collect();
        let mut codes: BTreeSet<String> = BTreeSet::new();
        if !numbers.is_empty() {
            let is_code = |field: &&Field| {
                let zero = by_name(field).like(lit("0_%")).or(by_name(field).like(lit("-0_%")));
                bool_or(zero).alias(field.name())
            };
            let found =
                text.clone().aggregate(Vec::new(), numbers.iter().map(is_code).collect())?.collect().await?;
            for (field, place) in numbers.iter().zip(0..) {
                let is_code = found.iter().any(|batch| {
                    let column = batch.column(place).as_boolean();
                    !column.is_empty() && column.is_valid(0) && column.value(0)
                });
                if is_code {
                    codes.insert(field.name().clone());
                }
            }
        }
        let null = self.option("nullvalue").unwrap_or_default();
        let typed = guessed.fields().iter().map(|field| {
            let value = match null.is_empty() {
                true => by_name(field),
                false => nullif(by_name(field), lit(null)),
            };
            let kind = match field.data_type() {
                _ if codes.contains(field.name()) || !self.infers_types() => &DataType::Utf8,
                DataType::Null => &DataType::Utf8,
                kind => kind,
            };
            cast(value, kind.clone()).alias(field.name())
        });
        Ok(text.select(typed.collect::<Vec<_>>())?)
    }

    fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Types are guessed unless `inferSchema: false` says that everything is text.
    fn infers_types(&self) -> bool {
        self.option("inferschema").is_none_or(|value| value.parse().unwrap_or(true))
    }

    async fn read(
        &self,
        session: &SessionContext,
        files: &[PathBuf],
        schema: Option<&Schema>,
    ) -> Result<DataFrame, LakeError> {
        let paths: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        let ending = common_ending(files);
        let frame = match self.format {
            FileFormat::Csv => {
                let mut options = self.csv_options(&ending)?.schema_infer_max_records(usize::MAX);
                options.file_compression_type = compression_of(files)?;
                options.schema = schema;
                session.read_csv(paths, options).await
            }
            FileFormat::Parquet => {
                let options = ParquetReadOptions { file_extension: &ending, schema, ..Default::default() };
                session.read_parquet(paths, options).await
            }
            FileFormat::Json => {
                let mut options = JsonReadOptions::default().file_extension(&ending);
                options.file_compression_type = compression_of(files)?;
                options.schema_infer_max_records = usize::MAX;
                options.schema = schema;
                session.read_json(paths, options).await
            }
        };
        frame.map_err(LakeError::Query)
    }

    /// The columns of all files. Those of CSV files go by their place, so that they must be the same.
    fn merge(&self, schemas: &[Schema]) -> Result<Schema, LakeError> {
        let Some((first, others)) = schemas.split_first() else { return Ok(Schema::empty()) };
        if self.format == FileFormat::Csv {
            let names =
                |schema: &Schema| schema.fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
            let different = others
                .iter()
                .zip(self.files.iter().skip(1))
                .find(|(schema, _)| names(schema) != names(first));
            if let Some((schema, file)) = different {
                return Err(LakeError::BadPath {
                    path: file.display().to_string(),
                    reason: format!(
                        "its columns are {}, those of the first file are {}",
                        names(schema).join(", "),
                        names(first).join(", ")
                    ),
                });
            }
        }
        Ok(Schema::new(
            schemas.iter().fold(Fields::empty(), |merged, schema| merge_fields(&merged, schema.fields())),
        ))
    }

    fn has_header(&self) -> bool {
        self.option("header").is_none_or(|value| value.parse().unwrap_or(true))
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
}

/// The longest ending that all files share, so that the reader takes each of them.
fn common_ending(files: &[PathBuf]) -> String {
    let names: Vec<String> = files
        .iter()
        .filter_map(|file| file.file_name().and_then(|name| name.to_str()).map(str::to_owned))
        .collect();
    let Some(first) = names.first() else { return String::new() };
    let shares = |ending: &str| names.iter().all(|name| name.ends_with(ending));
    let endings = first.char_indices().filter(|(_, c)| *c == '.').filter_map(|(at, _)| first.get(at..));
    endings.into_iter().find(|ending| shares(ending)).unwrap_or_default().to_owned()
}

/// How files are compressed that are read together: as their names end, by which Spark goes, too.
fn compression_of(files: &[PathBuf]) -> Result<FileCompressionType, LakeError> {
    let Some((first, others)) = files.split_first() else { return Ok(FileCompressionType::UNCOMPRESSED) };
    let compression = compression_by_name(first);
    match others.iter().find(|file| compression_by_name(file) != compression) {
        None => Ok(compression),
        Some(other) => Err(LakeError::BadPath {
            path: other.display().to_string(),
            reason: format!(
                "it is compressed in another way than `{}`, by their names: give each its own source",
                first.display()
            ),
        }),
    }
}

fn compression_by_name(file: &Path) -> FileCompressionType {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    match ending.to_ascii_lowercase().as_str() {
        "gz" => FileCompressionType::GZIP,
        "bz2" => FileCompressionType::BZIP2,
        "xz" => FileCompressionType::XZ,
        "zst" => FileCompressionType::ZSTD,
        _ => FileCompressionType::UNCOMPRESSED,
    }
}

/// Columns without a header go by the names that Spark gives them: `_c0`, `_c1`, …
fn spark_names(schema: &Schema) -> Schema {
    let renamed = schema.fields().iter().enumerate();
    Schema::new(
        renamed
            .map(|(place, field)| field.as_ref().clone().with_name(format!("_c{place}")))
            .collect::<Vec<_>>(),
    )
}

/// The fields of both, by name, in the order in which they first appear.
fn merge_fields(known: &Fields, more: &Fields) -> Fields {
    let mut merged: Vec<Field> = known.iter().map(|field| field.as_ref().clone()).collect();
    for field in more {
        match merged.iter_mut().find(|known| known.name() == field.name()) {
            Some(known) => {
                *known = Field::new(known.name(), wider(known.data_type(), field.data_type()), true)
            }
            None => merged.push(field.as_ref().clone().with_nullable(true)),
        }
    }
    merged.into()
}

/// The type that takes the values of both; text where nothing else does.
fn wider(left: &DataType, right: &DataType) -> DataType {
    match (left, right) {
        (left, right) if left == right => left.clone(),
        (DataType::Null, other) | (other, DataType::Null) => other.clone(),
        (left, right) if left.is_integer() && right.is_integer() => DataType::Int64,
        (left, right) if left.is_numeric() && right.is_numeric() => DataType::Float64,
        (DataType::Date32, DataType::Timestamp(_, _)) => right.clone(),
        (DataType::Timestamp(_, _), DataType::Date32) => left.clone(),
        (DataType::Struct(left), DataType::Struct(right)) => DataType::Struct(merge_fields(left, right)),
        (DataType::List(left), DataType::List(right)) => {
            let item = wider(left.data_type(), right.data_type());
            DataType::List(std::sync::Arc::new(Field::new(left.name(), item, true)))
        }
        _ => DataType::Utf8,
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
