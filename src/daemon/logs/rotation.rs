//! When a log file is full or old, and what its predecessors are called: `<file>.1` is the youngest, `.2` the next, with
//! `.gz` behind it once it is compressed.
//!
//! Owns: the settings (`log_max_size`, `log_max_age`, `log_keep`, `log_compress`), the place where a piece is cut in two,
//! and the renaming. Must never: cut a line (up to [`SLACK`] bytes), or touch a file that is not a numbered one of ours.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use memchr::{memchr, memrchr};
use serde_json::{Map, Value};

use super::journal::FileMark;
use crate::model::units::{parse_age, parse_bytes};

/// So many old files are kept when nothing is said.
const KEEP: u32 = 30;

/// A file may grow so much beyond its limit for the sake of a line that does not end.
pub(super) const SLACK: u64 = 1 << 20;

/// What is said about rotation in one place: an app, or the module configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RotationSpec {
    /// Bytes; 0 is no limit.
    pub max_size: Option<u64>,
    /// 0 is no limit.
    pub max_age: Option<Duration>,
    pub keep: Option<u32>,
    pub compress: Option<bool>,
}

impl RotationSpec {
    /// Reads `log_max_size`, `log_max_age`, `log_keep` and `log_compress`; numbers may be text. What cannot be read is
    /// absent.
    pub fn from_record(record: &Map<String, Value>) -> RotationSpec {
        let number = |key: &str, parse: fn(&str) -> Option<u64>| match record.get(key)? {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, which is meant")]
            Value::Number(number) => number.as_u64().or_else(|| number.as_f64().map(|number| number as u64)),
            Value::String(text) => parse(text.trim()),
            _ => None,
        };
        RotationSpec {
            max_size: number("log_max_size", parse_bytes),
            max_age: number("log_max_age", parse_age).map(Duration::from_millis),
            keep: number("log_keep", |text| text.parse().ok()).map(|keep| u32::try_from(keep).unwrap_or(u32::MAX)),
            compress: match record.get("log_compress") {
                Some(Value::Bool(compress)) => Some(*compress),
                Some(Value::String(text)) => text.parse().ok(),
                _ => None,
            },
        }
    }

    /// The defaults for all apps out of the text of `module_conf.json`: `{"pm2-rs": {"log_max_size": "10M", ...}}`, as
    /// `set pm2-rs:log_max_size 10M` writes it. `{"pm2-rs:log_max_size": "10M"}` is understood as well.
    pub fn from_module_conf(text: &[u8]) -> RotationSpec {
        let Ok(Value::Object(conf)) = serde_json::from_slice(text) else { return RotationSpec::default() };
        let flat =
            conf.iter().filter_map(|(key, value)| Some((key.strip_prefix("pm2-rs:")?.to_owned(), value.clone())));
        let mut record: Map<String, Value> = flat.collect();
        if let Some(Value::Object(nested)) = conf.get("pm2-rs") {
            record.extend(nested.clone());
        }
        RotationSpec::from_record(&record)
    }

    /// What holds when these settings are silent on something that `defaults` speak of.
    pub(super) fn or(self, defaults: RotationSpec) -> Rotation {
        let age = self.max_age.or(defaults.max_age);
        Rotation {
            max_size: self.max_size.or(defaults.max_size).filter(|size| *size > 0),
            max_age: age.filter(|age| !age.is_zero()),
            keep: self.keep.or(defaults.keep).unwrap_or(KEEP),
            compress: self.compress.or(defaults.compress).unwrap_or(false),
        }
    }
}

/// What holds for one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Rotation {
    pub(super) max_size: Option<u64>,
    pub(super) max_age: Option<Duration>,
    pub(super) keep: u32,
    pub(super) compress: bool,
}

impl Rotation {
    pub(super) fn is_on(&self) -> bool {
        self.max_size.is_some() || self.max_age.is_some()
    }
}

/// What to do next with the rest of a piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Write so many bytes of it, at least one.
    Write(usize),
    Rotate,
}

/// Where a piece is cut. `limit`: the most bytes of the file; `size`: what it has; `line_end`: that it ends with a whole
/// line (asked only when it matters).
pub(super) fn plan(limit: u64, size: u64, line_end: impl FnOnce() -> bool, rest: &[u8]) -> Plan {
    let length = rest.len() as u64;
    if size + length <= limit {
        return Plan::Write(rest.len());
    }
    let room = usize::try_from(limit.saturating_sub(size)).unwrap_or(usize::MAX).min(rest.len());
    if let Some(end) = rest.get(..room).and_then(|fits| memrchr(b'\n', fits)) {
        return Plan::Write(end + 1);
    }
    if size > 0 && line_end() {
        return Plan::Rotate;
    }
    // In the middle of a line, or one line is larger than a file may be: it is finished here, if that takes not too long.
    let most = usize::try_from((limit + SLACK).saturating_sub(size)).unwrap_or(usize::MAX).min(rest.len());
    match rest.get(room..most).and_then(|beyond| memchr(b'\n', beyond)) {
        Some(end) => Plan::Write(room + end + 1),
        None if most == 0 => Plan::Rotate,
        None => Plan::Write(most),
    }
}

