//! The ETL control table: what every batch did, who may write a table, and what became of batches whose
//! process died.
//!
//! Nothing here decides whether rows were loaded: that stands in each target's own log. `etl_control` is a
//! projection of it for people and monitors, and `etl_leases` keeps two writers of one table apart
//! (semantics 9).

mod alerts;
mod batch;
mod committer;
mod compaction;
mod error;
mod etl_table;
mod lease;
mod newest_events;
mod owner;
mod quality_events;
mod repeats;
mod row;
mod store;
mod unsuccessful;

pub use alerts::{Alert, AlertCause, Limits, alerts};
pub use batch::{BatchState, BatchStatus, IllegalTransition, Transition};
pub use error::ControlError;
pub use lease::{Lease, LeaseAttempt, Leases};
pub use newest_events::NewestEventStore;
pub use owner::{Liveness, Owner};
pub use quality_events::{QualityEvent, QualityEventStore};
pub use repeats::RepeatStore;
pub use row::ControlRow;
pub use store::{BatchEnd, BatchStart, ControlStore, RunningBatch, SourceProgress};
pub use unsuccessful::Unsuccessful;
