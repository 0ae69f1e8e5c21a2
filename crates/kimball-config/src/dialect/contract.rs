//! Source contracts: checked for form, refused until they are enforced.

use super::columns::{check as check_column, column, columns};
use super::keys::{
    CONTRACT, CONTRACT_CDC, CONTRACT_COLUMN, CONTRACT_FRESHNESS, CONTRACT_RULE, CONTRACT_TEMPORAL,
    CONTRACT_VALIDATION,
};
use crate::findings::Findings;
use crate::model::CdcStrategy;
use crate::reader::{Located, MapReader, clip};
use crate::sql;
use crate::yaml::Value;

/// Checks `contract` and `contract_ref` of a source.
pub(crate) fn check(source: &MapReader<'_>, primary_keys: &[String], strategy: Option<CdcStrategy>) {
    let reference = source.text("contract_ref");
    if source.node("contract").is_some() && reference.is_some() {
        let span = source.key_span("contract_ref");
        source.findings().error(span, "either `contract` or `contract_ref`, not both");
    }
    if reference.is_some() {
        source.findings().not_yet(source.key_span("contract_ref"), "contract_ref");
    }
    let Some(contract) = source.mapping("contract", &CONTRACT) else { return };
    contract.required_text("id");
    contract.required_text("version");
    contract.text("owner");
    contract.choice("compatibility", &[("nullable_additions", ()), ("strict", ())]);
    check_schema(&contract);
    check_cdc(&contract, primary_keys, strategy);
    if let Some(freshness) = contract.mapping("freshness", &CONTRACT_FRESHNESS)
        && let Some(max_age) = freshness.required_text("max_age")
    {
        check_duration(freshness.findings(), &max_age, "max_age");
    }
    for rule in contract.mappings("quality", &CONTRACT_RULE) {
        check_rule(&rule);
    }
    check_temporal(&contract);
    check_validation(&contract);
    source.findings().not_yet(source.key_span("contract"), "contract");
}

fn check_schema(contract: &MapReader<'_>) {
    let Some(node) = contract.required("schema") else { return };
    let Value::Mapping(entries) = &node.value else {
        contract.findings().error(node.span, format!("`schema` must be a mapping, found {}", node.kind()));
        return;
    };
    for entry in entries {
        let Some(column) = MapReader::open(contract.findings(), &entry.value, &CONTRACT_COLUMN) else {
            continue;
        };
        column.flag("nullable");
        if let Some(name) = column.required_text("type")
            && !is_type_name(&name.value)
        {
            let message = format!("`{}` is no type", clip(&name.value));
            column.findings().error_with_help(
                name.span,
                message,
                "use a SQL type such as string, bigint, double, decimal(10,2), boolean, date or timestamp",
            );
        }
    }
}

fn check_cdc(contract: &MapReader<'_>, primary_keys: &[String], strategy: Option<CdcStrategy>) {
    let Some(cdc) = contract.mapping("cdc", &CONTRACT_CDC) else { return };
    if let Some(required) = cdc.flag("required").filter(|flag| flag.value)
        && strategy.is_some_and(|strategy| strategy != CdcStrategy::Cdf)
    {
        cdc.findings().error(required.span, "the contract requires a change feed: set `cdc_strategy: cdf`");
    }
    if let Some(keys) = columns(&cdc, "primary_key") {
        let named: Vec<&str> = keys.iter().map(|key| key.value.as_str()).collect();
        if !primary_keys.is_empty() && !keys.is_empty() && named != primary_keys {
            let span = cdc.key_span("primary_key");
            cdc.findings()
                .error(span, "`primary_key` of the contract and `primary_keys` of the source differ");
        }
    }
}

fn check_rule(rule: &MapReader<'_>) {
    rule.text("name");
    rule.required("rule");
    let rules = ["not_null", "unique", "null_rate", "accepted_values", "expression"].map(|word| (word, word));
    let kind = rule.choice("rule", &rules);
    let has_column = column(rule, "column").is_some();
    let has_columns = columns(rule, "columns").is_some_and(|columns| !columns.is_empty());
    rule.ratio("max_ratio");
    rule.list("values");
    if let Some(expression) = rule.text("expression") {
        sql::check_expression(rule.findings(), &expression, "expression");
    }
    rule.choice("severity", &[("error", ()), ("warn", ())]);
    let Some(kind) = kind else { return };
    let need = |is_there: bool, key: &str| {
        if !is_there {
            rule.findings().error(kind.span, format!("the rule `{}` needs `{key}`", kind.value));
        }
    };
    match kind.value {
        "unique" => {
            need(has_column || has_columns, "column` or `columns");
            if has_column && has_columns {
                rule.findings().error(rule.key_span("columns"), "either `column` or `columns`, not both");
            }
        }
        "expression" => need(rule.node("expression").is_some(), "expression"),
        "null_rate" => {
            need(has_column, "column");
            need(rule.node("max_ratio").is_some(), "max_ratio");
        }
        "accepted_values" => {
            need(has_column, "column");
            need(rule.node("values").is_some(), "values");
        }
        _ => need(has_column, "column"),
    }
}

