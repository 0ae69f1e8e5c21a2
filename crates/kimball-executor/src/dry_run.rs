//! What a run would do.

use std::collections::BTreeMap;
use std::fmt;

use kimball_config::{Pipeline, TableName};
use kimball_plan::{ExternalTable, Plan, PlannedPipeline, Wave};
use kimball_retry::{Classify, FaultKind};
use serde_json::{Value, json};

use crate::error::{PipelineError, missing};
use crate::orchestrator::RunContext;
use crate::outcome::{PipelinePreview, SourceVersions};
use crate::settings::Settings;
use crate::summary::thousands;
use crate::text::{Banner, Heading, counted};
use crate::upstream;

/// What a run would do now: the waves in order and, for each pipeline, what it would read.
///
/// `Display` prints it for people; [`to_json`](Self::to_json) gives the same to programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DryRun {
    /// The waves, with the reasons for them.
    pub plan: Plan,
    /// What each pipeline would do.
    pub previews: BTreeMap<TableName, Foresight>,
    /// What is said of a pipeline by its configuration: keys without effect, defaults not built yet.
    pub notes: BTreeMap<TableName, Vec<String>>,
    /// Tables that must exist and do not; a run would refuse to start.
    pub missing: Vec<ExternalTable>,
    /// Pipelines that would run at a time.
    pub max_workers: usize,
}

/// What can be said of a pipeline before it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Foresight {
    /// What it would read.
    Preview(PipelinePreview),
    /// It cannot be told: usually a source that does not exist yet.
    Unknown {
        /// What kind of obstacle it is.
        kind: FaultKind,
        /// What stands in the way.
        message: String,
    },
}

impl DryRun {
    /// Looks at every pipeline of a plan.
    pub(crate) async fn of(
        plan: &Plan,
        pipelines: &[Pipeline],
        settings: &Settings,
        context: &RunContext,
    ) -> Result<Self, PipelineError> {
        let missing = upstream::missing(plan, async |table| context.look_for(table).await).await?;
        let mut previews = BTreeMap::new();
        for pipeline in pipelines {
            let foresight = match context.preview(pipeline).await {
                Ok(preview) => Foresight::Preview(preview),
                Err(error) => {
                    Foresight::Unknown { kind: error.kind(), message: error.message_for(&pipeline.table) }
                }
            };
            previews.insert(pipeline.table.clone(), foresight);
        }
        let notes = pipelines.iter().map(|pipeline| (pipeline.table.clone(), pipeline.notes.clone()));
        let max_workers = settings.max_workers().get();
        Ok(Self { plan: plan.clone(), previews, notes: notes.collect(), missing, max_workers })
    }

    /// Why a run would refuse to start, a line each; `None` when it would not.
    pub fn obstacle(&self) -> Option<String> {
        (!self.missing.is_empty()).then(|| missing(&self.missing))
    }

    /// The JSON of the plan, and in each pipeline its `notes` and either its `preview` (`mode`, `query`,
    /// `sources`, `notes`) or an `error_class` and an `error_message`.
    pub fn to_json(&self) -> Value {
        let mut plan = self.plan.to_json();
        let waves = plan.get_mut("waves").and_then(Value::as_array_mut).into_iter().flatten();
        let pipelines = waves.filter_map(|wave| wave.get_mut("pipelines")?.as_array_mut()).flatten();
        for pipeline in pipelines.filter_map(Value::as_object_mut) {
            let name = pipeline.get("table_name").and_then(Value::as_str).unwrap_or_default();
            let Ok(table) = TableName::parse(name) else { continue };
            pipeline.insert("notes".to_owned(), json!(self.notes.get(&table)));
            match self.previews.get(&table) {
                Some(Foresight::Preview(preview)) => {
                    pipeline.insert("preview".to_owned(), json!(preview));
                }
                Some(Foresight::Unknown { kind, message }) => {
                    pipeline.insert("error_class".to_owned(), json!(kind.class()));
                    pipeline.insert("error_message".to_owned(), json!(message));
                }
                None => {}
            }
        }
        if let Some(plan) = plan.as_object_mut() {
            let missing = self.missing.iter().map(|it| {
                json!({"table_name": it.table.to_string(), "needed_by": it.pipeline.to_string(),
                       "reason": it.reason.to_string()})
            });
            plan.insert("missing".to_owned(), missing.collect());
            plan.insert("max_workers".to_owned(), json!(self.max_workers));
        }
        plan
    }

    fn write_wave(&self, wave: &Wave, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", Heading { label: wave.label(), pipelines: wave.tables().len() })?;
        for pipeline in wave.tables().iter().filter_map(|table| self.plan.pipeline(table)) {
            self.write_pipeline(pipeline, f)?;
        }
        writeln!(f)
    }

    fn write_pipeline(&self, pipeline: &PlannedPipeline, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {} ({})", pipeline.table, pipeline.config_path.display())?;
        if let Some(place) = self.plan.place_of(&pipeline.table) {
            writeln!(f, "    {place}")?;
        }
        match self.previews.get(&pipeline.table) {
            Some(Foresight::Preview(preview)) => write_preview(preview, f)?,
            Some(Foresight::Unknown { kind, message }) => {
                writeln!(f, "    cannot be foreseen: {kind}: {}", indented(message))?;
            }
            None => {}
        }
        for note in self.notes.get(&pipeline.table).into_iter().flatten() {
            writeln!(f, "    note: {}", indented(note))?;
        }
        Ok(())
    }
}

fn write_preview(preview: &PipelinePreview, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "    {}: {}", preview.mode, preview.query)?;
    for source in &preview.sources {
        writeln!(f, "    reads {}", Reads(source))?;
    }
    if let Some(rows) = preview.expected_rows.filter(|rows| *rows > 0) {
        writeln!(f, "    expects about {} rows", thousands(rows))?;
    }
    if !preview.added_columns.is_empty() {
        writeln!(f, "    adds {}", preview.added_columns.join(", "))?;
    }
    if let Some(closes) = &preview.closes {
        writeln!(f, "    {closes}")?;
    }
    for note in &preview.notes {
        writeln!(f, "    note: {}", indented(note))?;
    }
    Ok(())
}

/// Further lines of a text stand below its first.
fn indented(text: &str) -> String {
    text.replace('\n', "\n      ")
}

/// One source and its versions, in words.
struct Reads<'a>(&'a SourceVersions);

impl fmt::Display for Reads<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SourceVersions { name, alias, from_version, to_version } = self.0;
        f.write_str(name)?;
        if name.rsplit('.').next() != Some(alias) {
            write!(f, " as {alias}")?;
        }
        match (from_version, to_version) {
            (None, Some(to)) => write!(f, ", whole, at version {to}"),
            (Some(from), Some(to)) if from == to => write!(f, ", nothing new since version {to}"),
            (Some(from), Some(to)) => write!(f, ", after version {from} up to {to}"),
            (_, None) => f.write_str(", which does not exist yet"),
        }
    }
}

impl fmt::Display for DryRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pipelines = self.plan.pipelines().count();
        let dimensions = self.plan.pipelines().filter(|it| it.table_type == "dimension").count();
        let banner = Banner {
            title: "Kimball Execution Plan",
            dimensions,
            facts: pipelines - dimensions,
            max_workers: self.max_workers,
        };
        writeln!(f, "{banner}\n")?;
        for wave in self.plan.waves() {
            self.write_wave(wave, f)?;
        }
        let waves = counted(self.plan.waves().len(), "wave");
        write!(f, "{} in {waves}; nothing was run.", counted(pipelines, "pipeline"))
    }
}

#[cfg(test)]
mod tests;
