//! One home, one daemon, whatever races; and what a home looks like.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use serde_json::json;

use super::client::{Home, launch};

#[test]
fn of_many_keepers_at_once_one_serves() {
    let home = Home::start();
    let mut others: Vec<_> = (0..4).map(|_| launch(home.path())).collect();
    for other in &mut others {
        assert_eq!(other.wait().unwrap().code(), Some(1));
    }
    assert_eq!(home.info()["keeper_pid"], home.keeper.id());
    assert_eq!(home.read("pm2.pid"), home.keeper.id().to_string());
}

#[test]
fn a_stale_socket_and_pid_file_are_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    drop(UnixListener::bind(dir.path().join("rpc.sock")).unwrap());
    drop(UnixListener::bind(dir.path().join("pub.sock")).unwrap());
    std::fs::write(dir.path().join("pm2.pid"), "1").unwrap();
    std::fs::write(dir.path().join("pm2d.journal"), "garbage").unwrap();
    let keeper = launch(dir.path());
    let home = Home { dir, keeper };
    super::client::eventually("the daemon", || {
        let mut client = super::client::Client::try_connect(home.path())?;
        client.call("ping", &json!([{}])).ok()
    });
    assert_eq!(home.read("pm2.pid"), home.keeper.id().to_string());
}

#[test]
fn sockets_and_files_belong_to_their_owner_alone() {
    let home = Home::start();
    home.start_app("a", "exec sleep 1000");
    for name in ["rpc.sock", "pub.sock", "pm2d.journal"] {
        let mode = std::fs::metadata(home.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
}

#[test]
fn a_file_in_the_place_of_a_socket_is_told_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rpc.sock"), "precious").unwrap();
    let mut keeper = launch(dir.path());
    assert_eq!(keeper.wait().unwrap().code(), Some(1));
    assert_eq!(std::fs::read_to_string(dir.path().join("rpc.sock")).unwrap(), "precious");
}
