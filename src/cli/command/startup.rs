//! `startup` and `unstartup`: a file for the init system, and the commands that enable it (contract/cli.md section 10.4).
//!
//! Must never: talk to a daemon, or change anything when it is not root.

mod files;
mod scripts;
mod words;

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use super::super::Ui;
use super::super::render::inspect::inspect;
use super::{Call, Failure};

/// An init system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Init {
    Systemd,
    /// Debian's scripts in /etc/init.d, which upstart runs too.
    Upstart,
    /// The same scripts, enabled with chkconfig.
    Systemv,
    Openrc,
    Launchd,
    /// FreeBSD.
    Rcd,
    RcdOpenbsd,
    /// Solaris and illumos.
    Smf,
}

/// Each with its name, the names of systems that use it, and the tool that tells that it is here; in the order in which
/// the tools are looked for.
const INITS: [(Init, &str, &[&str], &str); 8] = [
    (Init::Systemd, "systemd", &["ubuntu", "centos", "arch", "oracle"], "systemctl"),
    (Init::Upstart, "upstart", &["ubuntu12", "ubuntu14"], "update-rc.d"),
    (Init::Systemv, "systemv", &["amazon", "centos6"], "chkconfig"),
    (Init::Openrc, "openrc", &["gentoo", "alpine"], "rc-update"),
    (Init::Launchd, "launchd", &["macos", "darwin"], "launchctl"),
    (Init::Rcd, "rcd", &["freebsd", "rc.d"], "sysrc"),
    (Init::RcdOpenbsd, "rcd-openbsd", &["openbsd"], "rcctl"),
    (Init::Smf, "smf", &["sunos", "solaris"], "svcadm"),
];

/// The names of all init systems.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    INITS.iter().map(|known| known.1)
}

impl Init {
    fn name(self) -> &'static str {
        INITS.iter().find(|known| known.0 == self).map_or("", |known| known.1)
    }

    fn from_name(name: &str) -> Option<Init> {
        INITS.iter().find(|known| known.1 == name || known.2.contains(&name)).map(|known| known.0)
    }

    /// By the first tool that is in PATH.
    fn detect(path: &str) -> Option<Init> {
        INITS.iter().find(|known| find_in(path, known.3).is_some()).map(|known| known.0)
    }

    fn all() -> String {
        names().collect::<Vec<_>>().join(", ")
    }

    /// Mode of the file: scripts are run.
    fn mode(self) -> u32 {
        match self {
            Init::Systemd | Init::Launchd | Init::Smf => 0o644,
            Init::Upstart | Init::Systemv | Init::Openrc | Init::Rcd | Init::RcdOpenbsd => 0o755,
        }
    }
}

/// The first executable of this name in a PATH.
fn find_in(path: &str, tool: &str) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(tool)).find(|file| file.is_file())
}

/// Everything that goes into a file.
struct Service {
    name: String,
    user: String,
    /// The user's home folder.
    user_home: PathBuf,
    /// `PM2_HOME`.
    home: PathBuf,
    path: String,
    /// What runs the command line: the native executable, so that a boot needs no Node.
    program: PathBuf,
    agent: PathBuf,
    wait_ip: bool,
    /// `systemd --user`: a unit of the user's own, which needs no root.
    of_user: bool,
    /// Start it at once, too.
    now: bool,
}

impl Service {
    fn of(call: &Call<'_>, init: Init) -> Result<Service, Failure> {
        let variable = |name: &str| call.local.get(name).filter(|text| !text.is_empty()).cloned();
        let user = call.request.attributes.get("user").and_then(|user| user.as_str()).map(ToOwned::to_owned);
        let user = user.or_else(|| variable("USER")).or_else(|| variable("LOGNAME")).unwrap_or_else(|| "root".into());
        for (what, text) in [("user", &user), ("service name", &service_name(call, init, &user))] {
            if text.contains(|letter: char| letter.is_whitespace() || "/%\"'\\;&|<>()$`*?#".contains(letter)) {
                return Err(Failure::Text(format!(
                    "`{text}` is no {what}: blanks, quotes, / and what a shell reads are not allowed"
                )));
            }
        }
        let given = call.request.value("hp").map(PathBuf::from);
        let home = match &given {
            Some(folder) => folder.join(".pm2"),
            None => call.session.home().root.clone(),
        };
        let user_home = given.or_else(|| variable("HOME").map(PathBuf::from)).unwrap_or_else(|| "/".into());
        let mut path = variable("PATH").unwrap_or_default();
        if let Some(folder) = call.context.node.as_deref().and_then(Path::parent).and_then(Path::to_str)
            && !path.split(':').any(|known| known == folder)
        {
            path = format!("{path}:{folder}");
        }
        let name = service_name(call, init, &user);
        let options = call.session.options();
        let (program, agent) = (options.pm2d.clone(), options.agent.clone());
        let set = |flag: &str| call.request.is_set(flag);
        let (wait_ip, of_user, now) = (set("wait-ip"), set("user-unit"), set("now"));
        if of_user && init != Init::Systemd {
            return Err(Failure::Text(format!("--user-unit is for systemd, not for {}", init.name())));
        }
        Ok(Service { name, user, user_home, home, path, program, agent, wait_ip, of_user, now })
    }

