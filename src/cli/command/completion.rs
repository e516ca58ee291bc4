//! `completion`: scripts for shells, and the candidates they ask for (contract/cli.md section 14.6). Launches no daemon.

use std::path::PathBuf;

use super::super::{Ui, args, flags};
use super::{Call, Failure, startup};

const BEGIN: &str = "###-begin-pm2-completion-###";
const END: &str = "###-end-pm2-completion-###";

const SCRIPT: &str = r#"###-begin-pm2-completion-###
# Add this to ~/.bashrc or ~/.zshrc: pm2-rs completion install
if type complete >/dev/null 2>&1 && [ -n "$BASH_VERSION" ]; then
  _pm2_rs_completion() {
    local line="${COMP_LINE:0:$COMP_POINT}" current
    local -a words
    read -ra words <<<"$line"
    case "$line" in *[[:space:]]) words+=("") ;; esac
    current="${words[${#words[@]}-1]}"
    local IFS=$'\n'
    COMPREPLY=($(COMP_CWORD=$((${#words[@]} - 1)) COMP_LINE="$COMP_LINE" COMP_POINT="$COMP_POINT" \
      pm2-rs completion -- "${words[@]}" 2>/dev/null))
    # For bash a colon ends a word: what stands before it is on the line already.
    case "$current" in *:*) COMPREPLY=("${COMPREPLY[@]#"${current%"${current##*:}"}"}") ;; esac
    # A script is as likely as a name. (Where there is no candidate at all bash offers files by itself.)
    case "${words[1]}:$current" in
      *:-*) return ;;
      start*:* | apply:*) [ ${#words[@]} -gt 2 ] || return ;;
      *) return ;;
    esac
    compopt -o filenames 2>/dev/null
    COMPREPLY+=($(compgen -f -- "$current"))
  }
  complete -o default -F _pm2_rs_completion pm2-rs
elif type compdef >/dev/null 2>&1; then
  _pm2_rs_completion() {
    local -a candidates
    candidates=(${(f)"$(COMP_CWORD=$((CURRENT-1)) COMP_LINE=$BUFFER COMP_POINT=$CURSOR \
      pm2-rs completion -- "${words[@]}" 2>/dev/null)"})
    compadd -a candidates
    # (A pattern in brackets would be a mistake to bash, which reads this, too.)
    case "$#candidates:$words[2]" in 0:*|*:start*|*:apply) (( CURRENT > 2 )) && _files ;; esac
  }
  compdef _pm2_rs_completion pm2-rs
fi
###-end-pm2-completion-###
"#;

const FISH: &str = r#"###-begin-pm2-completion-###
# pm2-rs completion fish > ~/.config/fish/completions/pm2-rs.fish
function __pm2_rs_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found (env COMP_CWORD=(math (count $words) - 1) COMP_LINE="$words" COMP_POINT=0 \
        pm2-rs completion -- $words 2>/dev/null | string match -v '')
    string join \n -- $found
    if test (count $words) -gt 2; and begin
            test (count $found) -eq 0; or string match -qr '^(start|apply)' -- $words[2]
        end
        __fish_complete_path (commandline -ct)
    end
end
complete -c pm2-rs -f -a '(__pm2_rs_complete)'
###-end-pm2-completion-###
"#;

pub(super) async fn run(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    if let Some(position) = call.local.get("COMP_CWORD").filter(|text| !text.is_empty()) {
        let line = call.local.get("COMP_LINE").cloned().unwrap_or_default();
        let split = || line.split_whitespace().map(ToOwned::to_owned).collect();
        let words: Vec<String> = call.request.app_args.clone().unwrap_or_else(split);
        let text: String = candidates(call, &words, position.parse().unwrap_or(0)).await.join("\n");
        ui.data(&format!("{text}\n"));
        return Ok(());
    }
    match call.request.targets.first().map(String::as_str) {
        None | Some("bash" | "zsh") => ui.data(SCRIPT),
        Some("fish") => ui.data(FISH),
        Some("install") => install(call, ui, true)?,
        Some("uninstall") => install(call, ui, false)?,
        Some(other) => {
            return Err(Failure::Text(format!("completion knows bash, zsh, fish, install, uninstall, not `{other}`")));
        }
    }
    Ok(())
}

