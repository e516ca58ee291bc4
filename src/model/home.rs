//! The files of one `PM2_HOME`.

use std::path::{Path, PathBuf};

/// Every path under (or beside) one `PM2_HOME`, as pm2 lays them out (contract/options.md sections 11.1 and 12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    pub root: PathBuf,
    /// `rpc.sock`: calls and replies.
    pub rpc_socket: PathBuf,
    /// `pub.sock`: the bus.
    pub pub_socket: PathBuf,
    /// `pm2.pid`: names the keeper, whose pid never changes while the daemon is replaced.
    pub pid_file: PathBuf,
    /// `pm2.log`: the daemon's own log.
    pub log_file: PathBuf,
    pub dump_file: PathBuf,
    pub dump_backup_file: PathBuf,
    pub module_conf_file: PathBuf,
    pub logs_dir: PathBuf,
    pub pids_dir: PathBuf,
    pub modules_dir: PathBuf,
    pub reload_lock: PathBuf,
    /// `pm2d.lock`: held by flock while a keeper or a daemon of ours lives. Ours alone; pm2 has no such file.
    pub lock_file: PathBuf,
    /// `pm2d.journal`: what a new daemon needs to go on where a killed one was. Ours alone.
    pub journal_file: PathBuf,
    /// `pm2d.trouble`: why no daemon serves although a keeper lives; there only while that is so. Ours alone.
    pub trouble_file: PathBuf,
}

impl Home {
    /// The paths of `root`, where `env` may move single files as pm2 allows (`PM2_PID_FILE_PATH` and the like).
    pub fn new(root: impl Into<PathBuf>, env: impl Fn(&str) -> Option<String>) -> Home {
        let root = root.into();
        let path = |variable: &str, name: &str| match env(variable) {
            Some(path) if !path.is_empty() => PathBuf::from(path),
            _ => root.join(name),
        };
        Home {
            rpc_socket: path("PM2_DAEMON_RPC_PORT", "rpc.sock"),
            pub_socket: path("PM2_DAEMON_PUB_PORT", "pub.sock"),
            pid_file: path("PM2_PID_FILE_PATH", "pm2.pid"),
            log_file: path("PM2_LOG_FILE_PATH", "pm2.log"),
            dump_file: path("PM2_DUMP_FILE_PATH", "dump.pm2"),
            dump_backup_file: path("PM2_DUMP_BACKUP_FILE_PATH", "dump.pm2.bak"),
            module_conf_file: path("PM2_MODULE_CONF_FILE", "module_conf.json"),
            logs_dir: path("PM2_DEFAULT_LOG_PATH", "logs"),
            pids_dir: path("PM2_DEFAULT_PID_PATH", "pids"),
            modules_dir: path("PM2_DEFAULT_MODULE_PATH", "modules"),
            reload_lock: path("PM2_RELOAD_LOCKFILE", "reload.lock"),
            lock_file: root.join("pm2d.lock"),
            journal_file: root.join("pm2d.journal"),
            trouble_file: root.join("pm2d.trouble"),
            root,
        }
    }

    /// Whether apps that name no log file have none: `PM2_DEFAULT_LOG_PATH=/dev/null`, as in containers.
    pub fn keeps_no_logs(&self) -> bool {
        self.logs_dir == Path::new("/dev/null")
    }

    /// The folders that have to be there before anything else.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        let logs = (!self.keeps_no_logs()).then_some(self.logs_dir.as_path());
        [self.root.as_path(), &self.pids_dir].into_iter().chain(logs)
    }

    /// The home of a caller with this environment: `PM2_HOME`, else `~/.pm2`, else `/etc/.pm2`.
    pub fn root_from(env: impl Fn(&str) -> Option<String>) -> PathBuf {
        let set = |name| env(name).filter(|text| !text.is_empty());
        match (set("PM2_HOME"), set("HOME")) {
            (Some(home), _) => PathBuf::from(home),
            (None, Some(user)) => Path::new(&user).join(".pm2"),
            (None, None) => PathBuf::from("/etc/.pm2"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_files_can_be_moved_by_the_environment() {
        let home = Home::new("/h", |name| (name == "PM2_PID_FILE_PATH").then(|| "/run/p.pid".to_owned()));
        assert_eq!(home.pid_file, Path::new("/run/p.pid"));
        assert_eq!(home.rpc_socket, Path::new("/h/rpc.sock"));
    }

    #[test]
    fn the_home_is_found_as_pm2_finds_it() {
        assert_eq!(Home::root_from(|n| (n == "HOME").then(|| "/u".into())), Path::new("/u/.pm2"));
        assert_eq!(Home::root_from(|_| None), Path::new("/etc/.pm2"));
    }
}
