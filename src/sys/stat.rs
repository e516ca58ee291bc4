//! Our own reader of `/proc/<pid>/stat`: three times faster than a library that parses it all
//! (style/dependencies.md section 2).
//!
//! Owns: the field numbers of `proc_pid_stat(5)`. Must never: trust `comm`, which may hold spaces, brackets and newlines.

use std::fs::File;
use std::io::{self, Read};
use std::sync::OnceLock;

/// What we read of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// `R`, `S`, `Z` (ended, not reaped) and so on.
    pub state: u8,
    pub parent: i32,
    /// User and system time together, in clock ticks (see [`ticks_per_second`]).
    pub cpu_ticks: u64,
    /// Clock ticks since boot at which it was started: with the pid it names a process for ever.
    pub start_time: u64,
    /// Resident memory in bytes.
    pub rss: u64,
}

/// Reads one process. `NotFound` when there is none.
pub fn read(pid: i32) -> io::Result<Stat> {
    let mut buffer = [0; 1024];
    let mut file = File::open(format!("/proc/{pid}/stat"))?;
    let length = file.read(&mut buffer).map_err(|error| match error.raw_os_error() {
        // It ended between open and read.
        Some(libc::ESRCH) => io::Error::from(io::ErrorKind::NotFound),
        _ => error,
    })?;
    parse(&buffer[..length]).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unreadable /proc/<pid>/stat"))
}

/// The start time alone; `NotFound` when there is no such process.
pub fn start_time(pid: i32) -> io::Result<u64> {
    read(pid).map(|stat| stat.start_time)
}

/// Whether a process is in the middle of its exec: its new memory has no arguments and no environment yet. Whoever may
/// not look at its memory is told no.
pub fn is_in_exec(pid: i32) -> bool {
    let Ok(text) = std::fs::read(format!("/proc/{pid}/stat")) else { return false };
    is_text_of_exec(&text).unwrap_or(false)
}

fn is_text_of_exec(text: &[u8]) -> Option<bool> {
    let seen = parse(text)?;
    let comm_end = text.iter().rposition(|byte| *byte == b')')?;
    let mut fields = text.get(comm_end + 2..)?.split(|byte| *byte == b' ');
    let size = number(fields.nth(20)?)?; // 23
    let environment_end = number(fields.nth(27)?)?; // 51
    // What has ended has no memory, nor have the kernel's own threads.
    Some(seen.state != b'Z' && seen.state != b'X' && size > 0 && environment_end == 0)
}

/// Clock ticks a second (100 on every Linux in use).
pub fn ticks_per_second() -> u64 {
    static TICKS: OnceLock<u64> = OnceLock::new();
    *TICKS.get_or_init(|| system_value(libc::_SC_CLK_TCK).unwrap_or(100))
}

/// Bytes a page.
pub fn page_size() -> u64 {
    static SIZE: OnceLock<u64> = OnceLock::new();
    *SIZE.get_or_init(|| system_value(libc::_SC_PAGESIZE).unwrap_or(4096))
}

#[expect(unsafe_code, reason = "sysconf is not among the chosen nix features")]
fn system_value(name: libc::c_int) -> Option<u64> {
    // SAFETY: sysconf takes a number and returns a number.
    let value = unsafe { libc::sysconf(name) };
    u64::try_from(value).ok().filter(|value| *value > 0)
}

fn parse(text: &[u8]) -> Option<Stat> {
    // comm ends at the LAST bracket: it may hold brackets itself.
    let comm_end = text.iter().rposition(|byte| *byte == b')')?;
    let mut fields = text.get(comm_end + 2..)?.split(|byte| *byte == b' ');
    let state = *fields.next()?.first()?; // field 3
    let parent = i32::try_from(number(fields.next()?)?).ok()?; // 4
    let user = number(fields.nth(9)?)?; // 14
    let system = number(fields.next()?)?; // 15
    let start_time = number(fields.nth(6)?)?; // 22
    let pages = number(fields.nth(1)?)?; // 24
    Some(Stat { state, parent, cpu_ticks: user + system, start_time, rss: pages * page_size() })
}

fn number(field: &[u8]) -> Option<u64> {
    if field.is_empty() {
        return None;
    }
    field.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_does_not_move_the_fields() {
        let line =
            b"12 (a) R 1 (b\n)) S 7 12 12 0 -1 4194560 1 2 3 4 50 60 9 9 20 0 1 0 98765 1000 25 18446744073709551615 1";
        let stat = parse(line).unwrap();
        assert_eq!(stat, Stat { state: b'S', parent: 7, cpu_ticks: 110, start_time: 98765, rss: 25 * page_size() });
        for cut in 0..line.len() - 30 {
            let _ = parse(&line[..cut]);
        }
        assert_eq!(parse(b"12 (x) S 1 2"), None);
    }

    #[test]
    fn our_own_figures_are_plausible() {
        let stat = read(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(stat.rss > 500_000 && stat.start_time > 0);
        assert_eq!(stat.parent, nix::unistd::getppid().as_raw());
        assert_eq!(read(i32::MAX).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
