//! "Did you mean …?"

/// Longest name worth comparing; nobody misspells a longer one by accident.
const MAX_COMPARED_CHARS: usize = 64;

/// The known name nearest to `name`, if one is near enough to be meant.
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let length = name.chars().count();
    if length == 0 || length > MAX_COMPARED_CHARS {
        return None;
    }
    let lower = name.to_lowercase();
    known
        .into_iter()
        .filter(|candidate| *candidate != name && candidate.len() <= MAX_COMPARED_CHARS)
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().max(length).div_ceil(3))
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_far_ones_are_not() {
        let known = ["table_name", "table_type", "sources"];
        assert_eq!(nearest("tabel_name", known), Some("table_name"));
        assert_eq!(nearest("Sources", known), Some("sources"));
        assert_eq!(nearest("frobnicate", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(nearest(&"s".repeat(1_000_000), known), None);
    }
}
