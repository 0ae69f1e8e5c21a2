//! How changes are told apart.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use super::{ChangeKind, PlanChanges};
use crate::manifest::{MANIFEST_VERSION, Manifest, ManifestPipeline};

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn pipeline(meaning: &[(&str, &str)], declarations: &[(&str, &str)], needs: &[&str]) -> ManifestPipeline {
    ManifestPipeline {
        table_type: "dimension".to_owned(),
        config_path: "configs/x.yml".to_owned(),
        wave: 1,
        depends_on: needs.iter().map(|needed| (*needed).to_owned()).collect(),
        fingerprint: 7,
        meaning: texts(meaning),
        declarations: texts(declarations),
    }
}

fn manifest(pipelines: Vec<(&str, ManifestPipeline)>) -> Manifest {
    let pipelines = pipelines.into_iter().map(|(table, pipeline)| (table.to_owned(), pipeline)).collect();
    Manifest { manifest: MANIFEST_VERSION, target: "dev".to_owned(), pipelines }
}

fn before() -> Manifest {
    manifest(vec![
        ("gold.dim_a", pipeline(&[("scd", "1"), ("transformation", "SELECT 1")], &[], &[])),
        ("gold.dim_b", pipeline(&[("natural_keys", "id")], &[("tags", "daily")], &[])),
        ("gold.fact", pipeline(&[], &[], &["gold.dim_a"])),
        ("gold.mart", pipeline(&[], &[], &["gold.fact"])),
    ])
}

#[test]
fn nothing_has_changed_between_equal_manifests() {
    assert_eq!(PlanChanges::between(&before(), &before()), PlanChanges { changes: vec![], unchanged: 4 });
}

#[test]
fn changes_are_classified_and_the_worst_stand_first() {
    let mut now = before();
    now.pipelines.get_mut("gold.dim_a").unwrap().meaning =
        texts(&[("scd", "1"), ("transformation", "SELECT 2")]);
    let dim_b = now.pipelines.get_mut("gold.dim_b").unwrap();
    dim_b.meaning = texts(&[("natural_keys", "id, country")]);
    now.pipelines.get_mut("gold.mart").unwrap().declarations = texts(&[("table_description", "all")]);
    now.pipelines.insert("gold.new".to_owned(), pipeline(&[], &[], &[]));
    let changes = PlanChanges::between(&before(), &now);
    let kinds: Vec<_> = changes.changes.iter().map(|it| (it.table_name.as_str(), it.kind)).collect();
    assert_eq!(
        kinds,
        [
            ("gold.dim_b", ChangeKind::Breaking),
            ("gold.dim_a", ChangeKind::NeedsBackfill),
            ("gold.mart", ChangeKind::MetadataOnly),
            ("gold.new", ChangeKind::Added),
        ]
    );
    assert!(changes.is_breaking());
    assert_eq!(
        changes.to_string(),
        "\
Breaking: the table cannot become this in place, and published keys would be lost
  gold.dim_b
    natural_keys: `id` before, `id, country` now

Needs backfill: loaded rows keep their meaning until `--full-refresh`
  gold.dim_a
    transformation_sql is another query
    downstream: gold.fact, gold.mart

Metadata only: no row changes
  gold.mart
    table_description: nothing before, `all` now

Added: loaded by the next run
  gold.new

4 changed, 1 unchanged."
    );
}

#[test]
fn a_pipeline_that_is_gone_or_of_another_type_breaks_what_needs_it() {
    let mut now = before();
    now.pipelines.remove("gold.fact");
    now.pipelines.get_mut("gold.dim_a").unwrap().table_type = "fact".to_owned();
    let changes = PlanChanges::between(&before(), &now);
    let [a, fact] = changes.changes.as_slice() else { unreachable!("{changes}") };
    assert_eq!((a.kind, fact.kind), (ChangeKind::Breaking, ChangeKind::Breaking));
    assert_eq!(fact.downstream, ["gold.mart"]);
    assert!(changes.to_string().contains("gold.fact\n    its file is gone\n"), "{changes}");
}
