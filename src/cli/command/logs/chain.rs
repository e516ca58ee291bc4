//! One log with its old files (`<file>.1` the youngest, compressed ones with `.gz`): where in it a question begins and ends.
//!
//! Owns: the arithmetic of positions. Must never: read more of a file than the answer needs (a tail is instant for a file of
//! any size, a moment is found by halving), or hold more than a few blocks.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;

use super::stamp::Stamps;

/// How much is read at a time.
const BLOCK: usize = 64 * 1024;

/// So far a line with a time is looked for.
const PROBE: u64 = 1 << 20;

/// A longer line comes in pieces.
const LONGEST: u64 = 16 << 20;

/// Which lines are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted {
    /// The last so many; `None`: all.
    pub(super) lines: Option<usize>,
    /// Milliseconds since the epoch, both inclusive.
    pub(super) since: Option<i64>,
    pub(super) until: Option<i64>,
}

/// A part of one file, in bytes of its (unpacked) text.
#[derive(Debug)]
pub(super) struct Span {
    piece: Rc<Piece>,
    start: u64,
    end: u64,
}

/// Device and inode.
type Identity = (u64, u64);

/// One file.
#[derive(Debug)]
struct Piece {
    file: File,
    packed: bool,
    size: u64,
    /// Bytes read from it, for those who ask whether it was worth it.
    read: Cell<u64>,
}

/// What of the log at `path` is wanted, the oldest part first. A log that is not there is empty.
pub(super) fn select(path: &Path, stamps: &Stamps, wanted: Wanted) -> io::Result<Vec<Span>> {
    let mut spans = Vec::new();
    let mut seen = Vec::new();
    let mut left = wanted.lines.unwrap_or(usize::MAX);
    for (path, packed) in std::iter::once((path.to_owned(), false)).chain(old_files(path)) {
        if left == 0 {
            break;
        }
        let Some((piece, identity)) = Piece::open(&path, packed)? else { continue };
        // Rotated while we looked: it has come a second time, under its next name.
        if seen.contains(&identity) {
            continue;
        }
        seen.push(identity);
        let end = match wanted.until {
            Some(until) => piece.first(stamps, |at| at > until)?,
            None => piece.length()?,
        };
        let from = match wanted.since {
            Some(since) => piece.first(stamps, |at| at >= since)?,
            None => 0,
        };
        let start = if wanted.lines.is_some() {
            let (start, found) = piece.last(left, from, end)?;
            left -= found;
            start
        } else {
            from
        };
        if start < end {
            spans.push(Span { piece, start, end });
        }
        if from > 0 {
            // It begins before the time in question, and older files do so all the more.
            break;
        }
    }
    spans.reverse();
    Ok(spans)
}

/// Whether the lines of a log carry times, as far as its first and last lines show.
pub(super) fn is_stamped(path: &Path, stamps: &Stamps) -> bool {
    let Ok(Some((piece, _))) = Piece::open(path, false) else { return false };
    let from = |start: u64| {
        let lines =
            Lines::new(vec![Span { piece: Rc::clone(&piece), start, end: piece.size.min(start + BLOCK as u64) }]);
        lines.take(200).any(|line| line.is_ok_and(|line| stamps.of(&line).is_some()))
    };
    from(0) || from(piece.size.saturating_sub(BLOCK as u64))
}

/// The old files of a log, the youngest first.
fn old_files(path: &Path) -> Vec<(PathBuf, bool)> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    // A name without a folder lies in the one we are in.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<(u32, bool, PathBuf)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let file_name = entry.file_name();
            let rest = file_name.to_str()?.strip_prefix(name)?.strip_prefix('.')?;
            let (digits, packed) = rest.strip_suffix(".gz").map_or((rest, false), |digits| (digits, true));
            let plain =
                !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
            Some((digits.parse().ok().filter(|_| plain)?, packed, entry.path()))
        })
        .collect();
    // Both, plain and compressed: killed between the last two steps of a compression; the compressed one is whole.
    found.sort_by_key(|(number, packed, _)| (*number, !packed));
    found.dedup_by_key(|(number, ..)| *number);
    found.into_iter().map(|(_, packed, path)| (path, packed)).collect()
}

