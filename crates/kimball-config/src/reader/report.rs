//! Keys that a mapping does not have, or has already.

use super::clip;
use crate::dialect::keys::{Mapping, advice};
use crate::findings::Findings;
use crate::suggest::nearest;
use crate::yaml::Entry;

/// Reports a key that is not known, and returns the one that seems to be meant.
pub(super) fn report_unknown(
    findings: &Findings<'_>,
    entry: &Entry,
    mapping: &Mapping,
) -> Option<&'static str> {
    if findings.is_full() {
        findings.error(entry.key_span, "");
        return None;
    }
    let advised = advice(&entry.key);
    let meant = nearest(&entry.key, mapping.keys.iter().copied()).filter(|_| advised.is_none());
    let help = meant.map(|key| format!("did you mean `{key}`?")).or(advised.map(str::to_owned));
    let message = format!("unknown key `{}` in {}", clip(&entry.key), mapping.what);
    findings.error_with(entry.key_span, message, help);
    meant
}

/// Reports a key that is there again.
pub(super) fn report_repeated(findings: &Findings<'_>, first: &Entry, again: &Entry) {
    if findings.is_full() {
        return findings.error(again.key_span, "");
    }
    let line = findings.file().locate(first.key_span).line;
    findings.error(
        again.key_span,
        format!("the key `{}` is there twice, first on line {line}", clip(&again.key)),
    );
}
