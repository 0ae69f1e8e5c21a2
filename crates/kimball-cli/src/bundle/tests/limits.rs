//! How much fits into a job.

use super::super::fixture::{lone, parse, shop, wide};
use super::super::tasks;
use super::refusal;

#[test]
fn as_many_pipelines_run_at_a_time_as_asked_but_no_more_than_there_are() {
    let concurrency = |words: &[&str], max_workers| {
        let job = tasks::job(&wide(6, 1), "default", &parse(words).unwrap(), max_workers).unwrap();
        serde_json::to_value(&job).unwrap()["tasks"][0]["for_each_task"]["concurrency"].clone()
    };
    assert_eq!(concurrency(&[], 4), 4);
    assert_eq!(concurrency(&[], 400), 6);
    assert_eq!(concurrency(&["--concurrency=2"], 4), 2);
    assert_eq!(concurrency(&["--concurrency=100"], 4), 6);
}

#[test]
fn what_databricks_would_not_take_is_refused_with_the_way_out() {
    assert_eq!(
        refusal(&wide(101, 1), &[], 200),
        "wave Dimensions: a for-each task runs at most 100 at a time, and --max-workers asks for 200: say \
         --concurrency 100"
    );
    assert!(tasks::job(&wide(101, 1), "default", &parse(&[]).unwrap(), 100).is_ok());

    // Each makes 200 characters: `"configs/d_….yml",`.
    let length = 200 - "\"configs/d_.yml\",".len();
    assert_eq!(
        refusal(&wide(25, length), &[], 4),
        "wave Dimensions: a for-each task takes inputs of 5000 characters, and the paths of 25 configs make \
         5001: use --granularity table, or call kimball nearer to the files, so that their paths are shorter"
    );
    assert!(tasks::job(&wide(24, length), "default", &parse(&[]).unwrap(), 4).is_ok());

    let by_table = ["--granularity=table"];
    assert_eq!(
        refusal(&wide(1_001, 4), &by_table, 4),
        "a job has at most 1000 tasks, and this one would have 1001: make several with --select"
    );
    assert!(tasks::job(&wide(1_000, 4), "default", &parse(&by_table).unwrap(), 4).is_ok());
}

#[test]
fn limits_count_characters_and_not_bytes() {
    let path = "ü".repeat(4_996);
    assert!(tasks::job(&lone(path.clone()), "default", &parse(&[]).unwrap(), 4).is_ok());
    assert!(refusal(&lone(path + "ü"), &[], 4).contains("the paths of 1 config make 5001"));
}

#[test]
fn concurrency_is_for_waves_and_a_relative_notebook_for_bundles() {
    let message = refusal(&shop(), &["--granularity=table", "--concurrency=2"], 4);
    assert!(message.starts_with("--concurrency is for waves"), "{message}");
    let message = refusal(&shop(), &["--notebook-path=load.py"], 4);
    assert!(message.starts_with("the notebook `load.py` is relative"), "{message}");
}
