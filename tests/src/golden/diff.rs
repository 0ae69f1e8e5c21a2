//! Two texts side by side, line by line.

/// The lines of both texts: `-` before those that only the expected one has, `+` before those that were found instead.
pub fn diff(expected: &str, found: &str) -> String {
    let (expected, found): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    let common = common_lengths(&expected, &found);
    let (mut left, mut right) = (0, 0);
    let mut diff = String::new();
    while left < expected.len() || right < found.len() {
        let is_same = expected.get(left).is_some_and(|line| found.get(right) == Some(line));
        let without_left = common.get(left + 1).and_then(|row| row.get(right));
        let without_right = common.get(left).and_then(|row| row.get(right + 1));
        let mark = if is_same {
            ' '
        } else if without_left >= without_right {
            '-'
        } else {
            '+'
        };
        let line = if mark == '+' { found.get(right) } else { expected.get(left) };
        left += usize::from(mark != '+');
        right += usize::from(mark != '-');
        diff.push_str(&format!("{mark} {}\n", line.copied().unwrap_or_default()));
    }
    diff
}

/// For every two positions how many lines the rests of both texts have in common, in order.
fn common_lengths(left: &[&str], right: &[&str]) -> Vec<Vec<usize>> {
    let mut common = vec![vec![0; right.len() + 1]; left.len() + 1];
    for i in (0..left.len()).rev() {
        for j in (0..right.len()).rev() {
            common[i][j] = match left[i] == right[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_differ_are_marked_and_the_others_are_not() {
        assert_eq!(diff("a\nb\nc\n", "a\nx\nc\nd\n"), "  a\n- b\n+ x\n  c\n+ d\n");
    }

    #[test]
    fn a_text_against_none_is_all_new_or_all_gone() {
        assert_eq!(diff("", "a\nb\n"), "+ a\n+ b\n");
        assert_eq!(diff("a\nb\n", ""), "- a\n- b\n");
        assert_eq!(diff("", ""), "");
    }

    #[test]
    fn a_line_that_is_missing_does_not_shift_the_others() {
        assert_eq!(diff("a\nb\nc\nd\n", "b\nc\nd\n"), "- a\n  b\n  c\n  d\n");
    }
}
