//! Which crate may know which: the dependency table of ARCHITECTURE.md, proven from cargo's own metadata.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::process::{Failure, cargo, output_of};

/// Every package of the workspace with the packages of the workspace it may name; `None`: any of them.
const ALLOWED: &[(&str, Option<&[&str]>)] = &[
    ("kimball-retry", Some(&[])),
    ("kimball-config", Some(&["kimball-retry"])),
    ("kimball-plan", Some(&["kimball-retry", "kimball-config"])),
    ("kimball-lake", Some(&["kimball-retry"])),
    ("kimball-engine", Some(&["kimball-retry", "kimball-config", "kimball-lake"])),
    ("kimball-control", Some(&["kimball-retry", "kimball-lake"])),
    ("kimball-sql", Some(&["kimball-retry", "kimball-config", "kimball-lake", "kimball-engine"])),
    (
        "kimball-executor",
        Some(&[
            "kimball-retry",
            "kimball-config",
            "kimball-plan",
            "kimball-lake",
            "kimball-engine",
            "kimball-control",
        ]),
    ),
    (
        "kimball",
        Some(&[
            "kimball-retry",
            "kimball-config",
            "kimball-plan",
            "kimball-lake",
            "kimball-control",
            "kimball-executor",
            "kimball-sql",
        ]),
    ),
    ("kimball-cli", Some(&["kimball"])),
    ("xtask", Some(&[])),
    ("kimball-tests", None),
    ("kimball-benches", None),
];

/// Storage libraries, and the packages that may name them: the lake, and what makes foreign tables for tests.
const STORAGE: &[&str] = &["deltalake", "deltalake-core", "object_store", "buoyant_kernel", "delta_kernel"];
const MAY_NAME_STORAGE: &[&str] = &["kimball-lake", "kimball-tests", "kimball-benches"];

/// Packages that must not reach the runtime, the query engine or storage, however many steps away.
const PURE: &[&str] = &["kimball-retry", "kimball-config", "kimball-plan", "xtask"];
const IMPURE: &[&str] = &["tokio", "datafusion", "arrow", "parquet"];

/// Checks the workspace against the table.
pub fn run() -> Result<(), Failure> {
    // For this platform only: cargo would otherwise fetch what no build here needs.
    let platform = host_platform()?;
    let metadata =
        output_of(&mut cargo(["metadata", "--format-version", "1", "--filter-platform", &platform]))?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(Failure::new)?;
    let problems = problems(&Workspace::of(&metadata));
    for problem in &problems {
        println!("layers: {problem}");
    }
    match problems.len() {
        0 => {
            println!("layers: every crate knows only what it may");
            Ok(())
        }
        count => {
            Err(Failure::new(format!("{count} dependencies are not in the table of xtask/src/layers.rs")))
        }
    }
}

/// The platform that the compiler builds for by default, such as `x86_64-unknown-linux-gnu`.
fn host_platform() -> Result<String, Failure> {
    let version = output_of(&mut cargo(["-vV"]))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::new("`cargo -vV` names no host"))
}

/// What the rules are about.
struct Workspace {
    /// The packages of the workspace with everything their manifests name, tests and build scripts included.
    named: BTreeMap<String, BTreeSet<String>>,
    /// For each of them every package that it needs to be built, by whatever way.
    reached: BTreeMap<String, BTreeSet<String>>,
}

impl Workspace {
    /// Reads the output of `cargo metadata`.
    fn of(metadata: &Value) -> Self {
        let mut names: HashMap<&str, &str> = HashMap::new();
        let mut needs: HashMap<&str, Vec<&str>> = HashMap::new();
        for package in array(&metadata["packages"]) {
            names.insert(text(&package["id"]), text(&package["name"]));
        }
        for node in array(&metadata["resolve"]["nodes"]) {
            let to_build = array(&node["deps"]).filter(|dependency| {
                // A null kind is a normal dependency.
                array(&dependency["dep_kinds"]).any(|kind| kind["kind"] != "dev")
            });
            needs.insert(text(&node["id"]), to_build.map(|dependency| text(&dependency["pkg"])).collect());
        }
        let members: BTreeSet<&str> = array(&metadata["workspace_members"]).map(text).collect();
        let mut workspace = Self { named: BTreeMap::new(), reached: BTreeMap::new() };
        for package in array(&metadata["packages"]).filter(|package| members.contains(text(&package["id"]))) {
            let name = text(&package["name"]).to_owned();
            let named =
                array(&package["dependencies"]).map(|dependency| text(&dependency["name"]).to_owned());
            let reached = reachable(text(&package["id"]), &needs).into_iter();
            let reached = reached.filter_map(|id| names.get(id)).map(|name| (*name).to_owned());
            workspace.reached.insert(name.clone(), reached.collect());
            workspace.named.insert(name, named.collect());
        }
        workspace
    }
}

/// Everything that is reached from `start` along `needs`, without `start`.
fn reachable<'m>(start: &'m str, needs: &HashMap<&'m str, Vec<&'m str>>) -> BTreeSet<&'m str> {
    let mut found = BTreeSet::new();
    let mut open = vec![start];
    while let Some(id) = open.pop() {
        for next in needs.get(id).into_iter().flatten() {
            if found.insert(*next) {
                open.push(next);
            }
        }
    }
    found
}

