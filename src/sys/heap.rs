//! The heap of this process.
//!
//! Owns: giving back what is free in it.

#![expect(unsafe_code, reason = "asks the allocator")]

/// Gives pages that nothing is stored in back to the system. Takes a moment for each megabyte.
pub fn trim() {
    // SAFETY: it takes the allocator's own locks, and touches nothing that is in use.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn resident_pages() -> usize {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap();
        text.split(' ').nth(1).unwrap().parse().unwrap()
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn what_is_free_below_something_that_lives_goes_back() {
        let mut blocks: Vec<Vec<u8>> = (0..32 * 1024).map(|_| vec![1; 1024]).collect();
        // On top of the heap: without it the allocator gives back by itself.
        let last = blocks.pop();
        drop(blocks);
        let before = resident_pages();
        trim();
        let after = resident_pages();
        assert!(before - after > 4096, "{before} pages, then {after}");
        drop(last);
    }
}
