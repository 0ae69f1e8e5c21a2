//! Contracts of the Open Data Contract Standard, version 3: what of them a load can hold its source to.
//!
//! The standard has far more than that; what is not known here is the business of others and is passed over.

use std::time::Duration;

use super::contract::default_name;
use super::sql_types::is_type_name;
use crate::findings::Findings;
use crate::model::{Compatibility, Contract, ContractColumn, ContractRule, RuleCheck, Severity, Validation};
use crate::reader::{Located, clip, scalar_text};
use crate::source_text::Span;
use crate::yaml::{Node, Scalar, Value};

/// Reads the contract of one source out of a document: its `schema` object of that name, or its only one.
pub(crate) fn read(findings: &Findings<'_>, root: &Node, source: &str) -> Option<Contract> {
    let document = Object::open(findings, root, "a data contract")?;
    let kind = document.required_text("kind")?;
    if kind.value != "DataContract" {
        findings.error(kind.span, format!("`kind` must be `DataContract`, found `{}`", clip(&kind.value)));
        return None;
    }
    let api = document.required_text("apiVersion")?;
    if !api.value.starts_with("v3.") {
        let message = format!("version 3 of the standard is read, found `{}`", clip(&api.value));
        findings.error(api.span, message);
        return None;
    }
    let (id, version) = (document.required_text("id")?, document.required_text("version")?);
    let table = table_of(&document, source)?;
    let custom = |name: &str| document.custom(name).map(|value| value.value);
    let (columns, primary_key) = columns_of(&table);
    let mut rules = Vec::new();
    for column in table.objects("properties") {
        if let Some(name) = column.text("name") {
            rules
                .extend(column.objects("quality").iter().filter_map(|rule| rule_of(rule, Some(&name.value))));
        }
    }
    rules.extend(table.objects("quality").iter().filter_map(|rule| rule_of(rule, None)));
    Some(Contract {
        id: id.value,
        version: version.value,
        owner: custom("kimballOwner").or_else(|| owner_of(&document)),
        compatibility: match custom("kimballCompatibility") {
            Some(word) if word.eq_ignore_ascii_case("strict") => Compatibility::Strict,
            _ => Compatibility::NullableAdditions,
        },
        columns,
        cdc_required: custom("kimballCdfRequired").is_some_and(|value| value.eq_ignore_ascii_case("true")),
        primary_key,
        max_age: max_age(&document),
        rules,
        temporal: None,
        validation: Validation::default(),
    })
}

/// A mapping of a document that may hold anything besides.
struct Object<'a> {
    findings: &'a Findings<'a>,
    node: &'a Node,
}

impl<'a> Object<'a> {
    fn open(findings: &'a Findings<'a>, node: &'a Node, what: &str) -> Option<Self> {
        match node.value {
            Value::Mapping(_) => Some(Self { findings, node }),
            _ => {
                findings.error(node.span, format!("{what} is a mapping, found {}", node.kind()));
                None
            }
        }
    }

