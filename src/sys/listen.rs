//! Listening sockets for cluster workers, bound as Node's own primary binds them.
//!
//! Owns: socket options, the dual-stack rule for "any address", paths longer than `sun_path`, non-blocking accept.
//! Must never: hand out a blocking descriptor (a worker of Node 18 would hang on it), or remove a file.

use std::fs::Permissions;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::sockopt::{Ipv6V6Only, ReuseAddr};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrLike, SockaddrStorage, UnixAddr,
    accept4, bind, getpeername, getsockname, listen, setsockopt, socket,
};

/// Backlog of Node when none is asked for.
const BACKLOG: i64 = 511;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `address: None` is any address, IPv6 and IPv4 where the machine has both.
    Tcp {
        address: Option<Host>,
        port: u16,
        ipv6_only: bool,
        backlog: i64,
    },
    Udp {
        address: Host,
        port: u16,
        ipv6_only: bool,
        reuse: bool,
    },
    /// The two flags: who may read and write besides the owner.
    Unix {
        path: PathBuf,
        readable_all: bool,
        writable_all: bool,
        backlog: i64,
    },
}

/// An address, with the scope that an IPv6 link-local one has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    pub address: IpAddr,
    pub scope: u32,
}

impl Host {
    /// Reads `127.0.0.1`, `::1`, `fe80::1%eth0`.
    pub fn parse(text: &str) -> Option<Host> {
        let (address, scope) = text.split_once('%').unwrap_or((text, ""));
        let scope = match scope {
            "" => 0,
            scope => scope.parse().ok().or_else(|| nix::net::if_::if_nametoindex(scope).ok())?,
        };
        Some(Host { address: address.parse().ok()?, scope })
    }

    pub fn any(v6: bool) -> Host {
        let address = if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        Host { address, scope: 0 }
    }
}

/// Binds and, except for UDP, listens. The descriptor is non-blocking and closed on exec.
pub fn open(place: &Place) -> io::Result<OwnedFd> {
    match place {
        Place::Tcp { address: Some(host), port, ipv6_only, backlog } => tcp(*host, *port, *ipv6_only, *backlog),
        Place::Tcp { address: None, port, ipv6_only, backlog } => {
            match tcp(Host::any(true), *port, *ipv6_only, *backlog) {
                Err(error) if no_ipv6(&error) => tcp(Host::any(false), *port, false, *backlog),
                result => result,
            }
        }
        Place::Udp { address, port, ipv6_only, reuse } => {
            let fd = inet(*address, SockType::Datagram, *ipv6_only)?;
            if *reuse {
                setsockopt(&fd, ReuseAddr, &true)?;
            }
            bind_to(&fd, *address, *port)?;
            Ok(fd)
        }
        Place::Unix { path, readable_all, writable_all, backlog } => {
            let fd = socket(AddressFamily::Unix, SockType::Stream, FLAGS, None)?;
            let short = shortest(path);
            bind(fd.as_raw_fd(), &UnixAddr::new(&short).map_err(|_| io::Error::from(Errno::EINVAL))?)?;
            if *readable_all || *writable_all {
                let group_and_others =
                    (if *readable_all { 0o044 } else { 0 }) | (if *writable_all { 0o022 } else { 0 });
                let mode = std::fs::metadata(&short)?.permissions().mode();
                std::fs::set_permissions(&short, Permissions::from_mode(mode | group_and_others))?;
            }
            listen(&fd, backlog_of(*backlog))?;
            Ok(fd)
        }
    }
}

const FLAGS: SockFlag = SockFlag::SOCK_CLOEXEC.union(SockFlag::SOCK_NONBLOCK);

fn no_ipv6(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL | Errno::EINVAL)
    )
}

fn tcp(host: Host, port: u16, ipv6_only: bool, backlog: i64) -> io::Result<OwnedFd> {
    let fd = inet(host, SockType::Stream, ipv6_only)?;
    setsockopt(&fd, ReuseAddr, &true)?;
    bind_to(&fd, host, port)?;
    listen(&fd, backlog_of(backlog))?;
    Ok(fd)
}

fn inet(host: Host, kind: SockType, ipv6_only: bool) -> io::Result<OwnedFd> {
    let family = if host.address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let fd = socket(family, kind, FLAGS, None)?;
    if host.address.is_ipv6() {
        setsockopt(&fd, Ipv6V6Only, &ipv6_only)?;
    }
    Ok(fd)
}

fn bind_to(fd: &OwnedFd, host: Host, port: u16) -> io::Result<()> {
    match host.address {
        IpAddr::V4(address) => bind(fd.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(address, port)))?,
        IpAddr::V6(address) => {
            bind(fd.as_raw_fd(), &SockaddrIn6::from(SocketAddrV6::new(address, port, 0, host.scope)))?;
        }
    }
    Ok(())
}

