//! The plan: pipelines in waves, and the questions one may ask of it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use kimball_config::{Pipeline, TableName};

use crate::graph::{DependencyGraph, NodeId};
use crate::label::{Holding, labels};
use crate::problem::{PlanProblem, PlanWarning};
use crate::reason::{Dependency, ExternalTable, Place, Reason};

#[cfg(test)]
mod tests;

/// Pipelines in waves. Two plans are equal when they say the same, whatever order the pipelines came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    waves: Vec<Wave>,
    pipelines: BTreeMap<TableName, PlannedPipeline>,
    external: Vec<ExternalTable>,
    warnings: Vec<PlanWarning>,
}

/// Pipelines that may run side by side once the waves before are done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wave {
    number: usize,
    label: String,
    tables: Vec<TableName>,
}

/// One pipeline of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedPipeline {
    /// The table it writes.
    pub table: TableName,
    /// `dimension` or `fact`.
    pub table_type: &'static str,
    /// Its file.
    pub config_path: PathBuf,
    /// The number of its wave, from 1.
    pub wave: usize,
    /// The pipelines it needs, sorted by table name; only direct ones.
    pub dependencies: Vec<Dependency>,
    /// The tables of the pipelines that need it, sorted; only direct ones.
    pub dependents: Vec<TableName>,
}

impl Plan {
    /// Plans `pipelines`, each in the first wave it can stand in.
    ///
    /// # Errors
    /// Every [`PlanProblem`] at once: tables with several writers, sorted by table, then circles, sorted by
    /// the path.
    pub fn of(pipelines: &[Pipeline]) -> Result<Self, Vec<PlanProblem>> {
        let graph = DependencyGraph::of(pipelines);
        let mut problems = several_writers(&graph);
        let Some(depths) = graph.depths() else {
            problems.extend(graph.cycles().into_iter().map(|cycle| cycle_problem(&graph, &cycle)));
            return Err(problems);
        };
        if !problems.is_empty() {
            return Err(problems);
        }
        let waves = waves(&graph, &depths);
        let pipelines = planned(&graph, &depths);
        let warnings = pipelines.values().flat_map(undeclared).collect();
        Ok(Self { waves, pipelines, external: graph.external, warnings })
    }

    /// The waves in the order in which they run; none is empty.
    pub fn waves(&self) -> &[Wave] {
        &self.waves
    }

    /// All pipelines, sorted by table name.
    pub fn pipelines(&self) -> impl Iterator<Item = &PlannedPipeline> {
        self.pipelines.values()
    }

    /// The pipeline that writes `table` as its own.
    pub fn pipeline(&self, table: &TableName) -> Option<&PlannedPipeline> {
        self.pipelines.get(table)
    }

    /// The wave of the pipeline that writes `table`.
    pub fn wave_of(&self, table: &TableName) -> Option<&Wave> {
        self.waves.get(self.pipeline(table)?.wave.checked_sub(1)?)
    }

    /// The pipelines that the one that writes `table` needs directly, sorted by table name.
    pub fn dependencies_of(&self, table: &TableName) -> &[Dependency] {
        self.pipeline(table).map_or(&[], |pipeline| &pipeline.dependencies)
    }

    /// Every pipeline that cannot run when the one that writes `table` did not: those that need it, those that
    /// need these, and so on. By table, in the order of the waves, and of the names within a wave.
    pub fn downstream_of(&self, table: &TableName) -> Vec<TableName> {
        let mut found: BTreeSet<(usize, &TableName)> = BTreeSet::new();
        let mut open: Vec<&TableName> = vec![table];
        while let Some(table) = open.pop() {
            for dependent in self.pipeline(table).into_iter().flat_map(|pipeline| &pipeline.dependents) {
                let wave = self.pipeline(dependent).map_or(0, |pipeline| pipeline.wave);
                if found.insert((wave, dependent)) {
                    open.push(dependent);
                }
            }
        }
        found.into_iter().map(|(_, table)| table.clone()).collect()
    }

    /// All tables, those first that the longest chains of others wait for; of equals those of earlier waves first,
    /// then by name.
    pub fn critical_first(&self) -> Vec<&TableName> {
        let mut chains: BTreeMap<&TableName, usize> = BTreeMap::new();
        // Dependents stand in later waves, so that their chains are known.
        for table in self.waves.iter().rev().flat_map(Wave::tables) {
            let dependents = self.pipeline(table).into_iter().flat_map(|pipeline| &pipeline.dependents);
            let longest = dependents.filter_map(|dependent| chains.get(dependent)).max();
            let chain = longest.map_or(0, |longest| longest + 1);
            chains.insert(table, chain);
        }
        let mut tables: Vec<&TableName> = self.waves.iter().flat_map(Wave::tables).collect();
        tables.sort_by_key(|table| Reverse(chains.get(table).copied()));
        tables
    }

