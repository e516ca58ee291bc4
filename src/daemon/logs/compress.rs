//! Compresses old log files (`log_compress`) in a thread of its own and of the lowest priority.
//!
//! Owns: the queue, the thread, and the two steps that put the compressed file in the place of the other.
//! Must never: keep the daemon waiting, hold a whole file in memory, or take away a file before its copy is on disk.
//!
//! The numbers of the files change while one is compressed. So the copy has a name of its own until it is done, and gets
//! the number that the original has then; both happens in the daemon's one thread, where the numbers are changed, too.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::{Compression, GzBuilder};
use tokio::sync::oneshot;

use super::journal::FileMark;
use super::rotation::{find, numbered, old_files};
use crate::sys::priority::lower_this_thread;

/// Log files whose old ones are to be compressed.
#[derive(Debug, Default)]
pub(super) struct Compressor {
    waiting: RefCell<VecDeque<PathBuf>>,
    running: Cell<bool>,
}

impl Compressor {
    /// Compresses the old files of this log, in a while; what goes wrong is told to `complain`. Must run in a `LocalSet`.
    pub(super) fn push(self: &Rc<Self>, log: PathBuf, complain: impl Fn(&str) + 'static) {
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.contains(&log) {
            waiting.push_back(log);
        }
        if self.running.replace(true) {
            return;
        }
        let compressor = Rc::clone(self);
        tokio::task::spawn_local(async move {
            loop {
                let Some(log) = compressor.waiting.borrow_mut().pop_front() else { break };
                while let Some(result) = one(&log).await {
                    if let Err(error) = result {
                        complain(&format!("cannot compress the old files of {}: {error}", log.display()));
                        break;
                    }
                }
            }
            compressor.running.set(false);
        });
    }
}

/// Compresses the youngest old file that is not; `None` when there is none.
async fn one(log: &Path) -> Option<io::Result<()>> {
    let number = match old_files(log) {
        Ok(old) => {
            let mut plain = old.into_iter().filter(|(_, kinds)| kinds.plain);
            let (number, kinds) = plain.next()?;
            if kinds.compressed {
                // Killed between the two last steps.
                return Some(fs::remove_file(numbered(log, number, false)));
            }
            number
        }
        Err(error) => return Some(Err(error)),
    };
    let (from, to) = (numbered(log, number, false), copy_name(log));
    let (sender, receiver) = oneshot::channel();
    let started = std::thread::Builder::new().name("log-compress".into()).spawn(move || {
        lower_this_thread();
        let result = compress(&from, &to);
        if result.is_err() {
            let _ = fs::remove_file(&to);
        }
        let _ = sender.send(result);
    });
    if let Err(error) = started {
        return Some(Err(error));
    }
    Some(match receiver.await {
        Ok(Ok(original)) => put_in_place(log, original),
        // Rotated once more before it was opened, or flushed away: look again.
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::Error::other("the thread has failed")),
    })
}

fn copy_name(log: &Path) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(".compressing");
    PathBuf::from(name)
}

/// Answers which file was compressed.
fn compress(from: &Path, to: &Path) -> io::Result<FileMark> {
    let mut log = File::open(from)?;
    let metadata = log.metadata()?;
    match fs::remove_file(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let copy = OpenOptions::new().write(true).create_new(true).mode(metadata.mode() & 0o777).open(to)?;
    // Whoever has read half of the original, and has it open, knows by this which of the old files it has become.
    let builder = GzBuilder::new().comment(format!("inode {}", metadata.ino()));
    let mut encoder = builder.write(copy, Compression::default());
    io::copy(&mut log, &mut encoder)?;
    let copy = encoder.finish()?;
    if let Ok(modified) = metadata.modified() {
        copy.set_modified(modified)?;
    }
    // Root may write logs that belong to somebody else; whoever may not give files away keeps them.
    let _ = std::os::unix::fs::fchown(&copy, Some(metadata.uid()), Some(metadata.gid()));
    copy.sync_all()?;
    Ok(FileMark { device: metadata.dev(), inode: metadata.ino(), size: metadata.len() })
}

fn put_in_place(log: &Path, original: FileMark) -> io::Result<()> {
    let copy = copy_name(log);
    let Some(now) = find(log, original) else {
        // Too old meanwhile.
        return fs::remove_file(copy);
    };
    if fs::metadata(&now)?.len() != original.size {
        // Somebody still writes to it; the next rotation brings us back.
        fs::remove_file(copy)?;
        return Err(io::Error::other(format!("{} has changed meanwhile", now.display())));
    }
    let mut compressed = now.clone().into_os_string();
    compressed.push(".gz");
    fs::rename(copy, compressed)?;
    fs::remove_file(now)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::Duration;

    use flate2::read::GzDecoder;

    use super::*;
    use crate::daemon::test_runtime::run;

    fn unzipped(path: &Path) -> Vec<u8> {
        let mut bytes = Vec::new();
        GzDecoder::new(File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn old_files_are_replaced_by_their_copies_and_leftovers_go() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a.log");
        let big: Vec<u8> = (0..=255).cycle().take(1_000_000).collect();
        fs::write(numbered(&log, 1, false), &big).unwrap();
        fs::write(numbered(&log, 2, false), b"two").unwrap();
        fs::write(numbered(&log, 3, false), b"double").unwrap();
        fs::write(numbered(&log, 3, true), b"whole").unwrap();
        fs::write(copy_name(&log), b"left by a killed daemon").unwrap();
        run(async {
            let compressor = Rc::new(Compressor::default());
            compressor.push(log.clone(), |text| panic!("{text}"));
            compressor.push(log.clone(), |text| panic!("{text}"));
            while compressor.running.get() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        assert_eq!(unzipped(&numbered(&log, 1, true)), big);
        assert_eq!(unzipped(&numbered(&log, 2, true)), b"two");
        assert_eq!(fs::read(numbered(&log, 3, true)).unwrap(), b"whole");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_file_that_was_renamed_meanwhile_keeps_its_new_number() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a.log");
        fs::write(numbered(&log, 1, false), b"one").unwrap();
        let mark = compress(&numbered(&log, 1, false), &copy_name(&log)).unwrap();
        fs::rename(numbered(&log, 1, false), numbered(&log, 2, false)).unwrap();
        put_in_place(&log, mark).unwrap();
        let copy = numbered(&log, 2, true);
        assert_eq!(unzipped(&copy), b"one");
        let comment = GzDecoder::new(File::open(copy).unwrap()).header().unwrap().comment().unwrap().to_vec();
        assert_eq!(comment, format!("inode {}", mark.inode).into_bytes());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
