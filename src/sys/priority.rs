//! Work that must not be felt: the priority of one thread.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What the kernel calls the policy of a thread that [`wait_for_turns`] has set: the flag tells it from one that the user chose.
const TURNS: libc::c_int = libc::SCHED_BATCH | libc::SCHED_RESET_ON_FORK;

/// The calling thread no longer takes the processor from one that is running: it has its share, and waits for its turn. A thread
/// whose policy somebody has chosen keeps that.
///
/// # Errors
/// What the system says; then all is as it was.
pub fn wait_for_turns() -> io::Result<()> {
    if policy() == libc::SCHED_OTHER { set_policy(TURNS) } else { Ok(()) }
}

/// Has this command start its program as one that takes the processor when it is due, also from a thread that does not.
#[expect(unsafe_code, reason = "runs code between fork and exec")]
pub fn start_as_before(command: &mut Command) {
    if policy() == TURNS {
        // SAFETY: one system call, with numbers from the stack: nothing is allocated, locked or kept.
        unsafe { command.pre_exec(|| set_policy(libc::SCHED_OTHER)) };
    }
}

#[expect(unsafe_code, reason = "no crate of ours asks for the policy of a thread")]
fn policy() -> libc::c_int {
    // SAFETY: takes and gives a number; pid 0 is the calling thread.
    unsafe { libc::sched_getscheduler(0) }
}

#[expect(unsafe_code, reason = "no crate of ours sets the policy of a thread")]
fn set_policy(policy: libc::c_int) -> io::Result<()> {
    let none = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameter is read and not kept, and pid 0 is the calling thread.
    match unsafe { libc::sched_setscheduler(0, policy, &raw const none) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives the calling thread the lowest priority, for the processor and for the disk. What the system refuses is left as
/// it is: the work is only done sooner.
#[expect(unsafe_code, reason = "no crate of ours sets the priority of a thread")]
pub fn lower_this_thread() {
    /// `IOPRIO_WHO_PROCESS` with 0 is the calling thread; class 3 (idle) stands in the bits from 13 on.
    const IDLE_CLASS: libc::c_int = 3 << 13;
    // SAFETY: both calls take numbers only, and on Linux `who` 0 is the calling thread.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, 19);
        libc::syscall(libc::SYS_ioprio_set, 1, 0, IDLE_CLASS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_its_turns_starts_programs_that_do_not() {
        let started = || {
            let mut command = Command::new("cat");
            command.arg("/proc/self/stat");
            start_as_before(&mut command);
            let stat = String::from_utf8(command.output().unwrap().stdout).unwrap();
            stat.rsplit(')').next().unwrap().split_whitespace().nth(38).unwrap().parse().ok()
        };
        let inside = std::thread::spawn(move || {
            set_policy(libc::SCHED_OTHER).unwrap();
            wait_for_turns().unwrap();
            (policy(), started())
        });
        assert_eq!(inside.join().unwrap(), (TURNS, Some(libc::SCHED_OTHER)));
    }

    #[test]
    fn who_chose_a_policy_keeps_it() {
        let inside = std::thread::spawn(|| {
            set_policy(libc::SCHED_BATCH).unwrap();
            wait_for_turns().unwrap();
            policy()
        });
        assert_eq!(inside.join().unwrap(), libc::SCHED_BATCH);
    }

    #[test]
    fn only_the_calling_thread_gets_it() {
        let nice = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            stat.rsplit(')').next().unwrap().split_whitespace().nth(16).unwrap().to_owned()
        };
        let before = nice();
        let inside = std::thread::spawn(move || {
            lower_this_thread();
            nice()
        });
        assert_eq!(inside.join().unwrap(), "19");
        assert_eq!(nice(), before);
    }
}
