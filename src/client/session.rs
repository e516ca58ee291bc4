//! One caller's relation to one home: the connection, made when it is first needed.
//!
//! Owns: when to connect, launch and connect again. Single flight: calls that come at the same time wait for the same
//! connection, so that never two daemons are launched (Q31).

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Mutex;

use super::action::Context;
use super::connection::{Connection, Patience, Pending, Values};
use super::error::CallError;
use super::launch::{self, Environment, Options};
use super::subscription::Subscription;
use crate::model::Home;

/// One caller's relation to one home. Clones share the connection.
#[derive(Debug, Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: Options,
    home: Home,
    connection: Mutex<Option<Arc<Connection>>>,
    /// How often a launch has failed, and why the last one did.
    failed: StdMutex<(u64, String)>,
    env: StdMutex<Option<Arc<Environment>>>,
    /// A daemon was launched, and nobody has asked yet.
    launched: AtomicBool,
    /// Who calls, for what is started on nobody's behalf.
    caller: StdMutex<Option<Context>>,
    /// For who can show them; the API has nobody to tell.
    warnings: StdMutex<Vec<String>>,
}

/// How long a daemon may say nothing at all while calls wait. Longer than its keeper's own patience: a daemon that hangs
/// is replaced by then.
const ANSWER_LIMIT: Duration = Duration::from_mins(1);

/// These change nothing: when the connection breaks they are simply asked again.
const SAFE_TO_REPEAT: [&str; 6] = ["getMonitorData", "getSystemData", "getVersion", "getReport", "ping", "pm2rsInfo"];

impl Session {
    /// Nothing is opened, launched or created before the first call.
    pub fn new(options: Options) -> Session {
        Session::with_variables(options, &[])
    }

    /// The same with variables of our own, for the paths of the home and for a daemon that is launched: those that the
    /// environment has already win.
    pub fn with_variables(options: Options, ours: &[(&str, &str)]) -> Session {
        let set = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let ours: Vec<_> = ours.iter().filter(|(name, _)| set(name).is_none()).collect();
        let own = |name: &str| ours.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
        let home = Home::new(options.home.clone(), |name| set(name).or_else(|| own(name)));
        let env = (!ours.is_empty()).then(|| {
            let theirs = std::env::vars_os().filter(|(name, _)| !ours.iter().any(|(own, _)| name == own));
            Arc::new(theirs.chain(ours.iter().map(|(name, value)| (name.into(), value.into()))).collect())
        });
        Session {
            inner: Arc::new(Inner {
                options,
                home,
                connection: Mutex::new(None),
                env: StdMutex::new(env),
                failed: StdMutex::default(),
                launched: AtomicBool::new(false),
                caller: StdMutex::default(),
                warnings: StdMutex::default(),
            }),
        }
    }

    pub fn home(&self) -> &Home {
        &self.inner.home
    }

    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// What is launched: `pm2d` and the folder of the agent.
    pub(super) fn executables(&self) -> (PathBuf, PathBuf) {
        let pm2d = self.variable("PM2_RS_DAEMON").map(PathBuf::from);
        (pm2d.unwrap_or_else(|| self.inner.options.pm2d.clone()), self.inner.options.agent.clone())
    }

    /// Connects, launching a daemon if there is none. `true`: it was launched by this call.
    pub async fn connect(&self) -> Result<bool, CallError> {
        self.connection().await.map(|(_, launched)| launched)
    }

    /// The open connection, or a new one; whether a daemon was launched for it.
    pub(super) async fn connection(&self) -> Result<(Arc<Connection>, bool), CallError> {
        let failed_before = lock(&self.inner.failed).0;
        let mut slot = self.inner.connection.lock().await;
        if let Some(open) = slot.as_ref().filter(|connection| connection.is_open()) {
            return Ok((Arc::clone(open), false));
        }
        let (failed, why) = lock(&self.inner.failed).clone();
        if failed > failed_before {
            // This call waited for a launch that failed: it shares that failure instead of making another.
            return Err(CallError::Launch(why));
        }
        let (stream, launched) = self.connect_or_launch().await.inspect_err(|error| {
            if let CallError::Launch(why) = error {
                let mut failed = lock(&self.inner.failed);
                *failed = (failed.0 + 1, why.clone());
            }
        })?;
        let connection = Arc::new(Connection::open(stream, self.patience()));
        *slot = Some(Arc::clone(&connection));
        if launched {
            self.inner.launched.store(true, Ordering::Relaxed);
        }
        Ok((connection, launched))
    }

    async fn connect_or_launch(&self) -> Result<(tokio::net::UnixStream, bool), CallError> {
        launch::connect_or_launch(&self.inner.options, &self.inner.home, &self.environment()).await
    }

    /// Takes a copy of this process's environment, for what is launched or started later. To be called on the thread
    /// that may change it: in Node, that of JavaScript, since another thread must not read it at the same time.
    pub fn note_environment(&self) {
        let env = Arc::new(std::env::vars_os().collect());
        *lock(&self.inner.env) = Some(env);
    }