    fn get(&self, key: &str) -> Option<&'a Node> {
        let Value::Mapping(entries) = &self.node.value else { return None };
        let found = entries.iter().find(|entry| entry.key == key)?;
        (!found.value.is_null()).then_some(&found.value)
    }

    fn span(&self, key: &str) -> Span {
        self.get(key).map_or(self.node.span, |node| node.span)
    }

    fn text(&self, key: &str) -> Option<Located<String>> {
        scalar_text(self.findings, self.get(key)?, &format!("`{key}`"))
    }

    fn required_text(&self, key: &str) -> Option<Located<String>> {
        if self.get(key).is_none() {
            self.findings.error(self.node.span, format!("the contract needs `{key}`"));
        }
        self.text(key)
    }

    fn flag(&self, key: &str) -> bool {
        self.get(key).and_then(crate::reader::scalar).and_then(Scalar::as_bool).unwrap_or_default()
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.get(key).and_then(crate::reader::scalar).and_then(Scalar::as_number)
    }

    fn object(&self, key: &str) -> Option<Self> {
        Self::open(self.findings, self.get(key)?, &format!("`{key}`"))
    }

    fn objects(&self, key: &str) -> Vec<Self> {
        match self.get(key) {
            Some(Node { value: Value::Sequence(items), .. }) => {
                items.iter().filter_map(|item| Self::open(self.findings, item, "an item")).collect()
            }
            Some(node) => {
                self.findings.error(node.span, format!("`{key}` must be a list, found {}", node.kind()));
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// A value of `customProperties`.
    fn custom(&self, name: &str) -> Option<Located<String>> {
        let all = self.objects("customProperties");
        all.iter().find(|it| it.text("property").is_some_and(|found| found.value == name))?.text("value")
    }
}

/// The schema object of a source: the one of its name, or the only one.
fn table_of<'a>(document: &Object<'a>, source: &str) -> Option<Object<'a>> {
    let short = source.rsplit('.').next().unwrap_or(source);
    let mut tables = document.objects("schema");
    let is_named = |table: &Object<'_>| {
        ["name", "physicalName"].iter().filter_map(|key| table.text(key)).any(|name| {
            let last = name.value.rsplit('.').next().unwrap_or_default().to_owned();
            name.value.eq_ignore_ascii_case(source) || last.eq_ignore_ascii_case(short)
        })
    };
    if let Some(place) = tables.iter().position(is_named) {
        return Some(tables.swap_remove(place));
    }
    if tables.len() == 1 {
        return tables.pop();
    }
    let names: Vec<String> =
        tables.iter().filter_map(|table| table.text("name")).map(|name| name.value).collect();
    let message = match names.as_slice() {
        [] => "the contract describes no table: `schema` is empty".to_owned(),
        names => format!("the contract has no table `{}`; it has {}", clip(short), clip(&names.join(", "))),
    };
    document.findings.error(document.span("schema"), message);
    None
}

/// The columns, and those of the primary key in its order.
fn columns_of(table: &Object<'_>) -> (Vec<ContractColumn>, Vec<String>) {
    let mut columns = Vec::new();
    let mut keys: Vec<(i64, String)> = Vec::new();
    for property in table.objects("properties") {
        let Some(name) = property.required_text("name") else { continue };
        let Some(type_name) = type_of(&property) else { continue };
        if property.flag("primaryKey") {
            let position = property.number("primaryKeyPosition").filter(|position| *position >= 1.0);
            keys.push((position.map_or(i64::MAX, |position| position as i64), name.value.clone()));
        }
        let nullable = !(property.flag("required") || property.flag("primaryKey"));
        columns.push(ContractColumn { name: name.value, type_name, nullable });
    }
    keys.sort_by_key(|(position, _)| *position);
    (columns, keys.into_iter().map(|(_, name)| name).collect())
}

/// The physical type where it is one of SQL, else what the logical one is in Spark.
fn type_of(property: &Object<'_>) -> Option<String> {
    if let Some(physical) = property.text("physicalType")
        && is_type_name(&physical.value)
    {
        return Some(physical.value.trim().to_ascii_lowercase());
    }
    // A type that is not told is not promised; the column is.
    let Some(logical) = property.text("logicalType") else { return Some(String::new()) };
    let spark = match logical.value.to_ascii_lowercase().as_str() {
        "string" | "time" => "string",
        "integer" => "bigint",
        "number" => "double",
        "boolean" => "boolean",
        "date" => "date",
        "timestamp" => "timestamp",
        // What nested values are made of is not promised here.
        "array" | "object" => "",
        other => {
            let message = format!("`{}` is no logical type", clip(other));
            property.findings.error(logical.span, message);
            return None;
        }
    };
    Some(spark.to_owned())
}

