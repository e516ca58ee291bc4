//! Reloads of one app, so many at a time: the client asks for all of them at once.
//!
//! Owns: who may begin, and that a failure ends what waits behind it.
//! Must never: reload anything itself.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};

use tokio::sync::oneshot;

use crate::model::PmId;

/// The reloads of all apps.
#[derive(Debug, Default)]
pub(in crate::daemon) struct ReloadQueue(RefCell<HashMap<String, Line>>);

#[derive(Debug, Default)]
struct Line {
    running: usize,
    waiting: VecDeque<(PmId, oneshot::Sender<Result<(), String>>)>,
    ids: HashSet<PmId>,
}

/// What a reload has to wait for before it begins.
pub(in crate::daemon) type Turn = oneshot::Receiver<Result<(), String>>;

impl ReloadQueue {
    /// Stands in line. `None`: this id stands there already. `width`: how many of this app may run at once.
    pub(in crate::daemon) fn enter(&self, app: &str, id: PmId, width: usize) -> Option<Turn> {
        let mut lines = self.0.borrow_mut();
        let line = lines.entry(app.to_owned()).or_default();
        if !line.ids.insert(id) {
            return None;
        }
        let (sender, turn) = oneshot::channel();
        line.waiting.push_back((id, sender));
        line.advance(width);
        Some(turn)
    }

    /// A reload that had begun is over. After a failure nobody who waits begins: the next one would fail the same way, or
    /// leave the app in two versions.
    pub(in crate::daemon) fn leave(&self, app: &str, id: PmId, width: usize, failure: Option<&str>) {
        let mut lines = self.0.borrow_mut();
        let Some(line) = lines.get_mut(app) else { return };
        line.ids.remove(&id);
        line.running = line.running.saturating_sub(1);
        if let Some(failure) = failure {
            for (waiting, sender) in std::mem::take(&mut line.waiting) {
                line.ids.remove(&waiting);
                let _ = sender.send(Err(format!("process id {waiting} was not reloaded, because: {failure}")));
            }
        }
        line.advance(width);
        if line.ids.is_empty() {
            lines.remove(app);
        }
    }
}

impl Line {
    fn advance(&mut self, width: usize) {
        while self.running < width.max(1)
            && let Some((id, sender)) = self.waiting.pop_front()
        {
            if sender.send(Ok(())).is_ok() {
                self.running += 1;
            } else {
                self.ids.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_in_order_and_nobody_twice() {
        let queue = ReloadQueue::default();
        let mut turns: Vec<Turn> = (0..3).map(|id| queue.enter("a", PmId(id), 1).unwrap()).collect();
        assert!(queue.enter("a", PmId(1), 1).is_none());
        assert!(queue.enter("b", PmId(9), 1).unwrap().try_recv().is_ok(), "apps do not wait for each other");
        assert_eq!(turns[0].try_recv(), Ok(Ok(())));
        assert!(turns[1].try_recv().is_err());
        queue.leave("a", PmId(0), 1, None);
        assert_eq!(turns[1].try_recv(), Ok(Ok(())));
        queue.leave("a", PmId(1), 1, Some("it crashed"));
        assert!(turns[2].try_recv().unwrap().unwrap_err().contains("it crashed"));
        assert!(queue.enter("a", PmId(1), 1).unwrap().try_recv().is_ok());
    }

    #[test]
    fn a_wider_line_lets_more_begin() {
        let queue = ReloadQueue::default();
        let mut turns: Vec<Turn> = (0..4).map(|id| queue.enter("a", PmId(id), 3).unwrap()).collect();
        let begun = turns.iter_mut().filter_map(|turn| turn.try_recv().ok()).count();
        assert_eq!(begun, 3);
    }
}
