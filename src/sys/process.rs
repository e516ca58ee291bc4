//! The descendants of a process, and signals to them that cannot hit a stranger.
//!
//! Owns: one look at all of `/proc`. A snapshot ages: what is forked after it is not in it, so whoever wants a whole
//! tree dead looks again until a look finds nobody.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use super::{clock, pidfd, stat};
use crate::model::signal::Signal;

/// A process as one snapshot saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    pub pid: i32,
    /// As in [`stat::Stat::start_time`].
    pub start_time: u64,
}

impl Member {
    /// Opens this process. `None` when it has ended, also if its pid was given to another since.
    pub fn open(&self) -> io::Result<Option<OwnedFd>> {
        let pidfd = match pidfd::open(self.pid) {
            Ok(pidfd) => pidfd,
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(None),
            Err(error) => return Err(error),
        };
        // Looked at after opening: if it is the right one now, the descriptor names the right one.
        Ok(stat::start_time(self.pid).is_ok_and(|time| time == self.start_time).then_some(pidfd))
    }
}

/// Who is whose child, at one moment.
#[derive(Debug)]
pub struct Snapshot {
    children: HashMap<i32, Vec<Member>>,
}

impl Snapshot {
    /// Reads every process once. What ends while we read is left out. About 10 us for each process of the machine.
    pub fn take() -> io::Result<Snapshot> {
        let mut children: HashMap<i32, Vec<Member>> = HashMap::new();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            let Ok(seen) = stat::read(pid) else { continue };
            children.entry(seen.parent).or_default().push(Member { pid, start_time: seen.start_time });
        }
        Ok(Snapshot { children })
    }

    /// All descendants of `pid` (without itself), deepest first: parents get their signal after their children, so that
    /// they cannot start new ones in answer to a child's death unseen.
    pub fn descendants(&self, pid: i32) -> Vec<Member> {
        let mut found: Vec<Member> = Vec::new();
        let mut level = vec![pid];
        while !level.is_empty() {
            let next: Vec<Member> = level.iter().filter_map(|pid| self.children.get(pid)).flatten().copied().collect();
            level = next.iter().map(|member| member.pid).collect();
            found.extend(next);
            // A pid recycled while we read could close a ring.
            if found.len() > self.children.values().map(Vec::len).sum() {
                break;
            }
        }
        found.reverse();
        found
    }
}

/// All descendants of `pid` now, deepest first.
pub fn descendants(pid: i32) -> io::Result<Vec<Member>> {
    Ok(Snapshot::take()?.descendants(pid))
}

/// Sends `signal` to each that still lives. Returns a descriptor for each that was signalled, to wait for its end with
/// [`pidfd::ended`] or [`pidfd::wait_all`]. Those that may not be signalled (another user's) are left out.
pub fn signal_all(members: &[Member], signal: Signal) -> Vec<OwnedFd> {
    let open = |member: &Member| member.open().ok().flatten();
    members.iter().filter_map(open).filter(|pidfd| pidfd::send_signal(pidfd, signal).is_ok()).collect()
}

/// How long we wait for processes in the middle of their exec, in milliseconds, all together: a slow disk may hold them.
const EXEC: u64 = 10_000;

/// The environment of a process; empty if we may not look. In the middle of an exec the kernel shows none: it is asked
/// again until `deadline` (milliseconds since boot).
fn environment(pid: i32, deadline: u64) -> Vec<u8> {
    loop {
        let Ok(bytes) = fs::read(format!("/proc/{pid}/environ")) else { return Vec::new() };
        if !bytes.is_empty() {
            return bytes;
        }
        // Its exec may have come to its end between the two looks.
        if !stat::is_in_exec(pid) {
            return fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        }
        let Ok(process) = pidfd::open(pid) else { return Vec::new() };
        if pidfd::wait_all(&[process], 1) || clock::boot_millis() > deadline {
            return Vec::new();
        }
    }
}

/// The processes that were started with all of these entries (`NAME=value`) in their environment, as far as we may look.
///
/// A child of a keeper that has not executed yet shows the keeper's environment. Whoever looks for such a child must know
/// that there is none: the keeper was killed, and its link was seen to be at its end, or its lock was free. Both stay open
/// in a child until its exec (`keeper::setup`), and the kernel closes them after the old environment is gone.
pub fn with_environment(entries: &[&str]) -> Vec<Member> {
    let Ok(folder) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let deadline = clock::boot_millis() + EXEC;
    let has_all = |pid: &i32| {
        let environment = environment(*pid, deadline);
        let has = |entry: &&str| environment.split(|byte| *byte == 0).any(|line| line == entry.as_bytes());
        entries.iter().all(has)
    };
    let member = |pid| Some(Member { pid, start_time: stat::start_time(pid).ok()? });
    pids.filter(has_all).filter_map(member).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_is_found_by_its_environment() {
        let mark = format!("PM2_RS_TEST_MARK={}", std::process::id());
        let (name, value) = mark.split_once('=').unwrap();
        // Looked for at once: `spawn` returns within the exec, when the kernel shows no environment yet.
        let mut child = Command::new("sleep").arg("1000").env(name, value).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let found = with_environment(&[&mark]);
        assert_eq!(found.iter().map(|member| member.pid).collect::<Vec<_>>(), [pid]);
        assert!(with_environment(&[&mark, "PM2_RS_TEST_MARK=other"]).is_empty());
        signal_all(&found, Signal::KILL);
        child.wait().unwrap();
    }

    #[test]
    fn a_tree_is_found_deepest_first_and_ended() {
        // The inner shell outlives its sleeper: were it to end by itself, its own signal might find it gone.
        let script = "sh -c 'sleep 1000 & echo $!; wait; exec sleep 1000' & wait";
        let mut top = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(top.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let sleeper: i32 = line.trim().parse().unwrap();

        let members = descendants(i32::try_from(top.id()).unwrap()).unwrap();
        assert_eq!(members.len(), 2);
        assert_eq!(members[0].pid, sleeper);

        let stranger = Member { start_time: members[0].start_time + 1, ..members[0] };
        assert!(signal_all(&[stranger], Signal::KILL).is_empty(), "another start time is another process");

        let pidfds = signal_all(&members, Signal::KILL);
        assert_eq!(pidfds.len(), 2);
        assert!(pidfd::wait_all(&pidfds, 30_000));
        top.wait().unwrap();
    }
}
