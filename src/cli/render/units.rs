//! Durations and sizes as pm2 writes them in tables (contract/cli.md section 6.1).

/// A size in bytes: `0b`, `48.7mb`, `1.2gb`.
pub(in crate::cli) fn bytes(value: f64) -> String {
    let units = ["b", "kb", "mb", "gb", "tb"];
    let mut value = value;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{value:.0}b") } else { format!("{value:.1}{}", units[unit]) }
}

/// A time in milliseconds, in its largest unit whose value is above 1: 119 s is `119s`, 120 s is `2m`.
pub(in crate::cli) fn duration(millis: f64) -> String {
    let seconds = (millis / 1000.0).max(0.0).floor();
    let units = [("Y", 31_536_000.0), ("M", 2_592_000.0), ("D", 86_400.0), ("h", 3_600.0), ("m", 60.0)];
    for (name, size) in units {
        let count = (seconds / size).floor();
        if count > 1.0 {
            return format!("{count}{name}");
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_decimal_above_bytes() {
        assert_eq!(bytes(0.0), "0b");
        assert_eq!(bytes(51_065_651.0), "48.7mb");
        assert_eq!(bytes(1_288_490_189.0), "1.2gb");
    }

    #[test]
    fn durations_use_the_largest_unit_above_one() {
        assert_eq!(duration(119_999.0), "119s");
        assert_eq!(duration(120_000.0), "2m");
        assert_eq!(duration(3.0 * 86_400_000.0), "3D");
    }
}
