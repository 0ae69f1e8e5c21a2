#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "configs/b.yml",
        "configs/sub/a.yaml",
        "configs/notes.txt",
        "configs/kimball.targets.yml",
        "other/x.yml",
    ] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    folder
}

fn found(configs: &[&str], targets_file: Option<&str>) -> (Vec<String>, Vec<String>) {
    let folder = folder();
    let configs: Vec<String> = configs.iter().map(|config| (*config).to_owned()).collect();
    let targets = targets_file.map(|name| folder.path().join(name));
    let (files, problems) = find_files(&configs, folder.path(), targets.as_deref());
    (
        files.iter().map(|file| file.display().to_string()).collect(),
        problems.into_iter().map(|problem| problem.message).collect(),
    )
}

#[test]
fn folders_are_searched_for_yaml_files_in_path_order() {
    assert_eq!(
        found(&["configs"], None),
        (vec!["configs/b.yml".to_owned(), "configs/sub/a.yaml".to_owned()], vec![])
    );
}

#[test]
fn files_and_globs_are_found_once() {
    let (files, problems) =
        found(&["other/x.yml", "configs/*.yml", "*/x.yml", "configs/../other/x.yml"], None);
    assert_eq!(
        (files, problems.len()),
        (
            vec![
                "configs/b.yml".to_owned(),
                "configs/kimball.targets.yml".to_owned(),
                "other/x.yml".to_owned()
            ],
            0
        )
    );
    let (recursive, _) = found(&["configs/**/*.yaml"], None);
    assert_eq!(recursive, ["configs/sub/a.yaml"]);
}

#[test]
fn the_targets_file_is_no_pipeline() {
    let (files, _) = found(&["other", "configs/*.yml"], Some("configs/kimball.targets.yml"));
    assert_eq!(files, ["configs/b.yml", "other/x.yml"]);
    let (files, _) = found(&["configs", "other"], Some("other/x.yml"));
    assert_eq!(files, ["configs/b.yml", "configs/sub/a.yaml"]);
}

#[test]
fn what_is_not_there_is_a_problem() {
    assert_eq!(found(&["nowhere"], None).1, ["there is no file or folder `nowhere`"]);
    assert_eq!(found(&["configs/*.json"], None).1, ["no file matches `configs/*.json`"]);
    assert_eq!(found(&["a[", "configs"], None).1.len(), 1);
    assert_eq!(found(&["other"], Some("other/x.yml")).1, ["no pipeline files found in `other`"]);
    assert_eq!(found(&[], None).1.len(), 1);
}

#[test]
fn a_link_that_leads_back_up_is_not_followed() {
    let folder = folder();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("configs/loop")).unwrap();
    let (files, problems) = find_files(&["configs".to_owned()], folder.path(), None);
    assert_eq!((files.len(), problems.len()), (2, 0));
}
