//! What stands in the files of each init system. Pure.

use super::words::{command, escape, shell_command};
use super::{Init, Service, quoted, scripts};

/// The whole file.
pub(super) fn content(service: &Service, init: Init) -> String {
    match init {
        Init::Systemd => systemd(service),
        Init::Upstart | Init::Systemv => scripts::lsb(service),
        Init::Openrc => openrc(service),
        Init::Launchd => launchd(service),
        Init::Rcd => scripts::rcd(service),
        Init::RcdOpenbsd => scripts::openbsd(service),
        Init::Smf => scripts::smf(service),
    }
}

/// The keeper forks itself off and names itself in pm2.pid: `Type=forking` follows it, and a daemon that is replaced
/// changes nothing. That an app runs out of memory is no reason to end the others (`OOMPolicy`). Processes are left to
/// the keeper (`KillMode=process` would lose them, `control-group` is the default).
fn systemd(service: &Service) -> String {
    let network = if service.wait_ip { "network-online.target" } else { "network.target" };
    let wants = if service.wait_ip { "Wants=network-online.target\n" } else { "" };
    let run = |words: &str| {
        command(service, words).iter().map(|text| word(text).replace('$', "$$")).collect::<Vec<_>>().join(" ")
    };
    let variable = |name: &str, value: &str| format!("Environment={}\n", word(&format!("{name}={value}")));
    let path = format!("{}:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", service.path);
    let environment = [
        variable("PATH", &path),
        variable("PM2_HOME", &service.home.display().to_string()),
        variable("PM2_RS_AGENT", &service.agent.display().to_string()),
    ]
    .concat();
    let pid_file = service.home.join("pm2.pid");
    // A unit of the user's own runs as that user anyway, under limits that it cannot raise.
    let (user, target) = if service.of_user {
        (String::new(), "default.target")
    } else {
        let limits = "LimitNOFILE=infinity\nLimitNPROC=infinity\nLimitCORE=infinity\n";
        (format!("User={}\n{limits}", service.user), "multi-user.target")
    };
    format!(
        "[Unit]\n\
         Description=PM2 process manager (pm2-rs)\n\
         Documentation=https://github.com/pm2-rs/pm2-rs\n\
         {wants}After={network}\n\
         \n\
         [Service]\n\
         Type=forking\n\
         {user}\
         {environment}\
         PIDFile={pid_file}\n\
         Restart=on-failure\n\
         OOMPolicy=continue\n\
         \n\
         ExecStart={start}\n\
         ExecReload={reload}\n\
         ExecStop={stop}\n\
         \n\
         [Install]\n\
         WantedBy={target}\n",
        pid_file = pid_file.display().to_string().replace('%', "%%"),
        start = run("resurrect"),
        reload = run("reload all"),
        stop = run("kill"),
    )
}

/// A word of a unit file: `%` and quotes mean something there.
fn word(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    if escaped == text && !text.contains(char::is_whitespace) { text.to_owned() } else { format!("\"{escaped}\"") }
}

fn openrc(service: &Service) -> String {
    let assign = |name: &str, value: String| format!("export {name}={}\n", quoted(&value));
    format!(
        "#!/sbin/openrc-run\n\
         # Written by pm2-rs startup openrc.\n\
         \n\
         description=\"PM2 process manager (pm2-rs)\"\n\
         \n\
         : \"${{PM2_USER:={user}}}\"\n\
         {path}{home}{agent}\
         pidfile=\"$PM2_HOME/pm2.pid\"\n\
         extra_started_commands=\"reload\"\n\
         \n\
         depend() {{\n\
         \tneed net localmount\n\
         \tafter bootmisc\n\
         }}\n\
         \n\
         as_user() {{\n\
         \tcase \"$1\" in\n\
         \tsave) su -m \"$PM2_USER\" -s /bin/sh -c {save} ;;\n\
         \tkill) su -m \"$PM2_USER\" -s /bin/sh -c {kill} ;;\n\
         \treload) su -m \"$PM2_USER\" -s /bin/sh -c {reload} ;;\n\
         \t*) su -m \"$PM2_USER\" -s /bin/sh -c {resurrect} ;;\n\
         \tesac\n\
         }}\n\
         \n\
         start() {{\n\
         \tebegin \"Starting the apps of pm2-rs\"\n\
         \tas_user resurrect\n\
         \teend $?\n\
         }}\n\
         \n\
         stop() {{\n\
         \tebegin \"Stopping the apps of pm2-rs\"\n\
         \tas_user save\n\
         \tas_user kill\n\
         \teend $?\n\
         }}\n\
         \n\
         reload() {{\n\
         \tebegin \"Reloading the apps of pm2-rs\"\n\
         \tas_user reload\n\
         \teend $?\n\
         }}\n",
        user = service.user,
        path = assign("PATH", service.path.clone()),
        home = assign("PM2_HOME", service.home.display().to_string()),
        agent = assign("PM2_RS_AGENT", service.agent.display().to_string()),
        save = quoted(&shell_command(service, "save")),
        kill = quoted(&shell_command(service, "kill")),
        reload = quoted(&shell_command(service, "reload all")),
        resurrect = quoted(&shell_command(service, "resurrect")),
    )
}

fn launchd(service: &Service) -> String {
    let arguments: Vec<String> =
        command(service, "resurrect").iter().map(|word| format!("\t\t<string>{}</string>\n", escape(word))).collect();
    let variable =
        |name: &str, value: String| format!("\t\t<key>{name}</key>\n\t\t<string>{}</string>\n", escape(&value));
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n\
         <dict>\n\
         \t<key>Label</key>\n\t<string>{label}</string>\n\
         \t<key>UserName</key>\n\t<string>{user}</string>\n\
         \t<key>RunAtLoad</key>\n\t<true/>\n\
         \t<key>AbandonProcessGroup</key>\n\t<true/>\n\
         \t<key>ProgramArguments</key>\n\
         \t<array>\n{arguments}\t</array>\n\
         \t<key>EnvironmentVariables</key>\n\
         \t<dict>\n{path}{home}{agent}\t</dict>\n\
         \t<key>StandardOutPath</key>\n\t<string>/tmp/com.PM2.out</string>\n\
         \t<key>StandardErrorPath</key>\n\t<string>/tmp/com.PM2.err</string>\n\
         </dict>\n\
         </plist>\n",
        label = escape(&service.name),
        user = escape(&service.user),
        arguments = arguments.concat(),
        path = variable("PATH", service.path.clone()),
        home = variable("PM2_HOME", service.home.display().to_string()),
        agent = variable("PM2_RS_AGENT", service.agent.display().to_string()),
    )
}

#[cfg(test)]
mod tests;
