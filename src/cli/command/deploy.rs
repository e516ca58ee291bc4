//! `deploy`: brings the files of a repository to hosts over ssh, as the `deploy` section of a config file says
//! (contract/cli.md section 14.2).
//!
//! Owns: which environment, which step, in which order, and the end. What runs on a host is in `deploy/remote.rs`.
//! Must never: talk to the daemon of this machine, or know a password: `ssh` and `git` are run as programs.

mod plan;
mod remote;

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::super::Ui;
use super::{Call, Failure, config_target};
use crate::client::Target;
use plan::Plan;

const HELP: &str = "\
usage: pm2-rs deploy <config file> <environment> [command]
       pm2-rs deploy <environment> [command]

commands:
  (none)               deploy the ref that the file names
  ref <ref>            deploy another one
  setup                make the folders and clone the repository on each host
  update               the same as no command
  revert [n]           go back n deployments (1)
  curr, current        what is deployed
  prev, previous       what was deployed before
  exec, run <command>  run a command in the deployed folder
  list                 all deployments

--force deploys although there are local changes that are not pushed.
";

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Setup,
    Deploy(Option<String>),
    Revert(usize),
    Current,
    Previous,
    Exec(String),
    List,
}

pub(super) async fn run(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let words = call.request.targets.as_slice();
    let Some(first) = words.first().filter(|word| *word != "help") else {
        ui.data(HELP);
        return Ok(());
    };
    let is_file = crate::config::is_config_file(first).is_some();
    let (file, rest) = match (is_file, words.split_first()) {
        (true, Some((file, rest))) => (file.clone(), rest),
        _ => (default_file(&call.context.cwd)?, words),
    };
    let Some((environment, rest)) = rest.split_first() else {
        ui.data(HELP);
        return Ok(());
    };
    let mut rest = rest.to_vec();
    rest.extend(call.request.app_args.iter().flatten().cloned());
    let step = step(&rest)?;
    let Some(Target::Config { value, .. }) = config_target::config_target(call, &file).await? else {
        return Err(Failure::Text(format!("{file} is no config file (.json, .yml, .config.js)")));
    };
    let section = section(&value, environment)
        .ok_or_else(|| Failure::Text(format!("{environment} environment is not defined in {file} file")))?;
    let plan = Plan::read(section, environment, &file).map_err(Failure::Text)?;
    let mut session = Deployment { call, ui, plan: &plan, environment };
    let done = session.carry_out(&step);
    if done.is_err() {
        ui.complain("Deploy failed");
    }
    done
}

/// The first that exists of those that `deploy` looks for.
fn default_file(cwd: &Path) -> Result<String, Failure> {
    let endings = ["json", "yml", "yaml", "config.js", "config.cjs", "config.mjs", "config.ts", "json5"];
    let mut names: Vec<String> = endings.iter().map(|ending| format!("ecosystem.{ending}")).collect();
    names.push("package.json".into());
    let found = names.into_iter().find(|name| cwd.join(name).is_file());
    found.ok_or_else(|| {
        Failure::Text("Not any default deployment file exists (ecosystem.config.js and the like)".into())
    })
}

fn section<'a>(config: &'a Value, environment: &str) -> Option<&'a Value> {
    let deploy = config.get("deploy").or_else(|| config.get("pm2")?.get("deploy"))?;
    deploy.get(environment).filter(|section| section.is_object())
}

fn step(words: &[String]) -> Result<Step, Failure> {
    let (first, rest) = words.split_first().map_or(("update", words), |(first, rest)| (first.as_str(), rest));
    let no_more = |step| match rest {
        [] => Ok(step),
        [word, ..] => Err(Failure::Text(format!("Unknown command argument: {word}"))),
    };
    match first {
        "setup" => no_more(Step::Setup),
        "update" => no_more(Step::Deploy(None)),
        "ref" => match rest {
            [name] => Ok(Step::Deploy(Some(name.clone()))),
            _ => Err(Failure::Text("deploy <environment> ref takes one ref: a branch, a tag or a commit".into())),
        },
        "revert" => match rest.first().map_or(Ok(1), |count| count.parse()) {
            Ok(count) => Ok(Step::Revert(count)),
            Err(_) => Err(Failure::Text("deploy <environment> revert takes a number".into())),
        },
        "curr" | "current" => no_more(Step::Current),
        "prev" | "previous" => no_more(Step::Previous),
        "list" => no_more(Step::List),
        "exec" | "run" if !rest.is_empty() => Ok(Step::Exec(rest.join(" "))),
        "exec" | "run" => Err(Failure::Text("deploy <environment> exec takes a command".into())),
        other => Err(Failure::Text(format!("`{other}` is no command of deploy; see pm2-rs deploy help"))),
    }
}

