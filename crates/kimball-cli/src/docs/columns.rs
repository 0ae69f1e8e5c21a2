//! What is known of a table's columns: their types from the warehouse, the rest from the configuration.

use std::collections::BTreeMap;

use arrow::array::AsArray;
use kimball::model::{Additivity, Dimension, Fact, FactPattern, Scd, TableKind, Test};
use kimball::{Next, Pipeline, Project, TableName};

use crate::args::Options;
use crate::failure::Failure;
use crate::moment::now;
use crate::sql::console;

/// The columns of the tables that exist, with their types in SQL, in the order in which they stand.
#[derive(Debug, Default)]
pub struct Types(BTreeMap<TableName, Vec<(String, String)>>);

/// One column as its page shows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// Empty before the first load.
    pub type_name: String,
    /// What it is for, such as `natural key`.
    pub roles: Vec<String>,
    /// The dimension that it points at.
    pub references: Option<TableName>,
    pub description: String,
    /// What is tested, and what is done to a personal value.
    pub rules: Vec<String>,
}

impl Types {
    /// Asks the warehouse.
    pub fn of(project: &Project, options: &Options) -> Result<Self, Failure> {
        let console = console(options)?;
        let there = console.tables()?;
        let mut types = BTreeMap::new();
        for pipeline in &project.pipelines {
            let table = &pipeline.table;
            if !there.contains(&format!("{}.{}", table.schema(), table.table())) {
                continue;
            }
            let question = format!("DESCRIBE `{}`.`{}`", table.schema(), table.table());
            let mut answer = console.query(&question, now(options.run_time))?;
            let columns = types.entry(table.clone()).or_insert_with(Vec::new);
            while let Next::Rows(batch) = answer.next_until(std::future::pending::<()>())? {
                let texts = |place: usize| {
                    let texts = batch.columns().get(place).and_then(|column| column.as_string_opt::<i32>());
                    (0..batch.num_rows()).map(move |row| texts.map_or("", |texts| texts.value(row)))
                };
                columns.extend(texts(0).zip(texts(1)).map(|(name, kind)| (name.to_owned(), kind.to_owned())));
            }
        }
        Ok(Self(types))
    }

    /// The columns of a pipeline's table; before its first load those that the configuration names.
    pub fn columns_of(&self, pipeline: &Pipeline) -> Vec<Column> {
        let named = named(pipeline);
        let there = self.0.get(&pipeline.table);
        let stored: Vec<(String, String)> = match there {
            Some(columns) => columns.clone(),
            None => named.iter().map(|(name, _)| (name.clone(), String::new())).collect(),
        };
        let column = |(name, type_name): (String, String)| {
            let is_it = |other: &str| other.eq_ignore_ascii_case(&name);
            let roles = named.iter().filter(|(column, role)| is_it(column) && !role.is_empty());
            let described = pipeline.column_descriptions.iter().find(|(column, _)| is_it(column));
            Column {
                type_name,
                roles: roles.map(|(_, role)| role.clone()).collect(),
                references: reference(pipeline, &name),
                description: described.map(|(_, text)| text.clone()).unwrap_or_default(),
                rules: rules(pipeline, &name),
                name,
            }
        };
        stored.into_iter().map(column).collect()
    }
}

/// The columns that the configuration names, each with what it is for.
fn named(pipeline: &Pipeline) -> Vec<(String, String)> {
    let mut all = match &pipeline.kind {
        TableKind::Dimension(dimension) => of_dimension(dimension),
        TableKind::Fact(fact) => of_fact(fact),
    };
    let described = pipeline.column_descriptions.keys();
    let tested = pipeline.tests.iter().map(|tested| &tested.column);
    for column in described.chain(tested) {
        if !all.iter().any(|(known, _)| known.eq_ignore_ascii_case(column)) {
            all.push((column.clone(), String::new()));
        }
    }
    all
}

