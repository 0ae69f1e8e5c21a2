//! Junk dimensions (semantics 8.6): the combinations of some columns of a fact, each with a key that is made of its
//! values. A combination stays, whoever has it; the fact's rows hold the key.

use arrow::datatypes::Schema;
use datafusion::prelude::SessionContext;
use kimball_config::{
    Dimension, JunkDimension, KeyStrategy, MissingRows, NullPolicy, Observability, Pipeline, Scd, TableKind,
};
use kimball_lake::{FILE_COLUMN, LakeTable, LiveRows, ROW_COLUMN};

use crate::columns::{self as name, ACTION, OP, action, instant_sql, listed, literal, qualified, quoted};
use crate::dimension::{loaded_rows, missing_defaults};
use crate::keys::{junk_key, value_hash};
use crate::layout::Layout;
use crate::merge::{ChangeSet, Collector};
use crate::nulls::filler;
use crate::quality::refuse_any;
use crate::session::query;
use crate::target::TargetRows;
use crate::{Batch, EngineError, StagedBatch};

/// The combinations of a batch, ready to be merged into their table.
pub struct JunkMerge<'a> {
    junk: &'a JunkDimension,
    pipeline: Pipeline,
    layout: Layout,
}

impl JunkMerge<'_> {
    /// The junk dimension as a pipeline of its own.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// The columns of the table.
    pub fn table_schema(&self) -> &arrow::datatypes::SchemaRef {
        &self.layout.schema
    }
}

