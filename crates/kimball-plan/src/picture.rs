//! The plan for machines and for drawing: JSON, Mermaid and Graphviz.

use std::collections::BTreeMap;

use kimball_config::TableName;
use serde_json::{Value, json};

use crate::plan::{Plan, PlannedPipeline};
use crate::reason::{ExternalTable, Reason, comma_separated};

impl Plan {
    /// The plan as JSON: `waves[]` of {wave, label, pipelines[]}, each pipeline with {table_name, table_type,
    /// config_path, place, dependencies[] of {table_name, reasons[]}}; `external[]` of {table_name, needed_by,
    /// reason}; `warnings[]` of {table_name, config_path, dependency, message}. A reason is {kind} with kind
    /// `source`, `depends_on`, or one of `foreign_key`, `identity_map` and `test`, which have their `column`; one
    /// about a history table, a mini-dimension or a junk dimension of the needed pipeline also has its `companion`.
    pub fn to_json(&self) -> Value {
        let waves = self.waves().iter().map(|wave| {
            let pipelines = wave.tables().iter().filter_map(|table| self.pipeline(table));
            json!({
                "wave": wave.number(),
                "label": wave.label(),
                "pipelines": pipelines.map(|pipeline| self.pipeline_json(pipeline)).collect::<Vec<_>>(),
            })
        });
        let external = self.external().iter().map(|needed| {
            json!({
                "table_name": needed.table.to_string(),
                "needed_by": needed.pipeline.to_string(),
                "reason": reason_json(&needed.reason),
            })
        });
        let warnings = self.warnings().iter().map(|warning| {
            let crate::PlanWarning::Undeclared { pipeline, config_path, dependency, .. } = warning;
            json!({
                "table_name": pipeline.to_string(),
                "config_path": config_path.to_string_lossy(),
                "dependency": dependency.to_string(),
                "message": warning.to_string(),
            })
        });
        json!({
            "waves": waves.collect::<Vec<_>>(),
            "external": external.collect::<Vec<_>>(),
            "warnings": warnings.collect::<Vec<_>>(),
        })
    }

    fn pipeline_json(&self, pipeline: &PlannedPipeline) -> Value {
        let dependencies = pipeline.dependencies.iter().map(|needed| {
            json!({
                "table_name": needed.table.to_string(),
                "reasons": needed.reasons.iter().map(reason_json).collect::<Vec<_>>(),
            })
        });
        json!({
            "table_name": pipeline.table.to_string(),
            "table_type": pipeline.table_type,
            "config_path": pipeline.config_path.to_string_lossy(),
            "place": self.place_of(&pipeline.table).map(|place| place.to_string()),
            "dependencies": dependencies.collect::<Vec<_>>(),
        })
    }

    /// The plan as a Mermaid flowchart: a box a wave, arrows from what is needed to what needs it, labelled
    /// with the reasons; tables that no pipeline writes stand outside the boxes, with dotted arrows.
    pub fn to_mermaid(&self) -> String {
        let drawing = Drawing::of(self);
        let mut text = String::from("flowchart LR\n");
        for wave in self.waves() {
            let title = mermaid_text(&format!("Wave {}: {}", wave.number(), wave.label()));
            text.push_str(&format!("  subgraph wave{}[\"{title}\"]\n", wave.number()));
            for table in wave.tables() {
                text.push_str(&format!("    {}[\"{table}\"]\n", drawing.id(table)));
            }
            text.push_str("  end\n");
        }
        for table in &drawing.external {
            text.push_str(&format!("  {}[(\"{table}\")]\n", drawing.id(table)));
        }
        for arrow in &drawing.arrows {
            let line = if arrow.dotted { "-.->" } else { "-->" };
            let (from, to) = (drawing.id(arrow.from), drawing.id(arrow.to));
            text.push_str(&format!("  {from} {line}|\"{}\"| {to}\n", mermaid_text(&arrow.label)));
        }
        text
    }

