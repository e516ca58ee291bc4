//! Where the script is that Node apps preload.
//!
//! Owns: the choice between the file that came with the package and a copy of the one inside the executable.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use crate::model::Home;
use crate::sys::file::{self, Durability};

const EMBEDDED: &str = include_str!("../../lib/agent/index.js");

/// Name of the copy under `PM2_HOME`.
const COPY: &str = "pm2d.agent.js";

#[derive(Debug)]
pub(crate) struct Agent {
    given: Option<PathBuf>,
    copy: PathBuf,
    chosen: OnceCell<Option<PathBuf>>,
}

impl Agent {
    pub(crate) fn new(given: Option<PathBuf>, home: &Home) -> Agent {
        Agent { given, copy: home.root.join(COPY), chosen: OnceCell::new() }
    }

    /// The script; `None` when there is none and no copy can be written: apps then run without it.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.chosen.get_or_init(|| self.choose()).as_deref()
    }

    fn choose(&self) -> Option<PathBuf> {
        if let Some(given) = self.given.as_ref().and_then(|path| path.canonicalize().ok()) {
            return Some(given);
        }
        let same = std::fs::read(&self.copy).is_ok_and(|content| content == EMBEDDED.as_bytes());
        if same || file::replace(&self.copy, EMBEDDED.as_bytes(), Durability::Cache).is_ok() {
            return Some(self.copy.clone());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_given_file_wins_and_a_copy_replaces_a_missing_one() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path(), |_| None);
        let given = dir.path().join("agent.js");
        let missing = Agent::new(Some(given.clone()), &home);
        assert_eq!(std::fs::read_to_string(missing.path().unwrap()).unwrap(), EMBEDDED);
        std::fs::write(&given, "").unwrap();
        assert_eq!(Agent::new(Some(given.clone()), &home).path(), Some(&*given.canonicalize().unwrap()));
    }
}
