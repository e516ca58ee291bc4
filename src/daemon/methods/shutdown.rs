//! `notifyKillPM2` and `killMe`: never answered.

use std::rc::Rc;

use serde::Deserialize;

use crate::daemon::core::Daemon;
use crate::daemon::dispatch::{Args, Reply};
use crate::supervisor::Input;

pub(in crate::daemon) fn notify_kill(daemon: &Rc<Daemon>, _: Args<'_>) -> Reply {
    daemon.feed(Input::ShuttingDown);
    Reply::Never
}

pub(in crate::daemon) fn kill_me(daemon: &Rc<Daemon>, args: Args<'_>) -> Reply {
    #[derive(Deserialize)]
    struct Client {
        pid: i32,
    }
    let client = serde_json::from_str::<Client>(args.text(0)).ok().map(|client| client.pid);
    daemon.end_by_client(client);
    Reply::Never
}
