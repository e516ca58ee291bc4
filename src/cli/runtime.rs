//! `pm2-rs-runtime` and `pm2-rs-dev`: apps in the foreground, with a daemon that ends with them (contract/cli.md section 16).
//!
//! Owns: the words of these programs, what is shown of the logs, signals, the end and its exit code.
//! Must never: touch a daemon that it did not start, unless told to.

mod plan;
mod post_exec;
mod signals;
mod watch;
mod web;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};

use super::command::{self, Call, Failure, logs};
use super::{Invocation, LoadConfig, Ui, context, grammar};
use crate::client::{Action, BusEvent, Options, Session, Subscription, Target};
use plan::{Plan, Shown};
use signals::Signals;

/// Which program this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Runtime,
    Dev,
    /// `start --no-daemon` of the command line.
    Foreground,
}

/// Nothing runs, and nothing can come back.
const ALL_GONE: u8 = 2;
/// How often the list is asked for besides what events tell.
const LOOK: Duration = Duration::from_secs(1);
/// How long the last lines of an app may take to arrive.
const LAST_LINES: Duration = Duration::from_millis(500);

/// Runs apps in the foreground until they end or a signal comes; answers with the exit code.
pub async fn run(
    mode: Mode,
    mut invocation: Invocation,
    config: &dyn LoadConfig,
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
) -> u8 {
    if mode == Mode::Dev {
        let home = invocation.env.get("HOME").map_or_else(|| "/tmp".to_owned(), Clone::clone);
        invocation.env.entry("PM2_HOME".into()).or_insert(format!("{home}/.pm2-dev"));
    }
    let env = |name: &str| invocation.env.get(name).filter(|text| !text.is_empty()).cloned();
    let mut ui = Ui::new(out, err, invocation.tty, &env);
    let plan = match Plan::read(mode, &invocation.args) {
        Ok(plan) => plan,
        Err(plan::Stop::Version) => {
            ui.data(&format!("{}\n", crate::VERSION));
            return 0;
        }
        Err(plan::Stop::Help(code)) => {
            ui.data(plan::HELP);
            return code;
        }
        Err(plan::Stop::Mistake(text)) => {
            ui.error(&text);
            return 1;
        }
    };
    let signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => {
            ui.error(&format!("cannot listen to signals: {error}"));
            return 1;
        }
    };
    let options = Options {
        home: crate::model::Home::root_from(env),
        // Tests of pm2 set this, to look at what runtime started from another process.
        daemon_mode: env("PM2_RUNTIME_DEBUG").is_some(),
        pm2d: invocation.pm2d.clone(),
        agent: invocation.agent.clone(),
    };
    // A container keeps its logs outside: what is said goes to our own streams only, also that of apps of config files
    // which name no log file.
    let no_files = [("PM2_LOG_FILE_PATH", "/dev/null"), ("PM2_DEFAULT_LOG_PATH", "/dev/null")];
    let session = Session::with_variables(options, if mode == Mode::Runtime { &no_files } else { &[] });
    let _web = match &plan.web {
        Some(wanted) => match web::serve(&session, *wanted, &env).await {
            Ok(web) => {
                if !plan.quiet {
                    ui.complain(&format!("[PM2] web: http://{}/ and /health", web.address));
                }
                Some(web)
            }
            Err(error) => {
                ui.error(&error);
                return 1;
            }
        },
        None => None,
    };
    session.note_caller(context(&invocation));
    let started = BTreeSet::new();
    let mut foreground = Foreground { mode, plan: &plan, session: &session, ui: &mut ui, signals, started };
    let code = foreground.run(&invocation, config).await;
    session.disconnect().await;
    code
}

struct Foreground<'a> {
    mode: Mode,
    plan: &'a Plan,
    session: &'a Session,
    ui: &'a mut Ui,
    signals: Signals,
    /// Ids that were online once: when they are again, that is a restart. The event `restart` is of clients only.
    started: BTreeSet<String>,
}

