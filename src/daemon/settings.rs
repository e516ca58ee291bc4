//! What the daemon's own environment decides, read once (contract/options.md section 11.2).

use std::sync::OnceLock;
use std::time::Duration;

use crate::model::policy::Defaults;

/// The shortest limit for a silent keeper.
const SHORTEST_LIMIT: Duration = Duration::from_millis(100);

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) defaults: Defaults,
    /// `PM2_NODE_OPTIONS`, split.
    pub(crate) node_options: Vec<String>,
    /// `PM2_PROCESS_INSTANCE_VAR`: overrides `instance_var` of every app.
    pub(crate) instance_var: Option<String>,
    /// `PM2_LOG_DATE_FORMAT` for `pm2.log`.
    pub(crate) log_date_format: Option<String>,
    /// `PM2_SOCKET_USER` and `PM2_SOCKET_GROUP`, when both are numbers: who owns the sockets.
    pub(crate) socket_owner: Option<(u32, u32)>,
    /// `PM2_RS_ORPHANS=keep`: an app whose keeper and daemon were both killed runs on as it is until it ends by itself,
    /// instead of being restarted.
    pub(crate) keep_orphans: bool,
    /// `PM2_RS_HANG_LIMIT`: how long the keeper may be silent, which asks us three times as often. `None`: for ever.
    pub(crate) hang_limit: Option<Duration>,
    /// PATH, for apps that have none.
    pub(crate) path: String,
}

/// As the keeper reads it for the daemon.
fn hang_limit(text: Option<&str>) -> Option<Duration> {
    let seconds = text.and_then(|text| text.trim().parse().ok()).unwrap_or(30.0);
    // No less than what a busy machine may make of three questions.
    Duration::try_from_secs_f64(seconds).ok().filter(|limit| !limit.is_zero()).map(|limit| limit.max(SHORTEST_LIMIT))
}

/// Processors: what `instances: 0` means. Not asked before somebody needs it: the answer is in a dozen files.
pub(crate) fn cpus() -> u32 {
    static CPUS: OnceLock<u32> = OnceLock::new();
    *CPUS.get_or_init(|| {
        std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX))
    })
}

impl Settings {
    pub(crate) fn from_env(env: impl Fn(&str) -> Option<String>) -> Settings {
        let number = |name: &str| env(name).and_then(|text| text.trim().parse().ok());
        Settings {
            defaults: Defaults::from_env(&env),
            node_options: env("PM2_NODE_OPTIONS")
                .map(|text| text.split_whitespace().map(str::to_owned).collect())
                .unwrap_or_default(),
            instance_var: env("PM2_PROCESS_INSTANCE_VAR").filter(|name| !name.is_empty()),
            log_date_format: env("PM2_LOG_DATE_FORMAT"),
            socket_owner: number("PM2_SOCKET_USER").zip(number("PM2_SOCKET_GROUP")),
            keep_orphans: env("PM2_RS_ORPHANS").as_deref() == Some("keep"),
            hang_limit: hang_limit(env("PM2_RS_HANG_LIMIT").as_deref()),
            path: env("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_change_hands_only_when_both_numbers_are_given() {
        let both = |name: &str| name.starts_with("PM2_SOCKET").then(|| "7".to_owned());
        assert_eq!(Settings::from_env(both).socket_owner, Some((7, 7)));
        let one = |name: &str| (name == "PM2_SOCKET_USER").then(|| "7".to_owned());
        assert_eq!(Settings::from_env(one).socket_owner, None);
    }
}
