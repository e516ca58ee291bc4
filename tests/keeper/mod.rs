//! The keeper as a process, against real children (contract/crash-proof-daemon.md; `wire::keeper`).

mod care;
mod double;

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::fd::AsFd;

use pm2_rs::model::{Exit, RunId, Signal};
use pm2_rs::sys::{packet, pidfd, process};
use pm2_rs::wire::keeper::{FromKeeper, ToKeeper};

use double::{Double, executable, launch, open_descriptors, read_all, ready_line, shell, spec};

fn exit_of(double: &Double, run: u64) -> Exit {
    match double.next().0 {
        FromKeeper::Exited { run: told, exit, .. } if told == RunId(run) => exit,
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_says_when_it_serves_and_ends_with_the_code_it_is_told() {
    let double = Double::new();
    let told = double.hand_over();
    assert!(
        matches!(&told[0].0, FromKeeper::Welcome { generation: 1, keeper_pid, .. } if *keeper_pid == double.keeper())
    );
    let held = |told: &FromKeeper| matches!(told, FromKeeper::Held { name } if name == "lock" || name == "lifeline");
    assert!(told.len() == 3 && told[1..].iter().all(|(told, fds)| held(told) && fds.len() == 1), "{told:?}");
    double.send(&ToKeeper::Online, &[]);
    let line = ready_line(&double.launched);
    assert_eq!(line["online"], true);
    assert_eq!(line["pid"], double.keeper());
    assert_eq!(line["pm2_version"], pm2_rs::PM2_VERSION);
    let pid_file = double.home.path().join("pm2.pid");
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), double.keeper().to_string());

    let mut second = launch(double.home.path(), &double.home.path().join("stand-in"), true);
    let line = ready_line(&second);
    assert_eq!((&line["success"], &line["code"]), (&false.into(), &"busy".into()));
    assert_eq!(second.child.as_mut().unwrap().wait().unwrap().code(), Some(1));
    assert!(pid_file.exists(), "the second one leaves the first one's file alone");

    assert_eq!(double.quit(7).code(), Some(7));
    assert!(!pid_file.exists());
}

#[test]
fn on_its_own_it_leaves_its_starter() {
    // So that the test, and not the machine's init, has to reap it.
    nix::sys::prctl::set_child_subreaper(true).unwrap();
    let double = Double::start(false);
    double.hand_over();
    double.send(&ToKeeper::Online, &[]);
    let pid = i32::try_from(ready_line(&double.launched)["pid"].as_i64().unwrap()).unwrap();
    assert!(double.launched.child.is_none() && double.launched.lifeline.is_none());
    let session = nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(pid))).unwrap().as_raw();
    assert_eq!(session, pid);
    let target = |fd: i32| fs::read_link(format!("/proc/{pid}/fd/{fd}")).unwrap();
    let log = double.home.path().join("pm2.log");
    assert_eq!([target(0), target(1), target(2)], ["/dev/null".into(), log.clone(), log]);
    double.send(&ToKeeper::Quit { code: 0 }, &[]);
    double.stop_daemon();
    reap(pid);
}

#[test]
fn exits_are_told_and_repeated_to_each_daemon_until_acknowledged() {
    let mut double = Double::online();
    let (_, fds) = double.spawn(1, &shell("echo out; echo err >&2; exit 3"));
    assert_eq!((read_all(&fds[2]), read_all(&fds[3])), ("out\n".to_owned(), "err\n".to_owned()));
    assert_eq!(exit_of(&double, 1), Exit::Code(3));
    let (_, fds) = double.spawn(2, &spec(&["/bin/sleep", "1000"]));
    pidfd::send_signal(&fds[0], Signal::KILL).unwrap();
    assert_eq!(exit_of(&double, 2), Exit::Signal(9));
    let (living, _) = double.spawn(3, &spec(&["/bin/cat"]));

    for generation in 2..4 {
        double.kill_daemon();
        let told = double.hand_over();
        assert!(matches!(told[0].0, FromKeeper::Welcome { generation: told, .. } if told == generation));
        let running: Vec<_> =
            told.iter().filter(|(told, fds)| matches!(told, FromKeeper::Running(_)) && fds.len() == 4).collect();
        assert_eq!(running.len(), 3);
        assert_eq!(running[2].0, FromKeeper::Running(living.clone()));
        let exits = told.iter().filter(|(told, _)| matches!(told, FromKeeper::Exited { .. })).count();
        assert_eq!(exits, 2);
    }
    double.send(&ToKeeper::Acknowledge { run: RunId(1) }, &[]);
    double.send(&ToKeeper::Acknowledge { run: RunId(2) }, &[]);
    double.send(&ToKeeper::Acknowledge { run: RunId(3) }, &[]);
    double.kill_daemon();
    let told = double.hand_over();
    let running: Vec<_> = told.iter().filter(|(told, _)| matches!(told, FromKeeper::Running(_))).collect();
    assert_eq!(running.len(), 1, "one that lives cannot be forgotten");
    // Output written while no daemon was there is still in the pipe, and what we write arrives.
    let fds = &running[0].1;
    fs::File::from(fds[1].try_clone().unwrap()).write_all(b"hello\n").unwrap();
    let mut answer = [0; 6];
    nix::unistd::read(&fds[2], &mut answer).unwrap();
    assert_eq!(&answer, b"hello\n");

    let pidfd = fds[0].try_clone().unwrap();
    double.quit(0);
    assert!(pidfd::wait_all(&[pidfd], 30_000), "what is left at the end is ended");
}

