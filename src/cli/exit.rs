//! Exit codes (contract/cli.md section 19).

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Success,
    /// Any failure.
    Failure,
    /// What `pm2-rs-runtime` ends with.
    Code(u8),
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Code(code) => code,
        }
    }
}
