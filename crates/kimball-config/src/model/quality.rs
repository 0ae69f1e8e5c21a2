//! What is promised of sources and what is done to personal columns.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::Severity;

/// What the supplier of a source promises; checked on the rows that a batch reads, before its commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Contract {
    /// Its name.
    pub id: String,
    /// Its version, as written.
    pub version: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// What the source may have besides the columns of the contract.
    pub compatibility: Compatibility,
    /// The promised columns.
    pub columns: Vec<ContractColumn>,
    /// Whether the source has to have a change feed.
    pub cdc_required: bool,
    /// The columns that identify a row of the source.
    pub primary_key: Vec<String>,
    /// How old the newest commit of the source may be.
    pub max_age: Option<Duration>,
    /// Rules for rows.
    pub rules: Vec<ContractRule>,
    /// Rules for the times of events.
    pub temporal: Option<TemporalRule>,
    /// Which of the rows are looked at.
    pub validation: Validation,
}

/// What a source may have besides the columns of its contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compatibility {
    /// More columns, as long as they may be NULL.
    NullableAdditions,
    /// Nothing.
    Strict,
}

/// A promised column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractColumn {
    /// Its name.
    pub name: String,
    /// Its SQL type in one of the usual spellings, in lower case.
    pub type_name: String,
    /// Whether it may be NULL.
    pub nullable: bool,
}

/// A rule for rows.
#[derive(Debug, Clone, PartialEq)]
pub struct ContractRule {
    /// Its name, for events.
    pub name: String,
    /// What has to hold.
    pub check: RuleCheck,
    /// What a failure means; never [`Severity::Skip`].
    pub severity: Severity,
}

/// What has to hold of rows.
#[derive(Debug, Clone, PartialEq)]
pub enum RuleCheck {
    /// No value of the column is NULL.
    NotNull(String),
    /// No combination of these columns is there twice; one with a NULL counts as none.
    Unique(Vec<String>),
    /// At most this share (0 to 1) of the values is NULL.
    NullRate {
        /// The column.
        column: String,
        /// The share.
        max_ratio: f64,
    },
    /// Every value but NULL is one of these, as written.
    AcceptedValues {
        /// The column.
        column: String,
        /// The values.
        values: Vec<String>,
    },
    /// This boolean SQL expression over the row is true or NULL.
    Expression(String),
}

/// Rules for the times of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemporalRule {
    /// When an event happened.
    pub event_time_column: String,
    /// How long before the run an event may have happened, if there is such a limit.
    pub allowed_lateness: Option<Duration>,
    /// What a later one means.
    pub late: Severity,
    /// What an event means that happened before one of the same key that was committed earlier.
    pub out_of_order: Severity,
}

/// Which rows are looked at, and how many are shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Validation {
    /// Which rows.
    pub mode: ValidationMode,
    /// Failing rows that an event shows, at most.
    pub failure_samples: usize,
}

/// Which rows are looked at.
#[derive(Debug, Clone, PartialEq)]
pub enum ValidationMode {
    /// All that the batch reads.
    Full,
    /// All; distinct values are counted with an error of a few per cent.
    Approximate,
    /// A share of them, the same ones for the same seed.
    Sampled {
        /// The share, above 0 and at most 1.
        fraction: f64,
        /// What decides which.
        seed: i64,
        /// So many and no more.
        most: Option<u64>,
    },
}

impl Default for Validation {
    fn default() -> Self {
        Self { mode: ValidationMode::Full, failure_samples: 5 }
    }
}

/// A column with personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PiiColumn {
    /// A column of the query's output.
    pub column: String,
    /// What becomes of its values.
    pub protection: Protection,
}

