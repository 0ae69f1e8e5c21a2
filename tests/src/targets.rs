//! The targets file of a project that a test makes.

/// The merge strategy of all targets; unset, the engine chooses.
pub const STRATEGY_VARIABLE: &str = "KIMBALL_MERGE_STRATEGY";

/// A targets file with one target, `dev`, whose tables lie in `warehouse`.
#[allow(
    clippy::disallowed_methods,
    reason = "a switch for whoever proves: the same promises, kept in another way"
)]
pub fn targets_file(warehouse: &str) -> String {
    let strategy = match std::env::var(STRATEGY_VARIABLE) {
        Ok(strategy) => format!("    merge_strategy: {strategy}\n"),
        Err(_) => String::new(),
    };
    format!(
        "version: 1\ntargets:\n  dev:\n    catalog: main\n    silver_schema: silver\n    gold_schema: gold\n    \
         etl_schema: etl\n    warehouse: \"{warehouse}\"\n{strategy}"
    )
}
