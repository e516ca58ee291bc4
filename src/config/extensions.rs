//! `ext` of the script form: only files with these extensions are watched, so all others become `ignore_watch`.

use std::path::{Path, PathBuf};

/// More files than this are not listed: an option of a call must not walk a whole disk.
const LIMIT: usize = 20_000;

/// Absolute paths of all files under `directory` that end in none of the words of `list` (separated by commas).
pub(super) fn others(directory: &Path, list: &str) -> Vec<String> {
    let wanted: Vec<&str> = list.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    let mut files = Vec::new();
    let mut folders = vec![directory.to_path_buf()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            seen += 1;
            if seen > LIMIT {
                return sorted(files);
            }
            match entry.file_type() {
                // Links are not followed: they may lead round in a circle.
                Ok(kind) if kind.is_dir() && entry.file_name() != "node_modules" => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => {
                    let name = entry.file_name();
                    let name = name.to_string_lossy();
                    if !wanted.iter().any(|end| name.ends_with(end)) {
                        files.push(entry.path());
                    }
                }
                _ => {}
            }
        }
    }
    sorted(files)
}

fn sorted(mut files: Vec<PathBuf>) -> Vec<String> {
    files.sort();
    files.iter().map(|f| f.to_string_lossy().into_owned()).collect()
}