/// `<file>.1` and so on.
pub(super) fn numbered(path: &Path, number: u32, compressed: bool) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}{}", if compressed { ".gz" } else { "" }));
    PathBuf::from(name)
}

/// An old file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Old {
    pub(super) plain: bool,
    pub(super) compressed: bool,
}

/// The old files of a log, by number.
pub(super) fn old_files(path: &Path) -> io::Result<BTreeMap<u32, Old>> {
    let mut found: BTreeMap<u32, Old> = BTreeMap::new();
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(found) };
    for entry in fs::read_dir(folder)? {
        let entry = entry?.file_name();
        let Some((number, compressed)) = number_of(&entry, name) else { continue };
        let old = found.entry(number).or_insert(Old { plain: false, compressed: false });
        if compressed {
            old.compressed = true;
        } else {
            old.plain = true;
        }
    }
    Ok(found)
}

fn number_of(entry: &OsStr, name: &OsStr) -> Option<(u32, bool)> {
    let rest = entry.as_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b".")?;
    let (digits, compressed) = match rest.strip_suffix(b".gz") {
        Some(digits) => (digits, true),
        None => (rest, false),
    };
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    // `.01` is somebody else's.
    let number: u32 = text.parse().ok().filter(|number| *number > 0 && !text.starts_with('0'))?;
    Some((number, compressed))
}

/// Makes `path` its own first old file: the numbers go up by one, those above `keep` go. Then there is no file `path`.
/// Killed at any point, the next call goes on: the order is never lost.
pub(super) fn shift(path: &Path, keep: u32) -> io::Result<()> {
    let old = old_files(path)?;
    // A gap is a free number: what is above it need not move.
    let occupied = (1..u32::MAX).find(|number| !old.contains_key(number)).map_or(u32::MAX, |free| free - 1);
    for (number, kinds) in old.iter().rev() {
        let moves = *number <= occupied;
        let goes = *number > keep || (moves && *number >= keep);
        // Both: killed between the two steps of a compression; the compressed one is whole.
        for compressed in [false, true].into_iter().filter(|gz| if *gz { kinds.compressed } else { kinds.plain }) {
            let from = numbered(path, *number, compressed);
            if goes || (!compressed && kinds.compressed) {
                fs::remove_file(from)?;
            } else if moves {
                fs::rename(from, numbered(path, number + 1, compressed))?;
            }
        }
    }
    fs::rename(path, numbered(path, 1, false))
}

