//! What went wrong, what to do about it, and how long to wait before doing it again.
//!
//! Every layer of the engine has its own error type; all of them answer one question in the same words,
//! [`Classify::kind`]. A [`FaultKind`] prescribes an [`Action`], a [`RetryPolicy`] turns a number of failed
//! attempts into a delay, and a [`RetryBudget`] keeps nested layers from multiplying their retries.
//!
//! This crate does no I/O and never sleeps: who runs the loop also owns the clock.
//!
//! ```
//! use std::time::Duration;
//! use kimball_retry::{FaultKind, RetryPolicy};
//!
//! let policy = RetryPolicy::new(3, Duration::from_secs(30));
//! assert_eq!(policy.retry_after(FaultKind::Conflict, 1), Some(Duration::from_secs(30)));
//! assert_eq!(policy.retry_after(FaultKind::Conflict, 3), Some(Duration::from_secs(120)));
//! assert_eq!(policy.retry_after(FaultKind::Conflict, 4), None);
//! assert_eq!(policy.retry_after(FaultKind::Sql, 1), None);
//! ```

mod budget;
mod fault;
mod policy;

pub use budget::RetryBudget;
pub use fault::{Action, Classify, FaultKind};
pub use policy::{Jitter, RetryPolicy};
