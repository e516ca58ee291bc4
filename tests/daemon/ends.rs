//! The ends on purpose: SIGTERM, and `killMe`.

use pm2_rs::model::Signal;
use pm2_rs::sys::pidfd;
use serde_json::{Value, json};

use super::client::{Home, eventually, is_alive, pid};

fn is_clean(home: &Home) {
    for name in ["rpc.sock", "pub.sock", "pm2.pid", "pm2d.journal"] {
        assert!(!home.path().join(name).exists(), "{name} is left");
    }
}

#[test]
fn sigterm_saves_the_list_and_ends_everything() {
    let mut home = Home::start();
    let app = pid(&home.start_app("web", "trap 'exit 0' INT; while :; do sleep 0.05; done")["pid"]);
    let keeper = home.keeper.id();
    pidfd::send_signal(pidfd::open(i32::try_from(keeper).unwrap()).unwrap(), Signal::TERM).unwrap();
    let status = home.keeper.wait().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(!is_alive(app));
    is_clean(&home);
    let dump: Value = serde_json::from_str(&home.read("dump.pm2")).unwrap();
    assert!(dump[0].get("instances").is_none(), "each one comes back as one");
    assert_eq!(dump[0]["name"], "web");
    assert_eq!(dump[0]["env"]["WHO"], "web");
}

#[test]
fn kill_me_ends_everything_and_tells_the_client() {
    let mut home = Home::start();
    let app = pid(&home.start_app("web", "exec sleep 1000")["pid"]);
    // A stand-in for the CLI, which waits for SIGQUIT.
    let mut cli = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let mut client = home.client();
    client.send("killMe", &json!([{ "pid": cli.id() }]));
    assert!(client.receive().is_none(), "it is never answered");
    let status = home.keeper.wait().unwrap();
    assert_eq!(status.code(), Some(0));
    let ended = cli.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(Signal::QUIT.0));
    assert!(!is_alive(app));
    is_clean(&home);
}

#[test]
fn nothing_is_restarted_after_notify_kill() {
    let home = Home::start();
    let app = pid(&home.start_app("web", "exec sleep 1000")["pid"]);
    let mut client = home.client();
    client.send("notifyKillPM2", &json!([{}]));
    assert!(client.call_after("ping"));
    pidfd::send_signal(pidfd::open(app).unwrap(), Signal::KILL).unwrap();
    eventually("its end", || (home.only()["pid"] == 0).then_some(()));
    let error = home.call("restartProcessId", &json!([{ "id": 0 }])).unwrap_err();
    assert_eq!(error, "[RestartProcessId] PM2 is being killed, stopping restart procedure...");
}
