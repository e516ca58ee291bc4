//! What runs on a host: one script for each step, for the login shell there. Pure.
//!
//! Layout on the host (contract/cli.md section 14.2): `<path>/source` is the clone, `<path>/current` a link to it,
//! `<path>/shared/{logs,pids}`, and `<path>/.deploys` holds the commits that were deployed, the last one at its end.

use super::plan::{Plan, quoted};

/// Folders and clone. A second time it changes nothing.
pub(super) fn setup(plan: &Plan) -> String {
    let depth = if plan.is_shallow { " --depth=5 --no-single-branch" } else { "" };
    let mut script = head(plan);
    script += &["mkdir -p ", "\"$P\"/shared/logs \"$P\"/shared/pids\n"].concat();
    if let Some(line) = &plan.pre_setup {
        script += &hook(plan, "pre-setup", "$P", line);
    }
    script += &[
        "if [ -e \"$P\"/source/.git ]; then echo '--> the repository is there already'; else\n",
        &format!("echo {}\n", quoted(&format!("--> cloning {}", plan.repository))),
        &format!("git clone{depth} {} \"$P\"/source\nfi\n", quoted(&plan.repository)),
        "ln -sfn \"$P\"/source \"$P\"/current\ntouch \"$P\"/.deploys\n",
    ]
    .concat();
    if let Some(line) = &plan.post_setup {
        script += &hook(plan, "post-setup", "$P/source", line);
    }
    script + "echo '--> setup complete'\n"
}

/// Fetches, goes to the commit, and runs what is to run after that.
pub(super) fn deploy(plan: &Plan, reference: &str) -> String {
    let mut script = head(plan);
    script +=
        "if [ ! -d \"$P\"/source ]; then echo 'not set up yet: run deploy <environment> setup first' >&2; exit 1; fi\n";
    if let Some(line) = &plan.pre_deploy {
        script += &hook(plan, "pre-deploy", "$P/source", line);
    }
    let depth = if plan.is_shallow { " --depth=5" } else { "" };
    script += &[
        "cd \"$P\"/source\n",
        "echo '--> fetching updates'\n",
        &format!("git fetch{depth} --all --tags --force\n"),
        &format!("R={}\n", quoted(reference)),
        // A branch means the one of the repository, not what is checked out here.
        "if git rev-parse -q --verify \"origin/$R^{commit}\" >/dev/null; then R=origin/$R; fi\n",
        "echo \"--> resetting HEAD to $R\"\n",
        "git reset --hard \"$R\" --\n",
        "ln -sfn \"$P\"/source \"$P\"/current\n",
    ]
    .concat();
    script + &finish(plan)
}

/// The commit that was deployed `count` deployments ago.
pub(super) fn revert(plan: &Plan, count: usize) -> String {
    let mut script = head(plan);
    script += &[
        "cd \"$P\"/source\n",
        &format!("N=$(wc -l < \"$P\"/.deploys)\nif [ \"$N\" -le {count} ]; then\n"),
        &format!("echo \"there are only $N deployments: none to go back {count}\" >&2; exit 1\nfi\n"),
        &format!("R=$(tail -n {} \"$P\"/.deploys | head -n 1)\n", count.saturating_add(1)),
        "echo \"--> resetting HEAD to $R\"\ngit reset --hard \"$R\" --\n",
    ]
    .concat();
    script + &finish(plan)
}

fn finish(plan: &Plan) -> String {
    let mut script = hook(plan, "post-deploy", "$P/current", &plan.post_deploy);
    script += "cd \"$P\"/source\ngit rev-parse HEAD >> \"$P\"/.deploys\necho '--> successfully deployed' \"$R\"\n";
    script
}

pub(super) fn current(plan: &Plan) -> String {
    head(plan) + "tail -n 1 \"$P\"/.deploys\n"
}

pub(super) fn previous(plan: &Plan) -> String {
    head(plan)
        + "if [ \"$(wc -l < \"$P\"/.deploys)\" -lt 2 ]; then echo 'nothing was deployed before' >&2; exit 1; fi\n\
           tail -n 2 \"$P\"/.deploys | head -n 1\n"
}

/// The last deployment first, with what its commit says.
pub(super) fn list(plan: &Plan) -> String {
    head(plan)
        + "cd \"$P\"/source\nN=$(wc -l < \"$P\"/.deploys)\nI=0\nwhile [ \"$I\" -lt \"$N\" ]; do\n\
           C=$(tail -n $((I + 1)) \"$P\"/.deploys | head -n 1)\n\
           echo \"$I $C $(git log -1 --format=%s \"$C\" -- 2>/dev/null)\"\nI=$((I + 1))\ndone\n"
}

pub(super) fn exec(plan: &Plan, line: &str) -> String {
    head(plan) + &hook(plan, "exec", "$P/current", line)
}

/// Every command of a script must succeed, and knows `$P`.
fn head(plan: &Plan) -> String {
    // A path below the home folder of the user there is written with a tilde, which quotes would protect.
    let path = match plan.path.strip_prefix("~/") {
        Some(rest) => format!("\"$HOME\"/{}", quoted(rest)),
        None => quoted(&plan.path),
    };
    format!("set -e\nP={path}\n")
}

/// A line of the config file, in its folder and with the variables of the section.
fn hook(plan: &Plan, name: &str, folder: &str, line: &str) -> String {
    let mut script = format!("echo {}\n", quoted(&format!("--> {name}: {line}")));
    if name == "exec" {
        script.clear();
    }
    for (name, value) in &plan.env {
        script += &["export ", name, "=", &quoted(value), "\n"].concat();
    }
    script + &format!("(cd \"{folder}\" && SHARED=\"$P/shared\" && export SHARED && {{\n{line}\n}})\n")
}