fn owner_of(document: &Object<'_>) -> Option<String> {
    let owner = |list: Vec<Object<'_>>| {
        let is_owner = |member: &&Object<'_>| {
            member.text("role").is_some_and(|role| role.value.to_lowercase().contains("owner"))
        };
        list.iter().find(is_owner).and_then(|member| member.text("username")).map(|name| name.value)
    };
    match document.get("team")?.value {
        Value::Sequence(_) => owner(document.objects("team")),
        Value::Mapping(_) => owner(document.object("team")?.objects("members")),
        Value::Scalar(_) => None,
    }
}

/// What `slaProperties` say of latency or freshness.
fn max_age(document: &Object<'_>) -> Option<Duration> {
    let agreed = document.objects("slaProperties");
    let is_age = |sla: &&Object<'_>| {
        sla.text("property").is_some_and(|name| {
            matches!(name.value.to_lowercase().as_str(), "latency" | "ly" | "freshness" | "fy")
        })
    };
    let sla = agreed.iter().find(is_age)?;
    let value = sla.number("value").filter(|value| *value >= 0.0)?;
    let unit = match sla.text("unit").map(|unit| unit.value.to_lowercase()).as_deref() {
        Some("m" | "minute" | "minutes") => 60.0,
        Some("h" | "hour" | "hours") => 3_600.0,
        None | Some("d" | "day" | "days") => 86_400.0,
        Some("s" | "second" | "seconds") => 1.0,
        Some(_) => return None,
    };
    let age = Duration::try_from_secs_f64(value * unit).ok();
    if age.is_none() {
        document.findings.error(sla.span("value"), "this is beyond all measure");
    }
    age
}

/// The rule behind a check of the standard's library; `None`, with a note, for what is checked elsewhere.
fn rule_of(quality: &Object<'_>, column: Option<&str>) -> Option<ContractRule> {
    let metric = quality.text("metric").or_else(|| quality.text("rule"));
    let is_percent = quality.text("unit").is_some_and(|unit| unit.value.eq_ignore_ascii_case("percent"));
    let is_zero = quality.number("mustBe") == Some(0.0);
    let below = || quality.number("mustBeLessThan").map(f64::next_down);
    let most = quality.number("mustBeLessOrEqualTo").or_else(below);
    let arguments = quality.object("arguments");
    let column = column.map(str::to_owned);
    let check = match (metric.as_ref().map(|metric| metric.value.as_str()), column) {
        (Some("nullValues" | "missingValues"), Some(column)) if is_zero => {
            ("not_null", RuleCheck::NotNull(column))
        }
        (Some("nullValues" | "missingValues"), Some(column)) if is_percent && most.is_some() => {
            ("null_rate", RuleCheck::NullRate { column, max_ratio: most.unwrap_or_default() / 100.0 })
        }
        (Some("duplicateValues"), Some(column)) if is_zero => ("unique", RuleCheck::Unique(vec![column])),
        (Some("duplicateValues"), None) if is_zero => {
            ("unique", RuleCheck::Unique(texts(arguments.as_ref()?, "properties")?))
        }
        (Some("invalidValues"), Some(column)) if is_zero && arguments.is_some() => {
            let values = texts(arguments.as_ref()?, "validValues")?;
            ("accepted_values", RuleCheck::AcceptedValues { column, values })
        }
        _ => {
            let what = quality.text("name").or(metric).map_or("a quality rule".to_owned(), |it| it.value);
            quality.findings.note(format!("contract: {} is not checked here", clip(&what)));
            return None;
        }
    };
    let (word, check) = check;
    let severity = match quality.text("severity").map(|severity| severity.value.to_lowercase()).as_deref() {
        Some("warning" | "warn" | "info") => Severity::Warn,
        _ => Severity::Error,
    };
    let name = quality.text("id").or_else(|| quality.text("name")).map(|name| name.value);
    Some(ContractRule { name: name.unwrap_or_else(|| default_name(word, &check)), check, severity })
}

fn texts(object: &Object<'_>, key: &str) -> Option<Vec<String>> {
    let Value::Sequence(items) = &object.get(key)?.value else { return None };
    let texts = items.iter().filter_map(|item| scalar_text(object.findings, item, "a value"));
    Some(texts.map(|text| text.value).collect())
}
