//! Source contracts: what a supplier promises.

use std::time::Duration;

use super::columns::{check as check_column, columns, plain};
use super::keys::{
    CONTRACT, CONTRACT_CDC, CONTRACT_COLUMN, CONTRACT_FRESHNESS, CONTRACT_RULE, CONTRACT_TEMPORAL,
    CONTRACT_VALIDATION,
};
use super::sql_types::is_type_name;
use super::{columns, duration};
use crate::model::{
    CdcStrategy, Compatibility, Contract, ContractColumn, ContractRule, RuleCheck, Severity, TemporalRule,
    Validation, ValidationMode,
};
use crate::reader::{Located, MapReader, clip, scalar_text};
use crate::sql;
use crate::yaml::Value;

/// What a sample is drawn with, where the file does not say.
const SEED: i64 = 17;
/// Failing rows that an event shows, at most.
const MOST_FAILURE_SAMPLES: i64 = 100;

const SEVERITIES: [(&str, Severity); 2] = [("error", Severity::Error), ("warn", Severity::Warn)];

/// What a source says of its contract: nothing, the contract, or where it lies.
#[derive(Debug, Default)]
pub(crate) struct Promise {
    pub(crate) contract: Option<Contract>,
    pub(crate) reference: Option<Located<String>>,
}

/// Reads `contract` and `contract_ref` of a source.
pub(crate) fn read(
    source: &MapReader<'_>,
    primary_keys: &[String],
    strategy: Option<CdcStrategy>,
) -> Promise {
    let reference = source.text("contract_ref");
    if source.node("contract").is_some() && reference.is_some() {
        let span = source.key_span("contract_ref");
        source.findings().error(span, "either `contract` or `contract_ref`, not both");
    }
    let contract = source.mapping("contract", &CONTRACT);
    Promise { contract: contract.and_then(|it| read_contract(&it, primary_keys, strategy)), reference }
}

fn read_contract(
    contract: &MapReader<'_>,
    primary_keys: &[String],
    strategy: Option<CdcStrategy>,
) -> Option<Contract> {
    let (id, version) = (contract.required_text("id"), contract.required_text("version"));
    let owner = contract.text("owner").map(|owner| owner.value);
    let compatibilities =
        [("nullable_additions", Compatibility::NullableAdditions), ("strict", Compatibility::Strict)];
    let compatibility = contract.choice("compatibility", &compatibilities);
    let columns = read_schema(contract);
    let (cdc_required, primary_key) = read_cdc(contract, primary_keys, strategy);
    let max_age = read_freshness(contract);
    let rules = contract.mappings("quality", &CONTRACT_RULE).iter().filter_map(read_rule).collect();
    let temporal = read_temporal(contract);
    let validation = read_validation(contract);
    Some(Contract {
        id: id?.value,
        version: version?.value,
        owner,
        compatibility: compatibility.map_or(Compatibility::NullableAdditions, |it| it.value),
        columns: columns?,
        cdc_required,
        primary_key,
        max_age,
        rules,
        temporal,
        validation,
    })
}

fn read_schema(contract: &MapReader<'_>) -> Option<Vec<ContractColumn>> {
    let node = contract.required("schema")?;
    let Value::Mapping(entries) = &node.value else {
        contract.findings().error(node.span, format!("`schema` must be a mapping, found {}", node.kind()));
        return None;
    };
    let mut columns: Vec<ContractColumn> = Vec::with_capacity(entries.len());
    for entry in entries {
        let Some(column) = MapReader::open(contract.findings(), &entry.value, &CONTRACT_COLUMN) else {
            continue;
        };
        let nullable = column.flag("nullable").is_none_or(|flag| flag.value);
        let Some(type_name) = read_type(&column) else { continue };
        if columns.iter().any(|other| columns::same(&other.name, &entry.key)) {
            let message = format!("the column `{}` is there twice", clip(&entry.key));
            contract.findings().error(entry.key_span, message);
            continue;
        }
        columns.push(ContractColumn { name: entry.key.clone(), type_name, nullable });
    }
    Some(columns)
}

fn read_type(column: &MapReader<'_>) -> Option<String> {
    let name = column.required_text("type")?;
    if is_type_name(&name.value) {
        return Some(name.value.trim().to_ascii_lowercase());
    }
    column.findings().error_with_help(
        name.span,
        format!("`{}` is no type", clip(&name.value)),
        "use a SQL type such as string, bigint, double, decimal(10,2), boolean, date or timestamp",
    );
    None
}

/// Whether a change feed is promised, and the primary key.
fn read_cdc(
    contract: &MapReader<'_>,
    primary_keys: &[String],
    strategy: Option<CdcStrategy>,
) -> (bool, Vec<String>) {
    let Some(cdc) = contract.mapping("cdc", &CONTRACT_CDC) else { return (false, Vec::new()) };
    let required = cdc.flag("required").filter(|flag| flag.value);
    if let Some(required) = &required
        && strategy.is_some_and(|strategy| strategy != CdcStrategy::Cdf)
    {
        cdc.findings().error(required.span, "the contract requires a change feed: set `cdc_strategy: cdf`");
    }
    let keys = columns(&cdc, "primary_key").map(plain).unwrap_or_default();
    if !primary_keys.is_empty() && !keys.is_empty() && keys != primary_keys {
        let span = cdc.key_span("primary_key");
        cdc.findings().error(span, "`primary_key` of the contract and `primary_keys` of the source differ");
    }
    (required.is_some(), keys)
}

