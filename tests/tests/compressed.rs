//! Sources of compressed files: they are read as their names end.

use std::fs;

use tempfile::tempdir;

use crate::project::Project;

const TARGETS: &str = "version: 1\ntargets: {dev: {etl_schema: gold, warehouse: ./warehouse}}\n";

/// `id,city`, then `1,Rome` and `2,Oslo`.
const CSV_GZ: &[u8] =
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcbL\xd1I\xce,\xa9\xe42\xd4\x09\xca\xcfM\xe52\xd2\xf1/\xce\
    \xc9\xe7\x02\x00\xbf\x1d\xafY\x16\x00\x00\x00";

/// `{"id":3,"city":"Lima"}`.
const JSON_GZ: &[u8] =
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xabV\xcaLQ\xb22\xd6QJ\xce,\xa9T\xb2R\xf2\xc9\xccMT\xaa\
    \xe5\x02\x00\x9b\xa7\x18J\x17\x00\x00\x00";

fn dimension(name: &str, format: &str, path: &str) -> String {
    format!(
        "table_name: gold.{name}\ntable_type: dimension\nkeys: {{surrogate_key: city_sk, natural_keys: [id]}}\n\
         sources: [{{name: cities, format: {format}, path: {path}}}]\n"
    )
}

fn cities(project: &Project, table: &str) -> Vec<String> {
    let rows = project.rows(table).without("__key_origin", "default");
    let mut values = rows.select(&["id", "city"].map(str::to_owned)).unwrap().values;
    values.sort();
    values
        .iter()
        .map(|row| row.iter().map(|value| value.as_deref().unwrap_or("NULL")).collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn files_are_decompressed_as_their_names_end_and_only_files_of_one_kind_are_read_together() {
    let nothing = tempdir().unwrap();
    let project = Project::of(nothing.path());
    project.write("kimball.targets.yml", TARGETS);
    project.write("configs/csv.yml", &dimension("dim_csv", "csv", "in/cities.csv.gz"));
    project.write("configs/json.yml", &dimension("dim_json", "json", "more"));
    for (path, content) in [("in/cities.csv.gz", CSV_GZ), ("more/cities.json.gz", JSON_GZ)] {
        let path = project.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    project.load("");
    assert_eq!(cities(&project, "gold.dim_csv"), ["1 Rome", "2 Oslo"]);
    assert_eq!(cities(&project, "gold.dim_json"), ["3 Lima"]);

    project.write("more/plain.json", "{\"id\": 4, \"city\": \"Bonn\"}\n");
    let refused = project.call("run --keep-going").with_code(1);
    assert!(refused.stdout.contains("it is compressed in another way than"), "{}", refused.stdout);
    assert_eq!(cities(&project, "gold.dim_json"), ["3 Lima"]);
}
