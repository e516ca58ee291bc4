//! Reads the two clocks, and what the wall clock shows here.
//!
//! Owns: which clocks they are, and the zone. Must never: be called by a pure room.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;

/// `(mono, wall)`: milliseconds since boot (`CLOCK_BOOTTIME`, which also counts a suspended machine and means the same
/// to every process) and milliseconds since the Unix epoch.
pub fn now() -> (u64, u64) {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (boot_millis(), u64::try_from(wall.as_millis()).unwrap_or(u64::MAX))
}

/// Milliseconds since boot alone.
#[expect(unsafe_code, reason = "neither std nor the chosen nix features read CLOCK_BOOTTIME")]
pub fn boot_millis() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid, writable timespec for the whole call.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) } != 0;
    if failed {
        return 0;
    }
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}

/// The zone of this machine. Read once, and without the list of all zones, which jiff reads to look one up by name: that
/// takes longer than the start of a daemon.
pub fn local_zone() -> TimeZone {
    static ZONE: OnceLock<TimeZone> = OnceLock::new();
    let read = || {
        let file = std::env::var_os("TZ").is_none().then(|| std::fs::read("/etc/localtime").ok()).flatten();
        file.and_then(|data| TimeZone::tzif("Local", &data).ok()).unwrap_or_else(TimeZone::system)
    };
    ZONE.get_or_init(read).clone()
}

/// The moment now, in the zone of this machine.
pub fn local_time() -> jiff::Zoned {
    jiff::Timestamp::now().to_zoned(local_zone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_run_and_agree_with_the_system() {
        let (mono, wall) = now();
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        #[expect(clippy::cast_precision_loss, reason = "a test with seconds of tolerance")]
        let difference = (seconds * 1000.0 - mono as f64).abs();
        assert!(difference < 5_000.0, "{mono} against {uptime}");
        assert!(wall > 1_700_000_000_000);
        assert!(now().0 >= mono);
    }
}
