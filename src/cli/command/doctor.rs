//! `doctor`: looks at what usually is wrong, and says what to do. Changes and launches nothing.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use serde_json::{Value, json};

use super::super::Ui;
use super::super::ui::Colour;
use super::{Call, Failure};

/// One thing that was looked at.
struct Finding {
    what: &'static str,
    /// What is wrong and what to do; `Ok`: what was found.
    outcome: Result<String, String>,
}

pub(super) async fn run(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let home = call.session.home();
    let mut findings = vec![
        Finding { what: "home", outcome: folder(&home.root) },
        Finding { what: "daemon", outcome: daemon(call).await },
        Finding { what: "executable", outcome: file(&call.session.options().pm2d, "reinstall pm2-rs") },
        Finding { what: "agent", outcome: file(&call.session.options().agent, "reinstall pm2-rs") },
        Finding { what: "sockets", outcome: sockets(&[&home.rpc_socket, &home.pub_socket]) },
        Finding { what: "disk", outcome: disk(&home.root) },
        Finding { what: "saved list", outcome: dump(&home.dump_file) },
        Finding { what: "boot", outcome: boot(call) },
        Finding { what: "open files", outcome: open_files() },
    ];
    let node = call.context.node.clone().unwrap_or_else(|| "node".into());
    findings
        .push(Finding { what: "node", outcome: file(&node, "apps written in JavaScript need it; install Node.js") });
    for process in call.processes().await.unwrap_or_default() {
        let interpreter = process.text("exec_interpreter");
        let gone = interpreter.starts_with('/') && !Path::new(&interpreter).exists();
        if gone {
            let text = format!(
                "{}: {interpreter} is gone; pm2-rs delete {} and start it again with the interpreter of now",
                process.name, process.name
            );
            findings.push(Finding { what: "interpreter", outcome: Err(text) });
        }
        let script = process.text("pm_exec_path");
        if !script.is_empty() && !Path::new(&script).exists() {
            let text = format!("{}: {script} is gone; pm2-rs delete {}", process.name, process.name);
            findings.push(Finding { what: "script", outcome: Err(text) });
        }
    }
    if ui.is_json() {
        let list: Vec<Value> = findings
            .iter()
            .map(|finding| json!({ "what": finding.what, "ok": finding.outcome.is_ok(), "text": text(finding) }))
            .collect();
        ui.data(&format!("{}\n", Value::from(list)));
    }
    for finding in &findings {
        let mark = match finding.outcome {
            Ok(_) => ui.paint(Colour::Green, "ok   "),
            Err(_) => ui.paint(Colour::Red, "wrong"),
        };
        ui.message(&format!("{mark} {:<11} {}", finding.what, text(finding)));
    }
    if findings.iter().any(|finding| finding.outcome.is_err()) { Err(Failure::Said) } else { Ok(()) }
}

fn text(finding: &Finding) -> &str {
    match &finding.outcome {
        Ok(text) | Err(text) => text,
    }
}

fn folder(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(format!("{shown} is made at the first start"));
        }
        Err(error) => return Err(format!("{shown}: {error}")),
    };
    if !found.is_dir() {
        return Err(format!("{shown} is no folder; choose another PM2_HOME"));
    }
    if found.uid() != nix::unistd::geteuid().as_raw() {
        return Err(format!(
            "{shown} belongs to user id {}; run as that user, or choose another PM2_HOME",
            found.uid()
        ));
    }
    if found.permissions().mode() & 0o022 != 0 {
        return Err(format!("{shown} can be written by others, who could command the daemon; chmod go-w {shown}"));
    }
    // A socket's path is limited to 107 bytes.
    if path.as_os_str().len() > 98 {
        return Err(format!("{shown} is too long for a socket in it; choose a shorter PM2_HOME"));
    }
    Ok(shown.to_string())
}

