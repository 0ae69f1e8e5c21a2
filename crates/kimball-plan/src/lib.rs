//! Which pipeline runs when: the dependency graph of a project and the waves it falls into.
//!
//! A pipeline needs another when it reads a table the other writes (its own, its history table, or one of its
//! mini-dimensions or junk dimensions), when one of its foreign keys points at it or has it as its identity map,
//! when one of its tests looks into it, or when its `depends_on` names it. [`Plan::of`] puts every pipeline into the
//! first [`Wave`] it can stand in, so that all pipelines of a wave may run side by side once the waves before it are done, and there are as
//! few waves as the longest chain of dependencies demands. "Dimensions before the facts that reference them"
//! is not a rule of its own: it follows from the foreign keys.
//!
//! The plan of a set of pipelines does not depend on the order in which they are given. Nothing here does I/O:
//! whether a table exists that no pipeline writes is for the caller to find out (see [`Plan::external`]).

mod diff;
#[cfg(test)]
mod fixture;
mod graph;
mod label;
mod manifest;
mod picture;
mod plan;
mod problem;
mod reason;

pub use diff::{AspectChange, ChangeKind, PipelineChange, PlanChanges};
pub use manifest::{MANIFEST_VERSION, Manifest, ManifestPipeline};
pub use plan::{Plan, PlannedPipeline, Wave};
pub use problem::{PlanProblem, PlanWarning};
pub use reason::{Dependency, ExternalTable, Place, Reason};
