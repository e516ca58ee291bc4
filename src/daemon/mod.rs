//! The daemon: one current-thread runtime that owns the table of processes, answers clients and carries out decisions.
//!
//! Owns: the rpc and bus listeners, the table (supervisor + records), the journal, and what is done with effects.
//! Must never: fork, reap, block on anything but a short file write, or trust a byte that comes from outside.
//!
//! The keeper is its hands (`crate::keeper`, spoken to by [`keeper_link`]); decisions are the supervisor's.

pub mod bus;
pub mod channel;
pub mod daemon_log;
pub mod logs;
pub mod sampler;
pub mod system_data;

mod agent;
mod answer;
mod cluster;
mod core;
mod cron;
mod delta;
mod dispatch;
mod effects;
mod env_block;
mod instances;
mod journal;
mod keeper_link;
mod keeper_watch;
mod keys;
mod limits;
mod merge;
mod messages;
mod methods;
mod notify;
mod orphans;
mod pid_file;
mod processes;
mod record;
mod render;
mod rest;
mod restore;
mod run;
mod server;
mod settings;
mod shutdown;
mod spawn_plan;
mod succession;
mod table;
#[cfg(test)]
mod test_runtime;
mod watch;

use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use self::bus::Bus;
use self::cluster::Clusters;
use self::core::{Daemon, Parts};
use self::daemon_log::DaemonLog;
use self::keeper_link::{Handover, KeeperLink};
use self::logs::Logs;
use self::server::Sockets;
use self::settings::Settings;
use crate::model::Home;
use crate::wire::keeper::{SETTLED, ToKeeper};
use crate::{PM2_VERSION, VERSION};

/// How the daemon is started: what `pm2d daemon` was given by its keeper.
#[derive(Debug)]
pub struct Options {
    /// The files of this `PM2_HOME`.
    pub home: Home,
    /// The script that Node apps preload; the copy inside the executable is used when it is absent or does not exist.
    pub agent: Option<PathBuf>,
    /// Our end of the private socketpair (`SOCK_SEQPACKET`) to the keeper.
    pub keeper: OwnedFd,
}

/// What this executable reads and speaks, as one line of JSON: `{version, pm2_version, journal, keeper}`.
pub fn versions() -> String {
    let keeper = crate::wire::keeper::PROTOCOL;
    serde_json::json!({ "version": VERSION, "pm2_version": PM2_VERSION, "journal": journal::VERSION, "keeper": keeper })
        .to_string()
}

/// Runs the daemon until it is told to end. The answer is the exit code of the process.
pub fn run(options: Options) -> i32 {
    abort_on_panic(options.home.log_file.clone());
    // Without a runtime nobody can be told; the keeper sees the exit code and tries again.
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return 1 };
    let local = tokio::task::LocalSet::new();
    let code = local.block_on(&runtime, life(options));
    // Nothing is closed by hand: what has to go on is in the care of others, and the kernel closes the rest.
    std::mem::forget(local);
    // A blocked host metric must not hold up the end.
    runtime.shutdown_background();
    code
}

/// A panic is a bug whose state nobody can trust: the keeper starts the next daemon, which knows what the journal knows.
fn abort_on_panic(log: PathBuf) {
    std::panic::set_hook(Box::new(move |panic| {
        if let Ok(mut log) = crate::sys::file::append(&log, 0o600) {
            // There is nobody left to tell if this fails.
            let _ = writeln!(log, "PM2 error: pm2d {VERSION} ends because of a bug: {panic}");
        }
        std::process::abort();
    }));
}

async fn life(options: Options) -> i32 {
    let Ok(keeper) = KeeperLink::new(options.keeper) else { return 1 };
    let pump = Rc::clone(&keeper);
    tokio::task::spawn_local(async move { pump.pump().await });
    match start(options.home, options.agent, &keeper).await {
        Ok(daemon) => daemon.end.wait().await,
        Err(error) => {
            keeper.send(&ToKeeper::Failed { error }, Vec::new());
            let _ = tokio::time::timeout(Duration::from_secs(1), keeper.flushed()).await;
            1
        }
    }
}

/// Everything up to the moment when clients are served. The error is for whoever launched us.
async fn start(home: Home, agent: Option<PathBuf>, keeper: &Rc<KeeperLink>) -> Result<Rc<Daemon>, String> {
    let mut handover = keeper.handover().await.map_err(|error| format!("the keeper does not answer: {error}"))?;
    let settings = Settings::from_env(|name| std::env::var(name).ok());
    for folder in home.folders() {
        crate::sys::file::create_directory(folder)
            .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
    }
    let bus = Bus::new();
    let log = DaemonLog::new(&home.log_file, settings.log_date_format.as_deref(), bus.clone());
    let logs = Logs::open(bus.clone(), log.clone(), handover.held.remove(logs::JOURNAL_NAME))
        .map_err(|error| format!("cannot make the log journal: {error}"))?;
    keeper.hold(logs::JOURNAL_NAME, logs.journal()).map_err(|error| format!("cannot keep the log journal: {error}"))?;
    let sockets = Sockets::open(&home, &settings, &mut handover.held, keeper).map_err(|error| error.to_string())?;
    let clusters = Clusters::new(keeper, log.clone(), handover.generation, &mut handover.held);
    let (table, alive) = restore::table(&home, &handover).map_err(|newer| newer.to_string())?;
    let unsettled = !handover.held.contains_key(SETTLED);
    let Handover { generation, keeper_pid, failed_update, running, exited, .. } = handover;
    let daemon = Daemon::new(Parts {
        home,
        settings,
        agent,
        bus,
        log,
        logs,
        keeper: Rc::clone(keeper),
        generation,
        keeper_pid,
        failed_update,
        unsettled,
        table,
        clusters,
    });
    daemon.announce();
    daemon.read_rotation_defaults();
    // First in the queue of tasks: whoever waits to be served comes before all that the processes need.
    daemon.listen(sockets).map_err(|error| format!("cannot serve the sockets: {error}"))?;
    restore::processes(&daemon, running, exited, alive);
    let timer = Rc::clone(&daemon);
    tokio::task::spawn_local(async move { timer.keep_time().await });
    tokio::task::spawn_local(Rc::clone(&daemon).keep_cron());
    tokio::task::spawn_local(Rc::clone(&daemon).keep_limits());
    let listener = Rc::clone(&daemon);
    tokio::task::spawn_local(async move { listener.hear_keepers().await });
    keeper.send(&ToKeeper::Online, Vec::new());
    daemon.rest.disturb();
    tokio::task::spawn_local(Rc::clone(&daemon).keep_rest());
    tokio::task::spawn_local(restore::check_pid_files(Rc::clone(&daemon)));
    Ok(daemon)
}

impl Daemon {
    /// The first lines of this daemon in its log.
    fn announce(&self) {
        let line = if self.generation > 1 {
            format!("pm2d {VERSION} goes on as daemon {} of this home", self.generation)
        } else {
            format!("pm2d {VERSION} started (pm2 {PM2_VERSION}), home {}", self.home.root.display())
        };
        self.log.log(&line);
    }
}