    /// Notes who calls, where that is not the process itself.
    pub fn note_caller(&self, context: Context) {
        *lock(&self.inner.caller) = Some(context);
    }

    /// Keeps what a person should hear about the options of a call; nothing is said twice.
    pub(super) fn warn(&self, warnings: Vec<String>) {
        let mut kept = lock(&self.inner.warnings);
        for warning in warnings {
            if !kept.contains(&warning) {
                kept.push(warning);
            }
        }
    }

    /// What the options of the calls since the last time gave reason to warn of, as plain sentences.
    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.inner.warnings))
    }

    /// Once after a daemon was launched: who caused it.
    pub(super) fn take_launched(&self) -> Option<Context> {
        let launched = self.inner.launched.swap(false, Ordering::Relaxed);
        launched.then(|| lock(&self.inner.caller).clone().unwrap_or_default())
    }

    /// The environment as it was noted last; if never, as it is now.
    pub(super) fn environment(&self) -> Arc<Environment> {
        let noted = lock(&self.inner.env).clone();
        noted.unwrap_or_else(|| Arc::new(std::env::vars_os().collect()))
    }

    /// One variable of the caller's, when it is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let env = self.environment();
        let (_, value) = env.iter().find(|(key, _)| key == name)?;
        value.to_str().filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// `PM2_RS_ANSWER_LIMIT`: how long a daemon may say nothing at all while calls wait, in seconds.
    fn patience(&self) -> Patience {
        let limit = self.variable("PM2_RS_ANSWER_LIMIT").and_then(|text| text.trim().parse().ok());
        let limit = limit.and_then(|seconds: f64| Duration::try_from_secs_f64(seconds).ok());
        let limit = limit.filter(|limit| !limit.is_zero()).unwrap_or(ANSWER_LIMIT);
        Patience { limit, trouble: self.inner.home.trouble_file.clone() }
    }

    /// The open connection, or one to a daemon that lives; `None` when there is none. Launches nothing.
    pub(super) async fn connection_if_alive(&self) -> Result<Option<Arc<Connection>>, CallError> {
        let mut slot = self.inner.connection.lock().await;
        if let Some(open) = slot.as_ref().filter(|connection| connection.is_open()) {
            return Ok(Some(Arc::clone(open)));
        }
        let Some(stream) = launch::connect(&self.inner.home).await? else { return Ok(None) };
        let connection = Arc::new(Connection::open(stream, self.patience()));
        *slot = Some(Arc::clone(&connection));
        Ok(Some(connection))
    }

    /// Whether a daemon answers on this home. Launches nothing and keeps nothing open.
    pub async fn is_alive(&self) -> Result<bool, CallError> {
        Ok(launch::connect(&self.inner.home).await?.is_some())
    }

    /// The same, for who will ask it something next: the connection stays open.
    pub async fn connect_if_alive(&self) -> Result<bool, CallError> {
        Ok(self.connection_if_alive().await?.is_some())
    }

    /// Calls a method of the daemon; the answer is what follows the error in pm2's callback.
    pub async fn rpc<A: Serialize + Sync + ?Sized>(&self, method: &str, args: &A) -> Result<Values, CallError> {
        match self.send(method, args).await?.answer().await {
            Err(CallError::WentAway(_)) if SAFE_TO_REPEAT.contains(&method) => {
                let again = self.send(method, args).await?.answer().await;
                match (again, self.patience().trouble()) {
                    // Whoever is started ends before it serves.
                    (Err(CallError::WentAway(_)), Some(trouble)) => Err(CallError::NoAnswer(trouble)),
                    (again, _) => again,
                }
            }
            answer => answer,
        }
    }

    /// Asks for the list of methods: one value, the map of their names.
    pub(super) async fn methods(&self) -> Result<Values, CallError> {
        let (connection, _) = self.connection().await?;
        match connection.send_methods()? {
            Some(pending) => pending.answer().await,
            None => Err(CallError::WentAway("methods".to_owned())),
        }
    }

    /// Sends a call without waiting for its answer. A connection that ended before is made again first.
    pub(super) async fn send<A: Serialize + Sync + ?Sized>(
        &self,
        method: &str,
        args: &A,
    ) -> Result<Pending, CallError> {
        for _ in 0..2 {
            let (connection, _) = self.connection().await?;
            if let Some(pending) = connection.send(method, args)? {
                return Ok(pending);
            }
        }
        Err(CallError::WentAway(method.to_owned()))
    }

    /// Closes the connection; `false` when there was none. A later call connects again.
    pub async fn disconnect(&self) -> bool {
        let taken = self.inner.connection.lock().await.take();
        let was_open = taken.as_ref().is_some_and(|connection| connection.is_open());
        if let Some(connection) = taken {
            connection.close();
            connection.ended().await;
        }
        was_open
    }

    /// Listens to the bus. Launches no daemon: it waits until one appears. Needs a runtime.
    pub fn subscribe(&self) -> Subscription {
        Subscription::new(self.inner.home.pub_socket.clone())
    }
}

/// A panic elsewhere does not make these wrong: each is replaced as a whole.
fn lock<T>(mutex: &StdMutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
