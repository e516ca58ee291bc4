//! Programs on the caller's PATH, and whether a file is text or a program.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Caller;
use super::paths::resolve;

/// The file that `name` would run: on the caller's PATH, or itself when it has a `/`.
pub(super) fn which(name: &str, caller: &Caller) -> Option<PathBuf> {
    if name.is_empty() {
        return None;
    }
    if name.contains('/') {
        return Some(resolve(&caller.cwd, name)).filter(|p| executable(p));
    }
    let path = caller.env.get("PATH").and_then(|p| p.as_str())?;
    path.split(':').map(|dir| resolve(&caller.cwd, dir).join(name)).find(|p| executable(p))
}

fn executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// Whether a file is to be executed directly: its first 512 bytes are no text (contract/options.md section 6.1).
pub(super) fn is_binary(path: &Path) -> bool {
    // Only regular files: opening a named pipe would wait for ever.
    if !std::fs::metadata(path).is_ok_and(|m| m.is_file()) {
        return false;
    }
    let mut head = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(512).read_to_end(&mut head));
    read.is_ok() && looks_binary(&head)
}

fn looks_binary(head: &[u8]) -> bool {
    if head.is_empty() || head.starts_with(b"\xef\xbb\xbf") {
        return false;
    }
    if head.contains(&0) {
        return true;
    }
    let mut odd = 0;
    let mut rest = head;
    while !rest.is_empty() {
        let (valid, skip) = match std::str::from_utf8(rest) {
            Ok(text) => (text.as_bytes(), rest.len()),
            Err(e) => {
                // A character cut off by the 512 bytes is not odd.
                let bad = e.error_len().unwrap_or(0);
                odd += bad;
                (&rest[..e.valid_up_to()], (e.valid_up_to() + bad).max(if bad == 0 { rest.len() } else { 1 }))
            }
        };
        odd += valid.iter().filter(|b| matches!(b, 0..=6 | 15..=31 | 127)).count();
        rest = rest.get(skip..).unwrap_or_default();
    }
    odd * 10 > head.len()
}

#[cfg(test)]
mod tests {
    use super::looks_binary;

    #[test]
    fn text_and_programs_are_told_apart() {
        for text in [
            &b""[..],
            b"hello\n",
            "k\u{e4}se \u{1f600}".as_bytes(),
            b"\xef\xbb\xbf\x01\x02",
            b"\x1b[31mred letters\x1b[0m",
        ] {
            assert!(!looks_binary(text), "{text:?}");
        }
        for program in [&b"\x7fELF\x02\x01\x01\x00"[..], b"\xff\xfe\xfd\xfc", b"a\x01\x02"] {
            assert!(looks_binary(program), "{program:?}");
        }
        let mut cut = vec![b'a'; 511];
        cut.push(0xc3);
        assert!(!looks_binary(&cut));
    }
}
