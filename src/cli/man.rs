//! The man page `man/pm2-rs.1`, from the same definition as parsing and help. A test keeps the checked-in page equal.

use std::fmt::Write;

use clap::{Arg, Command};

use super::args;

const HEAD: &str = r#".\" Written from src/cli/man.rs: UPDATE_SCHEMA=1 cargo test --lib cli
.TH PM2\-RS 1 "" "pm2\-rs" "User Commands"
.SH NAME
pm2\-rs \- a process manager: starts your apps and keeps them running
.SH SYNOPSIS
.B pm2\-rs
.I command
.RI [ options ]
.RI [ targets ]
.RB [ \-\-
.IR "arguments of the app" ]
.SH DESCRIPTION
Starts apps, restarts them when they end, keeps their logs, and starts them again after a boot. The first app launches a
daemon for the user; queries launch none.
.PP
A target is an id, a name, the path of a script, a namespace,
.BR all ,
or
.IR /pattern/ ;
most commands take several. Everything after
.B \-\-
is for the app.
.SH COMMANDS
"#;

const TAIL: &str = r#".SH EXIT STATUS
0 on success, 1 on any failure;
.B pm2\-rs\-runtime
ends with 2 when all apps have ended.
.SH ENVIRONMENT
.TP
.B PM2_HOME
The folder of the daemon (~/.pm2).
.TP
.B PM2_SILENT
Print no messages.
.TP
.BR NO_COLOR ", " FORCE_COLOR
No colours; colours also in a pipe.
.SH FILES
.TP
.I ~/.pm2/dump.pm2
What
.B save
saved and
.B resurrect
starts.
.TP
.I ~/.pm2/logs
What the apps write.
.TP
.I ~/.pm2/module_conf.json
Settings and modules.
.SH SEE ALSO
docs/cli.md of the package: every command beside that of pm2.
"#;

fn page() -> String {
    let command = args::command();
    let mut page = HEAD.to_owned();
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        describe(&mut page, verb);
    }
    page += ".SH OPTIONS\nEvery command takes these; most of them describe the app that\n.B start\nstarts.\n";
    for option in command.get_arguments() {
        describe_option(&mut page, option);
    }
    page + TAIL
}

fn describe(page: &mut String, verb: &Command) {
    let names: Vec<String> = std::iter::once(verb.get_name()).chain(verb.get_visible_aliases()).map(escape).collect();
    let argument = verb.get_positionals().next().map_or_else(String::new, |argument| {
        let name = argument.get_value_names().unwrap_or_default().join("> <");
        let least = argument.get_num_args().map_or(0, |range| range.min_values());
        let more = argument.get_num_args().is_some_and(|range| range.max_values() > 2);
        let dots = if more && !name.contains('>') { " ..." } else { "" };
        if least > 0 { format!(" <{name}>{dots}") } else { format!(" [<{name}>{dots}]") }
    });
    let _ = writeln!(page, ".TP\n\\fB{}\\fR{}", names.join("\\fR, \\fB"), escape(&argument));
    let _ = writeln!(page, "{}", sentence(&verb.get_about().map(ToString::to_string).unwrap_or_default()));
    let own: Vec<&Arg> = verb.get_opts().chain(verb.get_arguments().filter(|a| is_switch(a))).collect();
    let mut seen: Vec<&str> = Vec::new();
    for option in own {
        let Some(long) = option.get_long().filter(|long| !seen.contains(long)) else { continue };
        seen.push(long);
        let help = option.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(page, ".br\n\\fB\\-\\-{}\\fR: {}", escape(long), sentence(&help));
    }
}

fn is_switch(argument: &Arg) -> bool {
    argument.get_long().is_some_and(|long| long != "help") && !argument.is_positional()
}

fn describe_option(page: &mut String, option: &Arg) {
    let Some(long) = option.get_long().filter(|long| !["help", "version"].contains(long)) else { return };
    let short = option.get_short().map_or_else(String::new, |letter| format!("\\fB\\-{letter}\\fR, "));
    let aliases: String = option
        .get_visible_aliases()
        .unwrap_or_default()
        .iter()
        .fold(String::new(), |text, alias| text + ", \\fB\\-\\-" + &escape(alias) + "\\fR");
    let value = if option.get_action().takes_values() { " \\fIvalue\\fR" } else { "" };
    let help = option.get_help().map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(page, ".TP\n{short}\\fB\\-\\-{}\\fR{aliases}{value}\n{}", escape(long), sentence(&help));
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let text = letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect());
    let text = escape(&text);
    // A dot or a quote at the start of a line is a request.
    if text.starts_with(['.', '\'']) { format!("\\&{text}.") } else { format!("{text}.") }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

#[test]
fn the_page_is_as_it_is_checked_in() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/man/pm2-rs.1");
    let page = page();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/man")).expect("a folder");
        std::fs::write(path, &page).expect("written");
    }
    let known = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(known, page, "UPDATE_SCHEMA=1 cargo test --lib cli writes it");
}

#[test]
fn every_command_and_option_is_on_the_page() {
    let page = page();
    for name in args::names() {
        assert!(page.contains(&format!("\\fB{}\\fR", escape(name))), "{name}");
    }
    for flag in super::flags::FLAGS {
        assert!(page.contains(&format!("\\fB\\-\\-{}\\fR", escape(flag.long))), "{}", flag.long);
    }
}