    /// The plan as a Graphviz digraph, drawn as [`to_mermaid`](Self::to_mermaid) does.
    pub fn to_dot(&self) -> String {
        let drawing = Drawing::of(self);
        let mut text = String::from("digraph plan {\n  rankdir=LR;\n  node [shape=box];\n");
        for wave in self.waves() {
            let title = dot_text(&format!("Wave {}: {}", wave.number(), wave.label()));
            text.push_str(&format!("  subgraph cluster_{} {{\n    label=\"{title}\";\n", wave.number()));
            for table in wave.tables() {
                text.push_str(&format!("    {} [label=\"{table}\"];\n", drawing.id(table)));
            }
            text.push_str("  }\n");
        }
        for table in &drawing.external {
            text.push_str(&format!("  {} [label=\"{table}\", shape=cylinder];\n", drawing.id(table)));
        }
        for arrow in &drawing.arrows {
            let style = if arrow.dotted { ", style=dotted" } else { "" };
            let (from, to) = (drawing.id(arrow.from), drawing.id(arrow.to));
            text.push_str(&format!("  {from} -> {to} [label=\"{}\"{style}];\n", dot_text(&arrow.label)));
        }
        text.push_str("}\n");
        text
    }
}

/// What both drawings show.
struct Drawing<'p> {
    /// A name for each table that is safe in both languages.
    ids: BTreeMap<&'p TableName, String>,
    external: Vec<&'p TableName>,
    arrows: Vec<Arrow<'p>>,
}

struct Arrow<'p> {
    from: &'p TableName,
    to: &'p TableName,
    label: String,
    dotted: bool,
}

impl<'p> Drawing<'p> {
    fn of(plan: &'p Plan) -> Self {
        let mut external: BTreeMap<(&TableName, &TableName), Vec<&Reason>> = BTreeMap::new();
        for ExternalTable { pipeline, table, reason, .. } in plan.external() {
            external.entry((table, pipeline)).or_default().push(reason);
        }
        let mut ids = BTreeMap::new();
        for (index, pipeline) in plan.pipelines().enumerate() {
            ids.insert(&pipeline.table, format!("t{index}"));
        }
        let mut outside = Vec::new();
        for (table, _) in external.keys() {
            if let std::collections::btree_map::Entry::Vacant(vacant) = ids.entry(*table) {
                vacant.insert(format!("x{}", outside.len()));
                outside.push(*table);
            }
        }
        let mut arrows = Vec::new();
        for pipeline in plan.pipelines() {
            for needed in &pipeline.dependencies {
                let label = comma_separated(&needed.reasons);
                arrows.push(Arrow { from: &needed.table, to: &pipeline.table, label, dotted: false });
            }
        }
        for ((from, to), reasons) in external {
            arrows.push(Arrow { from, to, label: comma_separated(&reasons), dotted: true });
        }
        Self { ids, external: outside, arrows }
    }

    fn id(&self, table: &TableName) -> &str {
        self.ids.get(table).map_or("", String::as_str)
    }
}

fn reason_json(reason: &Reason) -> Value {
    match reason {
        Reason::ForeignKey { column } | Reason::IdentityMap { column } | Reason::Test { column } => {
            json!({ "kind": reason.kind(), "column": column })
        }
        Reason::ReadsSource | Reason::Declared => json!({ "kind": reason.kind() }),
        Reason::Companion { table, reason } => {
            let mut json = reason_json(reason);
            json["companion"] = json!(table.to_string());
            json
        }
    }
}