/// The name in the folder of `path` that this very file has now: it was rotated, by us or by another program.
pub(super) fn find(path: &Path, file: FileMark) -> Option<PathBuf> {
    let entries = fs::read_dir(path.parent()?).ok()?;
    let same = entries.filter_map(Result::ok).filter(|entry| entry.ino() == file.inode).map(|entry| entry.path());
    let is_it = |path: &PathBuf| {
        fs::symlink_metadata(path)
            .is_ok_and(|found| found.is_file() && (found.dev(), found.ino()) == (file.device, file.inode))
    };
    same.filter(is_it).find(|path| path.extension() != Some(&OsString::from("gz")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn spec(value: Value) -> RotationSpec {
        let Value::Object(record) = value else { panic!("an object") };
        RotationSpec::from_record(&record)
    }

    #[test]
    fn settings_are_read_as_numbers_and_as_text() {
        let wanted = RotationSpec {
            max_size: Some(10 << 20),
            max_age: Some(Duration::from_hours(48)),
            keep: Some(5),
            compress: Some(true),
        };
        let text = json!({ "log_max_size": "10M", "log_max_age": "2d", "log_keep": "5", "log_compress": "true" });
        let numbers =
            json!({ "log_max_size": 10 << 20, "log_max_age": 172_800_000, "log_keep": 5.0, "log_compress": true });
        assert_eq!(spec(text.clone()), wanted);
        assert_eq!(spec(numbers), wanted);
        assert_eq!(spec(json!({ "log_max_size": "huge", "log_keep": [], "log_compress": 1 })), RotationSpec::default());
        let nested = json!({ "pm2-rs": text }).to_string();
        assert_eq!(RotationSpec::from_module_conf(nested.as_bytes()), wanted);
        let flat = RotationSpec::from_module_conf(br#"{"pm2-rs:log_keep":"5","pm2-rs":"?","x":{"log_keep":1}}"#);
        assert_eq!(flat, RotationSpec { keep: Some(5), ..RotationSpec::default() });
        assert_eq!(RotationSpec::from_module_conf(b"{oops"), RotationSpec::default());
    }

    #[test]
    fn an_app_may_say_no_to_a_default() {
        let defaults = spec(json!({ "log_max_size": "1K", "log_keep": 2 }));
        let own = spec(json!({ "log_max_size": 0 }));
        assert!(!own.or(defaults).is_on());
        let rotation = RotationSpec::default().or(defaults);
        assert_eq!((rotation.max_size, rotation.keep, rotation.compress), (Some(1024), 2, false));
    }

    #[test]
    fn a_piece_is_cut_behind_a_line() {
        let at_end = || true;
        let inside = || false;
        assert_eq!(plan(10, 0, at_end, b"123\n567\n90\n"), Plan::Write(8));
        assert_eq!(plan(10, 8, at_end, b"90\n"), Plan::Rotate);
        assert_eq!(plan(10, 7, at_end, b"90\n"), Plan::Write(3));
        assert_eq!(plan(10, 8, inside, b"456789\nx\n"), Plan::Write(7), "the line is finished first");
        assert_eq!(plan(4, 0, at_end, b"456789\nx\n"), Plan::Write(7), "one line is more than a file may have");
        assert_eq!(plan(0, 5, at_end, b"x\n"), Plan::Rotate, "too old");
        assert_eq!(plan(0, 5, inside, b"x\ny"), Plan::Write(2), "too old, in a line");
        assert_eq!(plan(4, 4 + SLACK, inside, b"no end"), Plan::Rotate, "this is no text");
        assert_eq!(plan(4, 2 + SLACK, inside, b"no end"), Plan::Write(2));
    }

    proptest! {
        #[test]
        fn lines_stay_whole_and_files_small(
            lines in prop::collection::vec(0_usize..30, 0..40), limit in 1_u64..100, piece in 1_usize..80
        ) {
            let text: Vec<u8> = lines.iter().flat_map(|length| format!("{}\n", "x".repeat(*length)).into_bytes()).collect();
            let mut files = vec![Vec::new()];
            for chunk in text.chunks(piece) {
                let mut rest = chunk;
                while !rest.is_empty() {
                    let file = files.last_mut().unwrap();
                    match plan(limit, file.len() as u64, || file.ends_with(b"\n"), rest) {
                        Plan::Write(count) => {
                            prop_assert!(count > 0);
                            file.extend_from_slice(&rest[..count]);
                            rest = &rest[count..];
                        }
                        Plan::Rotate => {
                            prop_assert!(!file.is_empty());
                            files.push(Vec::new());
                        }
                    }
                }
            }
            prop_assert_eq!(files.concat(), text);
            for (index, file) in files.iter().enumerate() {
                prop_assert!(index + 1 == files.len() || file.ends_with(b"\n"));
                let newlines = memchr::memchr_iter(b'\n', file).count();
                // Only a line that began inside the limit may end beyond it.
                prop_assert!(file.len() as u64 <= limit + 31 || newlines <= 1);
            }
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn numbers_go_up_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let write = |name: &str| fs::write(folder.path().join(name), name).unwrap();
        for name in
            ["a.log", "a.log.1", "a.log.2.gz", "a.log.4", "a.log.9", "a.log.01", "a.log.x", "a.log.1.bak", "b.log.1"]
        {
            write(name);
        }
        shift(&path, 4).unwrap();
        assert_eq!(
            names(folder.path()),
            ["a.log.01", "a.log.1", "a.log.1.bak", "a.log.2", "a.log.3.gz", "a.log.4", "a.log.x", "b.log.1"]
        );
        assert_eq!(fs::read(numbered(&path, 1, false)).unwrap(), b"a.log");
        assert_eq!(fs::read(numbered(&path, 3, true)).unwrap(), b"a.log.2.gz");
        write("a.log");
        write("a.log.3");
        shift(&path, 4).unwrap();
        assert_eq!(fs::read(numbered(&path, 4, true)).unwrap(), b"a.log.2.gz");
        assert!(!numbered(&path, 4, false).exists(), "the compressed one is whole, the other is its double");
        write("a.log");
        shift(&path, 1).unwrap();
        assert_eq!(old_files(&path).unwrap().into_keys().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_renamed_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        fs::write(&path, "x").unwrap();
        let metadata = fs::metadata(&path).unwrap();
        let mark = FileMark { device: metadata.dev(), inode: metadata.ino(), size: 0 };
        shift(&path, 3).unwrap();
        assert_eq!(find(&path, mark), Some(numbered(&path, 1, false)));
        fs::remove_file(numbered(&path, 1, false)).unwrap();
        assert_eq!(find(&path, mark), None);
    }
}
