//! How many descriptors a process may have.
//!
//! Keeper and daemon hold five for each app and so take all they may; apps get the limit that the user had set.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// A soft and a hard limit of open descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    pub soft: u64,
    pub hard: u64,
}

/// The limits of this process now.
pub fn open_files() -> io::Result<OpenFiles> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(OpenFiles { soft, hard })
}

/// Raises the soft limit to the hard one. Returns what it was before, for [`set_open_files`] or a child.
pub fn raise_open_files() -> io::Result<OpenFiles> {
    let before = open_files()?;
    if before.soft < before.hard {
        set_open_files(OpenFiles { soft: before.hard, ..before })?;
    }
    Ok(before)
}

pub fn set_open_files(limits: OpenFiles) -> io::Result<()> {
    Ok(setrlimit(Resource::RLIMIT_NOFILE, limits.soft, limits.hard)?)
}