#[test]
fn an_exit_that_was_acknowledged_before_is_not_told() {
    let double = Double::online();
    let before = open_descriptors(double.keeper());
    let (_, fds) = double.spawn(1, &spec(&["/bin/sleep", "1000"]));
    double.send(&ToKeeper::Acknowledge { run: RunId(1) }, &[]);
    // Answered after the order before it was obeyed.
    let (_, others) = double.spawn(2, &spec(&["/bin/cat"]));
    for pidfd in [&fds[0], &others[0]] {
        pidfd::send_signal(pidfd, Signal::KILL).unwrap();
        assert!(pidfd::wait_all(&[pidfd.try_clone().unwrap()], 30_000));
    }
    assert_eq!(exit_of(&double, 2), Exit::Signal(9));
    assert_eq!(open_descriptors(double.keeper()), before + 4);
    double.quit(0);
}

#[test]
fn an_exit_while_no_daemon_is_there_is_told_to_the_next_one() {
    let mut double = Double::online();
    let (_, fds) = double.spawn(1, &spec(&["/bin/sleep", "1000"]));
    double.stop_daemon();
    pidfd::send_signal(&fds[0], Signal::TERM).unwrap();
    double.meet_daemon();
    let mut exits =
        double.hand_over().into_iter().map(|(told, _)| told).filter(|told| matches!(told, FromKeeper::Exited { .. }));
    let exit = exits.next().map_or_else(|| exit_of(&double, 1), |_| Exit::Signal(15));
    assert_eq!(exit, Exit::Signal(15));
    double.quit(0);
}

