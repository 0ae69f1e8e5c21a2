//! Shapes of values: what the readers take for a text, a flag, a list, and how an editor sees it.
//!
//! The readers look at scalars as they are written, an editor at what YAML makes of them. So a text may be a number
//! or a boolean here, a flag one of the words that YAML 1.2 takes for text, and a number may stand in quotes.
//!
//! An editor sees a file before its template is rendered. In quotes a template is a text with `{{` or `{%` in it;
//! without quotes `{{ target.gold_schema }}` is a mapping with another mapping as its only key, for any YAML parser.
//! Hence every scalar of a pipeline may also be an object with one key at most. Lists and mappings may not: who lets
//! a template write a list puts up with the marks of the editor.

use serde_json::{Map, Value, json};

use crate::dialect::keys::Mapping;

/// How a template begins in a text.
const TEMPLATE: &str = r"\{[{%#]";
/// The words that the readers take for booleans, in any case; patterns of JSON Schema have no flag for that.
const FLAG: &str =
    "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|[Yy]([Ee][Ss])?|[Nn][Oo]?|[Oo][Nn]|[Oo][Ff][Ff])$";
const INTEGER: &str = r"^\s*[-+]?[0-9]+\s*$";
const NUMBER: &str = r"^\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\s*$";
/// What makes a text the name of a table: `schema.table`.
const DOTTED: &str = r"\.";

/// A key of a mapping and what may stand there.
pub(super) type Key = (&'static str, Shape);

/// What may stand at one place of a file.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// JSON types, the one that editors write first; none at all means anything.
    types: Vec<&'static str>,
    /// Words or numbers that editors offer; `pattern` says in which other ways they may be written.
    words: Vec<Value>,
    /// What a text looks like.
    pattern: Option<String>,
    /// Whether a template may stand here that is not rendered yet.
    is_templated: bool,
    /// Keywords that tell: `description`, `default`.
    about: Map<String, Value>,
    /// Keywords that check, and what editors say when one fails.
    limits: Map<String, Value>,
}