fn problems(workspace: &Workspace) -> Vec<String> {
    let mut problems = Vec::new();
    for (package, named) in &workspace.named {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| name == package) else {
            problems.push(format!("{package} is not in the table of xtask/src/layers.rs"));
            continue;
        };
        for internal in named.iter().filter(|name| workspace.named.contains_key(*name)) {
            if allowed.is_some_and(|allowed| !allowed.contains(&internal.as_str())) {
                problems.push(format!("{package} must not know {internal}"));
            }
        }
        if !MAY_NAME_STORAGE.contains(&package.as_str()) {
            for storage in named.iter().filter(|name| is_storage(name)) {
                problems.push(format!("{package} must not name {storage}: only kimball-lake does"));
            }
        }
        if PURE.contains(&package.as_str()) {
            let reached = workspace.reached.get(package).into_iter().flatten();
            for impure in reached.filter(|name| IMPURE.contains(&name.as_str()) || is_storage(name)) {
                problems.push(format!("{package} must not depend on {impure}, directly or not"));
            }
        }
    }
    for (package, _) in ALLOWED.iter().filter(|(package, _)| !workspace.named.contains_key(*package)) {
        problems.push(format!("{package} is in the table of xtask/src/layers.rs and not in the workspace"));
    }
    problems
}

fn is_storage(name: &str) -> bool {
    STORAGE.contains(&name) || name.starts_with("deltalake-")
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{ALLOWED, Workspace, problems};

    /// Metadata of the workspace as it should be, each package naming all it may, plus `(package, dependency,
    /// kind)` edges; a dependency outside the workspace becomes a package too.
    fn metadata(extra: &[(&str, &str, Value)]) -> Value {
        let mut edges: Vec<(&str, &str, Value)> = extra.to_vec();
        for (package, allowed) in ALLOWED {
            edges.extend(allowed.iter().copied().flatten().map(|name| (*package, *name, Value::Null)));
        }
        let mut names: Vec<&str> = ALLOWED.iter().map(|(package, _)| *package).collect();
        names.extend(extra.iter().flat_map(|(package, dependency, _)| [*package, *dependency]));
        names.sort_unstable();
        names.dedup();
        let of =
            |package: &str| edges.iter().filter(|(from, ..)| *from == package).cloned().collect::<Vec<_>>();
        let packages = names.iter().map(|name| {
            let named = of(name).into_iter().map(|(_, to, kind)| json!({"name": to, "kind": kind}));
            json!({"id": format!("id:{name}"), "name": name, "dependencies": named.collect::<Vec<_>>()})
        });
        let nodes = names.iter().map(|name| {
            let deps = of(name)
                .into_iter()
                .map(|(_, to, kind)| json!({"pkg": format!("id:{to}"), "dep_kinds": [{"kind": kind}]}));
            json!({"id": format!("id:{name}"), "deps": deps.collect::<Vec<_>>()})
        });
        json!({
            "packages": packages.collect::<Vec<_>>(),
            "resolve": {"nodes": nodes.collect::<Vec<_>>()},
            "workspace_members": ALLOWED.iter().map(|(name, _)| format!("id:{name}")).collect::<Vec<_>>(),
        })
    }

    fn found(extra: &[(&str, &str, Value)]) -> Vec<String> {
        problems(&Workspace::of(&metadata(extra)))
    }

    #[test]
    fn every_allowed_edge_is_accepted() {
        assert_eq!(found(&[]), Vec::<String>::new());
    }

    #[test]
    fn an_edge_that_is_not_in_the_table_is_refused_even_for_tests() {
        assert_eq!(
            found(&[
                ("kimball-engine", "kimball-plan", json!("dev")),
                ("kimball-executor", "kimball-cli", json!(null))
            ]),
            ["kimball-engine must not know kimball-plan", "kimball-executor must not know kimball-cli"]
        );
    }

    #[test]
    fn only_the_lake_and_the_makers_of_test_tables_name_a_storage_library() {
        assert_eq!(
            found(&[
                ("kimball-engine", "object_store", json!(null)),
                ("kimball-control", "deltalake-aws", json!(null)),
                ("kimball-lake", "deltalake", json!(null)),
                ("kimball-tests", "buoyant_kernel", json!(null)),
            ]),
            [
                "kimball-control must not name deltalake-aws: only kimball-lake does",
                "kimball-engine must not name object_store: only kimball-lake does",
            ]
        );
    }

    #[test]
    fn a_pure_crate_must_not_reach_the_runtime_by_a_detour() {
        assert_eq!(
            found(&[("kimball-plan", "innocent", json!(null)), ("innocent", "tokio", json!(null))]),
            ["kimball-plan must not depend on tokio, directly or not"]
        );
    }

    #[test]
    fn what_only_the_tests_of_a_dependency_need_is_not_reached() {
        assert_eq!(
            found(&[("kimball-plan", "innocent", json!(null)), ("innocent", "tokio", json!("dev"))]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_package_that_is_not_in_the_table_is_named() {
        let mut metadata = metadata(&[("kimball-secret", "serde", json!(null))]);
        if let Some(members) = metadata["workspace_members"].as_array_mut() {
            members.push(json!("id:kimball-secret"));
        }
        assert_eq!(
            problems(&Workspace::of(&metadata)),
            ["kimball-secret is not in the table of xtask/src/layers.rs"]
        );
    }
}
