//! One allowance of retries that several layers draw on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A number of retries shared by every layer that holds a clone.
///
/// Without it a retry of the run, times a retry of the pipeline, times a retry of the commit becomes a
/// product; with it the sum over all layers is bounded, whatever they decide by themselves.
#[derive(Debug, Clone)]
pub struct RetryBudget {
    left: Arc<AtomicU32>,
}

/// Retries of a whole run, over all layers and pipelines, where nobody says otherwise.
const RUN_RETRIES: u32 = 100_000;

/// What a run gets that asks for nothing else: 100,000 retries.
impl Default for RetryBudget {
    fn default() -> Self {
        Self::new(RUN_RETRIES)
    }
}

impl RetryBudget {
    /// A budget of `retries`; zero means that nothing is ever retried.
    pub fn new(retries: u32) -> Self {
        Self { left: Arc::new(AtomicU32::new(retries)) }
    }

    /// Takes one retry out of the budget; `false`, and nothing taken, when it is empty.
    #[must_use = "a retry that was not granted must not be made"]
    pub fn try_spend(&self) -> bool {
        // The count orders nothing else in memory, so relaxed is enough.
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    /// Retries that are left.
    pub fn remaining(&self) -> u32 {
        self.left.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::RetryBudget;

    #[test]
    fn a_budget_of_two_grants_two_retries_and_no_third() {
        let budget = RetryBudget::new(2);
        assert!(budget.try_spend());
        assert!(budget.try_spend());
        assert!(!budget.try_spend());
        assert_eq!(budget.remaining(), 0);
    }

    #[test]
    fn clones_draw_on_the_same_budget() {
        let budget = RetryBudget::new(1);
        let inner_layer = budget.clone();
        assert!(inner_layer.try_spend());
        assert!(!budget.try_spend());
    }

    #[test]
    fn threads_together_never_get_more_than_the_budget() {
        let budget = RetryBudget::new(100);
        let granted: usize = thread::scope(|scope| {
            let workers: Vec<_> = (0..8)
                .map(|_| {
                    let budget = budget.clone();
                    scope.spawn(move || (0..50).filter(|_| budget.try_spend()).count())
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap_or(usize::MAX)).sum()
        });
        assert_eq!(granted, 100);
    }
}