impl Foreground<'_> {
    async fn run(&mut self, invocation: &Invocation, config: &dyn LoadConfig) -> u8 {
        match self.session.is_alive().await {
            Ok(true) if !self.plan.attach_daemon => {
                let home = self.session.home().root.display();
                let text = format!("a daemon runs in {home} already: choose another PM2_HOME, or use --attach-daemon");
                self.ui.error(&text);
                return 1;
            }
            Ok(_) => {}
            Err(error) => {
                self.ui.error(&error.to_string());
                return 1;
            }
        }
        if let Some(delay) = self.plan.delay {
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = self.signals.ending(self.session) => return 0,
            }
        }
        if let Err(error) = self.session.connect().await {
            self.ui.error(&error.to_string());
            return 1;
        }
        let before = watch::ids(self.session).await;
        let mut bus = self.session.subscribe();
        while !bus.next_batch().await.contains(&BusEvent::Connected) {}

        let end = self.start_and_watch(invocation, config, &mut bus).await;
        if let End::Left = end {
            return 0;
        }
        if self.mode == Mode::Dev {
            self.ui.message("[PM2 DEV] Stopping current development session");
        }
        // What the app said last, and which code it left, must be known before it is deleted.
        let told = match &self.plan.exit_code_from {
            Some(name) => watch::exit_code(self.session, name).await,
            None => None,
        };
        if matches!(end, End::AllGone) {
            self.show_last_lines(&mut bus).await;
        }
        self.stop(&mut bus, &before, matches!(end, End::DaemonGone)).await;
        match end {
            End::AllGone => told.unwrap_or(if self.mode == Mode::Dev { 1 } else { ALL_GONE }),
            End::NotStarted | End::DaemonGone => 1,
            End::Signal | End::Left => 0,
        }
    }

    /// Starts the apps and shows what they say, until there is a reason to end.
    async fn start_and_watch(
        &mut self,
        invocation: &Invocation,
        config: &dyn LoadConfig,
        bus: &mut Subscription,
    ) -> End {
        let words = Invocation { args: self.plan.words.clone(), ..invocation.clone() };
        let request = match grammar::parse(&words) {
            Ok(request) => request,
            Err(stop) => {
                stop.tell(self.ui);
                return End::NotStarted;
            }
        };
        let mut call = Call {
            session: self.session,
            context: context(invocation),
            local: &invocation.env,
            config,
            request: &request,
            program: None,
        };
        let said = Said::default();
        let mut starting_ui = Ui::new(Box::new(io::sink()), Box::new(said.clone()), invocation.tty, &|name| {
            invocation.env.get(name).cloned()
        });
        let mut starting = pin!(command::run(&mut call, &mut starting_ui));
        let mut started = false;
        let mut view = logs::View::runtime(
            self.plan.shown == Shown::Json,
            self.plan.shown == Shown::Format,
            self.plan.shown == Shown::Raw,
        );
        loop {
            let mut look = false;
            tokio::select! {
                exit = &mut starting, if !started => {
                    self.ui.error_bytes(&said.take());
                    started = true;
                    look = true;
                    if exit.code() != 0 {
                        return End::NotStarted;
                    }
                    if self.mode == Mode::Dev {
                        self.ui.message("Apps started\nWatch and Restart: on");
                    }
                    if self.session.options().daemon_mode || self.plan.test_mode {
                        return End::Left;
                    }
                }
                batch = bus.next_batch() => {
                    for event in &batch {
                        match event {
                            BusEvent::Closed => return End::DaemonGone,
                            BusEvent::Message { topic, .. } if topic == "process:event" => look = true,
                            _ => {}
                        }
                        self.show(&mut view, event);
                    }
                }
                () = tokio::time::sleep(LOOK) => look = true,
                () = self.signals.ending(self.session) => return End::Signal,
            }
            if started && look && self.plan.auto_exit && watch::nothing_can_come_back(self.session).await {
                return End::AllGone;
            }
        }
    }

    fn show(&mut self, view: &mut logs::View, event: &BusEvent) {
        let BusEvent::Message { topic, payload } = event else { return };
        let own = topic == "log:PM2";
        if own && self.plan.quiet {
            return;
        }
        if own && matches!(self.plan.shown, Shown::Raw | Shown::Formatted) {
            let text = serde_json::from_str::<Value>(payload).unwrap_or_default();
            self.ui.error_bytes(text["data"].as_str().unwrap_or_default().as_bytes());
            return;
        }
        if self.mode == Mode::Dev && topic == "process:event" {
            let event: Value = serde_json::from_str(payload).unwrap_or_default();
            let is_online = event["event"] == "online";
            if is_online && !self.started.insert(event["process"]["pm_id"].to_string()) {
                let name = event["process"]["name"].as_str().unwrap_or_default();
                self.ui.message(&format!("[rundev] App {name} restarted"));
            }
            if let (Some(line), true) = (&self.plan.post_exec, is_online) {
                post_exec::run(line, self.plan.silent_exec);
            }
            return;
        }
        logs::show_event(self.ui, view, event);
    }

    async fn show_last_lines(&mut self, bus: &mut Subscription) {
        let mut view = logs::View::runtime(
            self.plan.shown == Shown::Json,
            self.plan.shown == Shown::Format,
            self.plan.shown == Shown::Raw,
        );
        while let Ok(batch) = tokio::time::timeout(LAST_LINES, bus.next_batch()).await {
            for event in &batch {
                self.show(&mut view, event);
            }
        }
    }

    /// Ends the apps in order, showing what they say meanwhile; a second signal kills them at once.
    async fn stop(&mut self, bus: &mut Subscription, before: &[Value], is_gone: bool) {
        if is_gone {
            return;
        }
        let session = self.session;
        let pids = watch::pids(session).await;
        let attached = self.plan.attach_daemon;
        let mut stopping = pin!(async move {
            if !attached {
                let killed = crate::client::run(session, Action::KillDaemon).await;
                return killed.map(drop).map_err(Failure::from);
            }
            // Somebody else's daemon: only what was started here ends.
            for id in watch::ids(session).await.into_iter().filter(|id| !before.contains(id)) {
                let target = Target::Name(id.to_string());
                let action = Action::Delete { target, options: Map::new(), context: crate::client::Context::default() };
                crate::client::run(session, action).await?;
            }
            Ok(())
        });
        let mut view = logs::View::runtime(
            self.plan.shown == Shown::Json,
            self.plan.shown == Shown::Format,
            self.plan.shown == Shown::Raw,
        );
        loop {
            tokio::select! {
                done = &mut stopping => {
                    if let Err(Failure::Call { error, .. }) = done {
                        self.ui.error(&error.to_string());
                    }
                    return;
                }
                batch = bus.next_batch() => for event in &batch {
                    self.show(&mut view, event);
                },
                () = self.signals.ending(self.session) => {
                    for pid in pids {
                        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL);
                    }
                    return;
                }
            }
        }
    }
}

/// Why it ends.
enum End {
    NotStarted,
    AllGone,
    Signal,
    DaemonGone,
    /// The daemon stays: nothing is to be stopped.
    Left,
}

/// What the start complains about, kept until nobody else writes.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `start ... --no-daemon` of the command line, as the words of this program.
pub(super) fn is_foreground(words: &[String]) -> bool {
    let own = words.iter().take_while(|word| *word != "--");
    own.clone().any(|word| word == "--no-daemon") && own.clone().any(|word| word == "start")
}