struct Deployment<'a> {
    call: &'a Call<'a>,
    ui: &'a mut Ui,
    plan: &'a Plan,
    environment: &'a str,
}

impl Deployment<'_> {
    fn carry_out(&mut self, step: &Step) -> Result<(), Failure> {
        let (ui, plan) = (&mut *self.ui, self.plan);
        let (announce, script) = match step {
            Step::Setup => ("Setting up", remote::setup(plan)),
            Step::Deploy(other) => {
                let wanted = other.as_deref().unwrap_or(&plan.reference);
                ("Deploying to", remote::deploy(plan, wanted))
            }
            Step::Revert(count) => ("Reverting in", remote::revert(plan, *count)),
            Step::Current => return self.on_all(&remote::current(plan)),
            Step::Previous => return self.on_all(&remote::previous(plan)),
            Step::List => return self.on_all(&remote::list(plan)),
            Step::Exec(line) => return self.on_all(&remote::exec(plan, line)),
        };
        ui.message(&format!("--> {announce} {} environment", self.environment));
        if let Step::Deploy(_) = step {
            if !self.call.request.is_set("force") {
                self.is_pushed()?;
            }
            if let Some(line) = &plan.pre_deploy_local {
                self.ui.message(&format!("--> executing locally: {line}"));
                self.local(line)?;
            }
        }
        self.on_all(&script)?;
        self.ui.message("--> Success");
        Ok(())
    }

    /// Runs a script on every host, one after the other; the first failure ends it.
    fn on_all(&mut self, script: &str) -> Result<(), Failure> {
        for host in &self.plan.hosts {
            self.ui.message(&format!("--> on host {host}"));
            let mut ssh = self.program("ssh");
            ssh.args(self.plan.ssh_arguments(host)).arg(script);
            self.show(&mut ssh, "ssh")?;
        }
        Ok(())
    }

    /// Runs a line of the config file here.
    fn local(&mut self, line: &str) -> Result<(), Failure> {
        let mut shell = self.program("sh");
        shell.args(["-c", line]).envs(&self.plan.env);
        self.show(&mut shell, "sh")
    }

    /// A program as the caller would run it: where it is found is the caller's PATH, not that of this process.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.current_dir(&self.call.context.cwd).env_clear().envs(self.call.local);
        command
    }

    /// Runs a program and shows what it says. What asks for a password or shows progress gets the terminal itself.
    fn show(&mut self, command: &mut Command, name: &str) -> Result<(), Failure> {
        command.stdin(Stdio::inherit());
        let failed = |error| Failure::Text(format!("cannot run {name}: {error}; is it installed, and in PATH?"));
        let status = if self.ui.is_terminal() && !self.ui.is_json() {
            command.status().map_err(failed)?
        } else {
            let output = command.stderr(Stdio::inherit()).output().map_err(failed)?;
            self.ui.show(&String::from_utf8_lossy(&output.stdout));
            output.status
        };
        if status.success() { Ok(()) } else { Err(Failure::Said) }
    }

    /// What is not pushed would not be deployed, which is seldom meant.
    fn is_pushed(&mut self) -> Result<(), Failure> {
        let git = |arguments: &[&str]| {
            let output = self.program("git").args(arguments).stdin(Stdio::null()).output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        // Not in a repository, or one that follows no other: there is nothing to push.
        let (Some(changes), Some(ahead)) = (
            git(&["status", "--porcelain", "--untracked-files=no"]),
            git(&["rev-list", "--count", "@{upstream}..HEAD"]),
        ) else {
            return Ok(());
        };
        if changes.is_empty() && ahead == "0" {
            return Ok(());
        }
        self.ui.complain("push your changes before deploying, or use --force");
        Err(Failure::Said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_steps() {
        let step = |words: &[&str]| step(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).ok();
        for (words, expected) in [
            (&[][..], Some(Step::Deploy(None))),
            (&["update"], Some(Step::Deploy(None))),
            (&["ref", "v2"], Some(Step::Deploy(Some("v2".into())))),
            (&["revert"], Some(Step::Revert(1))),
            (&["revert", "3"], Some(Step::Revert(3))),
            (&["revert", "x"], None),
            (&["previous"], Some(Step::Previous)),
            (&["run", "ls", "-l"], Some(Step::Exec("ls -l".into()))),
            (&["exec"], None),
            (&["bogus"], None),
            (&["list", "more"], None),
        ] {
            assert_eq!(step(words), expected, "{words:?}");
        }
    }
}
