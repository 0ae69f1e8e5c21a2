//! Reader options of file sources: Spark's names, as far as the readers know them.

use std::collections::BTreeMap;

use crate::model::FileFormat;
use crate::reader::{Located, MapReader, clip};
use crate::suggest::nearest;
use crate::yaml::{Scalar, ScalarStyle};

/// What the value of an option has to be.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    Flag,
    /// One character, or `\t`.
    Character,
    Text,
    /// Anything, as nothing reads it; the text says what happens instead.
    Inert(&'static str),
}

const CSV_OPTIONS: &[(&str, Wanted)] = &[
    ("header", Wanted::Flag),
    ("sep", Wanted::Character),
    ("delimiter", Wanted::Character),
    ("quote", Wanted::Character),
    ("escape", Wanted::Character),
    ("comment", Wanted::Character),
    ("multiline", Wanted::Flag),
    ("nullvalue", Wanted::Text),
    ("inferschema", Wanted::Flag),
    ("samplingratio", Wanted::Inert("types are inferred from all rows")),
    ("mode", Wanted::Inert("a malformed row is always an error")),
    ("encoding", Wanted::Inert("files are read as UTF-8")),
    ("charset", Wanted::Inert("files are read as UTF-8")),
];

/// Reads `options` of a source; their names end up in lower case, booleans as `true` and `false`.
pub(crate) fn read(source: &MapReader<'_>, format: Option<FileFormat>) -> BTreeMap<String, String> {
    let written = source.texts("options").unwrap_or_default();
    let Some(format) = format else {
        if !written.is_empty() {
            let span = source.key_span("options");
            source.findings().error(span, "`options` are for csv, parquet and json sources");
        }
        return BTreeMap::new();
    };
    let mut options = BTreeMap::new();
    for (name, value) in written {
        let name = name.to_lowercase();
        let span = value.span;
        let value = match format {
            FileFormat::Csv => csv_value(source, &name, value),
            FileFormat::Parquet | FileFormat::Json => {
                source.findings().error(span, format!("`options.{}` is not supported yet", clip(&name)));
                None
            }
        };
        let Some(value) = value else { continue };
        if options.insert(name.clone(), value).is_some() {
            source.findings().error(span, format!("the option `{}` is there twice", clip(&name)));
        }
    }
    options
}

fn csv_value(source: &MapReader<'_>, name: &str, value: Located<String>) -> Option<String> {
    let findings = source.findings();
    let Some((_, wanted)) = CSV_OPTIONS.iter().find(|(known, _)| *known == name) else {
        let message = format!("unknown option `{}` of a csv source", clip(name));
        match nearest(name, CSV_OPTIONS.iter().map(|(known, _)| *known)) {
            Some(known) => findings.error_with_help(value.span, message, format!("did you mean `{known}`?")),
            None => findings.error(value.span, message),
        }
        return None;
    };
    match wanted {
        Wanted::Text => Some(value.value),
        Wanted::Inert(instead) => {
            findings.note(format!("the option {name} has no effect: {instead}"));
            None
        }
        Wanted::Flag => {
            let scalar = Scalar { text: value.value, style: ScalarStyle::Plain };
            let flag = scalar.as_bool();
            if flag.is_none() {
                let found = clip(&scalar.text);
                findings
                    .error(value.span, format!("the option `{name}` must be true or false, found `{found}`"));
            }
            flag.map(|flag| flag.to_string())
        }
        Wanted::Character => {
            // The reader works on bytes.
            if value.value == "\\t" || (value.value.len() == 1 && value.value.is_ascii()) {
                return Some(value.value);
            }
            let found = clip(&value.value);
            findings.error(value.span, format!("the option `{name}` must be one character, found `{found}`"));
            None
        }
    }
}
