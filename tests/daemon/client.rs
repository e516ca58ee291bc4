//! A home with a daemon, and a blocking RPC client of it.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pm2_rs::model::Signal;
use pm2_rs::sys::pidfd;
use pm2_rs::sys::process::{self, Member};
use pm2_rs::wire::amp::{AmpDecoder, Arg};
use pm2_rs::wire::rpc::{self, ClientReply};
use serde_json::{Value, json};

/// Everything that is waited for happens long before this.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// Waits until `check` answers something.
pub(crate) fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(start.elapsed() < LONG, "waited in vain for {what}");
        pause();
    }
}

#[expect(clippy::disallowed_methods, reason = "a test polls what has no event")]
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}

/// A running daemon in a home of its own. Dropping it ends everything.
pub(crate) struct Home {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) keeper: Child,
}

impl Home {
    pub(crate) fn start() -> Home {
        let dir = tempfile::tempdir().unwrap();
        let keeper = launch(dir.path());
        let home = Home { dir, keeper };
        home.wait_until_up();
        home
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn wait_until_up(&self) {
        eventually("the daemon to answer", || Client::try_connect(self.path()));
    }

    pub(crate) fn client(&self) -> Client {
        eventually("a connection", || Client::try_connect(self.path()))
    }

    pub(crate) fn call(&self, method: &str, args: &Value) -> Result<Value, String> {
        self.client().call(method, args)
    }

    /// Writes an executable shell script.
    pub(crate) fn script(&self, name: &str, body: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// An app as a client would send it: this script, read by a shell. (Executing a file just written fails while another
    /// test's fork has it open.)
    pub(crate) fn app(&self, name: &str, script: &Path) -> Value {
        let log = |kind: &str| self.path().join(format!("{name}-{kind}.log"));
        json!({
            "name": name, "namespace": "default", "pm_exec_path": script, "pm_cwd": self.path(),
            "exec_interpreter": "/bin/sh", "exec_mode": "fork_mode", "instances": 1, "node_args": [], "merge_logs": true,
            "env": { "PATH": "/usr/bin:/bin", "WHO": name, name: {} },
            "pm_out_log_path": log("out"), "pm_err_log_path": log("err"),
            "pm_pid_path": self.path().join(format!("pids/{name}.pid")),
            "autorestart": true, "autostart": true, "treekill": true, "vizion": true,
        })
    }

    /// Starts a script under a name; the answer is its first worker object.
    pub(crate) fn start_app(&self, name: &str, body: &str) -> Value {
        let script = self.script(&format!("{name}.sh"), body);
        let started = self.call("prepare", &json!([self.app(name, &script)])).unwrap();
        started[0].clone()
    }

    pub(crate) fn list(&self) -> Vec<Value> {
        self.call("getMonitorData", &json!([{}])).unwrap().as_array().unwrap().clone()
    }

    pub(crate) fn only(&self) -> Value {
        let list = self.list();
        assert_eq!(list.len(), 1, "one instance");
        list[0].clone()
    }

    pub(crate) fn wait_for_status(&self, status: &str) -> Value {
        eventually(status, || Some(self.only()).filter(|app| app["pm2_env"]["status"] == status))
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }

    pub(crate) fn info(&self) -> Value {
        self.call("pm2rsInfo", &json!([{}])).unwrap()
    }
}

impl Drop for Home {
    #[expect(clippy::print_stdout, reason = "shown with the test that failed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What the daemon says about it is gone with the directory otherwise.
            println!("pm2.log:\n{}", self.read("pm2.log"));
        }
        // TERM makes the daemon end its apps; a keeper that does not end by that is ended hard.
        if let Ok(process) = pidfd::open(pid(&json!(self.keeper.id()))) {
            let _ = pidfd::send_signal(&process, Signal::TERM);
            if !pidfd::wait_all(&[process], 20_000) {
                let _ = self.keeper.kill();
            }
        }
        let _ = self.keeper.wait();
        // And who came after it, if it was replaced.
        sweep(&[format!("HOME={}", self.path().display())]);
    }
}

/// Ends every process that has one of these entries in its environment. Stopped first, all of them: of keeper and daemon
/// the one that sees the other die starts another.
pub(crate) fn sweep(entries: &[String]) {
    let mut stopped: Vec<Member> = Vec::new();
    loop {
        let all = entries.iter().flat_map(|entry| process::with_environment(&[entry]));
        let found: Vec<Member> = all.filter(|member| !stopped.contains(member)).collect();
        if found.is_empty() {
            break;
        }
        process::signal_all(&found, Signal::STOP);
        stopped.extend(found);
    }
    pidfd::wait_all(&process::signal_all(&stopped, Signal::KILL), 30_000);
}

/// Starts a keeper in the foreground.
pub(crate) fn launch(home: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_pm2d"))
        .args(["keeper", "--home"])
        .arg(home)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", home)
        // By this `npm test` knows what a test has left behind.
        .envs(std::env::var_os("PM2_RS_TEST_RUN").map(|run| ("PM2_RS_TEST_RUN", run)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

pub(crate) fn pid(value: &Value) -> i32 {
    i32::try_from(value.as_i64().unwrap()).unwrap()
}

pub(crate) fn is_alive(pid: i32) -> bool {
    pidfd::open(pid).is_ok_and(|process| !pidfd::has_ended(process))
}

/// One connection.
pub(crate) struct Client {
    pub(crate) stream: UnixStream,
    decoder: AmpDecoder,
    next: u32,
}

impl Client {
    pub(crate) fn try_connect(home: &Path) -> Option<Client> {
        let stream = UnixStream::connect(home.join("rpc.sock")).ok()?;
        stream.set_read_timeout(Some(LONG)).unwrap();
        Some(Client { stream, decoder: AmpDecoder::new(), next: 0 })
    }

    /// Sends a call without waiting. The answer is its id.
    pub(crate) fn send(&mut self, method: &str, args: &Value) -> String {
        self.next += 1;
        let id = format!("test:{}", self.next);
        let frame = rpc::encode_call(&id, method, args).unwrap();
        self.stream.write_all(&frame).unwrap();
        id
    }

    pub(crate) fn frame(&mut self) -> Option<Vec<bytes::Bytes>> {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame);
            }
            let mut buffer = [0; 8192];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.decoder.push(&buffer[..count]),
                // A child of another test has ended.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("cannot read a reply: {error}"),
            }
        }
    }

    /// The next reply; `None` when the connection ended.
    pub(crate) fn receive(&mut self) -> Option<ClientReply> {
        let frame = self.frame()?;
        rpc::decode_reply(&frame)
    }

    pub(crate) fn call(&mut self, method: &str, args: &Value) -> Result<Value, String> {
        let id = self.send(method, args);
        let reply = self.receive().ok_or("the connection ended")?;
        assert_eq!(reply.id, id);
        let values = reply.result.map_err(|error| error.message)?;
        Ok(values.first().map_or(Value::Null, |value| serde_json::from_str(value.get()).unwrap()))
    }

    /// The reply to a frame made by hand, as JSON.
    pub(crate) fn raw(&mut self, frame: &[u8]) -> Option<Value> {
        self.stream.write_all(frame).unwrap();
        let reply = self.frame()?;
        let Arg::Json(text) = Arg::read(&reply[0]) else { panic!("no JSON") };
        Some(serde_json::from_str(&text).unwrap())
    }
}

impl Client {
    /// Whether a call sent after others that are never answered is answered.
    pub(crate) fn call_after(&mut self, method: &str) -> bool {
        self.call(method, &json!([{}])).is_ok()
    }
}
