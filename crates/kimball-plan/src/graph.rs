//! The dependency graph: who needs whom and why, how deep each stands, and which circles there are.
//!
//! A node is the own table of some pipeline and stands for all it writes, numbered in the order of the table names, so that nothing
//! depends on the order in which the pipelines were given.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use kimball_config::{Pipeline, SourceLocation, TableKind, TableName, Test};
use petgraph::algo::kosaraju_scc;
use petgraph::graphmap::DiGraphMap;

use crate::reason::{ExternalTable, Reason};

/// The number of a node.
pub(crate) type NodeId = usize;

/// Tables written by pipelines, with what each needs.
pub(crate) struct DependencyGraph<'p> {
    /// A node each, in the order of the table names.
    pub(crate) nodes: Vec<Node<'p>>,
    /// What is needed and written by nobody, sorted, without repeats.
    pub(crate) external: Vec<ExternalTable>,
    /// Tables that several pipelines write, as their own or besides it, with these in the order of their files;
    /// sorted by table.
    pub(crate) contested: Vec<(&'p TableName, Vec<&'p Pipeline>)>,
}

/// The own table of some pipeline.
pub(crate) struct Node<'p> {
    /// The table.
    pub(crate) table: &'p TableName,
    /// The pipelines that write it, sorted by file; more than one is a problem.
    pub(crate) writers: Vec<&'p Pipeline>,
    /// The nodes it needs, with the reasons; it may need itself, which is a problem.
    pub(crate) needs: BTreeMap<NodeId, BTreeSet<Reason>>,
}

impl<'p> DependencyGraph<'p> {
    /// The graph of `pipelines`.
    pub(crate) fn of(pipelines: &'p [Pipeline]) -> Self {
        // By file, so that the first writer, which names the table, is always the same: the catalog of a name
        // is not part of its order.
        let mut sorted: Vec<&Pipeline> = pipelines.iter().collect();
        sorted.sort_by_cached_key(|pipeline| (pipeline.config_path.clone(), pipeline.table.to_string()));
        let mut writers: BTreeMap<&TableName, Vec<&Pipeline>> = BTreeMap::new();
        for pipeline in &sorted {
            writers.entry(&pipeline.table).or_default().push(pipeline);
        }
        let ids: HashMap<&TableName, NodeId> = writers.keys().copied().zip(0..).collect();
        let companions = companions(&sorted, &ids);

        let mut nodes = Vec::with_capacity(writers.len());
        let mut external = BTreeSet::new();
        for (table, writers) in writers {
            let mut needs: BTreeMap<NodeId, BTreeSet<Reason>> = BTreeMap::new();
            let needed_by = |pipeline: &&'p Pipeline| {
                let file = &pipeline.config_path;
                needed_tables(pipeline).map(move |(needed, reason)| (needed, reason, file))
            };
            for (needed, reason, file) in writers.iter().flat_map(needed_by) {
                if let Some(id) = ids.get(needed) {
                    needs.entry(*id).or_default().insert(reason);
                } else if let Some(id) = companions.get(needed) {
                    let (table, reason) = (needed.clone(), Box::new(reason));
                    needs.entry(*id).or_default().insert(Reason::Companion { table, reason });
                } else {
                    let (pipeline, table) = (table.clone(), needed.clone());
                    let config_path = file.clone();
                    external.insert(ExternalTable { pipeline, table, reason, config_path, near: None });
                }
            }
            nodes.push(Node { table, writers, needs });
        }
        Self { nodes, external: external.into_iter().collect(), contested: contested(&sorted) }
    }

    /// For each node the length of the longest chain of dependencies that ends in it: 0 where it needs nothing.
    /// `None` when the graph has a circle.
    pub(crate) fn depths(&self) -> Option<Vec<usize>> {
        let mut needed_by: Vec<Vec<NodeId>> = vec![Vec::new(); self.nodes.len()];
        for (id, node) in self.nodes.iter().enumerate() {
            for needed in node.needs.keys() {
                needed_by.get_mut(*needed)?.push(id);
            }
        }
        // Kahn's algorithm: a node is settled once everything it needs is.
        let mut unsettled_needs: Vec<usize> = self.nodes.iter().map(|node| node.needs.len()).collect();
        let mut depths = vec![0; self.nodes.len()];
        let mut settled: Vec<NodeId> =
            (0..).zip(&self.nodes).filter(|(_, node)| node.needs.is_empty()).map(|(id, _)| id).collect();
        let mut next = 0;
        while let Some(id) = settled.get(next).copied() {
            next += 1;
            let behind = depths.get(id)? + 1;
            for dependent in needed_by.get(id)? {
                let (depth, left) = (depths.get_mut(*dependent)?, unsettled_needs.get_mut(*dependent)?);
                *depth = behind.max(*depth);
                *left -= 1;
                if *left == 0 {
                    settled.push(*dependent);
                }
            }
        }
        (settled.len() == self.nodes.len()).then_some(depths)
    }

    /// Circles such that without their edges no circle is left, no two of them sharing an edge. Each is a path
    /// whose last node is its first, and starts at its smallest node; a node that needs itself is `[id, id]`.
    pub(crate) fn cycles(&self) -> Vec<Vec<NodeId>> {
        let mut cycles: Vec<Vec<NodeId>> = Vec::new();
        for (id, node) in self.nodes.iter().enumerate() {
            if node.needs.contains_key(&id) {
                cycles.push(vec![id, id]);
            }
        }
        let mut graph = self.edges();
        for id in 0..self.nodes.len() {
            graph.remove_edge(id, id);
        }
        let mut regions = vec![graph];
        while let Some(graph) = regions.pop() {
            for component in kosaraju_scc(&graph).into_iter().filter(|component| component.len() > 1) {
                let members: BTreeSet<NodeId> = component.into_iter().collect();
                let mut region = induced(&graph, &members);
                let Some(cycle) = members.first().and_then(|start| shortest_cycle(&region, *start)) else {
                    continue;
                };
                for step in cycle.windows(2) {
                    if let [needing, needed] = step {
                        region.remove_edge(*needed, *needing);
                    }
                }
                cycles.push(cycle);
                regions.push(region);
            }
        }
        cycles.sort();
        cycles
    }

    /// All nodes with their edges, each from the needed node to the one that needs it.
    fn edges(&self) -> DiGraphMap<NodeId, ()> {
        let mut graph = DiGraphMap::new();
        for (id, node) in self.nodes.iter().enumerate() {
            graph.add_node(id);
            for needed in node.needs.keys() {
                graph.add_edge(*needed, id, ());
            }
        }
        graph
    }
}

