//! Another file's code in this process: the addon, which has the command line in it, outside Node.
//!
//! Owns: loading a shared object, finding the one function we export, and its calling convention ([`Entry`]).
//! Must never: unload what it loaded (threads may run in it), or load what nobody named.

#![expect(unsafe_code, reason = "the loader knows only addresses")]

use std::ffi::{CStr, CString, OsString, c_char, c_int, c_void};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// What is called in the other file: as C's `main`, the answer is an exit code.
pub type Entry = extern "C" fn(count: c_int, words: *const *const c_char) -> c_int;

/// Loads `file` and calls its function `name` (an [`Entry`]) with `words`. The error is for a user: the file cannot be
/// loaded, or has no such function.
pub fn call(file: &Path, name: &CStr, words: &[OsString]) -> io::Result<c_int> {
    let path = CString::new(file.as_os_str().as_bytes())?;
    let words: Vec<CString> = words.iter().map(|word| CString::new(word.as_bytes())).collect::<Result<_, _>>()?;
    let entry = find(&path, name)?;
    // SAFETY: the symbol is ours (its name says so), and its type is `Entry` in every version.
    let entry = unsafe { std::mem::transmute::<*mut c_void, Entry>(entry) };
    let mut pointers: Vec<*const c_char> = words.iter().map(|word| word.as_ptr()).collect();
    let count = c_int::try_from(pointers.len()).map_err(io::Error::other)?;
    pointers.push(std::ptr::null());
    Ok(entry(count, pointers.as_ptr()))
}

/// The address of `name` in the shared object `path`, which stays loaded.
fn find(path: &CStr, name: &CStr) -> io::Result<*mut c_void> {
    // SAFETY: both names end with NUL. Loading runs the initialisers of a file that the caller trusts as its own code.
    let found = unsafe {
        let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        if library.is_null() { library } else { libc::dlsym(library, name.as_ptr()) }
    };
    if found.is_null() { Err(io::Error::other(last_error())) } else { Ok(found) }
}

/// Why the last call failed.
fn last_error() -> String {
    // SAFETY: the text is valid until this thread asks the loader again, and it is copied at once.
    unsafe {
        let text = libc::dlerror();
        if text.is_null() { "unknown".to_owned() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
    }
}

/// The words an [`Entry`] was called with.
///
/// # Safety
/// `words` points to `count` strings that end with NUL, as those of C's `main` do.
pub unsafe fn words(count: c_int, words: *const *const c_char) -> Vec<OsString> {
    let word = |at: usize| {
        // SAFETY: `at` is below the count, for which the caller vouches.
        let text = unsafe { CStr::from_ptr(*words.add(at)) };
        OsString::from_vec(text.to_bytes().to_vec())
    };
    (0..usize::try_from(count).unwrap_or(0)).map(word).collect()
}

/// Exports `$run`, a `fn(Vec<OsString>) -> i32`, from the shared object under the name `$name`, as an [`Entry`].
#[cfg(feature = "binding")]
macro_rules! export_entry {
    ($name:ident, $run:path) => {
        #[expect(unsafe_code, reason = "a name for the loader, and the words of a C main")]
        #[unsafe(no_mangle)]
        extern "C" fn $name(count: std::ffi::c_int, words: *const *const std::ffi::c_char) -> std::ffi::c_int {
            // SAFETY: only `sys::library::call` calls this, with strings that outlive the call.
            let words = unsafe { $crate::sys::library::words(count, words) };
            // Not through the caller's frames; the panic has been told already.
            std::panic::catch_unwind(|| $run(words)).unwrap_or(1)
        }
    };
}
#[cfg(feature = "binding")]
pub(crate) use export_entry;

/// The name of the addon's file, as napi builds it for this platform.
pub fn addon_name() -> String {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    let libc = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    format!("pm2-rs.{}-{arch}-{libc}.node", std::env::consts::OS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_env = "gnu")]
    #[test]
    fn words_arrive_and_a_missing_file_or_function_is_told() {
        // The C library itself, loaded once more: `puts` would do for no test, `abs` takes its count for a number.
        let libc = Path::new("libc.so.6");
        assert_eq!(call(libc, c"abs", &["a".into(), "b".into()]).unwrap(), 2);
        assert!(call(libc, c"no_such_function", &[]).unwrap_err().to_string().contains("no_such_function"));
        assert!(call(Path::new("/nowhere/a.node"), c"abs", &[]).unwrap_err().to_string().contains("/nowhere/a.node"));
        assert_eq!(call(libc, c"abs", &["a\0b".into()]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn words_are_read_as_main_gets_them() {
        let texts = [c"ls", c"\xff"];
        let pointers = texts.map(CStr::as_ptr);
        // SAFETY: two strings that live on.
        let read = unsafe { words(2, pointers.as_ptr()) };
        assert_eq!(read, [OsString::from("ls"), OsString::from_vec(vec![0xff])]);
    }
}