impl Shape {
    fn new(types: &[&'static str], description: &str) -> Self {
        let mut about = Map::new();
        about.insert("description".to_owned(), json!(description));
        Self {
            types: types.to_vec(),
            words: Vec::new(),
            pattern: None,
            is_templated: false,
            about,
            limits: Map::new(),
        }
    }

    /// A scalar, which may be a template.
    fn scalar(types: &[&'static str], description: &str, message: &str) -> Self {
        Self { is_templated: true, ..Self::new(types, description) }.limit("errorMessage", message)
    }

    /// Adds a keyword that checks.
    pub(super) fn limit(mut self, keyword: &str, value: impl Into<Value>) -> Self {
        self.limits.insert(keyword.to_owned(), value.into());
        self
    }

    /// What a text looks like.
    pub(super) fn matching(mut self, pattern: &str) -> Self {
        self.pattern = Some(pattern.to_owned());
        self
    }

    /// The value that a key has when it is not there.
    pub(super) fn or_by_default(mut self, value: impl Into<Value>) -> Self {
        self.about.insert("default".to_owned(), value.into());
        self
    }

    /// One item at least.
    pub(super) fn at_least_one(self) -> Self {
        self.limit("minItems", 1)
    }

    /// The scalar of a file that no template is rendered in.
    pub(super) fn without_template(self) -> Self {
        Self { is_templated: false, ..self }
    }

    /// Or one of a few words.
    pub(super) fn or_word(mut self, words: &[&str]) -> Self {
        self.words = words.iter().map(|word| json!(word)).collect();
        self
    }

    /// Or a list whose items have one shape.
    pub(super) fn or_list_of(mut self, item: Self) -> Self {
        self.types.push("array");
        self.limit("items", item.into_schema())
    }

    /// Adds a rule across the keys of a mapping.
    pub(super) fn rule(mut self, rule: Value) -> Self {
        let rules = self.limits.entry("allOf").or_insert_with(|| json!([]));
        if let Value::Array(rules) = rules {
            rules.push(rule);
        }
        self
    }

    /// Anything, with the description of this one.
    pub(super) fn only_described(&self) -> Self {
        Self { about: self.about.clone(), ..Self::new(&[], "") }
    }

    /// Or null: a key without a value is a key that is not there.
    pub(super) fn or_nothing(mut self) -> Self {
        if !self.types.is_empty() {
            self.types.push("null");
        }
        self
    }

    /// The shape as the JSON Schema of a whole file.
    pub(super) fn into_document(mut self, title: &str) -> Value {
        self.about.insert("$schema".to_owned(), json!("http://json-schema.org/draft-07/schema#"));
        self.about.insert("title".to_owned(), json!(title));
        self.into_schema()
    }

    /// The shape as a JSON Schema.
    pub(super) fn into_schema(self) -> Value {
        let Self { mut types, words, mut pattern, is_templated, mut about, mut limits } = self;
        if is_templated {
            types.push("object");
            limits.insert("maxProperties".to_owned(), json!(1));
            pattern = pattern.map(|pattern| format!("{pattern}|{TEMPLATE}"));
        }
        if let Some(pattern) = pattern {
            limits.insert("pattern".to_owned(), json!(pattern));
        }
        let types = match types.as_slice() {
            [] => None,
            [only] => Some(json!(only)),
            several => Some(json!(several)),
        };
        limits.extend(types.map(|types| ("type".to_owned(), types)));
        if words.is_empty() {
            about.append(&mut limits);
        } else {
            // The words come first: editors offer them, and name them where nothing fits.
            about.insert("anyOf".to_owned(), json!([{"enum": words}, limits]));
        }
        Value::Object(about)
    }
}

/// Text that is not blank (`MapReader::text`).
pub(super) fn text(description: &str) -> Shape {
    raw_text(description).limit("minLength", 1)
}

/// Any scalar but null, as it is written (a value of `MapReader::texts`).
pub(super) fn raw_text(description: &str) -> Shape {
    Shape::scalar(&["string", "number", "boolean"], description, "a text is wanted here")
}

/// The name of a table (`MapReader::table`).
pub(super) fn table(description: &str) -> Shape {
    text(description)
        .matching(DOTTED)
        .limit("patternErrorMessage", "write schema.table or catalog.schema.table")
}

/// A boolean, `yes` and `off` included (`MapReader::flag`).
pub(super) fn flag(description: &str) -> Shape {
    Shape::scalar(&["boolean", "string"], description, "write true or false").matching(FLAG)
}

/// A whole number, also in quotes (`MapReader::integer`).
pub(super) fn integer(description: &str) -> Shape {
    Shape::scalar(&["integer", "string"], description, "a whole number is wanted here").matching(INTEGER)
}

/// A whole number of at least `least`.
pub(super) fn integer_from(least: i64, description: &str) -> Shape {
    integer(description).limit("minimum", least)
}

/// One of a few whole numbers, each with what it means.
pub(super) fn one_of_integers(choices: &[(i64, &str)], description: &str) -> Shape {
    let words = choices.iter().map(|(number, _)| json!(number)).collect();
    let meanings = choices.iter().map(|(number, meaning)| format!("{number}: {meaning}"));
    let description = format!("{description} {}.", meanings.collect::<Vec<_>>().join("; "));
    let shape = Shape::scalar(&["string"], &description, "none of the numbers that are known");
    Shape { words, ..shape.matching(INTEGER) }
}

/// A number above 0 and up to 1 (`MapReader::ratio`).
pub(super) fn ratio(description: &str) -> Shape {
    Shape::scalar(&["number", "string"], description, "a number above 0 and up to 1 is wanted here")
        .matching(NUMBER)
        .limit("exclusiveMinimum", 0)
        .limit("maximum", 1)
}

/// One of a few words (`MapReader::choice`).
pub(super) fn choice(words: &[&str], description: &str) -> Shape {
    let pattern = format!("^({})$", words.join("|"));
    let message = format!("write {}", words.join(", "));
    Shape::scalar(&["string"], description, &message).matching(&pattern).or_word(words)
}

/// Names, or a single one without brackets (`MapReader::names`).
pub(super) fn names(description: &str) -> Shape {
    let name = text("A name.").into_schema();
    let types = ["array", "string", "number", "boolean"];
    Shape::scalar(&types, description, "a list of names is wanted here").limit("items", name)
}

/// A list whose items have one shape (`MapReader::list`).
pub(super) fn list(item: Shape, description: &str) -> Shape {
    Shape::new(&["array"], description)
        .limit("items", item.into_schema())
        .limit("errorMessage", "a list is wanted here")
}

/// A list of anything.
pub(super) fn any_list(description: &str) -> Shape {
    Shape::new(&["array"], description).limit("errorMessage", "a list is wanted here")
}

/// A mapping from names to values of one shape.
pub(super) fn map_of(value: Shape, description: &str) -> Shape {
    Shape::new(&["object"], description)
        .limit("additionalProperties", value.into_schema())
        .limit("errorMessage", "a mapping is wanted here")
}

/// A mapping from names to scalars (`MapReader::texts`).
pub(super) fn texts(description: &str) -> Shape {
    map_of(raw_text("A value, as it is written."), description)
}

/// A mapping with the keys of `mapping` and no others (`MapReader::mapping`).
pub(super) fn object(
    mapping: &Mapping,
    description: &str,
    required: &[&str],
    keys: impl IntoIterator<Item = Key>,
) -> Shape {
    let properties = properties(required, keys);
    debug_assert!(
        properties.keys().all(|key| mapping.keys.contains(&key.as_str())),
        "{} has other keys than {:?}",
        mapping.what,
        properties.keys()
    );
    let shape = Shape::new(&["object"], description)
        .limit("additionalProperties", false)
        .limit("properties", properties);
    if required.is_empty() { shape } else { shape.limit("required", required) }
}

/// The schemas of keys; those that are not `required` may be left without a value.
pub(super) fn properties(required: &[&str], keys: impl IntoIterator<Item = Key>) -> Map<String, Value> {
    keys.into_iter()
        .map(|(key, shape)| {
            let shape = if required.contains(&key) { shape } else { shape.or_nothing() };
            (key.to_owned(), shape.into_schema())
        })
        .collect()
}

/// What says nothing, so that a key of the other type of table may hold it: null, false, an empty list or an empty
/// mapping.
pub(super) fn nothing(message: &str) -> Value {
    nothing_or(&[], message)
}

/// What says nothing, or one of `values`.
pub(super) fn nothing_or(values: &[Value], message: &str) -> Value {
    let mut accepted = vec![Value::Null, json!(false), json!([]), json!({})];
    accepted.extend_from_slice(values);
    let off = "^([Ff][Aa][Ll][Ss][Ee]|[Nn][Oo]?|[Oo][Ff][Ff])$";
    json!({"anyOf": [
        {"enum": accepted, "errorMessage": message},
        {"type": "string", "pattern": off, "errorMessage": message},
    ]})
}
