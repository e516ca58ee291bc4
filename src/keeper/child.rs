//! clone and exec, and nothing else.
//!
//! Owns: what happens between clone and execve. The child shares our memory and we are stopped until it has executed
//! (`CLONE_VM | CLONE_VFORK`), so nothing is copied however large we are, and a failure is told through memory.
//! Must never: allocate, lock or panic in the child; leave a descriptor open in it that it was not given.

#![expect(unsafe_code, reason = "std and nix offer no vfork with descriptors, session, user and limits")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use crate::sys::limits::OpenFiles;

/// Most descriptors a child is given: stdin, stdout, stderr and the IPC channel (or the keeper's socket).
pub(super) const MAX_CHILD_FDS: usize = 4;

/// Room for the child's frames until execve: about ten system calls deep.
const STACK: usize = 64 * 1024;

/// What a child becomes.
#[derive(Debug, Default)]
pub(super) struct Image {
    pub(super) program: CString,
    pub(super) argv: Vec<CString>,
    pub(super) env: Vec<CString>,
    /// `None`: ours.
    pub(super) cwd: Option<CString>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) groups: Vec<u32>,
    /// Limits to restore.
    pub(super) open_files: Option<OpenFiles>,
    /// The text of `oom_score_adj` to restore.
    pub(super) oom_score: Option<CString>,
}

/// Where a child failed before it became its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Clone,
    Descriptors,
    Directory,
    Groups,
    Gid,
    Uid,
    Execute,
}

#[derive(Debug)]
pub(super) struct Failure {
    pub(super) step: Step,
    pub(super) error: io::Error,
}

/// The one stack that all children use, one after the other.
#[derive(Debug)]
pub(super) struct Stack {
    base: *mut c_void,
}

impl Stack {
    pub(super) fn new() -> io::Result<Stack> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        // SAFETY: a fresh anonymous mapping; nobody else knows the address.
        let base = unsafe { libc::mmap(ptr::null_mut(), STACK, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        if base == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Stack { base }) }
    }

    /// Starts `image` in a session of its own with exactly `fds` as descriptors 0, 1, 2 (and 3). Returns its pid and
    /// pidfd once it executes.
    pub(super) fn start(&mut self, image: &Image, fds: &[BorrowedFd<'_>]) -> Result<(i32, OwnedFd), Failure> {
        let argv = pointers(image.argv.iter());
        let env = pointers(image.env.iter());
        // A script without `#!` is run by sh, as execvp (and so Node's spawn) does.
        let mut shell_argv =
            pointers([c"/bin/sh", &image.program].into_iter().chain(image.argv.iter().skip(1).map(CString::as_c_str)));
        let mut sources = [-1; MAX_CHILD_FDS];
        for (place, fd) in sources.iter_mut().zip(fds) {
            *place = fd.as_raw_fd();
        }
        let mut order = Order {
            image,
            argv: argv.as_ptr(),
            env: env.as_ptr(),
            shell_argv: shell_argv.as_mut_ptr(),
            sources,
            failed: None,
        };
        let mut pidfd: c_int = -1;
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
        // SAFETY: the stack is ours, 16-byte aligned at its end, and used by one child at a time, as this call returns
        // only when the child no longer shares our memory; `order` and what it points to outlive the call.
        let pid = unsafe {
            let top = self.base.byte_add(STACK);
            libc::clone(run, top, flags, (&raw mut order).cast(), &raw mut pidfd)
        };
        if pid < 0 {
            return Err(Failure { step: Step::Clone, error: io::Error::last_os_error() });
        }
        // SAFETY: the kernel made this descriptor for us, closed on exec.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        // SAFETY: written by the child, which has ended or executed; a volatile read, as the compiler saw no writer.
        match unsafe { (&raw const order.failed).read_volatile() } {
            None => Ok((pid, pidfd)),
            Some((step, errno)) => {
                // It has ended by itself; nobody else may wait for this pid.
                let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None);
                Err(Failure { step, error: io::Error::from_raw_os_error(errno) })
            }
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: our own mapping, of this length, and no child is running on it.
        unsafe { libc::munmap(self.base, STACK) };
    }
}

/// Everything the child needs, prepared before it exists.
struct Order<'a> {
    image: &'a Image,
    argv: *const *const c_char,
    env: *const *const c_char,
    shell_argv: *mut *const c_char,
    sources: [c_int; MAX_CHILD_FDS],
    failed: Option<(Step, c_int)>,
}

