//! A test double of the daemon: the keeper starts a script that only sleeps, and the test speaks through a copy of that
//! process's socket.

use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use pm2_rs::model::{PmId, RunId, Signal};
use pm2_rs::sys::{detach, limits, packet, pidfd};
use pm2_rs::wire::keeper::{FromKeeper, MAX_PACKET, SpawnSpec, Spawned, ToKeeper};

/// Tells the test its pid through a FIFO in the home (the third argument) and waits to be killed.
const STAND_IN: &str = "#!/bin/sh\necho $$ > \"$3/started\"\nexec sleep 1000\n";

/// A keeper under test and the daemon's side of its socket.
pub(crate) struct Double {
    pub(crate) home: tempfile::TempDir,
    pub(crate) launched: detach::Launched,
    pub(crate) daemon: i32,
    link: OwnedFd,
}

pub(crate) fn executable(path: &Path, content: &str) -> PathBuf {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_path_buf()
}

/// Starts a keeper with this executable as its daemon.
pub(crate) fn launch(home: &Path, daemon: &Path, tied: bool) -> detach::Launched {
    let args = ["keeper".into(), "--home".into(), home.into(), "--executable".into(), daemon.into()];
    let program = keeper_program(home, "");
    detach::launch(&detach::Launch { program: &program, args: &args, env: None, log_file: &home.join("pm2.log"), tied })
        .unwrap()
}

/// What starts the keeper of this home, made once.
fn keeper_program(home: &Path, first: &str) -> PathBuf {
    let program = home.join("pm2d");
    if !program.exists() {
        // As under nohup: what the starter ignored must neither stay ignored nor reach the apps.
        let pm2d = env!("CARGO_BIN_EXE_pm2d");
        let text = format!("#!/bin/sh\n{first}\ntrap '' HUP TERM TSTP USR2\nulimit -Sn 200\nexec '{pm2d}' \"$@\"\n");
        executable(&program, &text);
    }
    program
}

