//! `--since` and `--until`: a moment as people say it.

use super::stamp::Stamps;

/// Reads `90s`, `10m`, `1h30m`, `2d`, `1w` (so long ago), an ISO date or date and time (local unless it says otherwise), a
/// time of today (`10:30`), `now`, or seconds or milliseconds since the epoch. The answer is in milliseconds since the epoch.
pub(super) fn moment(text: &str, now: i64) -> Option<i64> {
    let text = text.trim();
    if text == "now" {
        return Some(now);
    }
    if let Some(ago) = duration(text) {
        return now.checked_sub(ago);
    }
    if text.len() >= 9 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: i64 = text.parse().ok()?;
        return Some(if number < 100_000_000_000 { number * 1000 } else { number });
    }
    let stamps = Stamps::new("");
    stamps.iso(text.as_bytes()).or_else(|| {
        let today = jiff::Timestamp::from_millisecond(now).ok()?.to_zoned(jiff::tz::TimeZone::system());
        stamps.iso(today.strftime(&format!("%Y-%m-%dT{}", text.replace('%', ""))).to_string().as_bytes())
    })
}

/// Milliseconds of `1h30m`.
fn duration(text: &str) -> Option<i64> {
    let (mut rest, mut sum) = (text, 0_i64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = rest.split_at_checked(digits)?;
        let letters = behind.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, behind) = behind.split_at_checked(letters)?;
        let factor = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return None,
        };
        sum = sum.checked_add(number.parse::<i64>().ok()?.checked_mul(factor)?)?;
        rest = behind;
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_say_them() {
        let now = 1_763_820_000_000;
        for (text, ago) in [("10m", 600), ("2h", 7200), ("1h30m", 5400), ("45s", 45), ("1d", 86_400), ("now", 0)] {
            assert_eq!(moment(text, now), Some(now - ago * 1000), "{text}");
        }
        assert_eq!(moment("1763820000", now), Some(now));
        assert_eq!(moment("1763820000000", now), Some(now));
        assert_eq!(moment("2025-11-22T14:00:00Z", now), Some(now));
        let today = jiff::Timestamp::from_millisecond(now).unwrap().to_zoned(jiff::tz::TimeZone::system());
        assert_eq!(moment(&today.strftime("%H:%M").to_string(), now), Some(now));
        for bad in ["", "10", "m", "yesterday", "10x", "25:00", "-5m", "99999999999999999999d"] {
            assert_eq!(moment(bad, now), None, "{bad}");
        }
    }
}
