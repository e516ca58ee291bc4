//! Scripts of init.d and rc.d, and the manifest of SMF (contract/cli.md section 10.4). Pure.

use super::words::{command, escape, shell_command};
use super::{Service, quoted};

/// Variables that each script sets before it runs anything.
fn variables(service: &Service) -> String {
    let assign = |name: &str, value: &str| format!("export {name}={}\n", quoted(value));
    [
        assign("PATH", &format!("{}:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", service.path)),
        assign("PM2_HOME", &service.home.display().to_string()),
        assign("PM2_RS_AGENT", &service.agent.display().to_string()),
    ]
    .concat()
}

/// The command lines of a script, each as one word for `sh -c`.
struct Lines {
    resurrect: String,
    kill: String,
    reload: String,
    list: String,
}

impl Lines {
    fn of(service: &Service) -> Lines {
        let line = |words: &str| quoted(&shell_command(service, words));
        Lines { resurrect: line("resurrect"), kill: line("kill"), reload: line("reload all"), list: line("list") }
    }
}

/// A script of /etc/init.d with the head that update-rc.d and chkconfig read.
pub(super) fn lsb(service: &Service) -> String {
    let Lines { resurrect, kill, reload, list } = Lines::of(service);
    format!(
        "#!/bin/sh\n\
         ### BEGIN INIT INFO\n\
         # Provides:          {name}\n\
         # Required-Start:    $local_fs $remote_fs\n\
         # Required-Stop:     $local_fs $remote_fs\n\
         # Should-Start:      $network\n\
         # Should-Stop:       $network\n\
         # Default-Start:     2 3 4 5\n\
         # Default-Stop:      0 1 6\n\
         # Short-Description: PM2 process manager (pm2-rs)\n\
         ### END INIT INFO\n\
         #\n\
         # chkconfig: 2345 98 02\n\
         # description: PM2 process manager (pm2-rs)\n\
         # Written by pm2-rs startup.\n\
         \n\
         {variables}\
         [ -r /etc/default/pm2 ] && . /etc/default/pm2\n\
         [ -n \"$MAX_OPEN_FILES\" ] && ulimit -n \"$MAX_OPEN_FILES\"\n\
         \n\
         as_user() {{\n\
         \tif [ \"$(id -un)\" = {user} ]; then sh -c \"$1\"; else su -m {user} -s /bin/sh -c \"$1\"; fi\n\
         }}\n\
         \n\
         case \"$1\" in\n\
         start)\n\
         \tas_user {resurrect}\n\
         \t;;\n\
         stop)\n\
         \tas_user {kill}\n\
         \t;;\n\
         restart)\n\
         \tas_user {kill}\n\
         \tas_user {resurrect}\n\
         \t;;\n\
         reload | force-reload)\n\
         \tas_user {reload}\n\
         \t;;\n\
         status)\n\
         \tas_user {list}\n\
         \t;;\n\
         *)\n\
         \techo \"usage: $0 {{start|stop|restart|reload|force-reload|status}}\" >&2\n\
         \texit 2\n\
         \t;;\n\
         esac\n",
        name = service.name,
        user = service.user,
        variables = variables(service),
    )
}

/// A script of FreeBSD's rc.d.
pub(super) fn rcd(service: &Service) -> String {
    let Lines { resurrect, kill, reload, list } = Lines::of(service);
    format!(
        "#!/bin/sh\n\
         #\n\
         # PROVIDE: pm2\n\
         # REQUIRE: LOGIN\n\
         # KEYWORD: shutdown\n\
         #\n\
         # Written by pm2-rs startup.\n\
         \n\
         . /etc/rc.subr\n\
         \n\
         name={name}\n\
         rcvar={name}_enable\n\
         desc=\"PM2 process manager (pm2-rs)\"\n\
         {variables}\
         pidfile=\"$PM2_HOME/pm2.pid\"\n\
         start_cmd=\"{name}_start\"\n\
         stop_cmd=\"{name}_stop\"\n\
         reload_cmd=\"{name}_reload\"\n\
         status_cmd=\"{name}_status\"\n\
         extra_commands=\"reload\"\n\
         \n\
         {name}_start() {{ su -m {user} -c {resurrect}; }}\n\
         {name}_stop() {{ su -m {user} -c {kill}; }}\n\
         {name}_reload() {{ su -m {user} -c {reload}; }}\n\
         {name}_status() {{ su -m {user} -c {list}; }}\n\
         \n\
         load_rc_config \"$name\"\n\
         run_rc_command \"$1\"\n",
        name = identifier(&service.name),
        user = service.user,
        variables = variables(service),
    )
}

