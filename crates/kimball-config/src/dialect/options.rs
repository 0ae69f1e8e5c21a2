//! Reader options of file sources: Spark's names, as far as the readers know them.

use std::collections::{BTreeMap, BTreeSet};

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
    /// A flag, which has this value whatever is written; the text says what that means.
    Settled(bool, &'static str),
    /// This value alone, in lower case, which says what happens anyway; the text says why there is no other.
    Only(&'static str, &'static str),
}

type Options = [(&'static str, Wanted)];

const UNPACKED: &str = "files are decompressed as their names end: .gz, .bz2, .xz or .zst";
const UTF_8: &str = "files are read as UTF-8";
const ALL_ROWS: &str = "types are inferred from all rows";

const CSV_OPTIONS: &Options = &[
    ("header", Wanted::Flag),
    ("sep", Wanted::Character),
    ("delimiter", Wanted::Character),
    ("quote", Wanted::Character),
    ("escape", Wanted::Character),
    ("comment", Wanted::Character),
    ("multiline", Wanted::Flag),
    ("nullvalue", Wanted::Text),
    ("inferschema", Wanted::Flag),
    ("samplingratio", Wanted::Inert(ALL_ROWS)),
    ("mode", Wanted::Inert("a malformed row is always an error")),
    ("encoding", Wanted::Inert(UTF_8)),
    ("charset", Wanted::Inert(UTF_8)),
    ("compression", Wanted::Inert(UNPACKED)),
];

const ONE_A_LINE: &str =
    "a json file holds one object a line: write each object, also those of an array, on a line of its own";
const MALFORMED_LINE: &str = "a malformed line is always an error";
const TIMES_ARE_TEXT: &str = "dates and times are read as text, which the query converts";
const STRICT: &str = "json is read by its standard, without extensions of it";

const JSON_OPTIONS: &Options = &[
    ("multiline", Wanted::Only("false", ONE_A_LINE)),
    ("linesep", Wanted::Inert("lines end with a line feed")),
    ("mode", Wanted::Inert(MALFORMED_LINE)),
    ("columnnameofcorruptrecord", Wanted::Inert(MALFORMED_LINE)),
    ("encoding", Wanted::Inert(UTF_8)),
    ("charset", Wanted::Inert(UTF_8)),
    ("samplingratio", Wanted::Inert(ALL_ROWS)),
    ("inferschema", Wanted::Settled(true, ALL_ROWS)),
    ("primitivesasstring", Wanted::Only("false", "numbers are read as numbers: cast them in the query")),
    ("prefersdecimal", Wanted::Only("false", "fractions are read as DOUBLE: cast them in the query")),
    ("dropfieldifallnull", Wanted::Only("false", "no field is left out")),
    ("infertimestamp", Wanted::Only("false", TIMES_ARE_TEXT)),
    ("dateformat", Wanted::Inert(TIMES_ARE_TEXT)),
    ("timestampformat", Wanted::Inert(TIMES_ARE_TEXT)),
    ("timestampntzformat", Wanted::Inert(TIMES_ARE_TEXT)),
    ("timezone", Wanted::Inert(TIMES_ARE_TEXT)),
    ("locale", Wanted::Inert(TIMES_ARE_TEXT)),
    ("allowcomments", Wanted::Only("false", STRICT)),
    ("allowunquotedfieldnames", Wanted::Only("false", STRICT)),
    ("allowsinglequotes", Wanted::Only("false", STRICT)),
    ("allownumericleadingzeros", Wanted::Only("false", STRICT)),
    ("allownonnumericnumbers", Wanted::Only("false", STRICT)),
    ("allowunquotedcontrolchars", Wanted::Only("false", STRICT)),
    ("allowbackslashescapinganycharacter", Wanted::Only("false", STRICT)),
    ("compression", Wanted::Inert(UNPACKED)),
];

const AS_WRITTEN: &str = "dates before 1582 are read as they are written";

const PARQUET_OPTIONS: &Options = &[
    ("mergeschema", Wanted::Settled(true, "the columns are those of all files together")),
    ("datetimerebasemode", Wanted::Only("corrected", AS_WRITTEN)),
    ("int96rebasemode", Wanted::Only("corrected", AS_WRITTEN)),
    ("compression", Wanted::Inert("a parquet file says itself how it is compressed")),
];

/// Options that files of all formats have.
const FILE_OPTIONS: &Options = &[
    ("recursivefilelookup", Wanted::Settled(true, "a folder is read with all folders below it")),
    ("ignorecorruptfiles", Wanted::Only("false", "a file that cannot be read is always an error")),
    ("ignoremissingfiles", Wanted::Only("false", "a file that cannot be read is always an error")),
];

/// The options that files of a format can have.
fn known(format: FileFormat) -> impl Iterator<Item = &'static (&'static str, Wanted)> {
    let own = match format {
        FileFormat::Csv => CSV_OPTIONS,
        FileFormat::Json => JSON_OPTIONS,
        FileFormat::Parquet => PARQUET_OPTIONS,
    };
    own.iter().chain(FILE_OPTIONS)
}

const fn word(format: FileFormat) -> &'static str {
    match format {
        FileFormat::Csv => "csv",
        FileFormat::Json => "json",
        FileFormat::Parquet => "parquet",
    }
}

