//! The code of this process in memory.
//!
//! Owns: giving back what only the start needed. Must never: touch a page that was ever written.

#![expect(unsafe_code, reason = "asks the loader for its list, and the kernel to unmap pages")]

use std::ffi::{CStr, c_int, c_void};

/// Lets go of the pages of code and constants that are mapped now: those that are used again come back from the page
/// cache, one fault for each 64 KiB. A process that has started up and now waits for months keeps what it waits with.
pub fn forget() {
    // SAFETY: the callback has the type that is asked for and no data.
    unsafe { libc::dl_iterate_phdr(Some(forget_file), std::ptr::null_mut()) };
}

unsafe extern "C" fn forget_file(file: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    // SAFETY: the loader passes its record of one file, which stays loaded: nobody else loads or unloads meanwhile.
    let (name, base, headers) = unsafe {
        let file = &*file;
        let name = if file.dlpi_name.is_null() { c"" } else { CStr::from_ptr(file.dlpi_name) };
        (name, file.dlpi_addr, std::slice::from_raw_parts(file.dlpi_phdr, usize::from(file.dlpi_phnum)))
    };
    // The kernel's own page, which no file is behind.
    if name.to_bytes().windows(4).any(|part| part == b"vdso") {
        return 0;
    }
    for header in headers.iter().filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0) {
        let page = 4095;
        let start = (base + header.p_vaddr) & !page;
        let end = (base + header.p_vaddr + header.p_memsz + page) & !page;
        if let (Ok(start), Ok(length)) = (usize::try_from(start), usize::try_from(end - start)) {
            // SAFETY: a segment that the loader maps without the right to write holds what its file holds, so dropping
            // its pages loses nothing. Where pages are larger than 4 KiB the kernel refuses an odd address.
            unsafe { libc::madvise(std::ptr::with_exposed_provenance_mut(start), length, libc::MADV_DONTNEED) };
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_constants_are_the_same_afterwards() {
        static TEXT: [u8; 4096] = [7; 4096];
        forget();
        assert!(TEXT.iter().all(|byte| *byte == 7));
        assert_eq!(format!("{:?}", "still here".split(' ').rev().collect::<Vec<_>>()), r#"["here", "still"]"#);
    }
}
