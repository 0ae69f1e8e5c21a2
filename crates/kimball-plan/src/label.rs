//! What a wave is called.

use std::collections::HashMap;

use kimball_config::TableKind;

/// What a wave holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Holding {
    Dimensions,
    Facts,
    Both,
}

impl Holding {
    /// What a wave of pipelines of these kinds holds.
    pub(crate) fn of<'a>(kinds: impl Iterator<Item = &'a TableKind>) -> Self {
        let (mut dimensions, mut facts) = (false, false);
        for kind in kinds {
            match kind {
                TableKind::Dimension(_) => dimensions = true,
                TableKind::Fact(_) => facts = true,
            }
        }
        match (dimensions, facts) {
            (true, true) => Self::Both,
            (false, true) => Self::Facts,
            (_, false) => Self::Dimensions,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Dimensions => "Dimensions",
            Self::Facts => "Facts",
            Self::Both => "Dimensions and Facts",
        }
    }
}

/// The label of each wave: what it holds, numbered from 1 among the waves that hold the same when there are
/// several. Two waves never share a label.
pub(crate) fn labels(waves: &[Holding]) -> Vec<String> {
    let mut total: HashMap<Holding, usize> = HashMap::new();
    for holding in waves {
        *total.entry(*holding).or_default() += 1;
    }
    let mut so_far: HashMap<Holding, usize> = HashMap::new();
    let numbered = waves.iter().map(|holding| {
        let number = so_far.entry(*holding).or_default();
        *number += 1;
        match total.get(holding) {
            Some(1) => holding.words().to_owned(),
            _ => format!("{} {number}", holding.words()),
        }
    });
    numbered.collect()
}

#[cfg(test)]
mod tests {
    use super::{Holding, labels};

    #[test]
    fn a_plain_star_schema_has_the_waves_dimensions_and_facts() {
        assert_eq!(labels(&[Holding::Dimensions, Holding::Facts]), ["Dimensions", "Facts"]);
    }

    #[test]
    fn waves_that_hold_the_same_are_numbered_and_the_others_are_not() {
        let waves = [Holding::Both, Holding::Dimensions, Holding::Facts, Holding::Dimensions];
        assert_eq!(labels(&waves), ["Dimensions and Facts", "Dimensions 1", "Facts", "Dimensions 2"]);
    }
}
