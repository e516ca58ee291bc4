//! The `deploy.<environment>` section of a config file. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// One environment, checked.
#[derive(Debug)]
pub(super) struct Plan {
    /// `user@host`, or the bare host.
    pub(super) hosts: Vec<String>,
    pub(super) repository: String,
    /// The folder on the host.
    pub(super) path: String,
    pub(super) reference: String,
    /// `fetch: "fast"`: only the last commits.
    pub(super) is_shallow: bool,
    pub(super) env: BTreeMap<String, String>,
    pub(super) pre_setup: Option<String>,
    pub(super) post_setup: Option<String>,
    pub(super) pre_deploy_local: Option<String>,
    pub(super) pre_deploy: Option<String>,
    pub(super) post_deploy: String,
    /// Arguments of ssh before the host.
    options: Vec<String>,
}

impl Plan {
    /// Reads a section; the error names the key.
    pub(super) fn read(section: &Value, environment: &str, file: &str) -> Result<Plan, String> {
        let Some(section) = section.as_object() else { return Err(format!("deploy.{environment} is no object")) };
        let required = |key: &str| {
            let value = text(section, key);
            value.ok_or_else(|| format!("deploy.{environment}.{key} is missing in {file}"))
        };
        let mut hosts = list(section, "host");
        if hosts.is_empty() {
            return Err(format!("deploy.{environment}.host is missing in {file}"));
        }
        if let Some(user) = text(section, "user") {
            for host in hosts.iter_mut().filter(|host| !host.contains('@')) {
                *host = format!("{user}@{host}");
            }
        }
        let path = required("path")?;
        // ssh takes what starts with a dash for an option of its own.
        if let Some(bad) = hosts.iter().chain([&path]).find(|word| word.starts_with('-')) {
            return Err(format!("`{bad}` in deploy.{environment} of {file} must not start with a dash"));
        }
        let mut options = Vec::new();
        for option in list(section, "ssh_options") {
            options.extend(["-o".to_owned(), option]);
        }
        for (key, flag) in [("port", "-p"), ("key", "-i")] {
            if let Some(value) = text(section, key) {
                options.extend([flag.to_owned(), value]);
            }
        }
        for (keys, flag) in [(["forward-agent", "forward_agent"], "-A"), (["needs_tty", "needs-tty"], "-t")] {
            if keys.iter().any(|key| is_on(section, key)) {
                options.push(flag.to_owned());
            }
        }
        let env = match section.get("env") {
            Some(Value::Object(env)) => env.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
            _ => BTreeMap::new(),
        };
        if let Some(bad) = env.keys().find(|name| !is_variable(name)) {
            return Err(format!("`{bad}` in deploy.{environment}.env is no name of a variable"));
        }
        let default = || format!("pm2-rs startOrRestart {} --env {}", quoted(file), quoted(environment));
        Ok(Plan {
            hosts,
            repository: required("repo")?,
            path,
            reference: required("ref")?,
            is_shallow: text(section, "fetch").is_some_and(|fetch| fetch == "fast"),
            env,
            pre_setup: text(section, "pre-setup"),
            post_setup: text(section, "post-setup"),
            pre_deploy_local: text(section, "pre-deploy-local"),
            pre_deploy: text(section, "pre-deploy"),
            post_deploy: text(section, "post-deploy").unwrap_or_else(default),
            options,
        })
    }

    pub(super) fn ssh_arguments(&self, host: &str) -> Vec<String> {
        let mut arguments = self.options.clone();
        arguments.push(host.to_owned());
        arguments
    }
}

/// A word for a shell.
pub(super) fn quoted(word: &str) -> String {
    let plain = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+:@=,".contains(c));
    if plain { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

fn text(section: &Map<String, Value>, key: &str) -> Option<String> {
    section.get(key).filter(|value| value.is_string() || value.is_number()).map(plain).filter(|text| !text.is_empty())
}

/// One text or several.
fn list(section: &Map<String, Value>, key: &str) -> Vec<String> {
    match section.get(key) {
        Some(Value::Array(values)) => values.iter().map(plain).filter(|text| !text.is_empty()).collect(),
        _ => text(section, key).into_iter().collect(),
    }
}

fn is_on(section: &Map<String, Value>, key: &str) -> bool {
    match section.get(key) {
        Some(Value::Bool(on)) => *on,
        Some(Value::String(text)) => ["true", "yes", "1"].contains(&text.as_str()),
        _ => false,
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_section_becomes_hosts_and_options_of_ssh() {
        let plan = Plan::read(
            &json!({
                "host": ["a.example", "root@b.example"], "user": "deploy", "repo": "git@x:y.git", "ref": "origin/main",
                "path": "/srv/app", "port": 2222, "key": "/k", "ssh_options": ["StrictHostKeyChecking=no"],
                "forward-agent": "yes", "needs_tty": true, "fetch": "fast", "env": { "A": 1 },
            }),
            "production",
            "eco.config.js",
        )
        .expect("valid");
        assert_eq!(plan.hosts, ["deploy@a.example", "root@b.example"]);
        let expected = ["-o", "StrictHostKeyChecking=no", "-p", "2222", "-i", "/k", "-A", "-t", "deploy@a.example"];
        assert_eq!(plan.ssh_arguments(&plan.hosts[0]), expected);
        assert!(plan.is_shallow);
        assert_eq!(plan.post_deploy, "pm2-rs startOrRestart eco.config.js --env production");
    }

    #[test]
    fn what_is_missing_or_dangerous_is_named() {
        let read = |section: Value| Plan::read(&section, "p", "f").expect_err("refused");
        assert_eq!(read(json!({})), "deploy.p.host is missing in f");
        assert_eq!(read(json!({ "host": "h", "path": "/p", "ref": "r" })), "deploy.p.repo is missing in f");
        let dash = json!({ "host": "-oProxyCommand=x", "path": "/p", "ref": "r", "repo": "g" });
        assert!(read(dash).contains("must not start with a dash"));
        let env = json!({ "host": "h", "path": "/p", "ref": "r", "repo": "g", "env": { "A;b": 1 } });
        assert!(read(env).contains("no name of a variable"));
    }
}
