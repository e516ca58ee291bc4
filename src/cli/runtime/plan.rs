//! The words of `pm2-rs-runtime` and `pm2-rs-dev`. Pure.

use std::time::Duration;

use super::Mode;
use crate::cli::flags::{self, Kind};
use crate::config;

pub(super) const HELP: &str = "\
usage: pm2-rs-runtime [start] <script|config file> [options] [-- arguments of the app]

Starts apps in the foreground, as in a container. All options of `pm2-rs start`, and:
  --raw                    what the apps write, as it is (default)
  --formatted              with the name of the app
  --format                 one key=value line for each line
  --json                   one JSON object for each line
  --quiet                  nothing of our own
  --delay <seconds>        wait before starting
  --no-auto-exit           stay when no app runs any more
  --exit-code-from <app>   end with the exit code of this app (else 2 when all have ended)
  --web [port]             an HTTP server (9615): GET /health for probes, GET / for host and processes as JSON
  --attach-daemon          use a daemon that runs already; only what is started here ends
  -V, --version

SIGINT, SIGTERM, SIGHUP and SIGQUIT end the apps in order, then this program with exit code 0.
";

/// How log lines are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Raw,
    Formatted,
    Format,
    Json,
}

/// Where the server of `--web` shall answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Web {
    /// That of the environment (`PM2_WEB_PORT`), or pm2's.
    DefaultPort,
    Port(u16),
}

/// What was asked for.
#[derive(Debug)]
pub(super) struct Plan {
    /// As `pm2-rs` would be called.
    pub(super) words: Vec<String>,
    pub(super) shown: Shown,
    pub(super) delay: Option<Duration>,
    pub(super) auto_exit: bool,
    pub(super) exit_code_from: Option<String>,
    pub(super) attach_daemon: bool,
    pub(super) quiet: bool,
    pub(super) web: Option<Web>,
    pub(super) test_mode: bool,
    /// A line for the shell after each start of an app.
    pub(super) post_exec: Option<String>,
    /// It says nothing.
    pub(super) silent_exec: bool,
}

/// Why nothing is started.
#[derive(Debug)]
pub(super) enum Stop {
    Version,
    Help(u8),
    Mistake(String),
}

impl Plan {
    pub(super) fn read(mode: Mode, args: &[String]) -> Result<Plan, Stop> {
        let mut plan = Plan::blank(mode);
        let mut targets = Vec::new();
        let mut logs = Vec::new();
        let mut args = args.iter();
        if mode != Mode::Foreground && args.as_slice().is_empty() {
            return Err(Stop::Help(1));
        }
        let mut app_args = Vec::new();
        while let Some(word) = args.next() {
            if word == "--" {
                app_args = args.cloned().collect();
                break;
            }
            let (name, bound) =
                word.split_once('=').map_or((word.as_str(), None), |(name, value)| (name, Some(value.to_owned())));
            let mut value = || bound.clone().or_else(|| args.next().cloned());
            match name {
                "-V" | "-v" | "--version" => return Err(Stop::Version),
                "-h" | "--help" => return Err(Stop::Help(0)),
                "--raw" => plan.shown = Shown::Raw,
                "--formatted" => plan.shown = Shown::Formatted,
                "--format" => plan.shown = Shown::Format,
                "--json" => plan.shown = Shown::Json,
                "-q" | "--quiet" => plan.quiet = true,
                "--no-daemon" | "--timestamp" => {}
                "--silent-exec" => plan.silent_exec = true,
                "--no-auto-exit" => plan.auto_exit = false,
                "--auto-exit" => plan.auto_exit = true,
                "--attach-daemon" => plan.attach_daemon = true,
                "--test-mode" => plan.test_mode = true,
                "--exit-code-from" => plan.exit_code_from = value(),
                "--stop-signal" => plan.words.extend(value().map(|signal| format!("--kill-signal={signal}"))),
                "--ignore" => {
                    plan.words.extend(value().map(|list| format!("--ignore-watch={}", list.replace(',', " "))));
                }
                "--delay" => {
                    let text = value().unwrap_or_default();
                    plan.delay = Some(seconds(&text)?);
                }
                // Accepted for compatibility; they belonged to a hosted service.
                "--secret" | "--public" | "--machine-name" => drop(value()),
                "--post-exec" => plan.post_exec = value(),
                // The port may follow as a word of its own.
                "--web" => {
                    let port = match &bound {
                        Some(text) => Some(port(text).ok_or_else(|| no_port(text))?),
                        None => args.as_slice().first().and_then(|word| port(word)).inspect(|_| {
                            args.next();
                        }),
                    };
                    plan.web = Some(port.map_or(Web::DefaultPort, Web::Port));
                }
                "start" if targets.is_empty() && mode != Mode::Foreground => {}
                _ => match flags::find(name) {
                    Some(flag) => {
                        logs.push(flag.long);
                        let takes = matches!(flag.kind, Kind::Value | Kind::List);
                        let value = if takes { value() } else { bound.clone() };
                        plan.words.push(format!(
                            "--{}{}",
                            flag.long,
                            value.map_or_else(String::new, |value| format!("={value}"))
                        ));
                    }
                    // pm2 ignores what it does not know, together with its value.
                    None if name.starts_with('-') => {
                        let bare = args.as_slice().first().is_some_and(|next| !next.starts_with('-'));
                        if bound.is_none() && bare && !targets.is_empty() {
                            args.next();
                        }
                    }
                    None => targets.push(word.clone()),
                },
            }
        }
        plan.finish(mode, targets, &logs, app_args)
    }