/// The line that the starter gets.
pub(crate) fn ready_line(launched: &detach::Launched) -> serde_json::Value {
    let line = read_all(&launched.ready);
    assert_eq!(line.find('\n'), Some(line.len() - 1), "one line, then the end: {line:?}");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

impl Double {
    /// A keeper whose first daemon has been greeted.
    pub(crate) fn new() -> Double {
        Double::start(true)
    }

    /// Tied to the test, or on its own.
    pub(crate) fn start(tied: bool) -> Double {
        Double::start_with(tied, "", false)
    }

    /// As [`Double::new`], with a daemon that answers questions and a keeper that asks them: `PM2_RS_HANG_LIMIT`.
    pub(crate) fn watched(limit: &str) -> Double {
        Double::start_with(true, &format!("export PM2_RS_HANG_LIMIT={limit}"), true)
    }

    fn start_with(tied: bool, first: &str, answers: bool) -> Double {
        // As a daemon does: how many descriptors a user may have in flight is measured by it.
        limits::raise_open_files().unwrap();
        let home = tempfile::tempdir().unwrap();
        nix::unistd::mkfifo(&home.path().join("started"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let script = executable(&home.path().join("stand-in"), STAND_IN);
        keeper_program(home.path(), first);
        let launched = launch(home.path(), &script, tied);
        let (daemon, link) = arrival(home.path());
        let double = Double { home, launched, daemon, link };
        double.send(&ToKeeper::Hello { protocol: 1, answers }, &[]);
        double
    }

    /// As [`Double::new`], handed over and online.
    pub(crate) fn online() -> Double {
        let double = Double::new();
        double.hand_over();
        double.send(&ToKeeper::Online, &[]);
        assert_eq!(ready_line(&double.launched)["success"], true);
        double
    }

    /// The test itself is the daemon from now on, and has started a new keeper as a daemon would.
    pub(crate) fn adopt_self(&mut self) {
        let (ours, theirs) = packet::pair().unwrap();
        setsockopt(&ours, sockopt::ReceiveTimeout, &TimeVal::new(60, 0)).unwrap();
        self.link = ours;
        let args = ["keeper".into(), "--home".into(), self.home.path().into()];
        detach::launch_adopting(Path::new(env!("CARGO_BIN_EXE_pm2d")), &args, theirs, None).unwrap();
    }

    pub(crate) fn keeper(&self) -> i32 {
        i32::try_from(self.launched.child.as_ref().unwrap().id()).unwrap()
    }

    pub(crate) fn send(&self, message: &ToKeeper, fds: &[BorrowedFd<'_>]) {
        packet::send(&self.link, &serde_json::to_vec(message).unwrap(), fds).unwrap();
    }

    pub(crate) fn next(&self) -> (FromKeeper, Vec<OwnedFd>) {
        let packet = packet::receive(&self.link, MAX_PACKET).expect("an answer in time").expect("a keeper");
        assert!(!packet.fds_lost);
        (serde_json::from_slice(&packet.bytes).unwrap(), packet.fds)
    }

    /// Everything up to `Ready`.
    pub(crate) fn hand_over(&self) -> Vec<(FromKeeper, Vec<OwnedFd>)> {
        let mut told = Vec::new();
        loop {
            let message = self.next();
            if message.0 == FromKeeper::Ready {
                return told;
            }
            told.push(message);
        }
    }

    pub(crate) fn order(&self, run: u64, spec: &SpawnSpec) {
        let memory = packet::memory_file("spec", &serde_json::to_vec(spec).unwrap()).unwrap();
        self.send(&ToKeeper::Spawn { id: PmId(0), run: RunId(run) }, &[memory.as_fd()]);
    }

    pub(crate) fn spawn(&self, run: u64, spec: &SpawnSpec) -> (Spawned, Vec<OwnedFd>) {
        self.order(run, spec);
        match self.next() {
            (FromKeeper::Spawned(spawned), fds) => {
                assert_eq!(spawned.run, RunId(run));
                (spawned, fds)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Kills the daemon and meets the next one, whose socket takes the place of the old one.
    pub(crate) fn kill_daemon(&mut self) {
        self.stop_daemon();
        self.meet_daemon();
    }

    /// Meets the daemon that the keeper starts after one that ended.
    pub(crate) fn meet_daemon(&mut self) {
        (self.daemon, self.link) = arrival(self.home.path());
    }

    pub(crate) fn stop_daemon(&self) {
        pidfd::send_signal(pidfd::open(self.daemon).unwrap(), Signal::KILL).unwrap();
    }

    /// Ends keeper and daemon.
    pub(crate) fn quit(mut self, code: i32) -> ExitStatus {
        self.send(&ToKeeper::Quit { code }, &[]);
        self.stop_daemon();
        self.launched.child.as_mut().unwrap().wait().unwrap()
    }
}

/// The pid of the daemon that was just started, and its end of the socket.
fn arrival(home: &Path) -> (i32, OwnedFd) {
    let pid: i32 = fs::read_to_string(home.join("started")).unwrap().trim().parse().unwrap();
    let link = descriptor_of(pid, 3);
    setsockopt(&link, sockopt::ReceiveTimeout, &TimeVal::new(60, 0)).unwrap();
    (pid, link)
}

#[expect(unsafe_code, reason = "pidfd_getfd has no safe wrapper")]
fn descriptor_of(pid: i32, number: i32) -> OwnedFd {
    let process = pidfd::open(pid).unwrap();
    // SAFETY: three numbers; the answer is a new descriptor.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0) };
    let fd = i32::try_from(fd).unwrap();
    assert!(fd >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the kernel just made it for us.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

pub(crate) fn spec(argv: &[&str]) -> SpawnSpec {
    SpawnSpec {
        program: argv[0].to_owned(),
        argv: argv.iter().map(|&arg| arg.to_owned()).collect(),
        env: vec!["PATH=/usr/bin:/bin".to_owned()],
        cwd: "/".to_owned(),
        uid: None,
        gid: None,
        groups: Vec::new(),
        ipc: false,
    }
}

pub(crate) fn shell(script: &str) -> SpawnSpec {
    spec(&["/bin/sh", "-c", script])
}

/// All that comes out of a descriptor until its end.
pub(crate) fn read_all(fd: &OwnedFd) -> String {
    let mut text = String::new();
    fs::File::from(fd.try_clone().unwrap()).read_to_string(&mut text).unwrap();
    text
}

pub(crate) fn open_descriptors(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}