#[test]
fn what_cannot_be_started_is_explained() {
    let double = Double::online();
    let home = double.home.path();
    fs::write(home.join("plain"), "no program").unwrap();
    executable(&home.join("lost"), "#!/nonexistent/interpreter\n");
    let in_home = |name: &str| home.join(name).display().to_string();
    let before = open_descriptors(double.keeper());
    let mut cases = vec![
        (shell("true"), libc::ENOENT, "cannot change directory to /nonexistent: No such file"),
        (spec(&["/nonexistent/x"]), libc::ENOENT, "cannot execute /nonexistent/x: No such file"),
        (spec(&[&in_home("plain")]), libc::EACCES, "Permission denied"),
        (spec(&[&in_home("lost")]), libc::ENOENT, "the interpreter that its first line names is missing"),
        (spec(&["/bin/echo", "a\0b"]), libc::EINVAL, "an argument contains a NUL byte"),
    ];
    cases[0].0.cwd = "/nonexistent".to_owned();
    let mut large = shell("true");
    large.env = vec![format!("A={}", "x".repeat(8 << 20))];
    cases.push((large, libc::E2BIG, "cannot execute /bin/sh: Argument list too long"));
    for (run, (spec, expected, text)) in (1..).zip(cases) {
        double.order(run, &spec);
        match double.next().0 {
            FromKeeper::SpawnFailed { run: told, error, errno, .. } => {
                assert_eq!((told, errno), (RunId(run), expected), "{error}");
                assert!(error.contains(text), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
    double.send(&ToKeeper::Spawn { id: pm2_rs::model::PmId(0), run: RunId(99) }, &[]);
    assert!(matches!(double.next().0, FromKeeper::SpawnFailed { run: RunId(99), .. }));
    let (_, fds) = double.spawn(100, &spec(&[&executable(&home.join("bare"), "echo bare\n").display().to_string()]));
    assert_eq!(read_all(&fds[2]), "bare\n", "a script without #! is run by sh");
    exit_of(&double, 100);
    double.send(&ToKeeper::Acknowledge { run: RunId(100) }, &[]);
    double.spawn(101, &shell("true"));
    exit_of(&double, 101);
    assert_eq!(open_descriptors(double.keeper()), before + 4, "only the last run's descriptors are held");
    double.quit(0);
}

#[test]
fn a_child_has_its_own_session_clean_signals_and_no_other_descriptors() {
    let double = Double::online();
    let script = "ls /proc/$$/fd; cut -d' ' -f1,6 /proc/$$/stat; cat /proc/self/oom_score_adj; pwd; ulimit -n; \
        exec sed -n 's/^Sig[BI][lg][kn]:.//p' /proc/self/status";
    let mut wanted = shell(script);
    wanted.cwd = "/usr".to_owned();
    let own_score = fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    for (run, ipc) in [(1, false), (2, true)] {
        wanted.ipc = ipc;
        let (spawned, fds) = double.spawn(run, &wanted);
        let output = read_all(&fds[2]);
        let numbers = if ipc { "0\n1\n2\n3" } else { "0\n1\n2" };
        let pid = spawned.pid;
        let masks = output.strip_prefix(&format!("{numbers}\n{pid} {pid}\n{own_score}/usr\n200\n")).expect(&output);
        for mask in masks.lines() {
            assert_eq!(u64::from_str_radix(mask, 16), Ok(0), "{output}");
        }
        assert_eq!((masks.lines().count(), fds.len()), (2, 4 + usize::from(ipc)));
        exit_of(&double, run);
    }
    double.quit(0);
}

#[test]
fn a_child_becomes_the_user_it_is_told() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let double = Double::online();
    let mut wanted = shell("id -u; id -g; id -G");
    (wanted.uid, wanted.gid, wanted.groups) = (Some(12_345), Some(23_456), vec![34_567]);
    let (_, fds) = double.spawn(1, &wanted);
    assert_eq!(read_all(&fds[2]), "12345\n23456\n23456 34567\n");
    exit_of(&double, 1);
    double.quit(0);
}

#[test]
fn held_descriptors_reach_the_next_daemon() {
    let mut double = Double::online();
    for (name, content) in [("a", "first"), ("a", "second"), ("b", "gone")] {
        let file = packet::memory_file(name, content.as_bytes()).unwrap();
        double.send(&ToKeeper::Hold { name: name.to_owned() }, &[file.as_fd()]);
    }
    double.send(&ToKeeper::Release { name: "b".to_owned() }, &[]);
    double.kill_daemon();
    let held: HashMap<String, _> = double
        .hand_over()
        .into_iter()
        .filter_map(|(told, mut fds)| match told {
            FromKeeper::Held { name } => Some((name, fds.remove(0))),
            _ => None,
        })
        .collect();
    // Beside what the keeper itself has handed over.
    let mut names: Vec<_> = held.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["a", "lifeline", "lock"]);
    assert_eq!(packet::read_memory_file(&held["a"], 100).unwrap(), b"second");
    double.quit(0);
}

#[test]
fn a_burst_of_spawns_to_a_daemon_that_does_not_listen_loses_nothing() {
    const BURST: u64 = 300;
    let double = Double::online();
    let before = open_descriptors(double.keeper());
    // Nothing is read until all are ordered: the keeper has to keep what it cannot send.
    for run in 1..=BURST {
        double.order(run, &spec(&["/bin/true"]));
    }
    let (mut spawned, mut exited) = (Vec::new(), Vec::new());
    while exited.len() < usize::try_from(BURST).unwrap() {
        match double.next().0 {
            FromKeeper::Spawned(told) => spawned.push(told.run.0),
            FromKeeper::Exited { run, exit, .. } => {
                assert_eq!(exit, Exit::Code(0));
                assert!(spawned.contains(&run.0), "an exit before its spawn");
                double.send(&ToKeeper::Acknowledge { run }, &[]);
                exited.push(run.0);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(spawned, (1..=BURST).collect::<Vec<_>>());
    double.order(BURST + 1, &spec(&["/nonexistent"]));
    assert!(matches!(double.next().0, FromKeeper::SpawnFailed { .. }));
    assert_eq!(open_descriptors(double.keeper()), before);
    double.quit(0);
}

#[test]
fn node_speaks_through_its_channel() {
    let double = Double::online();
    let node = std::env::var("PATH")
        .unwrap()
        .split(':')
        .map(|dir| format!("{dir}/node"))
        .find(|path| fs::metadata(path).is_ok());
    let mut wanted =
        spec(&[&node.unwrap(), "-e", "process.on('message', m => process.send({ got: m }, () => process.exit(5)))"]);
    wanted.ipc = true;
    wanted.env.push("NODE_CHANNEL_FD=77".to_owned());
    let (_, fds) = double.spawn(1, &wanted);
    let flags = nix::fcntl::OFlag::from_bits_retain(nix::fcntl::fcntl(&fds[4], nix::fcntl::FcntlArg::F_GETFL).unwrap());
    assert!(flags.contains(nix::fcntl::OFlag::O_NONBLOCK));
    let mut channel = std::os::unix::net::UnixStream::from(fds[4].try_clone().unwrap());
    channel.set_nonblocking(false).unwrap();
    channel.write_all(b"\"hi\"\n").unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(channel), &mut line).unwrap();
    assert_eq!(line, "{\"got\":\"hi\"}\n");
    assert_eq!(exit_of(&double, 1), Exit::Code(5), "{}", read_all(&fds[3]));
    double.quit(0);
}

#[test]
fn signals_are_passed_on_and_orphans_are_reaped() {
    let double = Double::online();
    let keeper = pidfd::open(double.keeper()).unwrap();
    for signal in ["HUP", "INT", "QUIT", "USR2", "TERM"] {
        let signal = Signal::parse(signal).unwrap();
        pidfd::send_signal(&keeper, signal).unwrap();
        assert_eq!(double.next().0, FromKeeper::Signalled { signal });
    }
    let (_, fds) = double.spawn(1, &shell("sleep 1000 & echo $!"));
    let orphan: i32 = read_line(&fds[2]).trim().parse().unwrap();
    exit_of(&double, 1);
    let orphan = process::descendants(double.keeper()).unwrap().into_iter().find(|member| member.pid == orphan);
    let pidfds = process::signal_all(&[orphan.expect("the keeper inherits it")], Signal::KILL);
    assert!(pidfd::wait_all(&pidfds, 30_000));
    // Reaped before the answer to a later order, as the signal came first.
    double.spawn(2, &shell("true"));
    exit_of(&double, 2);
    assert!(fs::metadata(format!("/proc/{}", orphan.unwrap().pid)).is_err(), "no zombie is left");
    double.quit(0);
}

fn read_line(fd: &std::os::fd::OwnedFd) -> String {
    let mut line = String::new();
    let file = fs::File::from(fd.try_clone().unwrap());
    std::io::BufRead::read_line(&mut std::io::BufReader::new(file), &mut line).unwrap();
    line
}

#[test]
fn when_its_starter_is_gone_it_goes_too() {
    let mut double = Double::online();
    let (_, fds) = double.spawn(1, &spec(&["/bin/sleep", "1000"]));
    drop(double.launched.lifeline.take());
    assert_eq!(double.next().0, FromKeeper::Signalled { signal: Signal::TERM });
    // This daemon does not listen: in the end it is killed, and so is the app.
    assert_eq!(double.launched.child.as_mut().unwrap().wait().unwrap().code(), Some(0));
    assert!(pidfd::wait_all(&fds[..1], 30_000));
}

#[test]
fn a_new_keeper_takes_over_from_a_killed_one() {
    // So that the test can reap what the killed keepers leave, as an init would.
    nix::sys::prctl::set_child_subreaper(true).unwrap();
    let mut double = Double::online();
    let (first, first_fds) = double.spawn(1, &spec(&["/bin/sleep", "1000"]));
    let (second, second_fds) = double.spawn(2, &spec(&["/bin/sleep", "1000"]));
    let old = double.keeper();
    let lock = packet::memory_file("stands for the lock", b"").unwrap();
    pidfd::send_signal(pidfd::open(old).unwrap(), Signal::KILL).unwrap();
    double.launched.child.as_mut().unwrap().wait().unwrap();
    double.stop_daemon();
    reap(double.daemon);

    double.adopt_self();
    let told = double.hand_over();
    let FromKeeper::Welcome { generation, keeper_pid, .. } = told[0].0 else { panic!("{told:?}") };
    assert!(generation > 1 && keeper_pid != old && told.len() == 1);
    let keeper = pidfd::open(keeper_pid).unwrap();
    assert_eq!(fs::read_to_string(double.home.path().join("pm2.pid")).unwrap(), keeper_pid.to_string());
    double.send(&ToKeeper::Hold { name: "lock".to_owned() }, &[lock.as_fd()]);
    let first_pid = first.pid;
    for (spawned, fds) in [(first, &first_fds), (second.clone(), &second_fds)] {
        double.send(&ToKeeper::Adopt(spawned), &fds.iter().map(AsFd::as_fd).collect::<Vec<_>>());
    }
    pidfd::send_signal(&first_fds[0], Signal::KILL).unwrap();
    reap(first_pid);
    let exit = exit_of(&double, 1);
    // The kernel tells the status of a stranger from 6.15 on.
    assert!([Exit::Signal(9), Exit::Code(-1)].contains(&exit), "{exit:?}");
    double.send(&ToKeeper::Acknowledge { run: RunId(1) }, &[]);
    double.spawn(3, &shell("exit 4"));
    assert_eq!(exit_of(&double, 3), Exit::Code(4));

    pidfd::send_signal(&keeper, Signal::KILL).unwrap();
    reap(keeper_pid);
    process::signal_all(&[process::Member { pid: second.pid, start_time: second.start_time }], Signal::KILL);
    reap(second.pid);
}

fn reap(pid: i32) {
    nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None).unwrap();
}

#[test]
fn a_new_executable_that_does_not_come_up_is_taken_back() {
    let mut double = Double::online();
    let broken = executable(&double.home.path().join("broken"), "#!/bin/sh\nexit 1\n");
    for successor in [broken.display().to_string(), "/nonexistent/pm2d".to_owned()] {
        double.send(&ToKeeper::Replace { executable: successor, agent: None }, &[]);
        double.kill_daemon();
        let told = double.hand_over();
        let FromKeeper::Welcome { failed_update, .. } = &told[0].0 else { panic!("{told:?}") };
        assert!(failed_update.is_some(), "the daemon that goes on knows why");
        double.send(&ToKeeper::Online, &[]);
    }
    double.quit(0);
}

#[test]
fn a_daemon_that_cannot_serve_after_one_that_did_costs_no_app() {
    let mut double = Double::online();
    let (_, fds) = double.spawn(1, &spec(&["/bin/sleep", "1000"]));
    double.send(&ToKeeper::Failed { error: "no room".to_owned() }, &[]);
    double.kill_daemon();
    let told = double.hand_over();
    assert!(told.iter().any(|(message, _)| matches!(message, FromKeeper::Running(spawned) if spawned.run == RunId(1))));
    assert!(!pidfd::has_ended(&fds[0]));
    double.send(&ToKeeper::Online, &[]);
    double.quit(0);
}

#[test]
fn a_daemon_that_never_serves_is_told_to_the_starter() {
    let home = tempfile::tempdir().unwrap();
    for (daemon, words) in [("#!/bin/sh\nexit 9\n", "code 9"), ("#!/nonexistent\n", "cannot start the daemon")] {
        let script = executable(&home.path().join("daemon"), daemon);
        let mut launched = launch(home.path(), &script, true);
        let line = ready_line(&launched);
        assert_eq!((&line["success"], &line["code"]), (&false.into(), &"failed".into()));
        let error = line["error"].as_str().unwrap();
        assert!(error.contains(words) && error.contains("pm2.log"), "{error}");
        assert_eq!(launched.child.as_mut().unwrap().wait().unwrap().code(), Some(1));
        assert!(!home.path().join("pm2.pid").exists());
    }
    let mut double = Double::new();
    double.send(&ToKeeper::Failed { error: "cannot bind \"x\"".to_owned() }, &[]);
    double.stop_daemon();
    assert_eq!(ready_line(&double.launched)["error"], "cannot bind \"x\"");
    assert_eq!(double.launched.child.as_mut().unwrap().wait().unwrap().code(), Some(1));
}