fn read_freshness(contract: &MapReader<'_>) -> Option<Duration> {
    let freshness = contract.mapping("freshness", &CONTRACT_FRESHNESS)?;
    let max_age = freshness.required_text("max_age")?;
    duration::read(freshness.findings(), &max_age, "max_age")
}

fn read_rule(rule: &MapReader<'_>) -> Option<ContractRule> {
    let name = rule.text("name").map(|name| name.value);
    rule.required("rule");
    let rules = ["not_null", "unique", "null_rate", "accepted_values", "expression"].map(|word| (word, word));
    let kind = rule.choice("rule", &rules);
    let column = columns::column(rule, "column").map(|column| column.value);
    let several = columns(rule, "columns").map(plain).filter(|columns| !columns.is_empty());
    let max_ratio = rule.share("max_ratio").map(|ratio| ratio.value);
    let values = rule.list("values");
    let expression = rule.text("expression");
    if let Some(expression) = &expression {
        sql::check_expression(rule.findings(), expression, "expression");
    }
    let severity = rule.choice("severity", &SEVERITIES).map_or(Severity::Error, |severity| severity.value);
    let kind = kind?;
    let need = |is_there: bool, key: &str| {
        if !is_there {
            rule.findings().error(kind.span, format!("the rule `{}` needs `{key}`", kind.value));
        }
    };
    let check = match kind.value {
        "unique" => {
            need(column.is_some() || several.is_some(), "column` or `columns");
            if column.is_some() && several.is_some() {
                rule.findings().error(rule.key_span("columns"), "either `column` or `columns`, not both");
            }
            RuleCheck::Unique(several.or_else(|| column.clone().map(|column| vec![column]))?)
        }
        "expression" => {
            need(rule.node("expression").is_some(), "expression");
            RuleCheck::Expression(expression?.value)
        }
        "null_rate" => {
            need(column.is_some(), "column");
            need(rule.node("max_ratio").is_some(), "max_ratio");
            RuleCheck::NullRate { column: column.clone()?, max_ratio: max_ratio? }
        }
        "accepted_values" => {
            need(column.is_some(), "column");
            need(rule.node("values").is_some(), "values");
            let values = values?.iter().filter(|value| !value.is_null());
            let values = values
                .filter_map(|value| scalar_text(rule.findings(), value, "a value in `values`"))
                .map(|value| value.value)
                .collect();
            RuleCheck::AcceptedValues { column: column.clone()?, values }
        }
        _ => {
            need(column.is_some(), "column");
            RuleCheck::NotNull(column.clone()?)
        }
    };
    let name = name.unwrap_or_else(|| default_name(kind.value, &check));
    Some(ContractRule { name, check, severity })
}

/// `rule:column` for a rule without a name.
pub(super) fn default_name(rule: &str, check: &RuleCheck) -> String {
    let columns = match check {
        RuleCheck::Unique(columns) => columns.join(","),
        RuleCheck::NotNull(column)
        | RuleCheck::NullRate { column, .. }
        | RuleCheck::AcceptedValues { column, .. } => column.clone(),
        RuleCheck::Expression(expression) => expression.clone(),
    };
    format!("{rule}:{columns}")
}

fn read_temporal(contract: &MapReader<'_>) -> Option<TemporalRule> {
    let temporal = contract.mapping("temporal", &CONTRACT_TEMPORAL)?;
    let column = temporal.required_text("event_time_column");
    if let Some(column) = &column {
        check_column(temporal.findings(), column);
    }
    let lateness = temporal
        .text("allowed_lateness")
        .and_then(|lateness| duration::read(temporal.findings(), &lateness, "allowed_lateness"));
    let severity = |key| temporal.choice(key, &SEVERITIES).map_or(Severity::Warn, |severity| severity.value);
    let (late, out_of_order) = (severity("late_event_severity"), severity("out_of_order_severity"));
    Some(TemporalRule { event_time_column: column?.value, allowed_lateness: lateness, late, out_of_order })
}

fn read_validation(contract: &MapReader<'_>) -> Validation {
    let default = Validation::default();
    let Some(validation) = contract.mapping("validation", &CONTRACT_VALIDATION) else { return default };
    let modes = [("full", 0), ("sampled", 1), ("approximate", 2)];
    let mode = validation.choice("mode", &modes);
    let fraction = validation.ratio("sample_fraction").map(|fraction| fraction.value);
    let seed = validation.integer("sample_seed", i64::MIN).map_or(SEED, |seed| seed.value);
    let most = validation.integer("max_sample_rows", 1).and_then(|rows| u64::try_from(rows.value).ok());
    let samples = validation.integer("max_failure_samples", 0);
    if let Some(samples) = samples.as_ref().filter(|samples| samples.value > MOST_FAILURE_SAMPLES) {
        let message = format!("`max_failure_samples` is at most {MOST_FAILURE_SAMPLES}");
        validation.findings().error(samples.span, message);
    }
    if validation.integer("max_actions", 1).is_some() {
        validation.findings().note("max_actions has no effect; the rules of a contract are checked together");
    }
    let failure_samples = samples.and_then(|samples| usize::try_from(samples.value).ok());
    let kind = mode.as_ref().map_or(0, |mode| mode.value);
    if let Some(mode) = mode.filter(|mode| mode.value == 1 && validation.node("sample_fraction").is_none()) {
        validation.findings().error(mode.span, "`mode: sampled` needs `sample_fraction`");
    }
    Validation {
        mode: match (kind, fraction) {
            (1, Some(fraction)) => ValidationMode::Sampled { fraction, seed, most },
            (2, _) => ValidationMode::Approximate,
            _ => ValidationMode::Full,
        },
        failure_samples: failure_samples.unwrap_or(default.failure_samples),
    }
}
