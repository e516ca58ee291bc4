//! The caller of an action as `config` wants to know it.

use std::ffi::OsString;
use std::num::NonZero;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::client::action::Context;
use crate::client::session::Session;
use crate::config::Caller;

/// Who calls: the context that came with the action, and what is found out about this process.
pub(super) fn caller(session: &Session, context: &Context) -> Caller {
    let env = context.env.clone().unwrap_or_else(|| inherited(session));
    let uid = std::fs::metadata("/proc/self").map_or(u32::MAX, |process| process.uid());
    Caller {
        cwd: context.cwd.clone(),
        username: username(uid, &env),
        uid,
        node: context.node.clone().or_else(|| std::env::current_exe().ok()).unwrap_or_else(|| PathBuf::from("node")),
        node_version: context.node_version.as_deref().and_then(version),
        cpus: std::thread::available_parallelism().map_or(1, NonZero::get),
        instance_cwd: context.base().to_owned(),
        programmatic: context.programmatic,
        home: session.home().clone(),
        env,
    }
}

fn inherited(session: &Session) -> Map<String, Value> {
    let text = |text: &OsString| text.to_string_lossy().into_owned();
    session.environment().iter().map(|(name, value)| (text(name), Value::String(text(value)))).collect()
}

fn username(uid: u32, env: &Map<String, Value>) -> String {
    let known = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)).ok().flatten();
    let from_env = || ["USER", "LOGNAME"].iter().find_map(|name| env.get(*name)?.as_str().map(str::to_owned));
    known.map(|user| user.name).or_else(from_env).unwrap_or_else(|| uid.to_string())
}

/// `v20.20.2` or `20.20.2`.
fn version(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.trim_start_matches('v').splitn(3, '.');
    let patch = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok();
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next().and_then(patch)?))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_read_with_and_without_v() {
        assert_eq!(version("20.20.2"), Some((20, 20, 2)));
        assert_eq!(version("v23.0.0-pre"), Some((23, 0, 0)));
        assert_eq!(version("bun"), None);
    }
}
