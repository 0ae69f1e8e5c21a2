//! Contracts that lie in files of their own: `contract_ref`.

use std::path::{Path, PathBuf};

use crate::dialect::odcs;
use crate::findings::Findings;
use crate::model::{CdcStrategy, Contract};
use crate::problem::{Problem, ProblemSeverity};
use crate::project::Loaded;
use crate::read_file::read_file;
use crate::reader::Located;
use crate::source_text::Span;
use crate::yaml;

/// Reads the contracts that a file refers to. A relative path starts at the folder of the file, or at `base_dir`.
pub(super) fn resolve(item: &mut Loaded, config: &Path, base_dir: &Path) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (alias, reference) in std::mem::take(&mut item.read.contract_refs) {
        let Some(pipeline) = &mut item.read.pipeline else { continue };
        let Some(source) = pipeline.sources.iter_mut().find(|source| source.alias == alias) else { continue };
        let path = locate(&reference.value, config, base_dir);
        let (contract, found) = match read_file(&path, &PathBuf::from(&reference.value)) {
            Ok(file) => {
                let findings = Findings::new(&file);
                let contract = parse(&findings, &source.name);
                let (found, notes) = findings.finish();
                pipeline.notes.extend(notes);
                (contract, found)
            }
            Err(problem) => {
                let place = item.file.locate(reference.span);
                let problem =
                    Problem { file: Some(item.file.path().into()), location: Some(place), ..*problem };
                (None, vec![problem.with_help("`contract_ref` is a path from the folder of this file on")])
            }
        };
        problems.extend(found);
        if let Some(contract) = &contract
            && let Some(message) = contradiction(contract, source.strategy, &source.primary_keys)
        {
            problems.push(problem_at(&item.file, &reference, message));
        }
        source.contract = contract;
    }
    if problems.iter().any(|problem| problem.severity == ProblemSeverity::Error) {
        item.read.pipeline = None;
    }
    problems
}

fn locate(reference: &str, config: &Path, base_dir: &Path) -> PathBuf {
    let beside = config.parent().unwrap_or(Path::new("")).join(reference);
    let below = base_dir.join(reference);
    if !beside.exists() && below.exists() { below } else { beside }
}

fn parse(findings: &Findings<'_>, source: &str) -> Option<Contract> {
    match yaml::parse(findings.file().text()) {
        Ok(Some(root)) if !root.is_null() => odcs::read(findings, &root, source),
        Ok(_) => {
            findings.error(Span::default(), "this contract is empty");
            None
        }
        Err(error) => {
            findings.error_with(error.span, error.message, error.help);
            None
        }
    }
}

/// What of a contract does not fit its source.
fn contradiction(contract: &Contract, strategy: CdcStrategy, primary_keys: &[String]) -> Option<String> {
    if contract.cdc_required && strategy != CdcStrategy::Cdf {
        return Some("the contract requires a change feed: set `cdc_strategy: cdf`".to_owned());
    }
    let differs =
        !(primary_keys.is_empty() || contract.primary_key.is_empty()) && contract.primary_key != primary_keys;
    differs.then(|| {
        format!(
            "the primary key of the contract, {}, and `primary_keys` of the source differ",
            contract.primary_key.join(", ")
        )
    })
}

fn problem_at(
    file: &crate::source_text::SourceFile,
    reference: &Located<String>,
    message: String,
) -> Problem {
    Problem {
        file: Some(file.path().to_path_buf()),
        location: Some(file.locate(reference.span)),
        ..Problem::error(message)
    }
}