impl Batch<'_> {
    /// What `junk` needs of the staged rows of this batch's fact.
    ///
    /// # Errors
    /// [`EngineError::SchemaMismatch`] when the columns do not fit `table`.
    pub fn junk_merge<'j>(
        &self,
        junk: &'j JunkDimension,
        staged: &StagedBatch,
        table: Option<&LakeTable>,
    ) -> Result<JunkMerge<'j>, EngineError> {
        let pipeline = self.junk_pipeline(junk);
        let wanted =
            |column: &String| staged.staged.layout.output.iter().find(|field| field.name() == column);
        let fields: Vec<_> = junk.columns.iter().filter_map(wanted).cloned().collect();
        let existing = table.map(LakeTable::schema).transpose()?;
        let layout =
            Layout::of_companion(&pipeline, &self.pipeline.table, &Schema::new(fields), existing.as_deref())?;
        Ok(JunkMerge { junk, pipeline, layout })
    }

    fn junk_pipeline(&self, junk: &JunkDimension) -> Pipeline {
        let kind = TableKind::Dimension(Dimension {
            scd: Scd::Type1,
            surrogate_key: junk.surrogate_key.clone(),
            key_strategy: KeyStrategy::Hash,
            // The combination is the key, and all of it are attributes: what NULL becomes is the policy's.
            natural_keys: Vec::new(),
            mini_dimensions: Vec::new(),
            default_rows: std::collections::BTreeMap::new(),
            member_labels: std::collections::BTreeMap::new(),
        });
        let null_policy = match &self.pipeline.null_policy {
            NullPolicy::Legacy => NullPolicy::Legacy,
            NullPolicy::Kimball { substitutes } => NullPolicy::Kimball {
                substitutes: substitutes
                    .iter()
                    .filter(|(column, _)| junk.columns.contains(column))
                    .map(|(column, value)| (column.clone(), value.clone()))
                    .collect(),
            },
        };
        Pipeline {
            table: junk.table.clone(),
            kind,
            missing: MissingRows { close: false, allow_full_close: false, max_close_ratio: None },
            null_policy,
            description: None,
            cluster_by: Vec::new(),
            column_descriptions: std::collections::BTreeMap::new(),
            tests: Vec::new(),
            tags: Vec::new(),
            pii: Vec::new(),
            observability: Observability::default(),
            ..self.pipeline.clone()
        }
    }

    /// Adds the combinations of the staged rows that the table does not hold, and its default members; a new table
    /// takes those of all rows of `fact`.
    ///
    /// # Errors
    /// [`EngineError::DataQuality`] for different combinations with one key, or one of a default member.
    pub async fn merge_junk(
        &self,
        merge: &JunkMerge<'_>,
        staged: &StagedBatch,
        (table, live): (&LakeTable, &LiveRows),
        fact: &LakeTable,
    ) -> Result<ChangeSet, EngineError> {
        let session = self.runtime.session(self.clock);
        session.register_udf(value_hash());
        match &staged.fact {
            Some(rows) => rows.register(&session, &staged.staged).await?,
            None => staged.staged.rows.register(&session, "staged").await?,
        }
        let TableKind::Dimension(dimension) = &merge.pipeline.kind else {
            return Err(EngineError::Config("internal: a junk dimension is a dimension".to_owned()));
        };
        let (key, columns) = (quoted(&merge.junk.surrogate_key), listed("", &merge.junk.columns));
        let mut rows = format!("SELECT {columns} FROM staged WHERE {OP} = 1");
        // A table that is new, and one whose keys rows of the fact get that had none, takes those of all of them.
        let stored = fact.schema()?;
        let has_all = merge.junk.columns.iter().all(|column| stored.field_with_name(column).is_ok());
        if (live.is_empty() || staged.rewrites_table()) && has_all {
            session.register_table("loaded", fact.rows().await?)?;
            rows = format!("{rows} UNION ALL SELECT {columns} FROM loaded");
        }
        let combinations = format!(
            "SELECT DISTINCT {columns}, {} AS {key} FROM ({rows}) s",
            junk_key("s", &merge.junk.columns)
        );
        session.register_table("combinations", query(&session, &combinations).await?.into_view())?;
        let stored = table.schema()?;
        let target = TargetRows {
            session: &session,
            pipeline: &merge.pipeline,
            layout: &merge.layout,
            stored: &stored,
            live,
            added_keys: &[],
        };
        target.register_all("stored").await?;
        self.refuse_junk_collisions(&session, merge).await?;
        let mut values = Vec::new();
        for field in &merge.layout.output {
            let column = qualified("n", field.name());
            let none = filler(&merge.pipeline, &merge.layout, field)?;
            values.push(format!("coalesce({column}, {none}) AS {}", quoted(field.name())));
        }
        let rows = format!(
            "SELECT n.{key}, {}, false AS {}, false AS {}, 'REAL' AS {}, 'generated' AS {}, {} AS {}, {} AS {}, \
             arrow_cast(NULL, 'UInt32') AS {FILE_COLUMN}, CAST(NULL AS BIGINT) AS {ROW_COLUMN}, CAST({} AS BIGINT) AS {ACTION} \
             FROM (SELECT {key} FROM stored) t RIGHT ANTI JOIN combinations n ON t.{key} = n.{key}",
            values.join(", "),
            name::IS_DELETED,
            name::IS_SKELETON,
            name::MEMBER_STATUS,
            name::KEY_ORIGIN,
            instant_sql(self.clock.timestamp_micros()),
            name::PROCESSED_AT,
            literal(self.batch_id),
            name::BATCH_ID,
            action::INSERT
        );
        let mut collector = Collector::new(table, &merge.layout.schema, &merge.layout.evolution.foreign)?;
        collector.take(query(&session, &rows).await?).await?;
        // A combination of fewer columns keeps its key: rows of the fact hold it.
        target.rewrite_rest(&loaded_rows(&merge.junk.surrogate_key), &mut collector).await?;
        let present = match live.is_empty() || merge.layout.evolution.rewrites() {
            true => Vec::new(),
            false => self.default_keys(table, &merge.junk.surrogate_key).await?,
        };
        if let Some(rows) = missing_defaults(dimension, &merge.layout, &present, self.clock, self.batch_id)? {
            collector.write_uncounted(rows).await?;
        }
        collector.finish().await
    }

    async fn refuse_junk_collisions(
        &self,
        session: &SessionContext,
        merge: &JunkMerge<'_>,
    ) -> Result<(), EngineError> {
        let (column, key) = (&merge.junk.surrogate_key, quoted(&merge.junk.surrogate_key));
        let shown = listed("n", &merge.junk.columns);
        let reserved =
            format!("SELECT {shown}, n.{key} FROM combinations n WHERE NOT {}", loaded_rows(column));
        let rule = format!("a generated `{column}` is one of the default members'");
        refuse_any(session, &reserved, &rule).await?;
        let shared = format!(
            "SELECT {shown}, n.{key} FROM combinations n JOIN \
             (SELECT {key} FROM combinations GROUP BY {key} HAVING count(*) > 1) d ON n.{key} = d.{key}"
        );
        refuse_any(session, &shared, &format!("different combinations have the same `{column}`")).await?;
        let mut differs = Vec::new();
        for field in &merge.layout.output {
            let none = filler(&merge.pipeline, &merge.layout, field)?;
            differs.push(format!(
                "(coalesce({}, {none}) IS DISTINCT FROM {})",
                qualified("n", field.name()),
                qualified("t", field.name())
            ));
        }
        let taken = format!(
            "SELECT {shown}, n.{key} FROM stored t JOIN combinations n ON t.{key} = n.{key} WHERE {}",
            differs.join(" OR ")
        );
        refuse_any(session, &taken, &format!("another combination has the `{column}` already")).await
    }
}