fn backlog_of(wanted: i64) -> Backlog {
    let wanted = if wanted <= 0 { BACKLOG } else { wanted };
    let most = i64::from(libc::SOMAXCONN);
    Backlog::new(i32::try_from(wanted.min(most)).unwrap_or(libc::SOMAXCONN)).unwrap_or(Backlog::MAXCONN)
}

/// The path, or the way to it from the working directory when only that is short enough (as Node does).
fn shortest(path: &Path) -> PathBuf {
    const MAX_PATH: usize = 107;
    if path.as_os_str().len() > MAX_PATH
        && let Ok(here) = std::env::current_dir()
        && let Ok(relative) = path.strip_prefix(here)
    {
        return relative.to_path_buf();
    }
    path.to_path_buf()
}

/// The address that a socket is bound to; `None` for a unix path.
pub fn local_address(fd: impl AsFd) -> io::Result<Option<(IpAddr, u16)>> {
    let address: SockaddrStorage = getsockname(fd.as_fd().as_raw_fd())?;
    Ok(internet(&address))
}

fn internet(address: &SockaddrStorage) -> Option<(IpAddr, u16)> {
    match address.family()? {
        AddressFamily::Inet => address.as_sockaddr_in().map(|a| (a.ip().into(), a.port())),
        AddressFamily::Inet6 => address.as_sockaddr_in6().map(|a| (a.ip().into(), a.port())),
        _ => None,
    }
}

/// The next connection of a listening socket, non-blocking and closed on exec. `WouldBlock` when there is none.
#[expect(unsafe_code, reason = "accept4 of nix returns a number")]
pub fn accept(listener: impl AsFd) -> io::Result<OwnedFd> {
    let number = accept4(listener.as_fd().as_raw_fd(), FLAGS)?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// The address at the other end; `None` for a unix path, or when it has gone already.
pub fn peer(connection: impl AsFd) -> Option<IpAddr> {
    let address: SockaddrStorage = getpeername(connection.as_fd().as_raw_fd()).ok()?;
    internet(&address).map(|(address, _)| address.to_canonical())
}

/// What to do after a failed accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptFailure {
    /// None waits.
    Nothing,
    /// That one connection is lost; the next may be fine.
    Lost,
    /// Out of descriptors or memory: try again after a while.
    Exhausted,
}

impl AcceptFailure {
    pub fn of(error: &io::Error) -> AcceptFailure {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EAGAIN) => AcceptFailure::Nothing,
            Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM) => AcceptFailure::Exhausted,
            _ => AcceptFailure::Lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpStream;

    use super::*;

    fn tcp_place(address: Option<&str>) -> Place {
        Place::Tcp { address: address.and_then(Host::parse), port: 0, ipv6_only: false, backlog: 0 }
    }

    #[test]
    fn any_address_takes_both_families_and_accepts_without_blocking() {
        let listener = open(&tcp_place(None)).unwrap();
        let (_, port) = local_address(&listener).unwrap().unwrap();
        let nothing = accept(&listener).unwrap_err();
        assert_eq!(AcceptFailure::of(&nothing), AcceptFailure::Nothing);
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        client.write_all(b"x").unwrap();
        let connection = accept(&listener).unwrap();
        assert_eq!(peer(&connection), Some(Ipv4Addr::LOCALHOST.into()));
        let flags = nix::fcntl::fcntl(&connection, nix::fcntl::FcntlArg::F_GETFL).unwrap();
        assert_ne!(flags & libc::O_NONBLOCK, 0);
    }

    #[test]
    fn what_is_taken_or_foreign_is_an_errno() {
        let first = open(&tcp_place(Some("127.0.0.1"))).unwrap();
        let (_, port) = local_address(&first).unwrap().unwrap();
        let again = Place::Tcp { address: Host::parse("127.0.0.1"), port, ipv6_only: false, backlog: 0 };
        assert_eq!(open(&again).unwrap_err().raw_os_error(), Some(libc::EADDRINUSE));
        let foreign = open(&tcp_place(Some("203.0.113.9"))).unwrap_err();
        assert_eq!(foreign.raw_os_error(), Some(libc::EADDRNOTAVAIL));
    }

    #[test]
    fn a_unix_path_gets_the_mode_that_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let place = Place::Unix { path: path.clone(), readable_all: true, writable_all: true, backlog: 0 };
        let listener = open(&place).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o066, 0o066);
        assert_eq!(local_address(&listener).unwrap(), None);
        assert_eq!(open(&place).unwrap_err().raw_os_error(), Some(libc::EADDRINUSE));
    }

    #[test]
    fn addresses_may_have_a_scope() {
        assert_eq!(Host::parse("::1").unwrap().scope, 0);
        assert_eq!(Host::parse("fe80::1%7").unwrap().scope, 7);
        assert_eq!(Host::parse("example.org"), None);
    }
}
