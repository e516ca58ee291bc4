//! The holder: a process that shares the table of descriptors with this one, waits for its death, and passes on the
//! connections that only this one had.
//!
//! Made by clone with `CLONE_FILES` and without exec: what accept returns here is in its table in the same instant. It has
//! a copy of our memory and gives nearly all of it back at once. What is to be passed on stands in the [`Ledger`].
//! Owns: the clone, and what the child does. The child makes system calls and nothing else: no lock, no allocation, no
//! panic, no thread-local but errno.
//! Must never (the child): close or change anything while we live, or keep anything open longer than it must when we are
//! dead: clients, locks and pipes of ours end with its last copy.

#![expect(unsafe_code, reason = "nothing in std or nix makes a process that shares descriptors")]

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::{mem, ptr};

use nix::fcntl::{FcntlArg, fcntl};

use super::ledger::{self, INTENT_AT, Ledger, SLOTS};
use super::{packet, pidfd};
use crate::model::signal::Signal;

/// Room for the child's frames: a few kilobytes, and the list of what it passes on.
const STACK: usize = 128 * 1024;
/// Room for its orders, below the stack.
const ORDERS: usize = 16 * 1024;
/// Most areas of memory that it gives back.
const MAX_AREAS: usize = 512;
/// So much around errno stays: the C library's data of a thread.
const THREAD_DATA: usize = 64 * 1024;
/// Tables of descriptors grow slowly once they are shared: this much room is made before.
const ROOM: c_int = 4095;
/// So many unused numbers in a row that no descriptor made just now lies behind them.
const GAP: c_int = 1024;

/// A holder that runs. Dropping it leaves it alone: it ends after us.
#[derive(Debug)]
pub struct Holder {
    pid: i32,
    process: OwnedFd,
    /// The child knows these by number: they are open as long as it runs.
    _shared: [OwnedFd; 2],
}

/// What the child is told. In the mapping that is also its stack.
struct Orders {
    /// Our pidfd.
    daemon: c_int,
    /// Where connections are passed on.
    channel: c_int,
    words: *const u64,
    owner: u32,
    /// Where in our arguments the word is that becomes its name; null: nowhere.
    title: *mut u8,
    environment: (*mut u8, usize),
    areas: [(usize, usize); MAX_AREAS],
    count: usize,
}

const TITLE: &[u8] = b"holder";
/// What it replaces: as long.
const OUR_TITLE: &[u8] = b"daemon";

const _: () = assert!(size_of::<Orders>() <= ORDERS && TITLE.len() == OUR_TITLE.len());

impl Holder {
    /// Starts one. After our death the connections of the ledger come out of the answered socket, each as a packet with
    /// the place in the ledger (four bytes, little endian) and the descriptor, then the end. Give it away: only who
    /// outlives us can read it.
    pub fn start(ledger: &Ledger) -> io::Result<(Holder, OwnedFd)> {
        let (channel, theirs) = packet::pair()?;
        let daemon = pidfd::open(nix::unistd::getpid().as_raw())?;
        if let Ok(high) = fcntl(&channel, FcntlArg::F_DUPFD_CLOEXEC(ROOM)) {
            // SAFETY: just made, and nobody else knows it.
            drop(unsafe { OwnedFd::from_raw_fd(high) });
        }
        let memory = Memory::new()?;
        let (areas, arguments) = (memory.expendable(ledger)?, Arguments::find());
        // SAFETY: the beginning of the mapping is aligned, large enough (asserted above) and nobody else's.
        unsafe {
            let orders = memory.base.cast::<Orders>();
            orders.write(Orders {
                daemon: daemon.as_raw_fd(),
                channel: channel.as_raw_fd(),
                words: ptr::with_exposed_provenance(ledger.memory.address()),
                owner: ledger.owner,
                title: arguments.title,
                environment: arguments.environment,
                areas: [(0, 0); MAX_AREAS],
                count: areas.len().min(MAX_AREAS),
            });
            for (place, area) in (*orders).areas.iter_mut().zip(areas) {
                *place = area;
            }
        }
        let mut process: c_int = -1;
        let flags = libc::CLONE_FILES | libc::CLONE_PIDFD | libc::SIGCHLD;
        // SAFETY: the child gets a copy of our memory, and runs on a stack that nobody else uses; `run` keeps to system
        // calls. The orders are part of the copy.
        let pid = unsafe {
            let top = memory.base.byte_add(ORDERS + STACK);
            libc::clone(run, top, flags, memory.base, &raw mut process)
        };
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made it for us, closed on exec.
        let process = unsafe { OwnedFd::from_raw_fd(process) };
        Ok((Holder { pid, process, _shared: [daemon, channel] }, theirs))
    }

