//! What clients see of an instance's state.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The status texts that pm2 shows and that programs compare with (contract/api.md section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Status {
    #[serde(rename = "online")]
    Online,
    #[serde(rename = "stopping")]
    Stopping,
    #[serde(rename = "stopped")]
    Stopped,
    #[serde(rename = "launching")]
    Launching,
    #[serde(rename = "errored")]
    Errored,
    #[serde(rename = "waiting restart")]
    WaitingRestart,
}

impl Status {
    /// pm2's own word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Online => "online",
            Status::Stopping => "stopping",
            Status::Stopped => "stopped",
            Status::Launching => "launching",
            Status::Errored => "errored",
            Status::WaitingRestart => "waiting restart",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
