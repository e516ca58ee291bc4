//! How much a piece of code allocates: for tests that guard against growth by counts, which no load distorts.

#![expect(unsafe_code, reason = "an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Allocations of a thread, and their bytes; what grows in place counts again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) allocations: usize,
    pub(crate) bytes: usize,
}

/// What this thread allocates while `work` runs.
pub(crate) fn count<T>(work: impl FnOnce() -> T) -> (T, Counts) {
    let before = COUNTS.get();
    let made = work();
    let after = COUNTS.get();
    let counts = Counts { allocations: after.allocations - before.allocations, bytes: after.bytes - before.bytes };
    (made, counts)
}

thread_local! {
    static COUNTS: Cell<Counts> = const { Cell::new(Counts { allocations: 0, bytes: 0 }) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn note(bytes: usize) {
    // A thread that is ending allocates uncounted.
    let _ = COUNTS.try_with(|counts| {
        let Counts { allocations, bytes: sum } = counts.get();
        counts.set(Counts { allocations: allocations + 1, bytes: sum + bytes });
    });
}

// SAFETY: everything is the system allocator's; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: as we were asked.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: as we were asked.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: as we were asked.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as we were asked.
        unsafe { System.dealloc(at, layout) }
    }
}

#[test]
fn allocations_are_counted() {
    let (text, counts) = count(|| String::from("twelve bytes"));
    assert_eq!((text.len(), counts), (12, Counts { allocations: 1, bytes: 12 }));
}
