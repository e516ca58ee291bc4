//! pm2's small language of sizes and durations (contract/options.md sections 1 and 2.2).

/// Reads `150M`, `1G`, `500K` (powers of 1024) or a plain number of bytes. `None` for anything else: pm2 refuses lower
/// case and decimals.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let (digits, factor) = match text.as_bytes().last()? {
        b'K' => (&text[..text.len() - 1], 1 << 10),
        b'M' => (&text[..text.len() - 1], 1 << 20),
        b'G' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    number(digits)?.checked_mul(factor)
}

/// Reads `2h`, `5m`, `30s` or a plain number of milliseconds, as `min_uptime` takes them. The answer is in
/// milliseconds.
pub fn parse_millis(text: &str) -> Option<u64> {
    let (digits, factor) = match text.as_bytes().last()? {
        b'h' => (&text[..text.len() - 1], 3_600_000),
        b'm' => (&text[..text.len() - 1], 60_000),
        b's' => (&text[..text.len() - 1], 1_000),
        _ => (text, 1),
    };
    number(digits)?.checked_mul(factor)
}

/// As [`parse_millis`], and days: `7d`. For the options that are ours.
pub fn parse_age(text: &str) -> Option<u64> {
    match text.strip_suffix('d') {
        Some(days) => number(days)?.checked_mul(86_400_000),
        None => parse_millis(text),
    }
}

fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_pm2_reads_them() {
        assert_eq!(parse_bytes("150M"), Some(157_286_400));
        assert_eq!(parse_bytes("1G"), Some(1 << 30));
        assert_eq!(parse_bytes("500K"), Some(512_000));
        assert_eq!(parse_bytes("42"), Some(42));
        for bad in ["", "M", "1g", "1.5G", "-1M", "99999999999999999999G"] {
            assert_eq!(parse_bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_are_read_as_pm2_reads_them() {
        assert_eq!(parse_millis("5s"), Some(5_000));
        assert_eq!(parse_millis("2m"), Some(120_000));
        assert_eq!(parse_millis("2h"), Some(7_200_000));
        assert_eq!(parse_millis("1000"), Some(1_000));
        for bad in ["", "s", "1.5s", "5d", "-5s"] {
            assert_eq!(parse_millis(bad), None, "{bad}");
        }
        assert_eq!((parse_age("7d"), parse_age("2h"), parse_age("d")), (Some(604_800_000), Some(7_200_000), None));
    }
}
