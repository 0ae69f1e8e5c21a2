//! Names of SQL types in their usual spellings.

/// Whether a text names a SQL type in one of its usual spellings.
pub(crate) fn is_type_name(text: &str) -> bool {
    let lower = text.trim().to_ascii_lowercase();
    let base = lower.split(['(', '<']).next().unwrap_or_default().trim().to_owned();
    let arguments = lower[base.len()..].trim();
    let plain = [
        "string",
        "varchar",
        "char",
        "text",
        "boolean",
        "bool",
        "byte",
        "tinyint",
        "short",
        "smallint",
        "int",
        "integer",
        "long",
        "bigint",
        "float",
        "real",
        "double",
        "double precision",
        "date",
        "timestamp",
        "timestamp_ntz",
        "timestamp_ltz",
        "binary",
    ];
    match base.as_str() {
        "decimal" | "numeric" | "dec" => arguments.is_empty() || is_argument_list(arguments, 2),
        "varchar" | "char" => arguments.is_empty() || is_argument_list(arguments, 1),
        "array" | "map" | "struct" => arguments.starts_with('<') && arguments.ends_with('>'),
        other => arguments.is_empty() && plain.contains(&other),
    }
}

/// `(10)` or `(10, 2)`.
fn is_argument_list(text: &str, most: usize) -> bool {
    let Some(inner) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) else { return false };
    let arguments: Vec<&str> = inner.split(',').map(str::trim).collect();
    arguments.len() <= most && arguments.iter().all(|argument| argument.parse::<u8>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_known_in_their_usual_spellings() {
        for name in
            ["int", "INTEGER", "bigint", "long", "decimal(10, 2)", "numeric", "varchar(20)", "array<int>"]
        {
            assert!(is_type_name(name), "{name}");
        }
        for name in ["strnig", "decimal(a)", "decimal(1,2,3)", "int(3)", "", "array"] {
            assert!(!is_type_name(name), "{name}");
        }
    }
}
