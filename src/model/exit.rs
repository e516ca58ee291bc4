//! How a process ended.

use serde::{Deserialize, Serialize};

/// How a process ended: with a code, or by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// It called `exit` with this code.
    Code(i32),
    /// This signal number ended it.
    Signal(i32),
}

impl Exit {
    /// The number stored as `pm2_env.exit_code`: pm2 stores 0 for a death by signal (contract/api.md section 9, Q49).
    pub fn pm2_code(self) -> i32 {
        match self {
            Exit::Code(code) => code,
            Exit::Signal(_) => 0,
        }
    }
}
