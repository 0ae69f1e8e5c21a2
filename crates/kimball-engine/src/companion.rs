//! Tables that a dimension writes besides its own: mini-dimensions before it, as their keys stand on its rows,
//! and the history table of type 4 after it, as its rows hold keys of the dimension.

use arrow::datatypes::{DataType, Schema, SchemaRef};
use kimball_config::{
    Dimension, FieldHistory, KeyStrategy, MiniDimension, MissingRows, NullPolicy, Pipeline, Scd, TableKind,
};
use kimball_lake::{LakeTable, LiveRows, read_type};

use crate::columns::{IS_DELETED, OP, TIME, VERSION, instant_sql, listed};
use crate::dimension::{FieldHistoryMerge, field_history_schema, loaded_rows};
use crate::layout::{Layout, sql_name};
use crate::merge::{ChangeSet, Collector};
use crate::session::query;
use crate::stage::{Absent, Arrival, Numbering, Spool, Staged};
use crate::{Batch, EngineError, Refresh, StagedBatch};

impl Batch<'_> {
    /// A mini-dimension as a pipeline of its own: one of type 1 whose natural key are its columns.
    pub fn mini_pipeline(&self, mini: &MiniDimension) -> Option<Pipeline> {
        let TableKind::Dimension(dimension) = &self.pipeline.kind else { return None };
        let own = |column: &String| mini.columns.contains(column);
        let default_rows = dimension.default_rows.iter().filter(|(column, _)| own(column));
        let kind = TableKind::Dimension(Dimension {
            scd: Scd::Type1,
            surrogate_key: mini.surrogate_key.clone(),
            key_strategy: KeyStrategy::Hash,
            natural_keys: mini.columns.clone(),
            mini_dimensions: Vec::new(),
            default_rows: default_rows.map(|(column, value)| (column.clone(), value.clone())).collect(),
            member_labels: dimension.member_labels.clone(),
        });
        Some(Pipeline {
            table: mini.table.clone(),
            kind,
            // Combinations stay, whoever has them.
            missing: MissingRows { close: false, allow_full_close: false, max_close_ratio: None },
            null_policy: NullPolicy::Legacy,
            description: None,
            cluster_by: Vec::new(),
            ..self.pipeline.clone()
        })
    }

    /// The combinations among staged rows, ready to be merged into the mini-dimension `pipeline`. A table that is
    /// new, and one whose keys rows of the dimension get that had none, takes those of all of `members`, too.
    ///
    /// # Errors
    /// [`EngineError::SchemaMismatch`] when they do not fit the table.
    pub async fn stage_mini(
        &self,
        pipeline: &Pipeline,
        staged: &StagedBatch,
        table: Option<&LakeTable>,
        members: &LakeTable,
    ) -> Result<StagedBatch, EngineError> {
        let TableKind::Dimension(mini) = &pipeline.kind else {
            return Err(EngineError::Config("internal: a mini-dimension is a dimension".to_owned()));
        };
        let session = self.runtime.session(self.clock);
        staged.staged.rows.register(&session, "staged").await?;
        let columns = listed("", &mini.natural_keys);
        let mut combinations = format!("SELECT {columns} FROM staged WHERE {OP} = 1");
        if table.is_none() || staged.rewrites_table() {
            let stored = members.schema()?;
            let has_all = mini.natural_keys.iter().all(|column| stored.field_with_name(column).is_ok());
            if let (Some(surrogate_key), true) = (&staged.staged.layout.surrogate_key, has_all) {
                session.register_table("members", members.rows().await?)?;
                let loaded = loaded_rows(surrogate_key);
                combinations =
                    format!("{combinations} UNION ALL SELECT {columns} FROM members WHERE {loaded}");
            }
        }
        let distinct = format!(
            "SELECT {columns}, CAST(1 AS BIGINT) AS {OP}, CAST(0 AS BIGINT) AS {VERSION}, {} AS {TIME} \
             FROM (SELECT DISTINCT {columns} FROM ({combinations}))",
            instant_sql(self.clock.timestamp_micros())
        );
        let rows = Spool::fill(query(&session, &distinct).await?, Numbering::Numbered).await?;
        let layout = self.mini_layout(pipeline, staged, table)?;
        let staged = Staged {
            rows,
            unread: None,
            arrival: Arrival::Changes,
            absent: Absent::Stays,
            keys_may_be_null: true,
            layout,
            rows_read: Vec::new(),
            moment: self.clock.timestamp_micros(),
        };
        Ok(StagedBatch { staged, fact: None })
    }

    /// Refuses a mini-dimension that does not take the combinations of the staged rows.
    ///
    /// # Errors
    /// [`EngineError::SchemaMismatch`].
    pub fn require_mini(
        &self,
        pipeline: &Pipeline,
        staged: &StagedBatch,
        table: &LakeTable,
    ) -> Result<(), EngineError> {
        self.mini_layout(pipeline, staged, Some(table)).map(drop)
    }

    fn mini_layout(
        &self,
        pipeline: &Pipeline,
        staged: &StagedBatch,
        table: Option<&LakeTable>,
    ) -> Result<Layout, EngineError> {
        let columns = match &pipeline.kind {
            TableKind::Dimension(mini) => mini.natural_keys.as_slice(),
            TableKind::Fact(_) => &[],
        };
        let own = staged.staged.layout.output.iter().filter(|field| columns.contains(field.name()));
        let output = Schema::new(own.cloned().collect::<Vec<_>>());
        let existing = table.map(LakeTable::schema).transpose()?;
        let layout = Layout::of_companion(pipeline, &self.pipeline.table, &output, existing.as_deref())?;
        if let Some(existing) = existing {
            self.refuse_other_texts(&layout, &existing)?;
        }
        Ok(layout)
    }

    /// Rows of type 5 hold keys that are made of the texts of values: a type that gives the values that are there other
    /// texts would give their rows keys that the mini-dimension does not have.
    fn refuse_other_texts(&self, mini: &Layout, existing: &Schema) -> Result<(), EngineError> {
        if !matches!(&self.pipeline.kind, TableKind::Dimension(Dimension { scd: Scd::Type5, .. })) {
            return Ok(());
        }
        for field in &mini.output {
            let Ok(stored) = existing.field_with_name(field.name()) else { continue };
            let (old, new) = (read_type(stored.data_type()), field.data_type());
            if old != *new && !keeps_texts(&old, new) {
                return Err(EngineError::Config(format!(
                    "column `{}` of {} is {} in the table and {} in the query: the keys of its combinations are made \
                     of the texts of the values, which would change; cast it in the query",
                    field.name(),
                    mini.table,
                    sql_name(&old),
                    sql_name(new)
                )));
            }
        }
        Ok(())
    }

    /// The columns of the history table of a type 4 dimension; `None` for other pipelines.
    pub fn field_history_schema(&self) -> Option<SchemaRef> {
        match &self.pipeline.kind {
            TableKind::Dimension(dimension) => Some(field_history_schema(&dimension.surrogate_key)),
            TableKind::Fact(_) => None,
        }
    }

    /// Refuses a history table with other columns than the engine writes.
    ///
    /// # Errors
    /// [`EngineError::SchemaMismatch`].
    pub fn require_field_history(&self, table: &LakeTable) -> Result<(), EngineError> {
        let Some(wanted) = self.field_history_schema() else { return Ok(()) };
        let stored = table.schema()?;
        let differs = wanted.fields().iter().find(|field| {
            let found = stored.field_with_name(field.name());
            !found.is_ok_and(|found| read_type(found.data_type()) == *field.data_type())
        });
        let described = |schema: &Schema| {
            let columns =
                schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type()));
            columns.collect::<Vec<_>>().join(", ")
        };
        match differs {
            None => Ok(()),
            Some(field) => Err(EngineError::SchemaMismatch {
                table: table.name().to_owned(),
                difference: format!(
                    "a history table has a column `{}` of type {}",
                    field.name(),
                    field.data_type()
                ),
                stored: described(&stored),
                staged: described(&wanted),
            }),
        }
    }

    /// The rows of a dimension as if a snapshot had brought them, for a history table that lacks batches.
    ///
    /// # Errors
    /// Read failures.
    pub async fn stage_members(&self, members: &LakeTable) -> Result<StagedBatch, EngineError> {
        let stored = members.schema()?;
        let session = self.runtime.session(self.clock);
        session.register_table("members", members.rows().await?)?;
        let mut layout = self.layout(members).await?;
        layout.output.retain(|field| stored.field_with_name(field.name()).is_ok());
        let columns: Vec<String> = layout.output.iter().map(|field| field.name().clone()).collect();
        let loaded = layout.surrogate_key.as_deref().map_or_else(|| "true".to_owned(), loaded_rows);
        let sql = format!(
            "SELECT {}, CAST(CASE WHEN coalesce({IS_DELETED}, false) THEN 0 ELSE 1 END AS BIGINT) AS {OP}, \
             CAST(0 AS BIGINT) AS {VERSION}, {} AS {TIME} FROM members WHERE {loaded}",
            listed("", &columns),
            instant_sql(self.clock.timestamp_micros())
        );
        let rows = Spool::fill(query(&session, &sql).await?, Numbering::Numbered).await?;
        let staged = Staged {
            rows,
            unread: None,
            arrival: Arrival::Snapshot,
            absent: Absent::Stays,
            keys_may_be_null: false,
            layout,
            rows_read: Vec::new(),
            moment: self.clock.timestamp_micros(),
        };
        Ok(StagedBatch { staged, fact: None })
    }

    /// Merges staged rows into the history table of a type 4 dimension. The dimension itself holds them already:
    /// `members` is it before and after that.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn merge_field_history(
        &self,
        settings: &FieldHistory,
        staged: &StagedBatch,
        members: (&LakeTable, &LakeTable),
        table: &LakeTable,
        live: &LiveRows,
    ) -> Result<ChangeSet, EngineError> {
        let TableKind::Dimension(dimension) = &self.pipeline.kind else {
            return Err(EngineError::Config("internal: a fact has no history table".to_owned()));
        };
        let session = self.runtime.session(self.clock);
        staged.staged.rows.register(&session, "staged").await?;
        let mut collector = Collector::new(table, &field_history_schema(&dimension.surrogate_key), &[])?;
        let (is_rebuilt, none) = (self.refresh == Refresh::Rebuild, live.none());
        let merge = FieldHistoryMerge {
            session: &session,
            pipeline: self.pipeline,
            dimension,
            settings,
            staged: &staged.staged,
            members: members.1,
            members_before: members.0,
            live: if is_rebuilt { &none } else { live },
            clock: instant_sql(self.clock.timestamp_micros()),
        };
        merge.run(&mut collector).await?;
        if is_rebuilt {
            collector.replace_all(live);
        }
        collector.finish().await
    }
}

/// Whether every value has the same text in both types.
fn keeps_texts(old: &DataType, new: &DataType) -> bool {
    match (old, new) {
        (DataType::Decimal128(_, old), DataType::Decimal128(_, new)) => old == new,
        (old, new) => old.is_integer() && new.is_integer(),
    }
}
