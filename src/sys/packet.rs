//! Packets with descriptors between two processes of ours, and memory files for what is larger than a packet.
//!
//! Owns: `SOCK_SEQPACKET` socketpairs, `SCM_RIGHTS`, memfds. Invariant: a descriptor that arrives is owned from the
//! first moment, also when the packet was cut; none leaks.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, socketpair};

/// The kernel's own limit of descriptors with one packet (`SCM_MAX_FD`).
const KERNEL_MAX_FDS: usize = 253;

/// One packet as it arrived.
#[derive(Debug)]
pub struct Packet {
    pub bytes: Vec<u8>,
    pub fds: Vec<OwnedFd>,
    /// Some descriptors did not arrive, because this process has too many open.
    pub fds_lost: bool,
}

/// Two connected ends; both are closed on exec. Packets keep their borders and their order.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// Sends one packet; waits for room if the descriptor is a blocking one. `bytes` must not be empty: an empty packet
/// cannot be told from the end.
pub fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    send_with(socket.as_fd(), bytes, fds, MsgFlags::empty())
}

/// Sends one packet or fails at once: with `WouldBlock` when there is no room, also when the kernel will take no more
/// descriptors in flight until some have been received (a poll for writing does not tell the end of that).
pub fn send_now(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    match send_with(socket.as_fd(), bytes, fds, MsgFlags::MSG_DONTWAIT) {
        Err(error) if error.raw_os_error() == Some(libc::ETOOMANYREFS) => Err(io::ErrorKind::WouldBlock.into()),
        other => other,
    }
}

fn send_with(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>], flags: MsgFlags) -> io::Result<()> {
    let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control = if raw.is_empty() { &rights[..0] } else { &rights[..] };
    let flags = flags | MsgFlags::MSG_NOSIGNAL;
    loop {
        match sendmsg::<UnixAddr>(socket.as_raw_fd(), &[IoSlice::new(bytes)], control, flags, None) {
            Ok(_) => return Ok(()),
            Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Room for the control message of one descriptor, aligned for it.
pub(super) type OneDescriptor = [u64; 4];

/// The header of a message with one descriptor. It points into `part` and `control`, which must live as long as it is used.
#[expect(unsafe_code, reason = "control messages are made by C macros")]
pub(super) fn header_with(part: &mut libc::iovec, control: &mut OneDescriptor, number: RawFd) -> libc::msghdr {
    const LENGTH: u32 = 4;
    // SAFETY: all zeroes is a valid header; `control` has the 24 bytes that one number takes, so there is a first message
    // in it, with room for the number.
    unsafe {
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_iov = part;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = libc::CMSG_SPACE(LENGTH) as _;
        let rights = libc::CMSG_FIRSTHDR(&raw const header);
        (*rights).cmsg_level = libc::SOL_SOCKET;
        (*rights).cmsg_type = libc::SCM_RIGHTS;
        (*rights).cmsg_len = libc::CMSG_LEN(LENGTH) as _;
        libc::CMSG_DATA(rights).cast::<RawFd>().write_unaligned(number);
        header
    }
}

/// Receives one packet of at most `limit` bytes; waits if the descriptor is a blocking one. `None` at the end (the other
/// side is gone). A longer packet is `InvalidData`, and gone.
pub fn receive(socket: impl AsFd, limit: usize) -> io::Result<Option<Packet>> {
    receive_with(socket.as_fd(), limit, 0)
}

/// As [`receive`], but `WouldBlock` at once when nothing is there.
pub fn receive_now(socket: impl AsFd, limit: usize) -> io::Result<Option<Packet>> {
    receive_with(socket.as_fd(), limit, libc::MSG_DONTWAIT)
}

/// The bytes of the next packet, which stays where it is; at most `limit` of them. As [`receive_now`] otherwise.
pub fn peek(socket: impl AsFd, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![0; limit];
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    let length = loop {
        match nix::sys::socket::recv(socket.as_fd().as_raw_fd(), &mut bytes, flags) {
            Err(nix::errno::Errno::EINTR) => {}
            result => break result?,
        }
    };
    bytes.truncate(length);
    Ok((length > 0).then_some(bytes))
}

#[expect(unsafe_code, reason = "nix forgets the descriptors of a packet whose control part was cut")]
fn receive_with(socket: BorrowedFd<'_>, limit: usize, flags: i32) -> io::Result<Option<Packet>> {
    // Space for the kernel's maximum, so that only a full descriptor table can cut the control part.
    const CONTROL_WORDS: usize = KERNEL_MAX_FDS * size_of::<RawFd>() / size_of::<u64>() + 4;
    let mut control = [MaybeUninit::<u64>::uninit(); CONTROL_WORDS];
    let mut bytes: Vec<u8> = Vec::with_capacity(limit);
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: limit };
    // SAFETY: all zeroes is a valid msghdr: null pointers with zero lengths.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control) as _;
    let length = loop {
        // SAFETY: header points to `part` and `control`, which live and have the lengths it says.
        let result = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags | libc::MSG_CMSG_CLOEXEC) };
        match usize::try_from(result) {
            Ok(length) => break length,
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    };
    // SAFETY: the kernel wrote `length` bytes, which is no more than `limit` without MSG_TRUNC in the flags.
    unsafe { bytes.set_len(length.min(limit)) };
    // SAFETY: the kernel filled the control part as the header now says.
    let fds = unsafe { take_fds(&header) };
    if header.msg_flags & libc::MSG_TRUNC != 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("packet longer than {limit} bytes")));
    }
    if length == 0 && fds.is_empty() {
        return Ok(None);
    }
    bytes.shrink_to_fit();
    Ok(Some(Packet { bytes, fds, fds_lost: header.msg_flags & libc::MSG_CTRUNC != 0 }))
}

