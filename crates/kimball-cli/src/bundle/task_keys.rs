//! What tasks are called.

use std::collections::HashSet;

/// The most characters of a key.
const LENGTH: usize = 100;

/// Gives tasks keys that the Jobs API takes: letters, digits, `_` and `-`, at most 100 of them, no key twice.
#[derive(Debug, Default)]
pub struct TaskKeys {
    taken: HashSet<String>,
}

impl TaskKeys {
    /// A key that nobody has yet, as close to `wanted` as may be.
    pub fn claim(&mut self, wanted: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let wanted: String = wanted.chars().map(plain).collect();
        let mut number = 1_usize;
        loop {
            let ending = if number == 1 { String::new() } else { format!("_{number}") };
            let key: String = wanted.chars().take(LENGTH - ending.len()).chain(ending.chars()).collect();
            if self.taken.insert(key.clone()) {
                return key;
            }
            number += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TaskKeys;

    #[test]
    fn what_the_api_does_not_take_becomes_an_underscore() {
        assert_eq!(TaskKeys::default().claim("load_dim größe-1"), "load_dim_gr__e-1");
    }

    #[test]
    fn a_key_that_is_taken_gets_a_number() {
        let mut keys = TaskKeys::default();
        let claimed = ["load_größe", "load_gräße", "load_gr__e_2", "load_gr__e"].map(|key| keys.claim(key));
        assert_eq!(claimed, ["load_gr__e", "load_gr__e_2", "load_gr__e_2_2", "load_gr__e_3"]);
    }

    #[test]
    fn long_keys_are_cut_and_still_differ() {
        let mut keys = TaskKeys::default();
        let long = "x".repeat(300);
        let claimed = [keys.claim(&long), keys.claim(&long), keys.claim(&long)];
        assert_eq!(claimed, ["x".repeat(100), "x".repeat(98) + "_2", "x".repeat(98) + "_3"]);
    }
}