    fn file(&self, init: Init) -> PathBuf {
        let name = &self.name;
        match init {
            Init::Systemd if self.of_user => self.user_home.join(format!(".config/systemd/user/{name}.service")),
            Init::Systemd => format!("/etc/systemd/system/{name}.service").into(),
            Init::Upstart | Init::Systemv => format!("/etc/init.d/{name}").into(),
            Init::Openrc => "/etc/init.d/pm2".into(),
            Init::Launchd => self.user_home.join(format!("Library/LaunchAgents/{name}.plist")),
            Init::Rcd => format!("/usr/local/etc/rc.d/{name}").into(),
            Init::RcdOpenbsd => format!("/etc/rc.d/{name}").into(),
            Init::Smf => std::env::temp_dir().join(format!("{name}.xml")),
        }
    }

    fn enabling(&self, init: Init) -> Vec<String> {
        let (name, file) = (&self.name, quoted(&self.file(init).display().to_string()));
        let script = |rest: &[String]| {
            let mut commands = vec![
                format!("chmod +x {file}"),
                "mkdir -p /var/lock/subsys".to_owned(),
                format!("touch /var/lock/subsys/{name}"),
            ];
            commands.extend_from_slice(rest);
            commands
        };
        let (systemctl, now) =
            (if self.of_user { "systemctl --user" } else { "systemctl" }, if self.now { " --now" } else { "" });
        let mut commands = match init {
            Init::Systemd => {
                return vec![format!("{systemctl} daemon-reload"), format!("{systemctl} enable{now} {name}")];
            }
            Init::Upstart => script(&[format!("update-rc.d {name} defaults")]),
            Init::Systemv => {
                script(&[format!("chkconfig --add {name}"), format!("chkconfig {name} on"), "initctl list".to_owned()])
            }
            Init::Openrc => vec![format!("chmod +x {file}"), "rc-update add pm2 default".into()],
            Init::Launchd => return vec![format!("launchctl load -w {file}")],
            Init::Rcd => vec![format!("chmod +x {file}"), format!("sysrc {name}_enable=YES")],
            Init::RcdOpenbsd => vec![format!("chmod +x {file}"), format!("rcctl enable {name}")],
            Init::Smf => return vec![format!("svccfg import {file}"), format!("svcadm enable {name}")],
        };
        if self.now {
            commands.push(format!("{file} start"));
        }
        commands
    }

    fn disabling(&self, init: Init) -> Vec<String> {
        let (name, file) = (&self.name, quoted(&self.file(init).display().to_string()));
        let systemctl = if self.of_user { "systemctl --user" } else { "systemctl" };
        match init {
            Init::Systemd => vec![format!("{systemctl} stop {name}"), format!("{systemctl} disable {name}")],
            Init::Upstart => vec![
                format!("update-rc.d {name} disable"),
                format!("update-rc.d -f {name} remove"),
                format!("rm -f /var/lock/subsys/{name}"),
            ],
            Init::Systemv => vec![format!("chkconfig {name} off"), format!("rm -f /var/lock/subsys/{name}")],
            Init::Openrc => vec!["/etc/init.d/pm2 stop".into(), "rc-update delete pm2 default".into()],
            Init::Launchd => vec![format!("launchctl unload -w {file}")],
            Init::Rcd => vec![format!("{file} stop"), format!("sysrc -x {name}_enable")],
            Init::RcdOpenbsd => vec![format!("rcctl stop {name}"), format!("rcctl disable {name}")],
            Init::Smf => vec![format!("svcadm disable {name}"), format!("svccfg delete -f {name}")],
        }
    }
}

