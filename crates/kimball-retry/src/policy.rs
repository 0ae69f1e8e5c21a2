//! How often to try again, and after how long.

use std::time::Duration;

use crate::FaultKind;

/// How many retries there are and how the delay before each grows.
///
/// The delay before retry `n` (from 1) is `backoff * multiplier^(n-1)`, at most `max`: 30 s, 60 s, 120 s …
/// by default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Retries after the first attempt; 0 means one attempt and no more.
    pub max_retries: u32,
    /// The delay before the first retry.
    pub backoff: Duration,
    /// The factor from one delay to the next; 1 keeps it constant.
    pub multiplier: u32,
    /// The longest delay, before and after jitter.
    pub max: Duration,
    /// Whether delays are spread, so that losers of one conflict do not meet again.
    pub jitter: Jitter,
}

/// How delays are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jitter {
    /// Every delay is exactly the scheduled one.
    None,
    /// Every delay is uniform between zero and the scheduled one. The seed is the caller's, so that a
    /// schedule can be repeated; give each pipeline a seed of its own.
    Full {
        /// Where the pseudo-random sequence starts.
        seed: u64,
    },
}

/// The delay before the first retry where nobody says otherwise.
const DEFAULT_BACKOFF: Duration = Duration::from_secs(30);

/// The longest delay where nobody says otherwise.
const DEFAULT_MAX: Duration = Duration::from_secs(3600);

impl RetryPolicy {
    /// `max_retries` retries, the first after `backoff`, each delay twice the one before, without jitter
    /// and never longer than an hour (or `backoff`, when that is longer).
    pub fn new(max_retries: u32, backoff: Duration) -> Self {
        Self { max_retries, backoff, multiplier: 2, max: DEFAULT_MAX.max(backoff), jitter: Jitter::None }
    }

    /// One attempt, no retry.
    pub fn never() -> Self {
        Self::new(0, DEFAULT_BACKOFF)
    }

    /// The same policy with its delays spread.
    #[must_use]
    pub fn with_jitter(self, jitter: Jitter) -> Self {
        Self { jitter, ..self }
    }

    /// The same policy for one of several that share it: where delays are spread, `name` spreads them in its own way,
    /// so that pipelines that failed together do not meet again.
    #[must_use]
    pub fn of_one(&self, name: &str) -> Self {
        let jitter = match self.jitter {
            Jitter::None => Jitter::None,
            Jitter::Full { seed } => Jitter::Full {
                seed: name.bytes().fold(seed, |mixed, byte| split_mix(mixed ^ u64::from(byte), 1)),
            },
        };
        Self { jitter, ..self.clone() }
    }

    /// The delay after the `attempt`-th failed attempt, counted from 1 (0 counts as 1). It saturates at
    /// `max` however large `attempt` is, and says nothing about whether a retry is due: see
    /// [`retry_after`](Self::retry_after).
    pub fn delay(&self, attempt: u32) -> Duration {
        let factor = self.multiplier.saturating_pow(attempt.saturating_sub(1));
        let scheduled = self.backoff.saturating_mul(factor).min(self.max);
        match self.jitter {
            Jitter::None => scheduled,
            Jitter::Full { seed } => scale(scheduled, split_mix(seed, attempt.max(1))),
        }
    }

    /// How long to wait before the next attempt after `attempt` attempts (from 1) failed, the last of
    /// them with `kind`; `None` when there is to be no further one.
    pub fn retry_after(&self, kind: FaultKind, attempt: u32) -> Option<Duration> {
        (kind.is_retriable() && attempt <= self.max_retries).then(|| self.delay(attempt))
    }
}

/// Three retries after 30, 60 and 120 seconds.
impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new(3, DEFAULT_BACKOFF)
    }
}

