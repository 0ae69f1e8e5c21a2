//! What the pages say, without how they look.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use kimball::model::{CdcStrategy, Fact, FactLoading, FactPattern, TableKind};
use kimball::{ControlRow, Pipeline, Plan, Project, TableName};

use super::columns::{Column, Types};

/// Batches that the page of a table shows.
const RUNS: usize = 20;

/// The project.
#[derive(Debug)]
pub struct Site {
    pub target: String,
    /// In the order of the waves.
    pub waves: Vec<Wave>,
    /// Tables that no pipeline writes, sorted.
    pub external: Vec<TableName>,
    /// Sorted by name.
    pub tables: Vec<Table>,
    /// Who needs whom: a table that is needed, then the one that needs it.
    pub arrows: BTreeSet<(TableName, TableName)>,
    pub bus: BusMatrix,
}

/// The pipelines that run side by side.
#[derive(Debug)]
pub struct Wave {
    pub title: String,
    pub tables: Vec<TableName>,
}

/// Which facts share which dimensions.
#[derive(Debug)]
pub struct BusMatrix {
    pub dimensions: Vec<TableName>,
    /// A fact with the columns by which it points at each dimension, in their order.
    pub facts: Vec<(TableName, Vec<Vec<String>>)>,
}

/// One table.
#[derive(Debug)]
pub struct Table {
    pub name: TableName,
    /// Such as `dimension, type 2`.
    pub kind: String,
    pub is_fact: bool,
    pub description: String,
    pub tags: Vec<String>,
    pub config_path: String,
    pub place: String,
    pub columns: Vec<Column>,
    /// Names of the sources, and how each is read.
    pub sources: Vec<(String, &'static str)>,
    pub sql: Option<String>,
    /// Tables that its pipeline writes besides it.
    pub companions: Vec<TableName>,
    pub needs: Vec<TableName>,
    pub needed_by: Vec<TableName>,
    /// The newest first.
    pub runs: Vec<ControlRow>,
}

impl Site {
    /// Of a project, its plan, and what the warehouse knows of both.
    pub fn of(project: &Project, plan: &Plan, types: &Types, runs: &[ControlRow]) -> Self {
        let mut tables: Vec<Table> =
            project.pipelines.iter().map(|pipeline| table(pipeline, plan, types, runs)).collect();
        tables.sort_by(|left, right| left.name.cmp(&right.name));
        let external: BTreeSet<TableName> = plan.external().iter().map(|it| it.table.clone()).collect();
        let inside = plan.pipelines().flat_map(|pipeline| {
            let needed = pipeline.dependencies.iter();
            needed.map(|needed| (needed.table.clone(), pipeline.table.clone()))
        });
        let outside = plan.external().iter().map(|it| (it.table.clone(), it.pipeline.clone()));
        Self {
            target: project.target.name.clone(),
            waves: plan
                .waves()
                .iter()
                .map(|wave| Wave {
                    title: format!("Wave {}: {}", wave.number(), wave.label()),
                    tables: wave.tables().to_vec(),
                })
                .collect(),
            external: external.into_iter().collect(),
            tables,
            arrows: inside.chain(outside).collect(),
            bus: BusMatrix::of(project),
        }
    }

    /// Whether a table has a page.
    pub fn has_page(&self, table: &TableName) -> bool {
        self.tables.iter().any(|known| known.name == *table)
    }
}

impl BusMatrix {
    fn of(project: &Project) -> Self {
        let facts: BTreeMap<&TableName, &Fact> = project
            .pipelines
            .iter()
            .filter_map(|pipeline| match &pipeline.kind {
                TableKind::Fact(fact) => Some((&pipeline.table, fact)),
                TableKind::Dimension(_) => None,
            })
            .collect();
        let dimensions: BTreeSet<&TableName> =
            facts.values().flat_map(|fact| keys_of(fact)).map(|(_, dimension)| dimension).collect();
        let roles = |fact: &Fact| {
            let of_dimension = |wanted: &&TableName| {
                let keys = keys_of(fact).filter(|(_, dimension)| dimension == wanted);
                keys.map(|(column, _)| column.clone()).collect()
            };
            dimensions.iter().map(of_dimension).collect()
        };
        Self {
            facts: facts.iter().map(|(table, fact)| ((*table).clone(), roles(fact))).collect(),
            dimensions: dimensions.iter().map(|dimension| (*dimension).clone()).collect(),
        }
    }
}

/// The keys of a fact with the dimensions that they point at.
fn keys_of(fact: &Fact) -> impl Iterator<Item = (&String, &TableName)> {
    let keys = fact.foreign_keys.iter().filter_map(|key| Some((&key.column, key.references.as_ref()?)));
    keys.chain(fact.junk_dimensions.iter().map(|junk| (&junk.surrogate_key, &junk.table)))
}

fn table(pipeline: &Pipeline, plan: &Plan, types: &Types, runs: &[ControlRow]) -> Table {
    let name = &pipeline.table;
    let mut own: Vec<ControlRow> =
        runs.iter().filter(|row| row.target_table == name.to_string()).cloned().collect();
    own.sort_by_key(|row| Reverse((row.batch_started_at, row.updated_at)));
    own.truncate(RUNS);
    let planned = plan.pipeline(name);
    let read = |strategy| match strategy {
        CdcStrategy::Cdf => "change feed",
        CdcStrategy::Full => "snapshot",
        CdcStrategy::Append => "inserts",
    };
    Table {
        name: name.clone(),
        kind: kind(&pipeline.kind),
        is_fact: matches!(pipeline.kind, TableKind::Fact(_)),
        description: pipeline.description.clone().unwrap_or_default(),
        tags: pipeline.tags.clone(),
        config_path: pipeline.config_path.display().to_string(),
        place: plan.place_of(name).map(|place| place.to_string()).unwrap_or_default(),
        columns: types.columns_of(pipeline),
        sources: pipeline.sources.iter().map(|source| (source.name.clone(), read(source.strategy))).collect(),
        sql: pipeline.transformation.as_ref().map(|query| query.sql.trim().to_owned()),
        companions: pipeline.companions().into_iter().cloned().collect(),
        needs: plan.dependencies_of(name).iter().map(|needed| needed.table.clone()).collect(),
        needed_by: planned.map(|planned| planned.dependents.clone()).unwrap_or_default(),
        runs: own,
    }
}

fn kind(kind: &TableKind) -> String {
    match kind {
        TableKind::Dimension(dimension) => format!("dimension, type {}", dimension.scd.number()),
        TableKind::Fact(fact) => {
            let pattern = match &fact.pattern {
                FactPattern::Transaction => "transactions",
                FactPattern::PeriodicSnapshot => "periodic snapshot",
                FactPattern::AccumulatingSnapshot { .. } => "accumulating snapshot",
            };
            let loading = match fact.loading {
                FactLoading::Upsert => "",
                FactLoading::Append => ", append only",
                FactLoading::ReplacePartitions => ", replaced by partition",
            };
            format!("fact, {pattern}{loading}")
        }
    }
}
