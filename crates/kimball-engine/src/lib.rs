//! The Kimball engine.
//!
//! A batch flows through it in one direction: pinned sources are *staged* through the pipeline's query, staged
//! rows are *matched* with the target's, and the *merge* turns them into a [`ChangeSet`]: files to add and
//! rows to take out, for one commit. The engine writes no control row, knows no waves, and neither sleeps nor
//! retries.

mod blame;
mod bounds;
mod columns;
mod companion;
mod contract;
mod dimension;
mod error;
mod explanation;
mod fact;
mod finding;
mod first_load;
mod foresight;
mod gates;
mod held;
pub mod history;
mod inferred;
mod key_hashes;
mod keys;
mod layout;
mod load;
mod merge;
mod nulls;
mod passing;
mod progress;
mod quality;
mod scanned;
mod scarce_joins;
mod session;
mod source;
mod spans;
mod spark;
mod stage;
mod target;
mod upsert;

pub use contract::{Upheld, newest_event_schema};
pub use error::EngineError;
pub use explanation::{QueryProblem, explained_at_the_terminal};
pub use fact::{EarlyMembers, Evidence, EvidenceChange, JunkMerge, Rekeyed, Waiting, unresolved_schema};
pub use finding::{Category, Finding, Findings};
pub use foresight::Foresight;
pub use held::defaults_id;
pub use keys::{key_hash, row_hash};
pub use layout::sql_name;
pub use load::{Batch, MergeTarget, StagedBatch};
pub use merge::{ChangeSet, RowCounts};
pub use progress::{Phase, Progress};
pub use session::EngineRuntime;
pub use source::{PinnedRows, PinnedSource, Reading};
pub use spark::{SparkPlanner, settle_spellings};
pub use stage::{Affected, Approach, Refresh, Relation, WholeReason, tie_names};