    /// Readable when it has ended.
    pub fn process(&self) -> &OwnedFd {
        &self.process
    }

    /// Ends it, and waits for that: from then on what we close is closed.
    pub fn end(self) {
        // It may have ended already; it is our child, and not reaped by anybody else.
        let _ = pidfd::send_signal(&self.process, Signal::KILL);
        let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(self.pid), None);
    }
}

/// Orders and stack of the child. Ours is unmapped when the child has its copy.
struct Memory {
    base: *mut c_void,
}

impl Memory {
    fn new() -> io::Result<Memory> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let base = unsafe { libc::mmap(ptr::null_mut(), ORDERS + STACK, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Memory { base }) }
    }

    /// Which areas of our memory the child can do without.
    fn expendable(&self, ledger: &Ledger) -> io::Result<Vec<(usize, usize)>> {
        let maps = std::fs::read_to_string("/proc/self/maps")?;
        // SAFETY: only asks for an address.
        let errno = unsafe { libc::__errno_location() } as usize;
        let own = self.base as usize;
        let words = ledger.memory.address();
        let mut kept = vec![
            (own, own + ORDERS + STACK),
            (errno.saturating_sub(THREAD_DATA), errno + THREAD_DATA),
            (words, words + ledger::WORDS * size_of::<u64>()),
        ];
        if let Some((start, end)) = Arguments::area() {
            kept.push((start, end));
        }
        let page = usize::try_from(super::stat::page_size()).unwrap_or(4096);
        let kept: Vec<(usize, usize)> =
            kept.iter().map(|(start, end)| (start / page * page, end.div_ceil(page) * page)).collect();
        Ok(areas(&maps).into_iter().flat_map(|area| without(area, &kept)).collect())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: our own mapping, of this length; the child has its own copy.
        unsafe { libc::munmap(self.base, ORDERS + STACK) };
    }
}

/// The areas that hold data of ours and no program: heap, stacks, memory files. What follows a file directly is data of
/// that program or library.
fn areas(maps: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut end_of_file = 0;
    for line in maps.lines() {
        let mut fields = line.split_ascii_whitespace();
        let range = fields.next().and_then(|range| range.split_once('-'));
        let number = |text: &str| usize::from_str_radix(text, 16).ok();
        let Some((Some(start), Some(end))) = range.map(|(start, end)| (number(start), number(end))) else { continue };
        match fields.nth(4) {
            None if start == end_of_file => {}
            Some(name) if name.starts_with('/') && !name.starts_with("/memfd:") => end_of_file = end,
            Some(name) if name.starts_with("[v") => {}
            _ => found.push((start, end)),
        }
    }
    found
}

/// What is left of an area.
fn without(area: (usize, usize), kept: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut left = vec![area];
    for (from, to) in kept {
        left = left
            .into_iter()
            .flat_map(|(start, end)| [(start, end.min(*from)), (start.max(*to), end)])
            .filter(|(start, end)| start < end)
            .collect();
    }
    left
}

/// Where the arguments and the environment of this process are, as `ps` reads them.
struct Arguments {
    title: *mut u8,
    environment: (*mut u8, usize),
}

impl Arguments {
    /// Fields 48 to 51 of `proc_pid_stat(5)`: begin and end of the arguments, begin and end of the environment.
    fn fields() -> Option<[usize; 4]> {
        let text = std::fs::read_to_string("/proc/self/stat").ok()?;
        let (_, rest) = text.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace().skip(45).map(|field| field.parse().ok());
        let fields = [fields.next()??, fields.next()??, fields.next()??, fields.next()??];
        let [start, end, environment, last] = fields;
        (start != 0 && start <= end && end <= environment && environment <= last).then_some(fields)
    }

    fn area() -> Option<(usize, usize)> {
        Arguments::fields().map(|[start, _, _, end]| (start, end))
    }