/// The `index`-th value of the SplitMix64 sequence that starts at `seed`.
fn split_mix(seed: u64, index: u32) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(u64::from(index)));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// `whole * fraction / 2^64`, to the nanosecond below.
fn scale(whole: Duration, fraction: u64) -> Duration {
    // A duration of more than 2^64 ns (584 years) is cut; no delay is that long.
    let nanos = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
    let scaled = (u128::from(nanos) * u128::from(fraction)) >> 64;
    Duration::from_nanos(u64::try_from(scaled).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Jitter, RetryPolicy};
    use crate::FaultKind;

    fn seconds(policy: &RetryPolicy, attempts: std::ops::RangeInclusive<u32>) -> Vec<u64> {
        attempts.map(|attempt| policy.delay(attempt).as_secs()).collect()
    }

    #[test]
    fn delays_are_30_60_and_120_seconds_by_default() {
        assert_eq!(seconds(&RetryPolicy::default(), 1..=3), [30, 60, 120]);
    }

    #[test]
    fn a_delay_never_passes_the_maximum_however_many_attempts_failed() {
        let policy = RetryPolicy { max: Duration::from_secs(100), ..RetryPolicy::default() };
        assert_eq!(seconds(&policy, 1..=4), [30, 60, 100, 100]);
        assert_eq!(policy.delay(u32::MAX), Duration::from_secs(100));
    }

    #[test]
    fn a_delay_saturates_instead_of_overflowing() {
        let policy = RetryPolicy { max: Duration::MAX, ..RetryPolicy::new(3, Duration::MAX) };
        assert_eq!(policy.delay(u32::MAX), Duration::MAX);
    }

    #[test]
    fn a_back_off_longer_than_an_hour_is_kept() {
        assert_eq!(RetryPolicy::new(1, Duration::from_secs(7200)).delay(1), Duration::from_secs(7200));
    }

    #[test]
    fn a_zero_back_off_never_waits() {
        assert_eq!(RetryPolicy::new(5, Duration::ZERO).delay(4), Duration::ZERO);
    }

    #[test]
    fn retries_end_after_max_retries() {
        let policy = RetryPolicy::new(2, Duration::from_secs(1));
        let delays: Vec<_> = (1..=3).map(|attempt| policy.retry_after(FaultKind::Busy, attempt)).collect();
        assert_eq!(delays, [Some(Duration::from_secs(1)), Some(Duration::from_secs(2)), None]);
    }

    #[test]
    fn what_is_not_retriable_is_not_retried() {
        let policy = RetryPolicy::default();
        for kind in FaultKind::ALL.into_iter().filter(|kind| !kind.is_retriable()) {
            assert_eq!(policy.retry_after(kind, 1), None, "{kind}");
        }
    }

    #[test]
    fn the_policy_that_never_retries_grants_no_retry() {
        assert_eq!(RetryPolicy::never().retry_after(FaultKind::Transient, 1), None);
    }

    #[test]
    fn full_jitter_stays_within_the_schedule_and_spreads_over_it() {
        let scheduled = RetryPolicy::default();
        let (mut low, mut high) = (0, 0);
        for seed in 0..1_000 {
            let spread = RetryPolicy::default().with_jitter(Jitter::Full { seed });
            let delay = spread.delay(2);
            assert!(delay <= scheduled.delay(2), "{delay:?}");
            if delay < scheduled.delay(2) / 2 { low += 1 } else { high += 1 }
        }
        assert!((400..=600).contains(&low) && (400..=600).contains(&high), "{low} below half, {high} above");
    }

    #[test]
    fn those_who_share_a_policy_wait_each_in_their_own_way() {
        let shared = RetryPolicy::default().with_jitter(Jitter::Full { seed: 7 });
        let (first, second) = (shared.of_one("gold.a"), shared.of_one("gold.b"));
        assert_ne!(first.delay(1), second.delay(1));
        assert_eq!(first.delay(1), shared.of_one("gold.a").delay(1));
        assert_eq!(RetryPolicy::default().of_one("gold.a"), RetryPolicy::default());
    }

    #[test]
    fn the_same_seed_gives_the_same_delays_and_attempts_differ() {
        let policy = RetryPolicy::default().with_jitter(Jitter::Full { seed: 7 });
        assert_eq!(policy.delay(1), policy.clone().delay(1));
        let shares: Vec<_> = (1..=3).map(|n| policy.delay(n).as_secs_f64() / 30.0).collect();
        assert!(shares.windows(2).all(|pair| pair[0] != pair[1]), "{shares:?}");
    }
}