fn service_name(call: &Call<'_>, init: Init, user: &str) -> String {
    let given = call.request.value("service-name").map(ToOwned::to_owned);
    let separator = match init {
        Init::Launchd => '.',
        Init::Rcd | Init::RcdOpenbsd | Init::Smf => '_',
        Init::Systemd | Init::Upstart | Init::Systemv | Init::Openrc => '-',
    };
    let name = given.unwrap_or_else(|| format!("pm2{separator}{user}"));
    // The name becomes part of a shell variable there.
    if init == Init::Rcd { name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_") } else { name }
}

pub(super) fn run(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let removes = call.request.command == "unstartup";
    let path = call.local.get("PATH").cloned().unwrap_or_default();
    let asked = call.request.targets.first();
    let detected = Init::detect(&path);
    let init = match (asked, detected) {
        (Some(name), _) => Init::from_name(name).ok_or_else(|| {
            Failure::Text(format!("Unknown platform / init system name `{name}`: one of {}", Init::all()))
        })?,
        (None, Some(init)) => init,
        (None, None) => {
            return Err(Failure::Text(format!("Init system not found; name one of {}", Init::all())));
        }
    };
    if call.request.is_set("print") {
        ui.data(&files::content(&Service::of(call, init)?, init));
        return Ok(());
    }
    ui.say(&format!("Init System found: {}", detected.unwrap_or(init).name()));
    if let (Some(name), Some(detected)) = (asked, detected)
        && detected != init
    {
        let line = "-".repeat(59);
        ui.message(&format!(
            "{line}\n PM2 detected {} but you precised {name}\n Please verify that your choice is indeed your init system\n \
             If you arent sure, just run : pm2-rs startup\n{line}",
            detected.name()
        ));
    }
    let service = Service::of(call, init)?;
    let content = files::content(&service, init);
    let image = call.request.value("root").map(PathBuf::from);
    if image.is_none() && !service.of_user && !nix::unistd::geteuid().is_root() {
        let what = if removes { "unsetup" } else { "setup" };
        ui.say(&format!("To {what} the Startup Script, copy/paste the following command:"));
        let line = sudo_line(call, init, &service);
        ui.data(&format!("{line}\n"));
        return Err(Failure::Said);
    }
    if removes {
        remove(&service, init, image.as_deref(), ui)
    } else {
        install(&service, init, &content, image.as_deref(), ui)
    }
}

/// The command that does the same as root, with every option that was given. People pipe it into a shell.
fn sudo_line(call: &Call<'_>, init: Init, service: &Service) -> String {
    let node = call.context.node.as_deref().and_then(Path::parent).map(|folder| folder.display().to_string());
    let program = call.program.map_or_else(
        || format!("{} cli", quoted(&service.program.display().to_string())),
        |program| quoted(&program.display().to_string()),
    );
    let mut line = format!(
        "sudo env PATH=$PATH{} {program} {} {} -u {} --hp {}",
        node.map(|folder| format!(":{folder}")).unwrap_or_default(),
        call.request.command,
        init.name(),
        service.user,
        quoted(&service.user_home.display().to_string())
    );
    if let Some(name) = call.request.value("service-name") {
        line += &[" --service-name ", &quoted(name)].concat();
    }
    if service.wait_ip {
        line += " --wait-ip";
    }
    if service.now {
        line += " --now";
    }
    line
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = word.chars().all(|letter| letter.is_ascii_alphanumeric() || "/._-+:@=".contains(letter));
    if plain { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

fn install(service: &Service, init: Init, content: &str, image: Option<&Path>, ui: &mut Ui) -> Result<(), Failure> {
    let file = service.file(init);
    let commands = service.enabling(init);
    ui.message(&format!(
        "Platform {}\nTemplate\n{content}\nTarget path\n{}\nCommand list",
        init.name(),
        file.display()
    ));
    ui.message(&inspect(&json!(commands)));
    let target = image.map_or_else(|| file.clone(), |root| root.join(file.strip_prefix("/").unwrap_or(&file)));
    ui.say(&format!("Writing init configuration in {}", target.display()));
    let mode = init.mode();
    let written = target.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| {
        let mut options = std::fs::OpenOptions::new();
        let mut open = options.write(true).create(true).truncate(true).mode(mode).open(&target)?;
        open.write_all(content.as_bytes())
    });
    written.map_err(|error| Failure::Text(format!("cannot write {}: {error}", target.display())))?;
    ui.say("Making script booting at startup...");
    if image.is_none() {
        for command in commands {
            execute(&command, ui)?;
        }
    }
    ui.message("+---------------------------------------+");
    ui.say("Freeze a process list on reboot via:");
    ui.message("$ pm2-rs save\n");
    ui.say("Remove init script via:");
    ui.message(&format!("$ pm2-rs unstartup {}", init.name()));
    Ok(())
}

fn execute(command: &str, ui: &mut Ui) -> Result<(), Failure> {
    ui.say(&format!("[-] Executing: {command}..."));
    let output = Command::new("sh").args(["-c", command]).stdin(Stdio::null()).output();
    let output = output.map_err(|error| Failure::Text(format!("cannot run sh: {error}")))?;
    ui.show(&String::from_utf8_lossy(&output.stdout));
    ui.error_bytes(&output.stderr);
    if output.status.success() {
        ui.say("[v] Command successfully executed.");
        return Ok(());
    }
    ui.complain(&format!("[ERROR] Exit code : {}", output.status.code().unwrap_or(-1)));
    Err(Failure::Said)
}

/// Every step is tried; exit code 1 if one failed (pm2 says 0).
fn remove(service: &Service, init: Init, image: Option<&Path>, ui: &mut Ui) -> Result<(), Failure> {
    let mut failed = false;
    if image.is_none() {
        for command in service.disabling(init) {
            failed |= execute(&command, ui).is_err();
        }
    }
    let file = service.file(init);
    let target = image.map_or_else(|| file.clone(), |root| root.join(file.strip_prefix("/").unwrap_or(&file)));
    if let Err(error) = std::fs::remove_file(&target) {
        ui.complain(&format!("cannot remove {}: {error}", target.display()));
        failed = true;
    }
    if failed {
        return Err(Failure::Said);
    }
    ui.say("Init file disabled.");
    Ok(())
}