/// What may stand at `position`: commands first, then options and the names of processes.
async fn candidates(call: &Call<'_>, words: &[String], position: usize) -> Vec<String> {
    let current = words.get(position).map(String::as_str).unwrap_or_default();
    let command = words.get(1).map(String::as_str).unwrap_or_default();
    let mut all: Vec<String> = Vec::new();
    if current.starts_with('-') {
        all.extend(flags::FLAGS.iter().map(|flag| format!("--{}", flag.long)));
        all.extend(args::own_options(command).iter().map(|id| format!("--{id}")));
    } else if position <= 1 {
        all.extend(args::names().map(ToOwned::to_owned));
    } else if let Some(known) = first_words(command, position) {
        all.extend(known);
    } else if args::takes_targets(command) {
        // Without an answer of the daemon there is nothing to offer, and nobody to tell.
        all.extend(call.processes().await.unwrap_or_default().into_iter().map(|process| process.name));
        all.push("all".into());
    }
    all.retain(|word| word.starts_with(current));
    all.sort();
    all.dedup();
    all
}

/// What a command takes in its first place, where that is a fixed set of words.
fn first_words(command: &str, position: usize) -> Option<Vec<String>> {
    if position != 2 {
        return None;
    }
    let words: Vec<&str> = match command {
        "startup" | "unstartup" => startup::names().collect(),
        "sendSignal" | "sendsignal" => {
            vec!["SIGHUP", "SIGINT", "SIGQUIT", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGCONT", "SIGSTOP"]
        }
        "completion" => vec!["bash", "zsh", "fish", "install", "uninstall"],
        "init" | "ecosystem" => vec!["simple"],
        "help" => args::names().collect(),
        _ => return None,
    };
    Some(words.into_iter().map(ToOwned::to_owned).collect())
}

/// Adds the script to the start file of the shell, or takes it out.
fn install(call: &Call<'_>, ui: &mut Ui, add: bool) -> Result<(), Failure> {
    let variable = |name: &str| call.local.get(name).filter(|text| !text.is_empty()).cloned();
    let shell = variable("SHELL").unwrap_or_default();
    let shell = shell.rsplit('/').next().unwrap_or_default().to_owned();
    let home = PathBuf::from(variable("HOME").ok_or_else(|| Failure::Text("HOME is not set".into()))?);
    let (path, script) = match shell.as_str() {
        "fish" => (home.join(".config/fish/completions/pm2-rs.fish"), FISH),
        "zsh" => (home.join(".zshrc"), SCRIPT),
        "bash" => (home.join(".bashrc"), SCRIPT),
        other => return Err(Failure::Text(format!("no completion for the shell `{other}`: bash, zsh or fish"))),
    };
    let failed = |error: std::io::Error| Failure::Text(format!("cannot change {}: {error}", path.display()));
    let old = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error)),
    };
    let mut text = without_script(&old);
    if add {
        text += script;
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(&path, text).map_err(failed)?;
    ui.say(&format!("Completion {} {}", if add { "installed in" } else { "removed from" }, path.display()));
    Ok(())
}

/// The text without what an installation added.
fn without_script(text: &str) -> String {
    let Some((before, rest)) = text.split_once(BEGIN) else { return text.to_owned() };
    let after = rest.split_once(END).map_or("", |(_, after)| after.strip_prefix('\n').unwrap_or(after));
    format!("{before}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uninstalling_takes_out_what_installing_added() {
        let text = "alias a=b\n";
        assert_eq!(without_script(&format!("{text}{SCRIPT}export C=d\n")), "alias a=b\nexport C=d\n");
        assert_eq!(without_script(text), text);
    }
}
