//! Pipelines for the tests of this crate.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use kimball_config::{
    CdcStrategy, ColumnTest, DeleteStrategy, Dimension, EarlyArriving, Fact, FactLoading, FactPattern,
    FieldHistory, ForeignKey, InvalidAction, JunkDimension, KeyStrategy, Lookup, MergeStrategy,
    MiniDimension, MissingRows, NullPolicy, Observability, Pipeline, Scd, Severity, Source, SourceLocation,
    TableKind, TableName, Test, TrackedColumns,
};

/// The name `text`.
pub(crate) fn name(text: &str) -> TableName {
    TableName::parse(text).unwrap()
}

/// The names, as a plan lists them.
pub(crate) fn names(texts: &[&str]) -> Vec<TableName> {
    texts.iter().map(|text| name(text)).collect()
}

/// A dimension that needs nothing; its file is `configs/<table>.yml`.
pub(crate) fn dimension(table: &str) -> Pipeline {
    pipeline(
        table,
        TableKind::Dimension(Dimension {
            scd: Scd::Type1,
            surrogate_key: "sk".to_owned(),
            key_strategy: KeyStrategy::Hash,
            natural_keys: vec!["id".to_owned()],
            mini_dimensions: Vec::new(),
            default_rows: BTreeMap::new(),
            member_labels: BTreeMap::new(),
        }),
    )
}

/// A fact that needs nothing; its file is `configs/<table>.yml`.
pub(crate) fn fact(table: &str) -> Pipeline {
    pipeline(
        table,
        TableKind::Fact(Fact {
            merge_keys: vec!["id".to_owned()],
            loading: FactLoading::Upsert,
            partition_by: Vec::new(),
            pattern: FactPattern::Transaction,
            measures: Vec::new(),
            degenerate_dimensions: Vec::new(),
            junk_dimensions: Vec::new(),
            foreign_keys: Vec::new(),
            grain_validation: Severity::Error,
        }),
    )
}

fn pipeline(table: &str, kind: TableKind) -> Pipeline {
    let table = name(table);
    Pipeline {
        config_path: format!("configs/{}.yml", table.table()).into(),
        table,
        kind,
        sources: Vec::new(),
        transformation: None,
        depends_on: Vec::new(),
        delete_strategy: DeleteStrategy::Soft,
        missing: MissingRows { close: false, allow_full_close: false, max_close_ratio: None },
        null_policy: NullPolicy::Legacy,
        schema_evolution: false,
        merge_strategy: MergeStrategy::default(),
        optimize_after_merge: false,
        cluster_by: Vec::new(),
        description: None,
        column_descriptions: BTreeMap::new(),
        tests: Vec::new(),
        tags: Vec::new(),
        pii: Vec::new(),
        observability: Observability::default(),
        notes: Vec::new(),
        fingerprint: 0,
    }
}

/// What a pipeline of a test needs.
pub(crate) trait Needs {
    /// Reads `table` as a source.
    fn reads(self, table: &str) -> Self;
    /// Reads a source that lies at `location`.
    fn reads_from(self, location: SourceLocation) -> Self;
    /// Has the foreign key `column`, which points at `table`.
    fn references(self, column: &str, table: &str) -> Self;
    /// Has the foreign key `column`, which points at `table` and resolves identities through `map`.
    fn references_through(self, column: &str, table: &str, map: &str) -> Self;
    /// Tests that every value of `column` is in `table`.
    fn tests(self, column: &str, table: &str) -> Self;
    /// Names `table` in `depends_on`.
    fn depends_on(self, table: &str) -> Self;
    /// Comes from the file `path`.
    fn in_file(self, path: &str) -> Self;
    /// Is a type 4 dimension that writes the history table `table`.
    fn with_history(self, table: &str) -> Self;
    /// Writes the mini-dimension `table`.
    fn with_mini(self, table: &str) -> Self;
    /// Is a fact that writes the junk dimension `table`.
    fn with_junk(self, table: &str) -> Self;
}

impl Needs for Pipeline {
    fn reads(self, table: &str) -> Self {
        self.reads_from(SourceLocation::Table(name(table)))
    }

    fn reads_from(mut self, location: SourceLocation) -> Self {
        self.sources.push(Source {
            name: "source".to_owned(),
            alias: format!("s{}", self.sources.len()),
            location,
            strategy: CdcStrategy::Full,
            primary_keys: Vec::new(),
            starting_version: None,
            starting_timestamp: None,
            contract: None,
        });
        self
    }

    fn references(mut self, column: &str, table: &str) -> Self {
        if let TableKind::Fact(fact) = &mut self.kind {
            fact.foreign_keys.push(ForeignKey {
                column: column.to_owned(),
                references: Some(name(table)),
                dimension_key: None,
                durable: None,
                restate_on_late_dimension: false,
                lookup: None,
            });
        }
        self
    }

    fn references_through(self, column: &str, table: &str, map: &str) -> Self {
        let mut pipeline = self.references(column, table);
        if let TableKind::Fact(fact) = &mut pipeline.kind
            && let Some(key) = fact.foreign_keys.last_mut()
        {
            key.lookup = Some(Lookup {
                source_columns: vec!["id".to_owned()],
                dimension_columns: vec!["id".to_owned()],
                event_time: Some("at".to_owned()),
                identity_map: Some(name(map)),
                not_applicable_when: None,
                invalid_action: InvalidAction::Error,
                early_arriving: EarlyArriving::Default,
                detect_fanout: true,
                validate_resolution: false,
            });
        }
        pipeline
    }

    fn tests(mut self, column: &str, table: &str) -> Self {
        self.tests.push(ColumnTest {
            column: column.to_owned(),
            tests: vec![Test::NotNull, Test::Relationships { to: name(table), field: "id".to_owned() }],
            severity: Severity::Error,
        });
        self
    }

    fn depends_on(mut self, table: &str) -> Self {
        self.depends_on.push(name(table));
        self
    }

    fn in_file(mut self, path: &str) -> Self {
        self.config_path = path.into();
        self
    }

    fn with_history(mut self, table: &str) -> Self {
        if let TableKind::Dimension(dimension) = &mut self.kind {
            let history =
                FieldHistory { table: name(table), effective_at: None, tracked: TrackedColumns::All };
            dimension.scd = Scd::Type4 { history: Some(history) };
        }
        self
    }

    fn with_mini(mut self, table: &str) -> Self {
        if let TableKind::Dimension(dimension) = &mut self.kind {
            dimension.mini_dimensions.push(MiniDimension {
                table: name(table),
                surrogate_key: "mini_sk".to_owned(),
                columns: vec!["band".to_owned()],
            });
        }
        self
    }

    fn with_junk(mut self, table: &str) -> Self {
        if let TableKind::Fact(fact) = &mut self.kind {
            fact.junk_dimensions.push(JunkDimension {
                table: name(table),
                surrogate_key: "junk_sk".to_owned(),
                columns: vec!["flag".to_owned()],
            });
        }
        self
    }
}