    fn find() -> Arguments {
        let none = Arguments { title: ptr::null_mut(), environment: (ptr::null_mut(), 0) };
        let Some([start, end, environment, last]) = Arguments::fields() else { return none };
        let begin: *mut u8 = ptr::with_exposed_provenance_mut(start);
        // SAFETY: the kernel says that our arguments are there; nobody writes them.
        let arguments = unsafe { std::slice::from_raw_parts(begin.cast_const(), end - start) };
        let title = arguments.split(|byte| *byte == 0).next().map_or(0, |name| name.len() + 1);
        let found = arguments.get(title..title + OUR_TITLE.len()) == Some(OUR_TITLE);
        Arguments {
            title: if found { begin.wrapping_add(title) } else { ptr::null_mut() },
            environment: (ptr::with_exposed_provenance_mut(environment), last - environment),
        }
    }
}

/// The child.
extern "C" fn run(orders: *mut c_void) -> c_int {
    // SAFETY: the orders are in memory that stays mapped; everything else is a system call, or writes to our own copies of
    // pages (arguments and environment, which are not among the areas).
    unsafe {
        let orders = &*orders.cast::<Orders>();
        let mut all: libc::sigset_t = mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, ptr::null_mut());
        libc::prctl(libc::PR_SET_NAME, c"pm2d-holder".as_ptr());
        if !orders.title.is_null() {
            ptr::copy_nonoverlapping(TITLE.as_ptr(), orders.title, TITLE.len());
        }
        if !orders.environment.0.is_null() {
            // Who looks for processes of the daemon's home finds the daemon.
            ptr::write_bytes(orders.environment.0, 0, orders.environment.1);
        }
        let mut index = 0;
        while index < orders.count && index < MAX_AREAS {
            let (start, end) = *orders.areas.as_ptr().add(index);
            libc::munmap(ptr::with_exposed_provenance_mut(start), end - start);
            index += 1;
        }
        let mut death = libc::pollfd { fd: orders.daemon, events: libc::POLLIN, revents: 0 };
        let none = ptr::null::<c_void>();
        // All its threads have ended when this is readable: nobody changes the table any more.
        while libc::syscall(libc::SYS_ppoll, &raw mut death, 1_u64, none, none, 0_usize) < 1 {}
        pass_on(orders);
        libc::_exit(0)
    }
}

/// A descriptor that stays open, and its place in the ledger.
type Kept = (c_int, u32);

/// What is no connection among the kept.
const CHANNEL: u32 = u32::MAX;

/// # Safety
/// In the child, after the death of its parent.
unsafe fn pass_on(orders: &Orders) {
    let mut kept: [Kept; SLOTS as usize + 2] = [(0, 0); SLOTS as usize + 2];
    let mut count = 1;
    // SAFETY: reads words inside the mapping of the ledger, elements inside `kept`, and makes system calls on descriptors
    // that nobody owns any more.
    unsafe {
        let word = |index: usize| orders.words.add(index).read_volatile();
        let kept_at = kept.as_mut_ptr();
        *kept_at = (orders.channel, CHANNEL);
        let intent = word(INTENT_AT);
        let (intended, listener) = ledger::unpack(intent);
        let mut noted = false;
        let mut place = 0;
        while place < SLOTS {
            let (owner, next) = ledger::unpack(word(ledger::at(place, ledger::OWNER)));
            if word(ledger::at(place, ledger::KEY)) != 0 && owner == orders.owner && next > 0 {
                *kept_at.add(count) = (next - 1, place);
                count += 1;
                noted |= place + 1 == intended;
            }
            place += 1;
        }
        if intended != 0 && !noted {
            let made = find_made(listener, kept_at, count);
            if made >= 0 {
                *kept_at.add(count) = (made, intended - 1);
                count += 1;
            }
        }
        sort(kept_at, count);
        let (mut first, mut index) = (0, 0);
        while index < count {
            let (fd, _) = *kept_at.add(index);
            close_from_to(first, fd - 1);
            first = fd + 1;
            index += 1;
        }
        close_from_to(first, c_int::MAX);
        index = 0;
        while index < count {
            let (fd, place) = *kept_at.add(index);
            if place != CHANNEL && !send(orders.channel, place, fd) {
                return;
            }
            index += 1;
        }
    }
}

