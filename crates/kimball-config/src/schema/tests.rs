#![allow(clippy::unwrap_used, reason = "tests")]
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use serde_json::{Value, json};

use super::{pipeline_schema, targets_schema};
use crate::dialect::keys::{DIMENSION_ONLY, FACT_ONLY};
use crate::yaml::{self, Node, Scalar, ScalarStyle};

mod readers;

fn validator(schema: &Value) -> Validator {
    jsonschema::draft7::new(schema).unwrap()
}

/// What a schema has against a file.
fn refusals(validator: &Validator, file: &Value) -> Vec<String> {
    validator.iter_errors(file).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// A file as an editor sees it, which knows the scalars of YAML 1.2.
fn as_edited(text: &str) -> Value {
    edited_node(&yaml::parse(text).unwrap().unwrap())
}

fn edited_node(node: &Node) -> Value {
    match &node.value {
        yaml::Value::Mapping(entries) => {
            entries.iter().map(|entry| (entry.key.clone(), edited_node(&entry.value))).collect()
        }
        yaml::Value::Sequence(items) => items.iter().map(edited_node).collect(),
        yaml::Value::Scalar(_) if node.is_null() => Value::Null,
        yaml::Value::Scalar(scalar) => edited_scalar(scalar),
    }
}

fn edited_scalar(scalar: &Scalar) -> Value {
    match scalar.text.as_str() {
        text if scalar.style != ScalarStyle::Plain => json!(text),
        "true" | "True" | "TRUE" => json!(true),
        "false" | "False" | "FALSE" => json!(false),
        text => match (scalar.as_integer(), scalar.as_number()) {
            (Some(integer), _) => json!(integer),
            (None, Some(number)) => json!(number),
            (None, None) => json!(text),
        },
    }
}

/// Shows `see` every value of a schema.
fn visit<'s>(schema: &'s Value, see: &mut dyn FnMut(&'s Value)) {
    see(schema);
    match schema {
        Value::Object(keywords) => keywords.values().for_each(|value| visit(value, see)),
        Value::Array(items) => items.iter().for_each(|item| visit(item, see)),
        _ => {}
    }
}

fn both_schemas() -> [Value; 2] {
    [pipeline_schema(), targets_schema()]
}

/// The properties of a mapping that takes no other keys.
fn closed_properties(schema: &Value) -> Option<&serde_json::Map<String, Value>> {
    let is_closed = schema.get("additionalProperties") == Some(&json!(false));
    schema.get("properties")?.as_object().filter(|_| is_closed)
}

/// What each mapping of `dialect::keys` is called, with its keys; read from the source, so that none is forgotten.
fn mappings() -> BTreeMap<&'static str, BTreeSet<String>> {
    let (_, rest) = include_str!("../dialect/keys.rs").split_once("mappings! {").unwrap();
    let (body, _) = rest.split_once("\n}").unwrap();
    let mut mappings = BTreeMap::new();
    for constant in body.split(';') {
        let mut quoted = constant.split('"').skip(1).step_by(2);
        let Some(what) = quoted.next() else { continue };
        mappings.insert(what, quoted.map(str::to_owned).collect());
    }
    mappings
}

#[test]
fn the_properties_of_every_mapping_are_exactly_its_keys() {
    let schemas = both_schemas();
    let mut described = BTreeSet::new();
    for schema in &schemas {
        visit(schema, &mut |value| {
            let keys = closed_properties(value).map(|properties| properties.keys().cloned().collect());
            described.extend::<Option<BTreeSet<String>>>(keys);
        });
    }
    let mappings = mappings();
    assert!(mappings.len() > 25, "the source of `keys` is not read well: {mappings:?}");
    for (what, keys) in &mappings {
        assert!(described.contains(keys), "no schema has the keys of {what}: {keys:?}");
    }
    for keys in &described {
        assert!(mappings.values().any(|known| known == keys), "no mapping has the keys {keys:?}");
    }
}

#[test]
fn a_type_of_table_has_its_own_keys_and_none_of_the_other() {
    let schema = pipeline_schema();
    for (position, own, foreign) in [(0, DIMENSION_ONLY, FACT_ONLY), (1, FACT_ONLY, DIMENSION_ONLY)] {
        let properties = schema["allOf"][position]["then"]["properties"].as_object().unwrap();
        let (described, others): (BTreeSet<&str>, BTreeSet<&str>) = properties
            .keys()
            .map(String::as_str)
            .partition(|key| properties[*key].get("description").is_some());
        assert_eq!(described, own.iter().copied().collect());
        assert_eq!(others, foreign.iter().copied().collect());
    }
}