/// The node behind each table that a pipeline writes besides its own; of several writers the first counts.
fn companions<'p>(
    pipelines: &[&'p Pipeline],
    ids: &HashMap<&'p TableName, NodeId>,
) -> HashMap<&'p TableName, NodeId> {
    let mut companions = HashMap::new();
    for pipeline in pipelines {
        let Some(id) = ids.get(&pipeline.table) else { continue };
        for companion in pipeline.companions() {
            companions.entry(companion).or_insert(*id);
        }
    }
    companions
}

/// See [`DependencyGraph::contested`].
fn contested<'p>(pipelines: &[&'p Pipeline]) -> Vec<(&'p TableName, Vec<&'p Pipeline>)> {
    let mut writers: BTreeMap<&TableName, Vec<&Pipeline>> = BTreeMap::new();
    for pipeline in pipelines {
        let mut own: BTreeSet<&TableName> = pipeline.companions().into_iter().collect();
        own.insert(&pipeline.table);
        for table in own {
            writers.entry(table).or_default().push(pipeline);
        }
    }
    writers.into_iter().filter(|(_, writers)| writers.len() > 1).collect()
}

/// Every table that `pipeline` needs, with the reason; repeats included.
fn needed_tables(pipeline: &Pipeline) -> impl Iterator<Item = (&TableName, Reason)> {
    let sources = pipeline.sources.iter().filter_map(|source| match &source.location {
        SourceLocation::Table(table) => Some((table, Reason::ReadsSource)),
        SourceLocation::DeltaPath(_) | SourceLocation::Files { .. } => None,
    });
    let foreign_keys = match &pipeline.kind {
        TableKind::Fact(fact) => fact.foreign_keys.as_slice(),
        TableKind::Dimension(_) => &[],
    };
    let references = foreign_keys.iter().filter_map(|key| {
        key.references.as_ref().map(|table| (table, Reason::ForeignKey { column: key.column.clone() }))
    });
    let identity_maps = foreign_keys.iter().filter_map(|key| {
        let map = key.lookup.as_ref()?.identity_map.as_ref()?;
        Some((map, Reason::IdentityMap { column: key.column.clone() }))
    });
    let declared = pipeline.depends_on.iter().map(|table| (table, Reason::Declared));
    sources.chain(references).chain(identity_maps).chain(tested_relationships(pipeline)).chain(declared)
}

/// The other tables that `relationships` tests of `pipeline` look into. What it writes itself is there when they do.
fn tested_relationships(pipeline: &Pipeline) -> impl Iterator<Item = (&TableName, Reason)> {
    let mut own: BTreeSet<&TableName> = pipeline.companions().into_iter().collect();
    own.insert(&pipeline.table);
    let tests = pipeline.tests.iter().flat_map(|column| column.tests.iter().map(move |test| (column, test)));
    tests.filter_map(move |(column, test)| match test {
        Test::Relationships { to, .. } if !own.contains(to) => {
            Some((to, Reason::Test { column: column.column.clone() }))
        }
        _ => None,
    })
}

/// `graph` without all nodes but `members`.
fn induced(graph: &DiGraphMap<NodeId, ()>, members: &BTreeSet<NodeId>) -> DiGraphMap<NodeId, ()> {
    let inside = graph.all_edges().filter(|(from, to, ())| members.contains(from) && members.contains(to));
    inside.map(|(from, to, ())| (from, to)).collect()
}

/// A shortest circle through `start`, from each node to one it needs; among several the one with the smallest
/// nodes.
fn shortest_cycle(graph: &DiGraphMap<NodeId, ()>, start: NodeId) -> Option<Vec<NodeId>> {
    let mut reached_from: HashMap<NodeId, NodeId> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        let needed: BTreeSet<NodeId> =
            graph.neighbors_directed(node, petgraph::Direction::Incoming).collect();
        for next in needed {
            if next == start {
                let mut path = vec![start, node];
                while let Some(previous) = path.last().and_then(|last| reached_from.get(last)) {
                    path.push(*previous);
                }
                path.reverse();
                return Some(path);
            }
            if let std::collections::hash_map::Entry::Vacant(vacant) = reached_from.entry(next) {
                vacant.insert(node);
                queue.push_back(next);
            }
        }
    }
    None
}