    /// What holds where nothing is said.
    fn blank(mode: Mode) -> Plan {
        let shown = if mode == Mode::Runtime { Shown::Raw } else { Shown::Formatted };
        let auto_exit = mode == Mode::Runtime;
        Plan {
            words: vec!["start".into()],
            shown,
            delay: None,
            auto_exit,
            exit_code_from: None,
            attach_daemon: false,
            quiet: false,
            web: None,
            test_mode: false,
            post_exec: None,
            silent_exec: false,
        }
    }

    /// The words of `start`: options first, then targets, then what the app gets.
    fn finish(
        mut self,
        mode: Mode,
        mut targets: Vec<String>,
        logs: &[&str],
        mut app_args: Vec<String>,
    ) -> Result<Plan, Stop> {
        targets.retain(|word| mode != Mode::Foreground || word != "start");
        if targets.is_empty() && mode != Mode::Foreground {
            return Err(Stop::Help(1));
        }
        if mode == Mode::Dev {
            self.words.extend(["--watch".into(), "--restart-delay=1000".into()]);
        }
        // A container keeps its logs outside; a config file says itself where they go.
        let is_script = targets.iter().all(|target| config::is_config_file(target).is_none());
        if is_script && mode == Mode::Runtime {
            for flag in ["output", "error"].into_iter().filter(|flag| !logs.contains(flag)) {
                self.words.push(format!("--{flag}=/dev/null"));
            }
        }
        self.words.append(&mut targets);
        if !app_args.is_empty() {
            self.words.push("--".into());
            self.words.append(&mut app_args);
        }
        Ok(self)
    }
}

fn port(word: &str) -> Option<u16> {
    word.parse().ok()
}

fn no_port(text: &str) -> Stop {
    Stop::Mistake(format!("--web needs a port up to 65535, not `{text}`"))
}

fn seconds(text: &str) -> Result<Duration, Stop> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..1e9).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| Stop::Mistake(format!("--delay needs seconds, not `{text}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(words: &str) -> Plan {
        let words: Vec<String> = words.split(' ').map(ToOwned::to_owned).collect();
        Plan::read(Mode::Runtime, &words).expect("a plan")
    }

    #[test]
    fn words_become_those_of_start() {
        let plan = plan("start app.js -i 4 --json --no-auto-exit --exit-code-from app -- --json x");
        assert_eq!(
            plan.words,
            ["start", "--instances=4", "--output=/dev/null", "--error=/dev/null", "app.js", "--", "--json", "x"]
        );
        assert_eq!((plan.shown, plan.auto_exit, plan.exit_code_from.as_deref()), (Shown::Json, false, Some("app")));
    }

    #[test]
    fn config_files_keep_their_logs_and_unknown_options_are_ignored() {
        assert_eq!(
            plan("eco.config.js --whatever --env production").words,
            ["start", "--env=production", "eco.config.js"]
        );
        assert_eq!(plan("--web app.js").web, Some(Web::DefaultPort));
        assert_eq!(plan("app.js --web=80 -- --web 1").web, Some(Web::Port(80)));
        assert!(matches!(Plan::read(Mode::Runtime, &["--web=x".into(), "app.js".into()]), Err(Stop::Mistake(_))));
        assert_eq!(plan("--web 9615 app.js").web, Some(Web::Port(9615)));
        assert_eq!(plan("--web 9615 app.js -o a -e b").words, ["start", "--output=a", "--error=b", "app.js"]);
        assert_eq!(
            plan("app.js --machine-name x -o a.log").words,
            ["start", "--output=a.log", "--error=/dev/null", "app.js"]
        );
    }

    #[test]
    fn nothing_to_start_is_a_failure() {
        assert!(matches!(Plan::read(Mode::Runtime, &[]), Err(Stop::Help(1))));
        assert!(matches!(Plan::read(Mode::Runtime, &["--json".into()]), Err(Stop::Help(1))));
    }
}