fn pointers<'a, S: AsRef<CStr> + 'a + ?Sized>(strings: impl Iterator<Item = &'a S>) -> Vec<*const c_char> {
    strings.map(|string| string.as_ref().as_ptr()).chain([ptr::null()]).collect()
}

/// The child. What it returns is its exit code.
extern "C" fn run(order: *mut c_void) -> c_int {
    // SAFETY: `start` passes an Order that outlives this function, and is itself stopped meanwhile.
    unsafe {
        let order = order.cast::<Order<'_>>();
        let step = become_image(&*order);
        let errno = *libc::__errno_location();
        (&raw mut (*order).failed).write_volatile(Some((step, errno)));
    }
    127
}

/// Returns only on failure, with the step that failed and its reason in errno.
///
/// # Safety
/// Only in a child that has memory, but neither descriptors nor signal dispositions in common with its parent.
unsafe fn become_image(order: &Order<'_>) -> Step {
    let image = order.image;
    // SAFETY: every pointer comes from a CString, slice or array that `Stack::start` keeps alive; nothing here
    // allocates, and none of these calls does more than its system call.
    unsafe {
        libc::setsid();
        // The one signal that we ignore (Rust's runtime does); handlers need no reset, execve does it.
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        if !place_descriptors(&order.sources) {
            return Step::Descriptors;
        }
        if let Some(limits) = image.open_files {
            let limits = libc::rlimit { rlim_cur: limits.soft, rlim_max: limits.hard };
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limits);
        }
        if let Some(score) = &image.oom_score {
            let file = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
            libc::write(file, score.as_ptr().cast(), score.count_bytes());
            libc::close(file);
        }
        let directory_later = match &image.cwd {
            Some(cwd) if libc::chdir(cwd.as_ptr()) != 0 => {
                // Some file systems show a directory to its owner but not to root.
                if image.uid.is_none() || *libc::__errno_location() != libc::EACCES {
                    return Step::Directory;
                }
                Some(cwd)
            }
            _ => None,
        };
        if let Err(step) = change_user(image) {
            return step;
        }
        if let Some(cwd) = directory_later
            && libc::chdir(cwd.as_ptr()) != 0
        {
            return Step::Directory;
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
        libc::execve(image.program.as_ptr(), order.argv, order.env);
        if *libc::__errno_location() == libc::ENOEXEC {
            libc::execve(c"/bin/sh".as_ptr(), order.shell_argv.cast_const(), order.env);
        }
    }
    Step::Execute
}

/// Puts `sources[i]` at `i`. First out of the way, then into place: a source may have the number of another's place.
///
/// # Safety
/// As [`become_image`].
unsafe fn place_descriptors(sources: &[c_int; MAX_CHILD_FDS]) -> bool {
    let mut place = 0;
    let mut away = [-1; MAX_CHILD_FDS];
    // SAFETY: numbers only; copies are closed by execve.
    unsafe {
        for (away, source) in away.iter_mut().zip(sources) {
            *away = *source;
            if (0..4).contains(source) {
                *away = libc::fcntl(*source, libc::F_DUPFD_CLOEXEC, 4);
                if *away < 0 {
                    return false;
                }
            }
        }
        for source in away {
            if source >= 0 && libc::dup2(source, place) < 0 {
                return false;
            }
            place += 1;
        }
    }
    true
}

/// # Safety
/// As [`become_image`].
unsafe fn change_user(image: &Image) -> Result<(), Step> {
    // The system calls themselves: the C library's functions would tell all threads of the process, and the child
    // shares the list of them with us.
    // SAFETY: `groups` is alive and has the length that is passed.
    unsafe {
        if image.uid.is_some() || image.gid.is_some() {
            let result = libc::syscall(libc::SYS_setgroups, image.groups.len(), image.groups.as_ptr());
            // Without privileges the groups cannot change, and if the user does not either that is right.
            if result != 0 && *libc::__errno_location() != libc::EPERM {
                return Err(Step::Groups);
            }
        }
        if let Some(gid) = image.gid
            && libc::syscall(libc::SYS_setgid, gid) != 0
        {
            return Err(Step::Gid);
        }
        if let Some(uid) = image.uid
            && libc::syscall(libc::SYS_setuid, uid) != 0
        {
            return Err(Step::Uid);
        }
    }
    Ok(())
}
