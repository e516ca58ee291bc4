//! `pm2-rs-dev --post-exec <line>`: a line for the shell after each start of an app.

use std::process::{Command, Stdio};

/// Runs the line and does not wait for it; what it says goes where this program's words go, unless it shall be silent.
pub(super) fn run(line: &str, is_silent: bool) {
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).stdin(Stdio::null());
    if is_silent {
        shell.stdout(Stdio::null()).stderr(Stdio::null());
    }
    // Somebody must wait for it, or it stays as a zombie; a shell that is missing is nothing to end a session for.
    if let Ok(mut child) = shell.spawn() {
        std::thread::spawn(move || child.wait());
    }
}