/// # Safety
/// `header` must be as recvmsg left it, its control buffer alive, and its descriptors not yet taken.
#[expect(unsafe_code, reason = "control messages are walked by C macros")]
unsafe fn take_fds(header: &libc::msghdr) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    // SAFETY: the caller promises a valid header; the macros stay within its control length.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while let Some(part) = message.as_ref() {
            if part.cmsg_level == libc::SOL_SOCKET && part.cmsg_type == libc::SCM_RIGHTS {
                let data = libc::CMSG_DATA(message);
                let length = part.cmsg_len - (data as usize - message as usize);
                let numbers = std::slice::from_raw_parts(data, length);
                for number in numbers.chunks_exact(size_of::<RawFd>()) {
                    let number = number.try_into().map_or(-1, RawFd::from_ne_bytes);
                    if number >= 0 {
                        fds.push(OwnedFd::from_raw_fd(number));
                    }
                }
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    fds
}

/// A file in memory with this content; closed on exec. `name` is only seen in `/proc`.
pub fn memory_file(name: &str, content: &[u8]) -> io::Result<OwnedFd> {
    let name = std::ffi::CString::new(name)?;
    let mut file = File::from(memfd_create(name.as_c_str(), MFdFlags::MFD_CLOEXEC)?);
    file.write_all(content)?;
    Ok(file.into())
}

/// The whole content of a [`memory_file`], wherever its offset is. More than `limit` bytes is `InvalidData`.
pub fn read_memory_file(fd: impl AsFd, limit: usize) -> io::Result<Vec<u8>> {
    let file = File::from(fd.as_fd().try_clone_to_owned()?);
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if length > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("memory file longer than {limit} bytes")));
    }
    let mut content = vec![0; length];
    file.read_exact_at(&mut content, 0)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_keep_borders_and_carry_descriptors() {
        let (a, b) = pair().unwrap();
        let file = memory_file("test", b"hello").unwrap();
        send(&a, b"one", &[]).unwrap();
        send(&a, b"two", &[file.as_fd(), file.as_fd()]).unwrap();
        drop(file);
        let first = receive(&b, 64).unwrap().unwrap();
        assert_eq!((first.bytes.as_slice(), first.fds.len()), (&b"one"[..], 0));
        let second = receive(&b, 64).unwrap().unwrap();
        assert_eq!((second.bytes.as_slice(), second.fds.len(), second.fds_lost), (&b"two"[..], 2, false));
        assert_eq!(read_memory_file(&second.fds[1], 100).unwrap(), b"hello");
        assert!(read_memory_file(&second.fds[1], 4).is_err());
        let flags = nix::fcntl::fcntl(&second.fds[0], nix::fcntl::FcntlArg::F_GETFD).unwrap();
        assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
        assert_eq!(receive_now(&b, 64).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(a);
        assert!(receive(&b, 64).unwrap().is_none());
    }

    #[test]
    fn a_packet_that_is_too_long_is_refused_and_the_next_one_arrives() {
        let (a, b) = pair().unwrap();
        send(&a, &[7; 100], &[a.as_fd()]).unwrap();
        send(&a, b"next", &[]).unwrap();
        assert_eq!(receive(&b, 99).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(receive(&b, 99).unwrap().unwrap().bytes, b"next");
    }

    #[test]
    fn a_full_socket_says_so_and_a_closed_one_raises_no_signal() {
        let (a, b) = pair().unwrap();
        let error = (0..100_000).find_map(|_| send_now(&a, &[1; 1000], &[]).err()).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(b);
        // The first error after unread packets is the reset.
        let kinds = [(); 2].map(|()| send_now(&a, b"x", &[]).unwrap_err().kind());
        assert_eq!(kinds, [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe]);
    }
}
