//! A clock reading, passed in: pure rooms never look at a clock themselves.

use serde::{Deserialize, Serialize};

/// One moment on two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// Milliseconds since boot (`CLOCK_BOOTTIME`): for durations and deadlines. It never jumps, and it means the
    /// same to a daemon that was started later, so deadlines survive a restart of the daemon.
    pub mono: u64,
    /// Milliseconds since the Unix epoch: for what users see (`pm_uptime`, `created_at`, `at`).
    pub wall: u64,
}