#[test]
fn every_key_is_described() {
    let schemas = both_schemas();
    for schema in &schemas {
        visit(schema, &mut |value| {
            for (key, property) in closed_properties(value).into_iter().flatten() {
                let description = property["description"].as_str().unwrap_or_default();
                assert!(description.ends_with('.'), "{key}: {description:?}");
            }
        });
    }
}

#[test]
fn the_schemas_are_schemas_of_draft_7() {
    for schema in &both_schemas() {
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
        assert!(jsonschema::draft7::meta::is_valid(schema));
    }
}

#[test]
fn a_default_is_a_value_that_the_key_takes() {
    let schemas = both_schemas();
    let mut defaults = 0;
    for schema in &schemas {
        visit(schema, &mut |value| {
            if let Some(default) = value.get("default") {
                defaults += 1;
                assert!(validator(value).is_valid(default), "{value}");
            }
        });
    }
    assert!(defaults > 20, "{defaults}");
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The text without its templates, which name keys of the target and nothing else.
fn rendered(text: &str) -> String {
    text.replace("{{ target.", "").replace(" }}", "")
}

#[test]
fn the_pipelines_of_the_repository_fit() {
    let validator = validator(&pipeline_schema());
    for folder in ["configs", "tests/shop/configs"] {
        let folder = repository().join(folder);
        let files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty(), "{}", folder.display());
        for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "yml")) {
            let pipeline = as_edited(&rendered(&fs::read_to_string(file).unwrap()));
            assert_eq!(refusals(&validator, &pipeline), [""; 0], "{}", file.display());
        }
    }
}

#[test]
fn the_targets_file_of_the_repository_fits() {
    let file = fs::read_to_string(repository().join("tests/shop/kimball.targets.yml")).unwrap();
    assert_eq!(refusals(&validator(&targets_schema()), &as_edited(&file)), [""; 0]);
}

#[test]
fn the_examples_of_the_documentation_fit() {
    let documentation = fs::read_to_string(repository().join("docs/config.md")).unwrap();
    let (pipelines, targets) = (validator(&pipeline_schema()), validator(&targets_schema()));
    let mut files = 0;
    for block in documentation.split("```yaml\n").skip(1) {
        let (text, _) = block.split_once("```").unwrap();
        let validator = match text.split_once(':').unwrap().0 {
            "table_name" => &pipelines,
            "version" => &targets,
            _ => continue,
        };
        files += 1;
        assert_eq!(refusals(validator, &as_edited(&rendered(text))), [""; 0], "{text}");
    }
    assert!(files >= 4, "{files}");
}

#[test]
fn a_template_may_stand_for_any_scalar_of_a_pipeline() {
    // What `{{ target.gold_schema }}` is without quotes; a parser calls the inner mapping what it likes.
    let unquoted = json!({"{ target.gold_schema }": null});
    let mut pipeline = json!({
        "table_name": unquoted,
        "table_type": "{{ TABLE_TYPE }}",
        "scd_type": "{{ SCD_TYPE }}",
        "optimize_after_merge": "{{ OPTIMIZE }}",
        "max_close_ratio": unquoted,
        "delete_strategy": "{% if prod %}soft{% else %}hard{% endif %}",
        "cluster_by": ["{{ FIRST }}", unquoted],
        "depends_on": ["{{ target.gold_schema }}.dim"],
        "sources": [{"name": "{{ target.silver_schema }}.t", "cdc_strategy": unquoted, "starting_version": unquoted}],
    });
    let validator = validator(&pipeline_schema());
    assert_eq!(refusals(&validator, &pipeline), [""; 0]);
    pipeline["table_type"] = json!("fact");
    pipeline["scd_type"] = json!(1);
    pipeline["merge_keys"] = unquoted.clone();
    assert_eq!(refusals(&validator, &pipeline), [""; 0]);
    pipeline["table_name"] = json!({"schema": "gold", "table": "fact"});
    assert_eq!(refusals(&validator, &pipeline).len(), 1, "a mapping of the user's is no template");
}

#[test]
fn a_targets_file_is_no_template() {
    let targets = json!({"version": 1, "targets": {"dev": {"warehouse": {"{ WAREHOUSE }": null}}}});
    assert_eq!(refusals(&validator(&targets_schema()), &targets).len(), 1);
}
