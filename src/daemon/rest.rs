//! Giving memory back after a busy time.
//!
//! Owns: when. Must never: happen in the midst of work, or wake a daemon that had nothing to do.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;

use super::core::Daemon;
use crate::sys::{code, heap};

/// So long after the last start or removal of a process (or the start of the daemon itself) what it took is not needed any more.
const QUIET: Duration = Duration::from_secs(1);

/// Whether something was started or removed since memory was given back.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    busy: Cell<bool>,
    begun: Notify,
}

impl Rest {
    /// A process is started or removed.
    pub(crate) fn disturb(&self) {
        if !self.busy.replace(true) {
            self.begun.notify_one();
        }
    }
}

impl Daemon {
    /// Gives memory back after each burst of work, for ever.
    pub(crate) async fn keep_rest(self: Rc<Self>) {
        loop {
            while self.rest.busy.replace(false) {
                tokio::time::sleep(QUIET).await;
            }
            code::forget();
            heap::trim();
            // More than one may have begun since the last wait: what counts is whether there is work, not the ring.
            while !self.rest.busy.get() {
                self.rest.begun.notified().await;
            }
        }
    }
}
