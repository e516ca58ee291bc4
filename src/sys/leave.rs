//! The end of this process without what else would come before it.

#![expect(unsafe_code, reason = "no other call ends a process at once")]

/// Ends the process: no handler, no destructor, no buffer of anybody's is written. For who has written everything, inside a
/// program (Node) whose own end would only take time.
pub fn at_once(code: u8) -> ! {
    // SAFETY: it takes a number and does not come back; the kernel lets go of everything.
    unsafe { libc::_exit(code.into()) }
}