/// Reads `options` of a source; their names end up in lower case, booleans as `true` and `false`. What only says what
/// happens anyway is left out.
pub(crate) fn read(source: &MapReader<'_>, format: Option<FileFormat>) -> BTreeMap<String, String> {
    let written = source.texts("options").unwrap_or_default();
    let Some(format) = format else {
        if !written.is_empty() {
            let span = source.key_span("options");
            source.findings().error(span, "`options` are for csv, parquet and json sources");
        }
        return BTreeMap::new();
    };
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut options = BTreeMap::new();
    for (written, value) in written {
        let place = source.entry_span("options", &written);
        let name = written.to_lowercase();
        if !names.insert(name.clone()) {
            source.findings().error(place, format!("the option `{}` is there twice", clip(&name)));
            continue;
        }
        if let Some(value) = value_of(source, format, &name, place, value) {
            options.insert(name, value);
        }
    }
    options
}

fn value_of(
    source: &MapReader<'_>,
    format: FileFormat,
    name: &str,
    place: Span,
    value: Located<String>,
) -> Option<String> {
    let findings = source.findings();
    let Some((_, wanted)) = known(format).find(|(known, _)| *known == name) else {
        let message = format!("unknown option `{}` of a {} source", clip(name), word(format));
        findings.error_with_help(place, message, what_there_is(format, name));
        return None;
    };
    match wanted {
        Wanted::Text => Some(value.value),
        Wanted::Inert(instead) => {
            findings.note(format!("the option {name} has no effect: {instead}"));
            None
        }
        Wanted::Flag => flag(source, name, &value).map(|flag| flag.to_string()),
        Wanted::Settled(settled, meaning) => {
            if flag(source, name, &value).is_some_and(|flag| flag != *settled) {
                findings.note(format!("the option {name} has no effect: {meaning}"));
            }
            None
        }
        Wanted::Only(only, why) => {
            let said = as_bool(&value.value).map_or(value.value.to_lowercase(), |flag| flag.to_string());
            if said != *only {
                let message =
                    format!("the option `{name}` of a {} source can only be `{only}`", word(format));
                findings.error_with_help(value.span, message, *why);
            }
            None
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

/// What to write instead of an option that is not known.
fn what_there_is(format: FileFormat, name: &str) -> String {
    let names = || known(format).map(|(known, _)| *known);
    // `separator` and the like begin as the option does.
    let near = nearest(name, names()).or_else(|| names().find(|known| name.starts_with(known)));
    let is_read = |wanted: &Wanted| matches!(wanted, Wanted::Flag | Wanted::Character | Wanted::Text);
    let read = known(format).filter(|(_, wanted)| is_read(wanted)).map(|(known, _)| format!("`{known}`"));
    let all = read.collect::<Vec<_>>().join(", ");
    match (near, all.is_empty()) {
        (Some(near), false) => format!("did you mean `{near}`? the options are {all}"),
        (Some(near), true) => format!("did you mean `{near}`?"),
        (None, false) => format!("the options are {all}"),
        (None, true) => format!("remove it: {} files are read without options", word(format)),
    }
}

fn flag(source: &MapReader<'_>, name: &str, value: &Located<String>) -> Option<bool> {
    let flag = as_bool(&value.value);
    if flag.is_none() {
        let found = clip(&value.value);
        let message = format!("the option `{name}` must be true or false, found `{found}`");
        source.findings().error(value.span, message);
    }
    flag
}

/// Options are often in quotes, which makes text of a boolean.
fn as_bool(text: &str) -> Option<bool> {
    Scalar { text: text.to_owned(), style: ScalarStyle::Plain }.as_bool()
}