fn check_temporal(contract: &MapReader<'_>) {
    let Some(temporal) = contract.mapping("temporal", &CONTRACT_TEMPORAL) else { return };
    if let Some(column) = temporal.required_text("event_time_column") {
        check_column(temporal.findings(), &column);
    }
    if let Some(lateness) = temporal.text("allowed_lateness") {
        check_duration(temporal.findings(), &lateness, "allowed_lateness");
    }
    for key in ["late_event_severity", "out_of_order_severity"] {
        temporal.choice(key, &[("error", ()), ("warn", ())]);
    }
}

fn check_validation(contract: &MapReader<'_>) {
    let Some(validation) = contract.mapping("validation", &CONTRACT_VALIDATION) else { return };
    let modes = [("full", false), ("sampled", true), ("approximate", false)];
    let mode = validation.choice("mode", &modes);
    let fraction = validation.ratio("sample_fraction");
    if let Some(mode) = mode.filter(|mode| mode.value && fraction.is_none()) {
        validation.findings().error(mode.span, "`mode: sampled` needs `sample_fraction`");
    }
    validation.integer("sample_seed", i64::MIN);
    validation.integer("max_sample_rows", 1);
    validation.integer("max_failure_samples", 0);
    validation.integer("max_actions", 1);
}

/// Checks a duration such as `2 hours` or `30m`.
pub(crate) fn check_duration(findings: &Findings<'_>, duration: &Located<String>, key: &str) {
    let text = duration.value.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit = text[digits..].trim_start().to_ascii_lowercase();
    let units =
        ["s", "m", "h", "d", "second", "minute", "hour", "day", "seconds", "minutes", "hours", "days"];
    if digits == 0 || digits > 9 || !units.contains(&unit.as_str()) {
        let message =
            format!("`{key}` must be a duration such as `2 hours` or `30m`, found `{}`", clip(text));
        findings.error(duration.span, message);
    }
}

/// Whether a text names a SQL type in one of its usual spellings.
fn is_type_name(text: &str) -> bool {
    let lower = text.trim().to_ascii_lowercase();
    let base = lower.split(['(', '<']).next().unwrap_or_default().trim().to_owned();
    let arguments = lower[base.len()..].trim();
    let plain = [
        "string",
        "varchar",
        "char",
        "text",
        "boolean",
        "bool",
        "byte",
        "tinyint",
        "short",
        "smallint",
        "int",
        "integer",
        "long",
        "bigint",
        "float",
        "real",
        "double",
        "double precision",
        "date",
        "timestamp",
        "timestamp_ntz",
        "timestamp_ltz",
        "binary",
    ];
    match base.as_str() {
        "decimal" | "numeric" | "dec" => arguments.is_empty() || is_argument_list(arguments, 2),
        "varchar" | "char" => arguments.is_empty() || is_argument_list(arguments, 1),
        "array" | "map" | "struct" => arguments.starts_with('<') && arguments.ends_with('>'),
        other => arguments.is_empty() && plain.contains(&other),
    }
}

/// `(10)` or `(10, 2)`.
fn is_argument_list(text: &str, most: usize) -> bool {
    let Some(inner) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) else { return false };
    let arguments: Vec<&str> = inner.split(',').map(str::trim).collect();
    arguments.len() <= most && arguments.iter().all(|argument| argument.parse::<u8>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_known_in_their_usual_spellings() {
        for name in
            ["int", "INTEGER", "bigint", "long", "decimal(10, 2)", "numeric", "varchar(20)", "array<int>"]
        {
            assert!(is_type_name(name), "{name}");
        }
        for name in ["strnig", "decimal(a)", "decimal(1,2,3)", "int(3)", "", "array"] {
            assert!(!is_type_name(name), "{name}");
        }
    }
}