async fn daemon(call: &Call<'_>) -> Result<String, String> {
    match call.has_daemon().await {
        Ok(true) => Ok("answers".into()),
        Ok(false) => Ok("does not run; the first start launches it".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn file(path: &Path, hint: &str) -> Result<String, String> {
    if path.exists() { Ok(path.display().to_string()) } else { Err(format!("{} is missing; {hint}", path.display())) }
}

fn dump(path: &Path) -> Result<String, String> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok("none; pm2-rs save writes one for the next boot".into());
        }
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    if std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0) {
        let shown = path.display();
        return Err(format!("{shown} holds the environments of all apps and can be read by others; chmod 600 {shown}"));
    }
    match serde_json::from_slice::<Vec<Value>>(&text) {
        Ok(apps) => Ok(format!("{} apps in {}", apps.len(), path.display())),
        Err(error) => Err(format!("{}: {error}; pm2-rs save writes a new one", path.display())),
    }
}

/// Whoever can write to a socket commands the daemon.
fn sockets(paths: &[&Path]) -> Result<String, String> {
    let mut found = 0;
    for path in paths {
        let Ok(meta) = std::fs::symlink_metadata(path) else { continue };
        found += 1;
        let shown = path.display();
        if !meta.file_type().is_socket() {
            return Err(format!("{shown} is no socket; remove it"));
        }
        if meta.permissions().mode() & 0o007 != 0 {
            return Err(format!("{shown} is open to everybody, who could command the daemon; chmod o-rwx {shown}"));
        }
    }
    Ok(if found == 0 { "none, as no daemon runs".into() } else { "for their owner only".into() })
}

/// Logs and the saved list need room.
fn disk(path: &Path) -> Result<String, String> {
    const LEAST: u64 = 100 << 20;
    // A home that is not there yet will be on the disk of the folder that is.
    let there = path.ancestors().find(|folder| folder.exists()).unwrap_or(path);
    let found = nix::sys::statvfs::statvfs(there).map_err(|error| format!("{}: {error}", there.display()))?;
    let free = found.blocks_available().saturating_mul(found.fragment_size());
    let shown = format!("{} MB free for {}", free >> 20, path.display());
    if free < LEAST { Err(format!("{shown}; pm2-rs flush empties the logs")) } else { Ok(shown) }
}

/// The unit that `startup` wrote for this user, and whether what it runs is still there.
fn boot(call: &Call<'_>) -> Result<String, String> {
    let user = ["USER", "LOGNAME"].iter().find_map(|name| call.local.get(*name)).map_or("root", String::as_str);
    let home = call.local.get("HOME").map(String::as_str).unwrap_or_default();
    let candidates = [
        format!("/etc/systemd/system/pm2-{user}.service"),
        format!("{home}/.config/systemd/user/pm2-{user}.service"),
        format!("/etc/init.d/pm2-{user}"),
        "/etc/init.d/pm2".to_owned(),
        format!("{home}/Library/LaunchAgents/pm2.{user}.plist"),
        format!("/usr/local/etc/rc.d/pm2_{user}"),
        format!("/etc/rc.d/pm2_{user}"),
    ];
    let Some((file, text)) =
        candidates.into_iter().find_map(|file| std::fs::read_to_string(&file).ok().map(|text| (file, text)))
    else {
        return Ok("nothing starts the apps after a boot; pm2-rs startup does".into());
    };
    let own = call.session.home().root.display().to_string();
    if !text.contains(&own) {
        return Err(format!("{file} is for another home than {own}; run pm2-rs startup again"));
    }
    // Of a systemd unit the program is known; what it looks for itself (nvm) it finds at boot.
    let program = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap_or_default();
    let program = program.split(' ').next().unwrap_or_default().trim_matches('"');
    if program.starts_with('/') && !Path::new(program).exists() {
        return Err(format!("{file} runs {program}, which is gone; run pm2-rs startup again"));
    }
    Ok(file)
}

fn open_files() -> Result<String, String> {
    let (soft, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)
        .map_err(|error| format!("cannot be asked for: {error}"))?;
    if hard < 1024 {
        Err(format!("at most {hard}; raise it with ulimit -Hn"))
    } else {
        Ok(format!("{soft}, at most {hard}"))
    }
}
