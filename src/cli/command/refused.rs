//! Commands that do nothing here and say why (contract/cli.md section 15), and the examples.

use super::super::Ui;
use super::{Call, Failure};

/// Why a command is refused; `None`: it is not. Those that clean-up scripts call succeed all the same.
pub(super) fn run(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let command = call.request.command.as_str();
    let first = call.request.targets.first().map(String::as_str);
    let (why, succeeds) = match command {
        "link" => (hosted(command), matches!(first, Some("delete" | "stop"))),
        "unlink" | "logout" => (hosted(command), true),
        "plus" | "login" | "open" | "module:publish" | "autoinstall" | "create" | "monitor" => {
            (hosted(command), false)
        }
        "deepUpdate" => ("Update with your package manager, then run 'pm2-rs update'.".to_owned(), false),
        "install-otel" | "uninstall-otel" => (
            "[pm2-rs] tracing is part of the app: install OpenTelemetry there and use --node-args \"--require <its setup>\""
                .to_owned(),
            true,
        ),
        "pull" | "forward" | "backward" => (
            format!("[pm2-rs] '{command}' is not supported: use git in the folder of the app, then 'pm2-rs reload <name>'"),
            false,
        ),
        "profile:cpu" | "profile:mem" => (
            "[pm2-rs] the daemon is native and has no V8 profile; for an app use 'pm2-rs inspect <name>'".to_owned(),
            false,
        ),
        "logrotate" => (
            "[pm2-rs] write no file into /etc/logrotate.d: rotate with copytruncate, or run 'pm2-rs reloadLogs' after it"
                .to_owned(),
            false,
        ),
        _ => (format!("[pm2-rs] '{command}' is not part of pm2-rs"), false),
    };
    ui.complain(&why);
    if succeeds { Ok(()) } else { Err(Failure::Said) }
}

fn hosted(command: &str) -> String {
    format!(
        "[pm2-rs] '{command}' belongs to a hosted service and is not part of pm2-rs. To watch your apps use 'pm2-rs monit', or an exporter on the bus."
    )
}

pub(super) const EXAMPLES: &str = "\
Start
  pm2-rs start app.js                        a script
  pm2-rs start app.js -i max                 one process for each CPU, sharing a port
  pm2-rs start app.js --name api -- --port 1 with a name, and arguments for the app
  pm2-rs start \"python3 worker.py\"           a command
  pm2-rs start ecosystem.config.js --env production
  pm2-rs start app.js --wait                 until it is up; exit code 1 when it is not

Act
  pm2-rs restart api                         by name, id, namespace, all, or /pattern/
  pm2-rs reload all                          without a gap (cluster mode)
  pm2-rs scale api +2                        two processes more
  pm2-rs stop api worker
  pm2-rs delete all

Look
  pm2-rs list                                pm2-rs list --json | jq
  pm2-rs show api
  pm2-rs logs api --lines 100

Boot
  pm2-rs startup                             start at boot
  pm2-rs save                                what runs now
";
