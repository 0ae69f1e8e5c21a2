//! Sizes of memory as people write them.

/// Bytes of `1GiB`, `512MB`, `1.5 GB` or a plain number. `kB`, `MB`, `GB`, `TB` are powers of 1000, `KiB`
/// and so on of 1024; `k`, `m`, `g`, `t` alone mean the latter, as in most tools with such an option.
pub fn bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let wrong = || format!("`{text}` is no size: write it like 1GiB, 512MB or 1073741824");
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1000_u64.pow(2),
        "gb" => 1000_u64.pow(3),
        "tb" => 1000_u64.pow(4),
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor).ok_or_else(wrong);
    }
    let scaled = number.parse::<f64>().map_err(|_| wrong())? * factor as f64;
    // 2^53 bytes are more than any machine has, and up to there the product is exact enough.
    if scaled < 9_007_199_254_740_992.0 { Ok(scaled as u64) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_are_read_with_decimal_and_binary_units() {
        let sizes = ["1073741824", "1GiB", "512MB", "512 mib", "1.5GB", "2g", "0.5k", "7B"].map(bytes);
        let expected =
            [1_073_741_824, 1_073_741_824, 512_000_000, 536_870_912, 1_500_000_000, 2_147_483_648, 512, 7];
        assert_eq!(sizes, expected.map(Ok));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "GiB", "1XB", "-1GB", "1e9", "1.2.3MB", "99999999999999TB", "1 G B", "nan"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