impl Piece {
    /// `None`: there is no such file. One that is being compressed is there under its other name.
    fn open(path: &Path, packed: bool) -> io::Result<Option<(Rc<Piece>, Identity)>> {
        let (file, packed) = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound && !packed => {
                let mut name = path.as_os_str().to_owned();
                name.push(".gz");
                match File::open(PathBuf::from(name)) {
                    Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                    other => (other?, true),
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => (other?, packed),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(None);
        }
        let identity = (metadata.dev(), metadata.ino());
        let piece = Piece { file, packed, size: metadata.len(), read: Cell::new(0) };
        Ok(Some((Rc::new(piece), identity)))
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let count = self.file.read_at(buffer, at)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }

    /// Bytes of text.
    fn length(self: &Rc<Self>) -> io::Result<u64> {
        if self.packed { io::copy(&mut self.text(0), &mut io::sink()) } else { Ok(self.size) }
    }

    /// The text from `start` on; of a plain file as much as there was when it was opened.
    fn text(self: &Rc<Self>, start: u64) -> Box<dyn Read> {
        let at = |at| At { piece: Rc::clone(self), at };
        if !self.packed {
            return Box::new(at(start));
        }
        let mut text = MultiGzDecoder::new(BufReader::with_capacity(BLOCK, at(0)));
        // What cannot be unpacked is empty from there on.
        let _ = io::copy(&mut (&mut text).take(start), &mut io::sink());
        Box::new(text)
    }

    fn lines(self: &Rc<Self>, start: u64) -> impl Iterator<Item = io::Result<(u64, Vec<u8>)>> + use<> {
        let mut reader = BufReader::with_capacity(BLOCK, self.text(start));
        let mut at = start;
        std::iter::from_fn(move || {
            let mut line = Vec::new();
            match (&mut reader).take(LONGEST).read_until(b'\n', &mut line) {
                Ok(0) => None,
                Ok(count) => {
                    let begin = at;
                    at += count as u64;
                    Some(Ok((begin, line)))
                }
                Err(error) => Some(Err(error)),
            }
        })
    }

    /// Where the first line begins whose time is `late`; the length if there is none. Times only grow in a file.
    fn first(self: &Rc<Self>, stamps: &Stamps, late: impl Fn(i64) -> bool) -> io::Result<u64> {
        let (mut low, mut high) = (0, if self.packed { 0 } else { self.size });
        while high - low > BLOCK as u64 {
            let middle = low + (high - low) / 2;
            match self.next_stamp(stamps, middle)? {
                Some((start, at)) if start < high && !late(at) => low = start,
                _ => high = middle,
            }
        }
        let mut end = low;
        for line in self.lines(low) {
            let (start, line) = line?;
            if stamps.of(&line).is_some_and(&late) {
                return Ok(start);
            }
            end = start + line.len() as u64;
        }
        Ok(end)
    }

    /// The first line with a time that begins behind `at`.
    fn next_stamp(&self, stamps: &Stamps, at: u64) -> io::Result<Option<(u64, i64)>> {
        let mut block = vec![0; BLOCK];
        let mut start = None;
        let mut line: Vec<u8> = Vec::new();
        let mut position = at;
        while position < self.size.min(at + PROBE) {
            let count = self.read_at(&mut block, position)?;
            if count == 0 {
                break;
            }
            for part in block.get(..count).unwrap_or_default().split_inclusive(|byte| *byte == b'\n') {
                if let Some(start) = start {
                    line.extend_from_slice(part);
                    if part.ends_with(b"\n")
                        && let Some(at) = stamps.of(&line)
                    {
                        return Ok(Some((start, at)));
                    }
                }
                position += part.len() as u64;
                if part.ends_with(b"\n") {
                    start = Some(position);
                    line.clear();
                }
            }
        }
        Ok(None)
    }

    /// Where the last `count` lines between `from` and `end` begin, and how many they are.
    fn last(self: &Rc<Self>, count: usize, from: u64, end: u64) -> io::Result<(u64, usize)> {
        if self.packed {
            let mut starts = VecDeque::new();
            for line in self.lines(from) {
                let (start, _) = line?;
                if start >= end {
                    break;
                }
                starts.push_back(start);
                if starts.len() > count {
                    starts.pop_front();
                }
            }
            return Ok((starts.front().copied().unwrap_or(end), starts.len()));
        }
        let mut block = vec![0; BLOCK];
        let (mut position, mut found) = (end, 0);
        while position > from {
            let length = usize::try_from(position - from).unwrap_or(BLOCK).min(BLOCK);
            let begin = position - length as u64;
            let bytes = block.get_mut(..length).unwrap_or_default();
            let count_read = self.read_at(bytes, begin)?;
            let bytes = bytes.get(..count_read).unwrap_or_default();
            for feed in memchr::memrchr_iter(b'\n', bytes) {
                let next = begin + feed as u64 + 1;
                // The feed that ends the last line begins none.
                if next < end {
                    found += 1;
                    if found == count {
                        return Ok((next, found));
                    }
                }
            }
            position = begin;
        }
        Ok((from, if end > from { found + 1 } else { 0 }))
    }
}

/// A file from a position on, to the size that it had.
struct At {
    piece: Rc<Piece>,
    at: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.piece.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let count = self.piece.read_at(buffer.get_mut(..length).unwrap_or_default(), self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// The lines of some spans, one after the other, without their line feeds.
pub(super) struct Lines {
    spans: std::vec::IntoIter<Span>,
    current: Option<BufReader<io::Take<Box<dyn Read>>>>,
}

impl Lines {
    pub(super) fn new(spans: Vec<Span>) -> Lines {
        Lines { spans: spans.into_iter(), current: None }
    }
}

impl Iterator for Lines {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        loop {
            if let Some(reader) = &mut self.current {
                let mut line = Vec::new();
                match reader.take(LONGEST).read_until(b'\n', &mut line) {
                    Ok(0) => self.current = None,
                    Ok(_) => {
                        if line.ends_with(b"\n") {
                            line.pop();
                        }
                        return Some(Ok(line));
                    }
                    Err(error) => {
                        self.current = None;
                        return Some(Err(error));
                    }
                }
            }
            let span = self.spans.next()?;
            let text = span.piece.text(span.start).take(span.end - span.start);
            self.current = Some(BufReader::with_capacity(BLOCK, text));
        }
    }
}

#[cfg(test)]
mod tests;