fn of_dimension(dimension: &Dimension) -> Vec<(String, String)> {
    let mut all = vec![(dimension.surrogate_key.clone(), "surrogate key".to_owned())];
    let mut say = |column: &String, role: String| all.push((column.clone(), role));
    dimension.natural_keys.iter().for_each(|column| say(column, "natural key".to_owned()));
    if let Some(column) = dimension.scd.history().and_then(|history| history.effective_at.as_ref()) {
        say(column, "effective at".to_owned());
    }
    match &dimension.scd {
        Scd::Type3 { previous } => {
            for (column, previous) in previous {
                say(previous, format!("{column} before"));
            }
        }
        Scd::Type6 { current_values, .. } => {
            for column in current_values {
                say(&format!("current_{column}"), format!("newest {column}"));
            }
        }
        Scd::Type7 { durable_key, .. } => say(durable_key, "durable key".to_owned()),
        _ => {}
    }
    for mini in &dimension.mini_dimensions {
        mini.columns.iter().for_each(|column| say(column, format!("in {}", mini.table)));
    }
    all
}

fn of_fact(fact: &Fact) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut say = |column: &String, role: String| all.push((column.clone(), role));
    fact.merge_keys.iter().for_each(|column| say(column, "merge key".to_owned()));
    fact.partition_by.iter().for_each(|column| say(column, "partition".to_owned()));
    for key in &fact.foreign_keys {
        say(&key.column, "foreign key".to_owned());
        if let Some(durable) = &key.durable {
            say(&durable.column, "foreign key of the member".to_owned());
        }
    }
    fact.junk_dimensions.iter().for_each(|junk| say(&junk.surrogate_key, "junk key".to_owned()));
    fact.degenerate_dimensions.iter().for_each(|column| say(column, "degenerate dimension".to_owned()));
    for measure in &fact.measures {
        let added = match &measure.additivity {
            Additivity::Additive => "measure, additive".to_owned(),
            Additivity::SemiAdditive(except) => format!("measure, not additive along {}", except.join(", ")),
            Additivity::NonAdditive => "measure, not additive".to_owned(),
        };
        say(&measure.column, added);
    }
    if let FactPattern::AccumulatingSnapshot { milestones } = &fact.pattern {
        for milestone in milestones {
            say(&milestone.column, format!("milestone {}", milestone.name));
            if let Some(lag) = &milestone.lag_column {
                say(lag, format!("days until {}", milestone.name));
            }
        }
    }
    all
}

/// The table that a column of a fact points at.
fn reference(pipeline: &Pipeline, column: &str) -> Option<TableName> {
    let TableKind::Fact(fact) = &pipeline.kind else { return None };
    let key = fact.foreign_keys.iter().find(|key| {
        let durable = key.durable.as_ref().is_some_and(|it| it.column.eq_ignore_ascii_case(column));
        durable || key.column.eq_ignore_ascii_case(column)
    });
    let junk = fact.junk_dimensions.iter().find(|junk| junk.surrogate_key.eq_ignore_ascii_case(column));
    key.and_then(|key| key.references.clone()).or_else(|| junk.map(|junk| junk.table.clone()))
}

fn rules(pipeline: &Pipeline, column: &str) -> Vec<String> {
    let tested = pipeline.tests.iter().filter(|tested| tested.column.eq_ignore_ascii_case(column));
    let tests = tested.flat_map(|tested| &tested.tests).map(|test| match test {
        Test::Unique => "unique".to_owned(),
        Test::NotNull => "not NULL".to_owned(),
        Test::AcceptedValues(values) => format!("one of {}", values.join(", ")),
        Test::Relationships { to, field } => format!("a {field} of {to}"),
        Test::Expression(expression) => expression.clone(),
    });
    let personal = pipeline.pii.iter().filter(|personal| personal.column.eq_ignore_ascii_case(column));
    tests.chain(personal.map(|_| "personal".to_owned())).collect()
}
