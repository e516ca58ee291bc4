//! Work that must not be felt: the priority of one thread.

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
