//! The width of a terminal.

#![expect(unsafe_code, reason = "nix offers no safe call for the size of a window")]

use std::os::fd::{AsFd, AsRawFd};

/// Columns of the terminal behind a descriptor; `None` when it is none, or does not know.
pub fn columns(terminal: impl AsFd) -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the descriptor is open while it is borrowed, and TIOCGWINSZ writes one `winsize`.
    let done = unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    (done == 0 && size.ws_col > 0).then(|| usize::from(size.ws_col))
}
