//! Memory behind a descriptor: what is stored there outlives the process that stored it, as long as somebody holds the
//! descriptor.

#![expect(unsafe_code, reason = "mapping memory has no safe interface")]

use std::ffi::{CStr, c_void};
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering, compiler_fence};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::stat::fstat;
use nix::unistd::ftruncate;

use super::packet::{OneDescriptor, header_with};

/// Words that the header of a message fills.
pub const MESSAGE_WORDS: usize = size_of::<libc::mmsghdr>() / 8;

/// A mapped memfd: some words that are loaded and stored whole, then plain bytes. One process may map it at a time.
#[derive(Debug)]
pub struct SharedMemory {
    fd: OwnedFd,
    base: NonNull<c_void>,
    words: usize,
    bytes: usize,
}

impl SharedMemory {
    /// New memory, all zero. Costs nothing until it is touched.
    pub fn create(name: &CStr, words: usize, bytes: usize) -> io::Result<SharedMemory> {
        let fd = memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
        let length = i64::try_from(words * 8 + bytes).map_err(|_| io::ErrorKind::InvalidInput)?;
        ftruncate(&fd, length)?;
        // Nobody can shrink it under us, so no access can raise SIGBUS.
        fcntl(&fd, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK))?;
        SharedMemory::open(fd, words, bytes)
    }

    /// Memory that another process made with the same numbers. `InvalidData` when it is too small.
    pub fn open(fd: OwnedFd, words: usize, bytes: usize) -> io::Result<SharedMemory> {
        let length = words * 8 + bytes;
        let size = fstat(&fd)?.st_size;
        if usize::try_from(size).is_ok_and(|size| size < length) || size < 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let nonzero = NonZeroUsize::new(length).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let base =
            unsafe { mmap(None, nonzero, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED, &fd, 0)? };
        Ok(SharedMemory { fd, base, words, bytes })
    }

    /// Loads the word with this index; 0 for one that does not exist.
    pub fn word(&self, index: usize) -> u64 {
        self.atomic(index).map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// Stores a word, after everything stored before it: whoever reads the memory after our death never finds it
    /// newer than what it speaks of.
    pub fn set_word(&self, index: usize, value: u64) {
        compiler_fence(Ordering::SeqCst);
        if let Some(word) = self.atomic(index) {
            word.store(value, Ordering::Release);
        }
        compiler_fence(Ordering::SeqCst);
    }

    /// The bytes behind the words.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `words * 8 + bytes` bytes are mapped, all initialised by the kernel; the words, which may change through
        // `&self`, are not part of the slice.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().cast::<u8>().add(self.words * 8), self.bytes) }
    }

    /// The bytes behind the words, to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` makes us the only user.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().cast::<u8>().add(self.words * 8), self.bytes) }
    }

    /// Where the words begin, for a process that shares the mapping.
    pub(super) fn address(&self) -> usize {
        self.base.as_ptr() as usize
    }

    /// Sends `line` with a descriptor at its first byte, without waiting, and has the kernel store the number of bytes
    /// it took in this memory: part of the system call, so it is there whenever the bytes are gone. The message header
    /// fills eight words from `index` on. `begin` is called when the count of what was sent before is cleared.
    pub(super) fn send_counted(
        &self,
        index: usize,
        socket: BorrowedFd<'_>,
        line: &[u8],
        passed: BorrowedFd<'_>,
        begin: impl FnOnce(),
    ) -> io::Result<usize> {
        let Some(place) = self.message(index) else { return Err(io::ErrorKind::InvalidInput.into()) };
        let mut part = libc::iovec { iov_base: line.as_ptr().cast_mut().cast(), iov_len: line.len() };
        let mut control = OneDescriptor::default();
        let header = header_with(&mut part, &mut control, passed.as_raw_fd());
        let message = libc::mmsghdr { msg_hdr: header, msg_len: 0 };
        // SAFETY: inside the mapping, aligned, used by nobody else: no slice and no word of a caller is there.
        unsafe { place.write_volatile(message) };
        begin();
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: the header points to `part` and `control`, which live. The system call itself: a C library may make
        // it out of several, whose counts it stores afterwards.
        let result = unsafe { libc::syscall(libc::SYS_sendmmsg, socket.as_raw_fd(), place, 1, flags) };
        if result == 1 { Ok(self.message_count(index)) } else { Err(io::Error::last_os_error()) }
    }

    /// Takes at most `most` bytes out of `socket`, without waiting, puts them at `offset` of the bytes of this memory, and
    /// has the kernel store their number as in [`SharedMemory::send_counted`].
    /// `begin` is called when the count before is cleared. 0: the other side has closed.
    pub fn receive_counted(
        &mut self,
        index: usize,
        socket: BorrowedFd<'_>,
        offset: usize,
        most: usize,
        begin: impl FnOnce(&SharedMemory),
    ) -> io::Result<usize> {
        let Some(place) = self.message(index) else { return Err(io::ErrorKind::InvalidInput.into()) };
        let Some(room) = self.bytes_mut().get_mut(offset..).and_then(|rest| rest.get_mut(..most)) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let mut part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
        // SAFETY: all zeroes is a valid header: null pointers with zero lengths.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        // SAFETY: inside the mapping, aligned, used by nobody else: no slice and no word of a caller is there.
        unsafe { place.write_volatile(libc::mmsghdr { msg_hdr: header, msg_len: 0 }) };
        begin(self);
        let no_limit = std::ptr::null_mut::<libc::timespec>();
        // SAFETY: the header points to `part`, which lives and names bytes of this memory that `&mut self` makes ours. The
        // system call itself, as in `send_counted`.
        let result =
            unsafe { libc::syscall(libc::SYS_recvmmsg, socket.as_raw_fd(), place, 1, libc::MSG_DONTWAIT, no_limit) };
        if result == 1 { Ok(self.message_count(index)) } else { Err(io::Error::last_os_error()) }
    }

    /// How many bytes the last message here took.
    pub fn message_count(&self, index: usize) -> usize {
        // SAFETY: as in `send_counted`; volatile, as the kernel is its writer.
        self.message(index).map_or(0, |place| unsafe { (&raw const (*place).msg_len).read_volatile() } as usize)
    }

    fn message(&self, index: usize) -> Option<*mut libc::mmsghdr> {
        // SAFETY: inside the mapping (checked).
        (index + MESSAGE_WORDS <= self.words).then(|| unsafe { self.base.as_ptr().cast::<u64>().add(index) }.cast())
    }

    fn atomic(&self, index: usize) -> Option<&AtomicU64> {
        // SAFETY: inside the mapping (checked), aligned (the base is page aligned), and never part of a slice.
        (index < self.words).then(|| unsafe { AtomicU64::from_ptr(self.base.as_ptr().cast::<u64>().add(index)) })
    }
}

impl AsFd for SharedMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and no slice of it can outlive `self`.
        let _ = unsafe { munmap(self.base, self.words * 8 + self.bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_is_there_for_the_next_to_map_it() {
        let mut memory = SharedMemory::create(c"test", 4, 100).unwrap();
        memory.set_word(3, 42);
        memory.set_word(4, 1);
        memory.bytes_mut()[99] = 7;
        let fd = memory.as_fd().try_clone_to_owned().unwrap();
        drop(memory);

        let memory = SharedMemory::open(fd.try_clone().unwrap(), 4, 100).unwrap();
        assert_eq!((memory.word(3), memory.word(4), memory.bytes()[99]), (42, 0, 7));
        assert!(SharedMemory::open(fd, 4, 10_000).is_err(), "too small");
    }
}