    /// Where the pipeline that writes `table` stands, and what keeps it from standing earlier.
    pub fn place_of(&self, table: &TableName) -> Option<Place> {
        let pipeline = self.pipeline(table)?;
        let deciding = |dependency: &&Dependency| {
            self.pipeline(&dependency.table).is_some_and(|needed| needed.wave + 1 == pipeline.wave)
        };
        let after = pipeline.dependencies.iter().filter(deciding).cloned().collect();
        Some(Place { wave: pipeline.wave, after })
    }

    /// Tables that are needed and that no pipeline here writes, sorted by pipeline, table and reason. They
    /// have to exist: sources as well as tables named by `references`, `identity_map`, tests and `depends_on`.
    pub fn external(&self) -> &[ExternalTable] {
        &self.external
    }

    /// What is doubtful, sorted by pipeline.
    pub fn warnings(&self) -> &[PlanWarning] {
        &self.warnings
    }
}

impl Wave {
    /// Its number, from 1.
    pub fn number(&self) -> usize {
        self.number
    }

    /// What it is called: `Dimensions`, `Facts`, or `Dimensions and Facts` for a wave that holds both; with a
    /// number behind it, counted from 1 among the waves that hold the same, when there are several such.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The tables of its pipelines, sorted; never empty.
    pub fn tables(&self) -> &[TableName] {
        &self.tables
    }
}

fn several_writers(graph: &DependencyGraph<'_>) -> Vec<PlanProblem> {
    let contested = graph.contested.iter();
    contested
        .map(|(table, writers)| PlanProblem::SeveralWriters {
            table: (*table).clone(),
            config_paths: writers.iter().map(|pipeline| pipeline.config_path.clone()).collect(),
        })
        .collect()
}

fn cycle_problem(graph: &DependencyGraph<'_>, cycle: &[NodeId]) -> PlanProblem {
    let nodes: Vec<_> = cycle.iter().filter_map(|id| graph.nodes.get(*id)).collect();
    let reasons = nodes
        .iter()
        .zip(cycle.iter().skip(1))
        .map(|(node, needed)| node.needs.get(needed).into_iter().flatten().cloned().collect::<Vec<Reason>>());
    // The last node of a circle is its first.
    let circle = nodes.iter().take(cycle.len().saturating_sub(1));
    let writers = circle.flat_map(|node| &node.writers);
    PlanProblem::Cycle {
        path: nodes.iter().map(|node| node.table.clone()).collect(),
        reasons: reasons.collect(),
        config_paths: writers.map(|pipeline| pipeline.config_path.clone()).collect(),
    }
}

fn waves(graph: &DependencyGraph<'_>, depths: &[usize]) -> Vec<Wave> {
    let mut members: BTreeMap<usize, Vec<NodeId>> = BTreeMap::new();
    for (id, depth) in depths.iter().enumerate() {
        members.entry(*depth).or_default().push(id);
    }
    let nodes = |ids: &[NodeId]| ids.iter().filter_map(|id| graph.nodes.get(*id)).collect::<Vec<_>>();
    let holdings: Vec<Holding> = members
        .values()
        .map(|ids| Holding::of(nodes(ids).iter().flat_map(|node| &node.writers).map(|writer| &writer.kind)))
        .collect();
    let described = members.iter().zip(labels(&holdings));
    described
        .map(|((depth, ids), label)| Wave {
            number: depth + 1,
            label,
            tables: nodes(ids).iter().map(|node| node.table.clone()).collect(),
        })
        .collect()
}

fn planned(graph: &DependencyGraph<'_>, depths: &[usize]) -> BTreeMap<TableName, PlannedPipeline> {
    let mut dependents: BTreeMap<NodeId, Vec<TableName>> = BTreeMap::new();
    for node in &graph.nodes {
        for needed in node.needs.keys() {
            dependents.entry(*needed).or_default().push(node.table.clone());
        }
    }
    let mut pipelines = BTreeMap::new();
    for ((id, node), depth) in graph.nodes.iter().enumerate().zip(depths) {
        let dependencies = node.needs.iter().filter_map(|(needed, reasons)| {
            let table = graph.nodes.get(*needed)?.table.clone();
            Some(Dependency { table, reasons: reasons.iter().cloned().collect() })
        });
        // Several writers were refused before.
        let Some(writer) = node.writers.first() else { continue };
        let pipeline = PlannedPipeline {
            table: node.table.clone(),
            table_type: writer.table_type(),
            config_path: writer.config_path.clone(),
            wave: depth + 1,
            dependencies: dependencies.collect(),
            dependents: dependents.remove(&id).unwrap_or_default(),
        };
        pipelines.insert(node.table.clone(), pipeline);
    }
    pipelines
}

fn undeclared(pipeline: &PlannedPipeline) -> impl Iterator<Item = PlanWarning> {
    pipeline.dependencies.iter().filter_map(|needed| {
        if needed.reasons.iter().any(Reason::is_declared) {
            return None;
        }
        let reasons: Vec<Reason> =
            needed.reasons.iter().filter(|reason| reason.wants_declaration()).cloned().collect();
        (!reasons.is_empty()).then(|| PlanWarning::Undeclared {
            pipeline: pipeline.table.clone(),
            config_path: pipeline.config_path.clone(),
            dependency: needed.table.clone(),
            reasons,
        })
    })
}