/// A script of OpenBSD's rc.d: the keeper is known by its pid, so no pattern of process titles is needed.
pub(super) fn openbsd(service: &Service) -> String {
    let Lines { resurrect, kill, reload, .. } = Lines::of(service);
    format!(
        "#!/bin/ksh\n\
         # Written by pm2-rs startup.\n\
         \n\
         daemon={program}\n\
         daemon_user={user}\n\
         \n\
         . /etc/rc.d/rc.subr\n\
         \n\
         {variables}\
         \n\
         rc_start() {{ su -m {user} -c {resurrect}; }}\n\
         rc_stop() {{ su -m {user} -c {kill}; }}\n\
         rc_reload() {{ su -m {user} -c {reload}; }}\n\
         rc_check() {{ [ -r \"$PM2_HOME/pm2.pid\" ] && kill -0 \"$(cat \"$PM2_HOME/pm2.pid\")\" 2>/dev/null; }}\n\
         \n\
         rc_cmd $1\n",
        program = quoted(&service.program.display().to_string()),
        user = service.user,
        variables = variables(service),
    )
}

/// A manifest of the service management facility of Solaris and illumos.
pub(super) fn smf(service: &Service) -> String {
    let variable =
        |name: &str, value: &str| format!("          <envvar name=\"{name}\" value=\"{}\"/>\n", escape(value));
    let environment = [
        variable("PATH", &service.path),
        variable("PM2_HOME", &service.home.display().to_string()),
        variable("PM2_RS_AGENT", &service.agent.display().to_string()),
    ]
    .concat();
    let method = |name: &str, words: &str| {
        let line: Vec<String> = command(service, words).iter().map(|word| quoted(word)).collect();
        format!(
            "    <exec_method type=\"method\" name=\"{name}\" exec=\"{}\" timeout_seconds=\"60\">\n\
             \x20     <method_context>\n\
             \x20       <method_credential user=\"{}\"/>\n\
             \x20       <method_environment>\n{environment}\x20       </method_environment>\n\
             \x20     </method_context>\n\
             \x20   </exec_method>\n",
            escape(&line.join(" ")),
            escape(&service.user),
        )
    };
    let depends = |name: &str, fmri: &str| {
        format!(
            "    <dependency name=\"{name}\" grouping=\"require_all\" restart_on=\"none\" type=\"service\">\n\
             \x20     <service_fmri value=\"{fmri}\"/>\n\
             \x20   </dependency>\n"
        )
    };
    format!(
        "<?xml version=\"1.0\"?>\n\
         <!DOCTYPE service_bundle SYSTEM \"/usr/share/lib/xml/dtd/service_bundle.dtd.1\">\n\
         <service_bundle type=\"manifest\" name=\"{name}\">\n\
         \x20 <service name=\"application/{name}\" type=\"service\" version=\"1\">\n\
         \x20   <create_default_instance enabled=\"false\"/>\n\
         \x20   <single_instance/>\n\
         {network}{files}{start}{refresh}{stop}\
         \x20 </service>\n\
         </service_bundle>\n",
        name = escape(&service.name),
        network = depends("network", "svc:/milestone/network:default"),
        files = depends("filesystem", "svc:/system/filesystem/local:default"),
        start = method("start", "resurrect"),
        refresh = method("refresh", "reload all"),
        stop = method("stop", "kill"),
    )
}

/// A name of a shell function and variable.
fn identifier(name: &str) -> String {
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect()
}
