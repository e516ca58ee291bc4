//! Which processes a word names: pm2's order, the same for every command (contract/cli.md section 3).

use std::path::{Component, Path, PathBuf};

use super::{Call, Failure, Process};
use crate::client::CallError;

/// The processes that `target` names, in the order of the list: `all`, `/pattern/`, name or script, namespace, id.
pub(super) fn select<'a>(list: &'a [Process], target: &str, cwd: &Path) -> Result<Vec<&'a Process>, Failure> {
    let failure = |error| Failure::Call { target: target.to_owned(), error };
    let found = |wanted: &dyn Fn(&Process) -> bool| {
        let found: Vec<&Process> = list.iter().filter(|process| wanted(process)).collect();
        (!found.is_empty()).then_some(found)
    };
    if target == "all" {
        return found(&|process| !process.is_module()).ok_or_else(|| failure(CallError::NoMatch));
    }
    let pattern = target.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')).filter(|text| !text.is_empty());
    if let Some(pattern) = pattern {
        let pattern = regex::Regex::new(&pattern.replace('/', ""))
            .map_err(|_| Failure::Text(format!("Invalid regular expression: {target}")))?;
        return found(&|process| pattern.is_match(&process.name)).ok_or_else(|| failure(CallError::NoMatch));
    }
    let script = resolve(cwd, target);
    found(&|process| process.name == target || Path::new(&process.text("pm_exec_path")) == script)
        .or_else(|| found(&|process| process.text("namespace") == target))
        .or_else(|| found(&|process| process.id() == target))
        .ok_or_else(|| failure(CallError::NotFound))
}

/// Makes a path absolute without a look at the file system, as Node does.
fn resolve(cwd: &Path, path: &str) -> PathBuf {
    let mut resolved = PathBuf::new();
    for part in cwd.join(path).components() {
        match part {
            Component::ParentDir => {
                resolved.pop();
            }
            Component::CurDir => {}
            other => resolved.push(other),
        }
    }
    resolved
}

impl Call<'_> {
    /// The processes that one word names, now.
    pub(super) async fn meant_by(&self, target: &str) -> Result<Vec<Process>, Failure> {
        let list = self.processes().await?;
        Ok(select(&list, target, &self.context.cwd)?.into_iter().cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ids(target: &str) -> String {
        let list: Vec<Process> = serde_json::from_value(json!([
            { "name": "api", "pm_id": 0, "pm2_env": { "namespace": "web", "pm_exec_path": "/srv/api.js" } },
            { "name": "web", "pm_id": 1, "pm2_env": { "namespace": "default", "pm_exec_path": "/srv/web.js" } },
            { "name": "5", "pm_id": 2, "pm2_env": { "namespace": "n", "pm_exec_path": "/srv/5" } },
            { "name": "mod", "pm_id": 5, "pm2_env": { "namespace": "back", "pmx_module": true } },
        ]))
        .expect("a list");
        match select(&list, target, Path::new("/srv/sub")) {
            Ok(found) => found.iter().map(|process| process.id()).collect::<Vec<_>>().join(" "),
            Err(_) => "none".to_owned(),
        }
    }

    #[test]
    fn words_are_resolved_in_pm2s_order() {
        for (target, expected) in [
            ("all", "0 1 2"),
            ("/^[aw]/", "0 1"),
            ("/(/", "none"),
            ("web", "1"),
            ("back", "5"),
            ("../api.js", "0"),
            ("0", "0"),
            ("5", "2"),
            ("9", "none"),
            ("nobody", "none"),
        ] {
            assert_eq!(ids(target), expected, "{target}");
        }
    }
}
