//! `uid` and `gid`: names and numbers -> numbers (contract/options.md section 6.4).
//!
//! Reads /etc/passwd and /etc/group, as pm2 does: users that only a name service knows have to be given as numbers there too.

use serde_json::{Map, Value};

use super::Caller;
use super::error::ConfigError;
use super::value::{get, put, take_out, truthy};

struct User {
    uid: u32,
    gid: u32,
    home: String,
}

/// Replaces `uid`/`user` and `gid` of `app` by numbers. Gives the target user's home directory.
pub(super) fn resolve(app: &mut Map<String, Value>, caller: &Caller) -> Result<Option<String>, ConfigError> {
    let uid = get(app, "uid").filter(|v| truthy(v)).cloned();
    let gid = get(app, "gid").filter(|v| truthy(v)).cloned();
    if uid.is_none() && gid.is_none() {
        return Ok(None);
    }
    // pm2's own tests run as an ordinary user with this variable set.
    let testing = caller.env.get("NODE_ENV").and_then(Value::as_str) == Some("test");
    if caller.uid != 0 && !testing {
        return Err(ConfigError::NotRoot);
    }
    let mut home = None;
    if let Some(wanted) = uid {
        let wanted = word(&wanted);
        let user = user(&read("/etc/passwd"), &wanted).ok_or(ConfigError::UnknownUser(wanted))?;
        take_out(app, "uid");
        put(app, "uid", Value::from(user.uid));
        if gid.is_none() {
            put(app, "gid", Value::from(user.gid));
        }
        home = Some(user.home);
    }
    if let Some(wanted) = gid {
        let wanted = word(&wanted);
        let gid = group(&read("/etc/group"), &wanted).ok_or(ConfigError::UnknownGroup(wanted))?;
        put(app, "gid", Value::from(gid));
    }
    Ok(home)
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn read(path: &str) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn user(table: &str, wanted: &str) -> Option<User> {
    table.lines().map(|line| line.split(':').collect::<Vec<_>>()).find_map(|fields| match fields.as_slice() {
        [name, _, uid, gid, _, home, ..] if *name == wanted || *uid == wanted => {
            Some(User { uid: uid.parse().ok()?, gid: gid.parse().ok()?, home: (*home).to_owned() })
        }
        _ => None,
    })
}

fn group(table: &str, wanted: &str) -> Option<u32> {
    table.lines().map(|line| line.split(':').collect::<Vec<_>>()).find_map(|fields| match fields.as_slice() {
        [name, _, gid, ..] if *name == wanted || *gid == wanted => gid.parse().ok(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_are_found_by_name_and_number() {
        let table = "bad line\nroot:x:0:0:root:/root:/bin/sh\ndev:x:1000:1001:Dev,,,:/home/dev:/bin/sh\n";
        let dev = user(table, "1000").map(|u| (u.uid, u.gid, u.home));
        assert_eq!(dev, Some((1000, 1001, "/home/dev".to_owned())));
        assert!(user(table, "dev").is_some() && user(table, "nosuch").is_none());
        assert_eq!(group("www:x:33:\n", "www"), Some(33));
        assert_eq!(group("www:x:33:\n", "34"), None);
    }
}
