//! `kimball docs`: pages that hang together, before the first load and after it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::project::Project;
use crate::verbs::{begun, edit};

/// The pages of a site by their path below its folder.
fn pages(folder: &Path) -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    for (below, prefix) in [(folder.to_owned(), ""), (folder.join("tables"), "tables/")] {
        for entry in fs::read_dir(below).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            pages.insert(name, fs::read_to_string(entry.path()).unwrap());
        }
    }
    pages
}

/// The addresses that a page points at.
fn addresses(page: &str) -> impl Iterator<Item = &str> {
    page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next())
}

fn written(project: &Project, options: &str) -> BTreeMap<String, String> {
    let told = project.call(&format!("docs {options}")).with_code(0).stdout;
    let index = told.strip_prefix("wrote ").and_then(|rest| rest.split(':').next()).unwrap();
    pages(project.root().join(index).parent().unwrap())
}

#[test]
fn every_table_has_a_page_and_every_link_leads_to_one() {
    let project = begun();
    edit(
        &project,
        "configs/dim_customer.yml",
        "table_type: dimension",
        "table_type: dimension\ntable_description: a <b>bold</b> & \"quoted\" text",
    );
    let before = written(&project, "");
    let index = &before["index.html"];
    assert!(index.contains("Wave 1: ") && index.contains("Bus matrix"), "{index}");
    assert!(before["tables/gold.fact_sales.html"].contains("The table is not there yet"));
    assert!(before["tables/gold.fact_sales.html"].contains("None yet."));
    for (path, page) in &before {
        let folder = Path::new(path).parent().unwrap();
        for address in addresses(page) {
            let target = folder.join(address);
            let target = target.to_str().unwrap().replace("tables/../", "");
            assert!(before.contains_key(&target), "{path} points at {address}");
        }
        assert!(!page.contains("<b>") && !page.contains("<script"), "{path}: a text became markup");
    }
    assert!(index.contains("a &lt;b&gt;bold&lt;/b&gt; &amp;"), "{index}");

    project.load("");
    let after = written(&project, "--output site");
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    let fact = &after["tables/gold.fact_sales.html"];
    for shown in ["SUCCESS", "foreign key", "merge key", "bigint", "<svg", "gold.dim_customer.html", "SELECT"]
    {
        assert!(fact.contains(shown), "no {shown} in {fact}");
    }
    let customer = &after["tables/gold.dim_customer.html"];
    for shown in ["dimension, type 2", "natural key", "__valid_from", "Is needed by"] {
        assert!(customer.contains(shown), "no {shown} in {customer}");
    }
}
