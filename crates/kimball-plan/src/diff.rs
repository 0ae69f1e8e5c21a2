//! What has changed since a manifest was written, and what it means for the tables.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::manifest::{Manifest, ManifestPipeline};

/// What of a pipeline's meaning a table cannot take on in place: its identity, and how its rows lie.
const IDENTITY: [&str; 10] = [
    "table",
    "scd",
    "surrogate_key",
    "natural_keys",
    "key_strategy",
    "durable_key",
    "merge_keys",
    "append_only",
    "loading",
    "partition_by",
];

/// What a change of a pipeline means for its table; later ones are worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// There is a new table to load.
    Added,
    /// No row changes.
    MetadataOnly,
    /// Rows that are loaded keep their old meaning until they are loaded again: `--full-refresh`.
    NeedsBackfill,
    /// The table cannot become what is asked for, or goes: keys that others point at would be lost.
    Breaking,
}

/// One pipeline that has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PipelineChange {
    /// Its table.
    pub table_name: String,
    /// What it means.
    pub kind: ChangeKind,
    /// What has changed, by name: the value before and the value now.
    pub aspects: Vec<AspectChange>,
    /// Tables that depend on it, directly or not.
    pub downstream: Vec<String>,
}

/// Something that has another value than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AspectChange {
    /// What.
    pub name: String,
    /// Its value before; `None` where it had none.
    pub before: Option<String>,
    /// Its value now; `None` where it has none any more.
    pub now: Option<String>,
}

/// What has changed in a project, worst first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PlanChanges {
    /// The pipelines that have changed.
    pub changes: Vec<PipelineChange>,
    /// How many have not.
    pub unchanged: usize,
}

impl PlanChanges {
    /// What has changed from `before` to `now`.
    pub fn between(before: &Manifest, now: &Manifest) -> Self {
        let tables: BTreeSet<&String> = before.pipelines.keys().chain(now.pipelines.keys()).collect();
        let mut changes = Self::default();
        for table in tables {
            let (then, today) = (before.pipelines.get(table), now.pipelines.get(table));
            let Some((kind, aspects)) = change(then, today) else {
                changes.unchanged += 1;
                continue;
            };
            let mut downstream = dependents(before, table);
            downstream.extend(dependents(now, table));
            let downstream = downstream.into_iter().collect();
            changes.changes.push(PipelineChange { table_name: table.clone(), kind, aspects, downstream });
        }
        changes.changes.sort_by(|left, right| {
            right.kind.cmp(&left.kind).then_with(|| left.table_name.cmp(&right.table_name))
        });
        changes
    }

    /// Whether something would break.
    pub fn is_breaking(&self) -> bool {
        self.changes.iter().any(|change| change.kind == ChangeKind::Breaking)
    }
}

fn change(
    before: Option<&ManifestPipeline>,
    now: Option<&ManifestPipeline>,
) -> Option<(ChangeKind, Vec<AspectChange>)> {
    let (before, now) = match (before, now) {
        (None, None) => return None,
        (None, Some(_)) => return Some((ChangeKind::Added, Vec::new())),
        (Some(_), None) => {
            let gone =
                AspectChange { name: "pipeline".to_owned(), before: Some("is there".to_owned()), now: None };
            return Some((ChangeKind::Breaking, vec![gone]));
        }
        (Some(before), Some(now)) => (before, now),
    };
    let kinds = |pipeline: &ManifestPipeline| {
        BTreeMap::from([("table_type".to_owned(), pipeline.table_type.clone())])
    };
    let turned = differing(&kinds(before), &kinds(now));
    let meant = differing(&before.meaning, &now.meaning);
    let declared = differing(&before.declarations, &now.declarations);
    let is_identity = |aspect: &AspectChange| IDENTITY.contains(&aspect.name.as_str());
    let kind = if !turned.is_empty() || meant.iter().any(is_identity) {
        ChangeKind::Breaking
    } else if !meant.is_empty() || before.fingerprint != now.fingerprint {
        ChangeKind::NeedsBackfill
    } else if !declared.is_empty() {
        ChangeKind::MetadataOnly
    } else {
        return None;
    };
    Some((kind, turned.into_iter().chain(meant).chain(declared).collect()))
}

fn differing(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<AspectChange> {
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let changed = names.into_iter().filter(|name| before.get(*name) != now.get(*name));
    changed
        .map(|name| AspectChange {
            name: name.clone(),
            before: before.get(name).cloned(),
            now: now.get(name).cloned(),
        })
        .collect()
}

/// The tables that depend on `table`, directly or not.
fn dependents(manifest: &Manifest, table: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![table.to_owned()];
    while let Some(needed) = open.pop() {
        for (name, pipeline) in &manifest.pipelines {
            if pipeline.depends_on.contains(&needed) && found.insert(name.clone()) {
                open.push(name.clone());
            }
        }
    }
    found
}

impl ChangeKind {
    /// As a heading, with what there is to do.
    const fn heading(self) -> &'static str {
        match self {
            Self::Added => "Added: loaded by the next run",
            Self::MetadataOnly => "Metadata only: no row changes",
            Self::NeedsBackfill => "Needs backfill: loaded rows keep their meaning until `--full-refresh`",
            Self::Breaking => {
                "Breaking: the table cannot become this in place, and published keys would be lost"
            }
        }
    }
}

/// For people: a block for each kind, the worst first.
impl fmt::Display for PlanChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kind = None;
        for change in &self.changes {
            if kind != Some(change.kind) {
                let gap = if kind.is_some() { "\n" } else { "" };
                writeln!(f, "{gap}{}", change.kind.heading())?;
                kind = Some(change.kind);
            }
            writeln!(f, "  {}", change.table_name)?;
            for aspect in &change.aspects {
                writeln!(f, "    {}", Told(aspect))?;
            }
            if !change.downstream.is_empty() && change.kind >= ChangeKind::NeedsBackfill {
                writeln!(f, "    downstream: {}", change.downstream.join(", "))?;
            }
        }
        if !self.changes.is_empty() {
            writeln!(f)?;
        }
        write!(f, "{} changed, {} unchanged.", self.changes.len(), self.unchanged)
    }
}

/// One aspect in words, cut to what a line can hold.
struct Told<'a>(&'a AspectChange);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 60;
        let shown = |value: &Option<String>| match value {
            None => "nothing".to_owned(),
            Some(text) if text.chars().count() > SHOWN => {
                format!("`{}…`", text.chars().take(SHOWN).collect::<String>())
            }
            Some(text) => format!("`{text}`"),
        };
        let AspectChange { name, before, now } = self.0;
        if name == "pipeline" && now.is_none() {
            return f.write_str("its file is gone");
        }
        if name == "transformation" && before.is_some() && now.is_some() {
            return f.write_str("transformation_sql is another query");
        }
        write!(f, "{name}: {} before, {} now", shown(before), shown(now))
    }
}

#[cfg(test)]
mod tests;
