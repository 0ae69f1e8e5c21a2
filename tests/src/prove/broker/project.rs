//! The project of a round: its dimensions and facts as a user would write them.

use std::fmt::Write;

use super::round::{DIMENSIONS, Dimension, Early, Fact, ForeignKey, KeyStrategy, Round};

pub(super) const MEMBERS: &str = "silver.members";
pub(super) const EVENTS: &str = "silver.events";
pub(super) const MEMBER_COLUMNS: &str =
    "id bigint, code string, region string, no bigint, eff timestamp, v string, u string";
pub(super) const EVENT_COLUMNS: &str = "event_id bigint, kind string, amount bigint, \
     a_id bigint, a_code string, a_area string, a_num bigint, a_at timestamp, \
     b_id bigint, b_code string, b_area string, b_num bigint, b_at timestamp";
const SIDES: [&str; 2] = ["a", "b"];

/// The pipelines of a round: file name and text.
pub(super) fn pipelines(round: &Round) -> Vec<(String, String)> {
    let referenced = |dimension: &Dimension| {
        round.facts.iter().any(|fact| fact.keys.iter().any(|key| key.dimension == *dimension))
    };
    let dimensions = DIMENSIONS.iter().filter(|dimension| referenced(dimension));
    let mut all: Vec<(String, String)> = dimensions
        .map(|dimension| (format!("{}.yml", dimension.name()), dimension.config(round.keys)))
        .collect();
    let mut before: Option<&Fact> = None;
    for fact in &round.facts {
        all.push((format!("fact_{}.yml", fact.number), fact.config(before)));
        before = Some(fact);
    }
    all
}

impl Dimension {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Overwritten => "overwritten",
            Self::History => "history",
            Self::Durable => "durable",
            Self::Composite => "composite",
        }
    }

    pub(super) fn table(self) -> String {
        format!("gold.dim_{}", self.name())
    }

    pub(super) fn is_history(self) -> bool {
        self != Self::Overwritten
    }

    /// The natural key.
    pub(super) fn natural_key(self) -> &'static [&'static str] {
        match self {
            Self::Overwritten => &["id"],
            Self::History | Self::Durable => &["code"],
            Self::Composite => &["region", "no"],
        }
    }

    /// The columns of a fact's source that hold the natural key of one side, without the side.
    fn renamed(self) -> &'static [&'static str] {
        match self {
            Self::Overwritten => &["id"],
            Self::History | Self::Durable => &["code"],
            Self::Composite => &["area", "num"],
        }
    }

    fn config(self, keys: KeyStrategy) -> String {
        let (scd_type, durable) = match self {
            Self::Overwritten => (1, ""),
            Self::Durable => (7, ", durable_key: dk"),
            Self::History | Self::Composite => (2, ""),
        };
        let natural_key = self.natural_key().join(", ");
        let mut text = format!(
            "table_name: {}\ntable_type: dimension\nscd_type: {scd_type}\n\
             keys: {{surrogate_key: sk, natural_keys: [{natural_key}]{durable}}}\n\
             sources: [{{name: {MEMBERS}, starting_version: 1}}]\n",
            self.table()
        );
        if self.is_history() {
            text.push_str("effective_at: eff\ntrack_history_columns: [v]\n");
        }
        if keys == KeyStrategy::Sequence && self != Self::Durable {
            text.push_str("surrogate_key_strategy: sequence\n");
        }
        text
    }
}

impl Fact {
    pub(super) fn table(&self) -> String {
        format!("gold.fact_{}", self.number)
    }

    /// Facts run one after another, so that each finds the members that those before it inferred.
    fn config(&self, before: Option<&Self>) -> String {
        let mut text = format!(
            "table_name: {}\ntable_type: fact\nmerge_keys: [event_id]\nsources: [{{name: {EVENTS}}}]\n",
            self.table()
        );
        if let Some(before) = before {
            let _ = writeln!(text, "depends_on: [{}]", before.table());
        }
        text.push_str("foreign_keys:\n");
        for key in &self.keys {
            text.push_str(&key.config());
        }
        text
    }
}

impl ForeignKey {
    pub(super) fn column(&self) -> String {
        format!("key_{}", self.number)
    }

    pub(super) fn durable_column(&self) -> String {
        format!("durable_{}", self.number)
    }

    fn config(&self) -> String {
        let side = SIDES.get(self.side).copied().unwrap_or_default();
        let identity: Vec<String> =
            self.dimension.renamed().iter().map(|column| format!("{side}_{column}")).collect();
        let mut text = format!(
            "  - column: {column}\n    references: {}\n    dimension_key: sk\n    role: {column}\n",
            self.dimension.table(),
            column = self.column()
        );
        if self.durable {
            let _ = writeln!(
                text,
                "    relationship: type7\n    durable_column: {}\n    durable_dimension_key: dk",
                self.durable_column()
            );
        }
        if self.restates {
            text.push_str("    restate_on_late_dimension: true\n");
        }
        let early = match self.early {
            Early::Skeleton => "skeleton",
            Early::Default => "default",
        };
        let _ = writeln!(
            text,
            "    lookup:\n      source_columns: [{}]\n      dimension_columns: [{}]\n      early_arriving: {early}\n      \
             invalid_action: default",
            identity.join(", "),
            self.dimension.natural_key().join(", ")
        );
        if let Some(event) = self.event {
            let _ = writeln!(text, "      event_time: {}_at", SIDES.get(event).copied().unwrap_or_default());
        }
        if self.guarded {
            text.push_str("      not_applicable_when: kind = 'cash'\n");
        }
        text
    }
}
