//! What a next daemon has to know of the primary of an app.
//!
//! Owns: the form that the keeper holds. Fields are only added, with a default.
//! Must never: keep what dies with a daemon, such as the connections it has not passed on.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::handle::{Handle, Key};
use super::primary::{Primary, Wishes, Worker};
use crate::model::{PmId, RunId};
use crate::wire::cluster::{Seq, SocketName};

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) app: String,
    shared: bool,
    sticky: bool,
    workers: Vec<StoredWorker>,
    pub(super) handles: Vec<StoredHandle>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredWorker {
    pub(super) run: RunId,
    pub(super) id: PmId,
    pub(super) draining: bool,
    pub(super) disconnect_sent: bool,
    pub(super) leaving: bool,
}

impl StoredWorker {
    fn of<C>(run: RunId, worker: &Worker<C>) -> StoredWorker {
        let Worker { id, draining, disconnect_sent, leaving, .. } = *worker;
        StoredWorker { run, id, draining, disconnect_sent, leaving }
    }

    fn restore<C>(&self) -> Worker<C> {
        let StoredWorker { id, draining, disconnect_sent, leaving, .. } = *self;
        let mut worker = Worker::new(id);
        (worker.draining, worker.disconnect_sent, worker.leaving) = (draining, disconnect_sent, leaving);
        worker
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredHandle {
    pub(super) key: String,
    pub(super) shared: bool,
    udp: bool,
    data: Option<Box<RawValue>>,
    sockname: Option<SocketName>,
    pub(super) path: Option<std::path::PathBuf>,
    members: Vec<(RunId, Option<Seq>)>,
}

impl<C: Clone> Primary<C> {
    pub(super) fn to_stored(&self, app: &str) -> Stored {
        let worker = |(run, worker): (&RunId, &Worker<C>)| StoredWorker::of(*run, worker);
        let handle = |(key, handle): (&Key, &Handle<C>)| StoredHandle {
            key: key.to_string(),
            shared: handle.shared,
            udp: handle.udp,
            data: handle.data.clone(),
            sockname: handle.sockname.clone(),
            path: handle.path.clone(),
            members: handle.members.iter().map(|member| (member.run, member.ack.clone())).collect(),
        };
        Stored {
            app: app.to_owned(),
            shared: self.wishes.shared,
            sticky: self.wishes.sticky,
            workers: self.workers.iter().map(worker).collect(),
            handles: self.handles.iter().map(handle).collect(),
        }
    }

    /// Goes on where an earlier daemon was. What it had offered and not heard of is forgotten: those connections are
    /// with the worker or gone.
    pub(super) fn from_stored(generation: u64, stored: Stored) -> Primary<C> {
        let wishes = Wishes { shared: stored.shared, sticky: stored.sticky };
        let mut primary = Primary::new(generation, wishes);
        for worker in stored.workers {
            primary.workers.insert(worker.run, worker.restore());
        }
        for StoredHandle { key, shared, udp, data, sockname, path, members } in stored.handles {
            let mut handle = Handle::new(shared, udp, sockname, path);
            handle.data = data;
            for (run, ack) in members {
                handle.add(run, ack);
            }
            primary.handles.insert(Key::from(key), handle);
        }
        primary
    }
}
