//! The names in `pm2_env` that are pm2's own.
//!
//! Owns: which keys an environment variable can never overwrite, and which of them the daemon alone writes.

/// Keys that only the daemon writes: what a client sends under these names is no part of an app's configuration
/// (contract/api.md section 8). Such keys come back in dumps and in the environment of apps that use pm2 themselves.
pub(crate) const STATE: [&str; 20] = [
    "_km_monitored",
    "_pm2_version",
    "_tree_pids",
    "axm_actions",
    "axm_dynamic",
    "axm_monitor",
    "axm_options",
    "created_at",
    "exit_code",
    "exit_signal",
    "exited_at",
    "node_version",
    "pm_id",
    "pm_uptime",
    "prev_restart_delay",
    "restart_time",
    "status",
    "unique_id",
    "unstable_restarts",
    "version",
];

/// Options and derived keys (contract/options.md section 1, contract/api.md section 8).
const CONFIG: [&str; 92] = [
    "append_env_to_name",
    "args",
    "automation",
    "autorestart",
    "autostart",
    "command",
    "cron_restart",
    "cwd",
    "deep_monitoring",
    "disable_logs",
    "disable_source_map_support",
    "disable_trace",
    "env",
    "error_file",
    "event_loop_inspector",
    "exec_interpreter",
    "exec_mode",
    "execute_command",
    "exp_backoff_restart_delay",
    "filter_env",
    "force",
    "gid",
    "ignore_watch",
    "increment_var",
    "install_url",
    "instance_var",
    "instances",
    "interpreter",
    "kill_retry_time",
    "kill_signal",
    "kill_timeout",
    "km_link",
    "listen_timeout",
    "log_date_format",
    "log_file",
    "log_type",
    "max_memory_restart",
    "max_restarts",
    "merge_logs",
    "min_uptime",
    "name",
    "name_prefix",
    "namespace",
    "node_args",
    "out_file",
    "pid_file",
    "pm_cwd",
    "pm_err_log_path",
    "pm_exec_path",
    "pm_log_path",
    "pm_out_log_path",
    "pm_pid_path",
    "pmx",
    "pmx_module",
    "port",
    "post_update",
    "restart_delay",
    "restart_task",
    "script",
    "shutdown_with_message",
    "source_map_support",
    "stop_exit_codes",
    "time",
    "trace",
    "treekill",
    "uid",
    "unstable_restart",
    "updateEnv",
    "username",
    "v8",
    "versioning",
    "vizion",
    "vizion_running",
    "vizion_runing",
    "wait_ready",
    "watch",
    "watch_delay",
    "watch_options",
    "windowsHide",
    "write",
    "log_rotate",
    "cluster_policy",
    "cron_tz",
    "log_compress",
    "log_keep",
    "log_max_age",
    "log_max_size",
    "max_memory_tree",
    "pm2rs",
    "ready_timeout",
    "reload_parallel",
    "sticky",
];

/// Whether the daemon alone writes this key.
pub(crate) fn is_state(key: &str) -> bool {
    STATE.contains(&key)
}

/// Whether an environment variable of this name stays out of the top level of `pm2_env`.
pub(crate) fn is_reserved(key: &str) -> bool {
    CONFIG.contains(&key) || is_state(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_and_where_it_is_stored_is_reserved() {
        let page = include_str!("../../docs/options.md");
        let mut rows = 0;
        for line in page.lines().filter(|line| line.starts_with("| `")) {
            let mut cells = line.split(" | ");
            let name = cells.next().and_then(|cell| cell.split('`').nth(1)).unwrap();
            let stored =
                line.replace("\\|", " ").split('|').nth(5).map(|cell| cell.trim().trim_matches('`').to_owned());
            // The option is there twice: as the variable it stands for.
            let apart = name == "io";
            for key in [Some(name.to_owned()), stored].into_iter().flatten().filter(|key| !key.is_empty()) {
                assert!(apart || is_reserved(&key), "{key}");
            }
            rows += 1;
        }
        assert!(rows > 60, "{rows}");
    }
}
