//! Processes that exist, renewed: what `restart` and `reload` of a name do, and `start` of one that is known.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::aim::{Options, asked_width, flag};
use super::bulk::{self, Scope, Verb, Wishes};
use crate::client::error::CallError;
use crate::client::procs::{Listed, ProcFlat};
use crate::client::session::Session;
use crate::config::{self, Caller};

/// Restarts or reloads these processes with the overrides in `options`.
pub(super) async fn renew_ids(
    session: &Session,
    verb: Verb,
    ids: Vec<Value>,
    options: &Options,
    list: &[Listed],
    caller: &Caller,
) -> Result<Vec<ProcFlat>, CallError> {
    let mut by_name: HashMap<String, Arc<Wishes>> = HashMap::new();
    let mut targets = Vec::new();
    for id in ids {
        let name = list.iter().find(|process| process.pm_id == id).map(Listed::name).unwrap_or_default();
        let env = if let Some(env) = by_name.get(&name) {
            Arc::clone(env)
        } else {
            let overrides = config::restart_overrides(options, &name, caller)?;
            session.warn(overrides.warnings);
            let scope = if config::update_env(options) { Scope::Caller } else { Scope::Named };
            let env = Arc::new(Wishes { env: Value::Object(overrides.env), scope });
            by_name.insert(name, Arc::clone(&env));
            env
        };
        targets.push((id, Some(env)));
    }
    let ids: Vec<Value> = targets.iter().map(|(id, _)| id.clone()).collect();
    let answers = bulk::act_on_all(session, verb, targets, asked_width(options)).await?;
    if flag(options, "watch") {
        // The flag alone watches nothing (Q23).
        for id in ids {
            let _ = session.rpc("startWatch", &("restartProcessId", serde_json::json!({ "id": id }))).await;
        }
    }
    Ok(answers)
}
