//! The blocks of the guide's text that a run and its plan have in common.

use std::fmt;

/// The rule above and below headings and summaries, as wide as the guide's.
pub(crate) const RULE: &str = "============================================================";

/// The rule above and below banners, as wide.
const BANNER_RULE: &str = "############################################################";

/// `3 pipelines`, `1 pipeline`: a count of something whose plural takes an s.
pub fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// The block at the head of a run or a plan, without a line break at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Banner<'a> {
    /// The first line.
    pub title: &'a str,
    /// Dimensions to load.
    pub dimensions: usize,
    /// Facts to load.
    pub facts: usize,
    /// Pipelines that run at a time.
    pub max_workers: usize,
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{BANNER_RULE}\n# {}", self.title)?;
        writeln!(f, "# Dimensions: {}, Facts: {}", self.dimensions, self.facts)?;
        write!(f, "# Max Workers: {}\n{BANNER_RULE}", self.max_workers)
    }
}

/// The block at the head of a wave, without a line break at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heading<'a> {
    /// What the wave is called.
    pub label: &'a str,
    /// Pipelines in it.
    pub pipelines: usize,
}

impl fmt::Display for Heading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The guide's line, whatever the number: programs read it.
        write!(f, "{RULE}\nWave: {} ({} pipelines)\n{RULE}", self.label, self.pipelines)
    }
}