/// Text between double quotes in Mermaid, where entities begin with `#`. Column names can hold anything.
fn mermaid_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '#' | '&' | ';' | '<' | '>' | '|' | '`' => escaped.push_str(&format!("#{};", u32::from(c))),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Text between double quotes in Graphviz.
fn dot_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => escaped.extend(['\\', c]),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use crate::Plan;
    use crate::fixture::{Needs, dimension, fact};

    fn small() -> Plan {
        let sales =
            fact("gold.sales").reads("silver.orders").references("d_sk", "gold.d").depends_on("gold.d");
        Plan::of(&[sales, dimension("gold.d")]).unwrap()
    }

    #[test]
    fn the_json_of_a_plan_holds_waves_reasons_and_external_tables() {
        let expected = json!({
            "waves": [
                {"wave": 1, "label": "Dimensions", "pipelines": [{
                    "table_name": "gold.d", "table_type": "dimension", "config_path": "configs/d.yml",
                    "place": "wave 1: needs no other pipeline", "dependencies": [],
                }]},
                {"wave": 2, "label": "Facts", "pipelines": [{
                    "table_name": "gold.sales", "table_type": "fact", "config_path": "configs/sales.yml",
                    "place": "wave 2: after gold.d (foreign key d_sk, depends_on)",
                    "dependencies": [{"table_name": "gold.d", "reasons": [
                        {"kind": "foreign_key", "column": "d_sk"}, {"kind": "depends_on"},
                    ]}],
                }]},
            ],
            "external": [
                {"table_name": "silver.orders", "needed_by": "gold.sales", "reason": {"kind": "source"}},
            ],
            "warnings": [],
        });
        assert_eq!(small().to_json(), expected);
    }

    #[test]
    fn a_warning_in_json_names_the_pipeline_and_the_dependency() {
        let plan = Plan::of(&[fact("gold.f").reads("gold.d"), dimension("gold.d")]).unwrap();
        assert_eq!(
            plan.to_json()["warnings"],
            json!([{
                "table_name": "gold.f", "config_path": "configs/f.yml", "dependency": "gold.d",
                "message": "gold.f needs gold.d (source), which its depends_on does not name",
            }])
        );
    }

    #[test]
    fn the_mermaid_flowchart_has_a_box_a_wave_and_an_arrow_a_dependency() {
        assert_eq!(
            small().to_mermaid(),
            r#"flowchart LR
  subgraph wave1["Wave 1: Dimensions"]
    t0["gold.d"]
  end
  subgraph wave2["Wave 2: Facts"]
    t1["gold.sales"]
  end
  x0[("silver.orders")]
  t0 -->|"foreign key d_sk, depends_on"| t1
  x0 -.->|"source"| t1
"#
        );
    }

    #[test]
    fn the_graphviz_digraph_draws_the_same() {
        assert_eq!(
            small().to_dot(),
            r#"digraph plan {
  rankdir=LR;
  node [shape=box];
  subgraph cluster_1 {
    label="Wave 1: Dimensions";
    t0 [label="gold.d"];
  }
  subgraph cluster_2 {
    label="Wave 2: Facts";
    t1 [label="gold.sales"];
  }
  x0 [label="silver.orders", shape=cylinder];
  t0 -> t1 [label="foreign key d_sk, depends_on"];
  x0 -> t1 [label="source", style=dotted];
}
"#
        );
    }

    #[test]
    fn a_reason_in_json_names_the_companion_that_it_is_about() {
        let plan =
            Plan::of(&[fact("gold.f").references("m_sk", "gold.m"), dimension("gold.d").with_mini("gold.m")])
                .unwrap();
        assert_eq!(
            plan.to_json()["waves"][1]["pipelines"][0]["dependencies"],
            json!([{"table_name": "gold.d", "reasons": [
                {"kind": "foreign_key", "column": "m_sk", "companion": "gold.m"},
            ]}])
        );
        assert!(plan.to_mermaid().contains("|\"foreign key m_sk to gold.m\"|"), "{}", plan.to_mermaid());
    }

    #[test]
    fn a_column_name_cannot_break_out_of_a_drawing() {
        let hostile = "a\"]; x --> y\n\\";
        let plan = Plan::of(&[fact("gold.f").references(hostile, "gold.d"), dimension("gold.d")]).unwrap();
        assert!(
            plan.to_mermaid().contains("|\"foreign key a#34;]#59; x --#62; y \\\"|"),
            "{}",
            plan.to_mermaid()
        );
        assert!(plan.to_dot().contains(r#"[label="foreign key a\"]; x --> y \\"]"#), "{}", plan.to_dot());
    }
}
