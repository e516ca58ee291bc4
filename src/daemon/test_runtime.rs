//! For tests of the daemon's tasks: a runtime like the daemon's own.

use std::time::Duration;

use tokio::task::LocalSet;

/// Runs this future, and the tasks that it spawns. A test that hangs fails.
pub(super) fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        tokio::time::timeout(Duration::from_mins(2), future).await.expect("the test hangs")
    })
}
