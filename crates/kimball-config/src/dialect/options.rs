//! Reader options of file sources: Spark's names, as far as the readers know them.

use std::collections::BTreeMap;

use crate::model::FileFormat;
use crate::reader::{Located, MapReader, clip};
use crate::source_text::Span;
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
    for (written, value) in written {
        let place = source.entry_span("options", &written);
        let name = written.to_lowercase();
        let value = match format {
            FileFormat::Csv => csv_value(source, &name, place, value),
            FileFormat::Parquet | FileFormat::Json => {
                refuse(source, &name, place, format);
                None
            }
        };
        let Some(value) = value else { continue };
        if options.insert(name.clone(), value).is_some() {
            source.findings().error(place, format!("the option `{}` is there twice", clip(&name)));
        }
    }
    options
}

/// No option of these formats is known: what one may want is either so or cannot be.
fn refuse(source: &MapReader<'_>, name: &str, place: Span, format: FileFormat) {
    let help = match format {
        FileFormat::Json => "remove it: a json file holds one object a line",
        FileFormat::Parquet | FileFormat::Csv => "remove it: a parquet file says itself what it holds",
    };
    source.findings().error_with_help(place, format!("`options.{}` is not supported yet", clip(name)), help);
}

fn csv_value(source: &MapReader<'_>, name: &str, place: Span, value: Located<String>) -> Option<String> {
    let findings = source.findings();
    let Some((_, wanted)) = CSV_OPTIONS.iter().find(|(known, _)| *known == name) else {
        let message = format!("unknown option `{}` of a csv source", clip(name));
        let known = CSV_OPTIONS.iter().filter(|(_, wanted)| !matches!(wanted, Wanted::Inert(_)));
        let known: Vec<String> = known.map(|(known, _)| format!("`{known}`")).collect();
        let all = format!("the options are {}", known.join(", "));
        let names = || CSV_OPTIONS.iter().map(|(known, _)| *known);
        // `separator` and the like begin as the option does.
        let near = nearest(name, names()).or_else(|| names().find(|known| name.starts_with(known)));
        let help = match near {
            Some(near) => format!("did you mean `{near}`? {all}"),
            None => all,
        };
        findings.error_with_help(place, message, help);
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
