//! Where the script is that Node apps preload.
//!
//! Owns: the choice between the folder that came with the package and a copy of the one inside the executable.

use std::cell::OnceCell;
use std::io;
use std::path::{Path, PathBuf};

use crate::model::Home;
use crate::sys::file::{self, Durability};

const EMBEDDED: [(&str, &str); 2] = [
    ("index.js", include_str!("../../lib/agent/index.js")),
    ("metrics.js", include_str!("../../lib/agent/metrics.js")),
];

/// Name of the copy under `PM2_HOME`, a folder.
const COPY: &str = "pm2d.agent";

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
        self.write_copy().ok().map(|()| self.copy.clone())
    }

    fn write_copy(&self) -> io::Result<()> {
        file::create_directory(&self.copy)?;
        for (name, text) in EMBEDDED {
            let path = self.copy.join(name);
            if !std::fs::read(&path).is_ok_and(|content| content == text.as_bytes()) {
                file::replace(&path, text.as_bytes(), Durability::Cache)?;
            }
        }
        Ok(())
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
        for (name, text) in EMBEDDED {
            assert_eq!(std::fs::read_to_string(missing.path().unwrap().join(name)).unwrap(), text);
        }
        std::fs::write(&given, "").unwrap();
        assert_eq!(Agent::new(Some(given.clone()), &home).path(), Some(&*given.canonicalize().unwrap()));
    }
}
