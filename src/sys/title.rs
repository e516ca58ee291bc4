//! What this process is called in `ps` and `top`: its short name, and its command line.

/// Names the calling thread's process (`comm`); at most 15 bytes count, the rest is cut.
pub fn set_name(name: &str) {
    let end = (0..=name.len().min(15)).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    if let Ok(name) = std::ffi::CString::new(&name[..end]) {
        // A name is decoration: nothing depends on it.
        let _ = nix::sys::prctl::set_name(&name);
    }
}

/// Replaces the first argument of this process by a word of the same length, as `ps` shows it. Decoration, too: if it is
/// another, nothing happens. For a process that read its arguments and has one thread.
#[expect(unsafe_code, reason = "the kernel shows the memory that the arguments are in")]
pub fn replace_argument(word: &str, by: &str) {
    unsafe extern "C" {
        /// The program's name as it was called: the first of the texts that the kernel wrote one behind the other.
        static program_invocation_name: *mut libc::c_char;
    }
    if word.len() != by.len() || std::env::args_os().nth(1).is_none_or(|argument| argument != word) {
        return;
    }
    // SAFETY: there is an argument behind the name and it is `word`, so its bytes may be written; they are in the stack
    // above the first frame, and no Rust value refers to them.
    unsafe {
        let name = program_invocation_name;
        let at = name.add(libc::strlen(name) + 1).cast::<u8>();
        if std::slice::from_raw_parts(at, word.len()) == word.as_bytes() {
            std::ptr::copy_nonoverlapping(by.as_ptr(), at, by.len());
        }
    }
}