/// What becomes of the values of a personal column, before anything else sees them. NULL stays NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protection {
    /// Their HMAC-SHA-256 in lower-case hex, which only the holder of the secret can compute.
    Tokenize {
        /// The key.
        secret: SecretReference,
    },
    /// Their `xxhash64`: fast, and no protection against trying values.
    FastHash,
    /// Their first characters and ten mask characters.
    Mask {
        /// How many characters stay.
        reveal_prefix: usize,
        /// What stands for the rest.
        mask_char: char,
    },
    /// NULL.
    Null,
    /// The column goes.
    Drop,
}

/// A secret by its name, `env://NAME`, with its value where the environment has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretReference {
    /// The environment variable.
    pub name: String,
    /// What it holds.
    pub value: Option<Secret>,
}

/// A value that is never shown.
#[derive(Clone)]
pub struct Secret(Arc<SecretString>);

impl Secret {
    /// Keeps `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(Arc::new(SecretString::from(value.into())))
    }

    /// The value, for what needs it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

/// The table of rows that wait for a member, where a file does not say.
pub(crate) const UNRESOLVED_KEYS: &str = "etl_unresolved_dimension_keys";

/// Where findings about data and rows that wait are kept, and who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observability {
    /// Whether findings are kept at all.
    pub enabled: bool,
    /// The table of findings, in the ETL schema or with a schema of its own.
    pub event_table: String,
    /// The table of the newest event of each key.
    pub temporal_state_table: String,
    /// The table of rows whose foreign keys wait for a member. Unlike the two others, it decides what later loads do.
    pub unresolved_key_table: String,
    /// What it means when the first two cannot be written; never [`Severity::Skip`].
    pub write_failure: Severity,
    /// The environment variable with the URL that is told of failed checks.
    pub webhook: SecretReference,
    /// Which failures it is told of.
    pub alert_on: Vec<Severity>,
}

impl Default for Observability {
    fn default() -> Self {
        Self {
            enabled: true,
            event_table: "etl_data_quality_events".to_owned(),
            temporal_state_table: "etl_contract_temporal_state".to_owned(),
            unresolved_key_table: UNRESOLVED_KEYS.to_owned(),
            write_failure: Severity::Warn,
            webhook: SecretReference { name: "KIMBALL_ALERT_WEBHOOK_URL".to_owned(), value: None },
            alert_on: vec![Severity::Error],
        }
    }
}

impl SecretReference {
    /// A fingerprint of the secret, 63 bits, which tells whether it is the one that `column` of a table was loaded with;
    /// `None` where the environment has none. It is another one for each column. Guesses of a secret can be tried by it:
    /// a secret has to be one that nobody guesses.
    pub fn fingerprint(&self, column: &str) -> Option<u64> {
        let secret = self.value.as_ref()?;
        let salted = Sha256::new().chain_update("kimball:secret:").chain_update(column).chain_update("\0");
        let digest = salted.chain_update(secret.expose()).finalize();
        Some(digest.iter().take(8).fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte)) >> 1)
    }

    /// Takes the value from an environment, if that has one that is not empty.
    pub(crate) fn resolve(&mut self, environment: &BTreeMap<String, String>) {
        self.value = environment.get(&self.name).filter(|value| !value.is_empty()).map(Secret::new);
    }
}

#[cfg(test)]
mod tests {
    use super::{Secret, SecretReference};

    #[test]
    fn a_secret_is_never_shown() {
        let reference = SecretReference { name: "KEY".to_owned(), value: Some(Secret::new("hunter2")) };
        assert!(!format!("{reference:?} {reference:#?}").contains("hunter2"));
    }

    #[test]
    fn a_fingerprint_follows_the_secret_and_not_its_name() {
        let of = |name: &str, value: Option<&str>| {
            SecretReference { name: name.to_owned(), value: value.map(Secret::new) }
                .fingerprint("gold.dim#email")
        };
        assert_eq!(of("A", Some("hunter2")), of("B", Some("hunter2")));
        assert_ne!(of("A", Some("hunter2")), of("A", Some("hunter3")));
        assert_eq!(of("A", None), None);
    }
}
