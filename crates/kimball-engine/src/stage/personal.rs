//! Personal columns of a query's output are protected before anything else sees them: keys, hashes and tables only know
//! what has become of them.

use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, lit};
use kimball_config::{PiiColumn, Protection};

use crate::EngineError;
use crate::error::QUERY_OUTPUT;
use crate::keys::{Replacement, protect};

/// The plan with its personal columns protected; the plan itself where there is none.
///
/// # Errors
/// [`EngineError::MissingColumn`] for a column that the output does not have: a misspelled name would publish the real
/// one. [`EngineError::Config`] when a secret is not there.
pub(super) fn protected(plan: LogicalPlan, personal: &[PiiColumn]) -> Result<LogicalPlan, EngineError> {
    if personal.is_empty() {
        return Ok(plan);
    }
    let names: Vec<&str> = plan.schema().fields().iter().map(|field| field.name().as_str()).collect();
    if let Some(unknown) =
        personal.iter().find(|it| !names.iter().any(|name| name.eq_ignore_ascii_case(&it.column)))
    {
        return Err(EngineError::MissingColumn {
            role: "personal column",
            column: unknown.column.clone(),
            of: QUERY_OUTPUT.to_owned(),
            found: names.iter().map(|name| (*name).to_owned()).collect(),
        });
    }
    let mut columns = Vec::with_capacity(names.len());
    for (qualifier, field) in plan.schema().iter() {
        let value = Expr::Column(Column::new(qualifier.cloned(), field.name()));
        let protection = personal.iter().find(|it| field.name().eq_ignore_ascii_case(&it.column));
        let replaced = match protection.map(|it| &it.protection) {
            None => {
                columns.push(value);
                continue;
            }
            Some(Protection::Drop) => continue,
            Some(Protection::Null) => cast(lit(ScalarValue::Null), field.data_type().clone()),
            Some(Protection::Tokenize { secret }) => {
                let Some(key) = secret.value.clone() else {
                    return Err(EngineError::Config(format!(
                        "the environment variable `{}` is not set or empty: the secret that `{}` is tokenized with",
                        secret.name,
                        field.name()
                    )));
                };
                protect(field.name(), Replacement::Token(key)).call(vec![value])
            }
            Some(Protection::FastHash) => {
                protect(field.name(), Replacement::Hash { column: field.name().clone() }).call(vec![value])
            }
            Some(Protection::Mask { reveal_prefix, mask_char }) => {
                let mask = Replacement::Mask { revealed: *reveal_prefix, mask: *mask_char };
                protect(field.name(), mask).call(vec![value])
            }
        };
        columns.push(replaced.alias(field.name()));
    }
    Ok(LogicalPlanBuilder::from(plan).project(columns)?.build()?)
}
