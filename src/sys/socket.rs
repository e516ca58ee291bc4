//! The sockets of a home (`rpc.sock`, `pub.sock`): bound so that nobody else can connect, at any moment.
//!
//! Owns: mode 0600 before the name exists (interprocess does it on the socket, before bind), what is stale and what is
//! alive, names too long for `sun_path`, who is at the other end.
//! Must never: remove a socket that answers or one it may not ask, or a file that is no socket.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use interprocess::ConnectWaitMode;
use interprocess::local_socket::traits::StreamCommon;
use interprocess::local_socket::{ConnectOptions, GenericFilePath, ListenerOptions, Name, ToFsName};
use interprocess::os::unix::local_socket::ListenerOptionsExt;
use interprocess::os::unix::uds_local_socket;
use thiserror::Error;

/// A listener inside tokio; see [`accept`].
pub type Listener = uds_local_socket::tokio::Listener;
/// A connection inside tokio: `AsyncRead` and `AsyncWrite`, also by reference.
pub type Stream = uds_local_socket::tokio::Stream;

/// Longest path of a socket in bytes (`sun_path` without its NUL).
const MAX_PATH: usize = 107;

/// Why a socket cannot be bound.
#[derive(Debug, Error)]
pub enum BindError {
    #[error("another daemon answers on {}", .0.display())]
    InUse(PathBuf),
    #[error("{} belongs to another user or may not be accessed; remove it or choose another PM2_HOME", .0.display())]
    Denied(PathBuf),
    #[error("{} exists and is not a socket; move it away or choose another PM2_HOME", .0.display())]
    NotASocket(PathBuf),
    #[error("cannot bind {}: {error}", .path.display())]
    Io { path: PathBuf, error: io::Error },
}

/// Binds `path` and listens, with mode 0600, as a non-blocking socket. A stale socket (nobody listens) is replaced.
/// Two callers at once must be kept apart by [`super::lock`].
pub fn bind(path: &Path) -> Result<OwnedFd, BindError> {
    let failed = |error| BindError::Io { path: path.to_path_buf(), error };
    // The second try is the one after a stale socket was removed.
    for last in [false, true] {
        let reachable = Reachable::new(path).map_err(failed)?;
        let options = ListenerOptions::new()
            .name(reachable.name().map_err(failed)?)
            .mode(0o600)
            // The name must outlive this process: the keeper holds the listener for the next daemon.
            .reclaim_name(false)
            .try_overwrite(false);
        match options.create_sync_as::<uds_local_socket::Listener>() {
            Ok(listener) => {
                let fd = OwnedFd::from(listener);
                super::pipe::set_nonblocking(&fd).map_err(failed)?;
                return Ok(fd);
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && !last => remove_stale(path)?,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(BindError::Denied(path.to_path_buf()));
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Err(BindError::InUse(path.to_path_buf()))
}

/// A listener for tokio from a descriptor: fresh from [`bind`] or handed over by the keeper. Call inside a runtime.
pub fn listener(fd: OwnedFd) -> io::Result<Listener> {
    Listener::try_from(fd)
}

/// The next connection. Safe to drop.
pub async fn accept(listener: &Listener) -> io::Result<Stream> {
    interprocess::local_socket::traits::tokio::Listener::accept(listener).await
}

/// Connects; a path of any length. `NotFound` and `ConnectionRefused` mean that nobody listens.
pub async fn connect(path: &Path) -> io::Result<Stream> {
    let reachable = Reachable::new(path)?;
    let options = ConnectOptions::new().name(reachable.name()?).wait_mode(ConnectWaitMode::Unbounded);
    options.connect_tokio_as::<Stream>().await
}

/// The effective user at the other end of a connection.
pub fn peer_uid(stream: &Stream) -> io::Result<u32> {
    stream.peer_creds()?.euid().ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// Whether this peer may give us orders: our own user, or root.
pub fn may_command(peer_uid: u32) -> bool {
    peer_uid == 0 || peer_uid == nix::unistd::geteuid().as_raw()
}

/// Removes the name if nobody listens behind it.
fn remove_stale(path: &Path) -> Result<(), BindError> {
    let failed = |error| BindError::Io { path: path.to_path_buf(), error };
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(BindError::NotASocket(path.to_path_buf())),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    }
    let reachable = Reachable::new(path).map_err(failed)?;
    match UnixStream::connect(&reachable.path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(BindError::Denied(path.to_path_buf())),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Not being allowed to ask does not mean that nobody is there.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(BindError::Denied(path.to_path_buf())),
        Ok(_) => Err(BindError::InUse(path.to_path_buf())),
        Err(error) => Err(failed(error)),
    }
}

/// A path short enough for `sun_path`: the path itself, or one through a descriptor of its directory.
struct Reachable {
    path: PathBuf,
    /// Must live as long as the path is used.
    _directory: Option<fs::File>,
}

impl Reachable {
    fn new(path: &Path) -> io::Result<Reachable> {
        if path.as_os_str().as_bytes().len() <= MAX_PATH {
            return Ok(Reachable { path: path.to_path_buf(), _directory: None });
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let directory = OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(parent)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
        Ok(Reachable { path, _directory: Some(directory) })
    }

    fn name(&self) -> io::Result<Name<'_>> {
        self.path.as_path().to_fs_name::<GenericFilePath>()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rpc.sock");
        drop(UnixListener::bind(&path).unwrap());
        let bound = bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(bind(&path), Err(BindError::InUse(_))));
        drop(bound);
        drop(bind(&path).unwrap());
        assert!(path.exists(), "the name stays for the next daemon");
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rpc.sock");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(bind(&path), Err(BindError::NotASocket(_))));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        assert!(matches!(bind(&dir.path().join("none/rpc.sock")), Err(BindError::Io { .. })));
    }

    #[test]
    fn a_descriptor_becomes_a_listener_also_under_a_very_long_path() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(200));
        fs::create_dir(&deep).unwrap();
        let path = deep.join("rpc.sock");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let handed_over = bind(&path).unwrap();
            let listener = listener(handed_over.try_clone().unwrap()).unwrap();
            let (client, server) = tokio::join!(connect(&path), accept(&listener));
            let (mut client, mut server) = (client.unwrap(), server.unwrap());
            assert!(may_command(peer_uid(&server).unwrap()));
            client.write_all(b"hi").await.unwrap();
            let mut bytes = [0; 2];
            server.read_exact(&mut bytes).await.unwrap();
            assert_eq!(&bytes, b"hi");
            assert!(matches!(bind(&path), Err(BindError::InUse(_))));
        });
    }
}