/// # Safety
/// `kept` has `count` elements.
unsafe fn sort(kept: *mut Kept, count: usize) {
    // By insertion: there are few, and most of them in order.
    let mut end = 1;
    while end < count {
        let mut at = end;
        // SAFETY: `at` is between 1 and `count` - 1.
        unsafe {
            while at > 0 && (*kept.add(at - 1)).0 > (*kept.add(at)).0 {
                ptr::swap(kept.add(at - 1), kept.add(at));
                at -= 1;
            }
        }
        end += 1;
    }
}

/// # Safety
/// The descriptors are nobody's.
unsafe fn close_from_to(first: c_int, last: c_int) {
    if first > last {
        return;
    }
    // SAFETY: numbers only.
    unsafe {
        if libc::syscall(libc::SYS_close_range, first, last, 0) != 0 {
            // Linux before 5.9.
            let mut fd = first;
            while fd <= last && fd < 1 << 20 {
                libc::close(fd);
                fd += 1;
            }
        }
    }
}

/// The connection that was made in the last moment and is not in the ledger: it has the name of its listener. -1: none.
///
/// # Safety
/// `kept` has `count` elements.
unsafe fn find_made(listener: c_int, kept: *const Kept, count: usize) -> c_int {
    let Some(wanted) = name_of(listener) else { return -1 };
    let (mut fd, mut unused) = (3, 0);
    while unused < GAP {
        let mut known = fd == listener;
        let mut index = 0;
        while index < count {
            // SAFETY: the caller's promise.
            known |= unsafe { (*kept.add(index)).0 } == fd;
            index += 1;
        }
        match option(fd, libc::SO_TYPE) {
            Err(libc::EBADF) => unused += 1,
            Ok(libc::SOCK_STREAM) if !known => {
                if option(fd, libc::SO_ACCEPTCONN) == Ok(0)
                    && let Some(name) = name_of(fd)
                    && same(&wanted, &name)
                {
                    return fd;
                }
            }
            _ => {}
        }
        fd += 1;
    }
    -1
}

fn option(fd: c_int, option: c_int) -> Result<c_int, c_int> {
    let mut value: c_int = 0;
    let mut length: libc::socklen_t = 4;
    // SAFETY: value and length live and fit together.
    unsafe {
        if libc::getsockopt(fd, libc::SOL_SOCKET, option, (&raw mut value).cast(), &raw mut length) == 0 {
            Ok(value)
        } else {
            Err(*libc::__errno_location())
        }
    }
}

type Name = ([u8; 128], usize);

fn name_of(fd: c_int) -> Option<Name> {
    let mut name = [0_u8; 128];
    let mut length = 128;
    // SAFETY: the buffer is as long as is said.
    let result = unsafe { libc::getsockname(fd, name.as_mut_ptr().cast(), &raw mut length) };
    (result == 0).then_some((name, (length as usize).min(128)))
}

/// Whether one is the address of a connection to the other: the same port, or the same path.
fn same((listener, length): &Name, (connection, connection_length): &Name) -> bool {
    let family = u16::from_ne_bytes([listener[0], listener[1]]);
    if connection[..2] != listener[..2] {
        return false;
    }
    match c_int::from(family) {
        libc::AF_INET | libc::AF_INET6 => connection[2..4] == listener[2..4],
        libc::AF_UNIX => *length > 2 && length == connection_length && connection == listener,
        _ => false,
    }
}

/// Whether the next may be sent. Waits for room.
fn send(channel: c_int, place: u32, fd: c_int) -> bool {
    let mut bytes = place.to_le_bytes();
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let mut control = packet::OneDescriptor::default();
    let header = packet::header_with(&mut part, &mut control, fd);
    // SAFETY: the header points to `part` and `control`, which live.
    unsafe {
        loop {
            if libc::sendmsg(channel, &raw const header, libc::MSG_NOSIGNAL) >= 0 {
                return true;
            }
            match *libc::__errno_location() {
                libc::EINTR => {}
                // Shortages of the kernel's: they pass.
                libc::ETOOMANYREFS | libc::ENOBUFS | libc::ENOMEM => {
                    let pause = libc::timespec { tv_sec: 0, tv_nsec: 2_000_000 };
                    libc::syscall(libc::SYS_nanosleep, &raw const pause, ptr::null::<c_void>());
                }
                // It was closed between the last note and the death.
                libc::EBADF => return true,
                _ => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests;
