//! The few system calls on a log file: opening it, writing all of a piece, looking at its end.
//!
//! Must never: wait for whoever reads a FIFO, or truncate.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::super::journal::FileMark;

/// How long the rest of a piece may wait for a pipe or terminal that took its beginning.
const FINISH_WITHIN: u16 = 50;

pub(super) fn mark(metadata: &Metadata) -> FileMark {
    FileMark { device: metadata.dev(), inode: metadata.ino(), size: metadata.len() }
}

/// Opens for append, with its folder. Never waits: not for the reader of a FIFO either.
pub(super) fn open_append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
    match options.open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if let Some(folder) = path.parent() {
                DirBuilder::new().recursive(true).create(folder)?;
            }
            options.open(path)
        }
        other => other,
    }
}

/// Writes all of it, or says how much went in.
pub(super) fn write_all(mut file: &File, data: &[u8]) -> (usize, io::Result<()>) {
    let (mut written, mut waited) = (0, false);
    while let Some(rest) = data.get(written..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
            Ok(count) => (written, waited) = (written + count, false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock && !waited => {
                waited = true;
                let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
                let _ = poll(&mut fds, FINISH_WITHIN);
            }
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

/// Whether the last byte of this file ends a line.
pub(super) fn ends_with_line(path: &Path, size: u64) -> bool {
    let mut last = [0];
    let read = File::open(path).and_then(|file| file.read_at(&mut last, size.saturating_sub(1)));
    matches!(read, Ok(1)) && last == *b"\n"
}

/// Whether it takes something now. A full pipe or terminal says no.
pub(super) fn is_writable(file: &File) -> bool {
    let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
    poll(&mut fds, PollTimeout::ZERO) != Ok(0)
}
