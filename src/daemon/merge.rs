//! New wishes for an instance that is there already: what `restartProcessId` and `reloadProcessId` bring along.
//!
//! Owns: the rules of contract/api.md section 6.1.3 and contract/options.md section 3.3.
//! Must never: let an environment variable change one of pm2's own keys (Q55).

use serde_json::{Map, Value};

use super::env_block::EnvBlock;
use super::instances::{increment_var, instance_var, number, strip_env};
use super::keys;
use super::record::{self, Record};

/// What a call brings along.
#[derive(Debug, Default)]
pub(crate) struct Patch {
    /// The `env` of the call: `{current_conf: {..}, NAME: value, ..}`.
    pub(crate) wishes: Map<String, Value>,
    pub(crate) scope: Scope,
}

/// Which variables of the record go when the call does not name them, so that no environment goes stale. Only our own
/// client asks for more than the first.
#[derive(Debug, Default)]
pub(crate) enum Scope {
    /// None.
    #[default]
    Named,
    /// Those that came from a caller: these are another caller's, all of them.
    Caller,
    /// All: these are all there are. `own`: the app's own among them.
    All { own: Option<Map<String, Value>> },
}

/// Merges `patch` into the record. The answer is whether anything was there to be merged.
pub(crate) fn merge(record: &mut Record, patch: Patch) -> bool {
    let mut variables = Map::new();
    let mut options = Map::new();
    for (key, value) in patch.wishes {
        match (key.as_str(), value) {
            ("current_conf", Value::Object(conf)) => options = conf,
            // Stock clients send `{<target>: {}}` along, which is no variable.
            ("current_conf", _) | (_, Value::Object(_)) => {}
            (_, value) => {
                variables.insert(key, value);
            }
        }
    }
    // `env` of the options is the older layer: a variable named beside it was set later.
    let mut env = match options.shift_remove("env") {
        Some(Value::Object(env)) => env,
        _ => Map::new(),
    };
    env.extend(variables);
    let names_all = !matches!(patch.scope, Scope::Named);
    if env.is_empty() && options.is_empty() && !names_all {
        return false;
    }
    merge_options(record.config_mut(), options);
    if names_all || !env.is_empty() {
        merge_env(record, env, patch.scope);
    }
    true
}

/// A value that is the text `null` deletes its key; the execution mode never changes.
fn merge_options(config: &mut Map<String, Value>, options: Map<String, Value>) {
    for (key, value) in options {
        if keys::is_state(&key) || key == "exec_mode" {
            continue;
        }
        if value.as_str() == Some("null") {
            config.shift_remove(&key);
        } else {
            config.insert(key, value);
        }
    }
}

/// Over the variables that the record keeps, according to `scope`.
fn merge_env(record: &mut Record, mut new: Map<String, Value>, scope: Scope) {
    for value in new.values_mut().filter(|value| value.is_null()) {
        *value = Value::String("null".to_owned());
    }
    let mut env = match scope {
        Scope::Named => {
            let mut env = record.env().to_map();
            env.extend(new);
            env
        }
        Scope::Caller => {
            let own = record.own_env_map().unwrap_or_else(|| not_of_the_caller(record, &new));
            // A caller's variable goes over the app's, as in pm2; when the caller has it no more, the app's is back.
            for (key, value) in &own {
                new.entry(key.clone()).or_insert_with(|| value.clone());
            }
            record.set_own_env(Some(record::own_text(&own)));
            count_on(record, &mut new);
            new
        }
        Scope::All { own } => {
            record.set_own_env(own.as_ref().map(record::own_text));
            count_on(record, &mut new);
            new
        }
    };
    let var = instance_var(record.config());
    strip_env(&mut env, &var);
    // The instance number is configuration here: keep it while flat copies are cleaned away.
    record::clean(record.config_mut(), &env);
    record.set_env(EnvBlock::new(&env));
}

/// The app's own variables where nobody ever told: all that this caller does not have.
fn not_of_the_caller(record: &Record, caller: &Map<String, Value>) -> Map<String, Value> {
    let mut own = record.env().to_map();
    own.retain(|name, _| !caller.contains_key(name));
    if let Some(value) = increment_var(record.config()).and_then(|counter| own.get_mut(counter))
        && let Some(n) = number(value)
    {
        *value = n.saturating_sub(record.offset).into();
    }
    own
}

/// The variables are as configured: each instance's counter is as far above that as it was at its start. (With pm2 all
/// instances have the same port after such a restart.)
fn count_on(record: &Record, env: &mut Map<String, Value>) {
    let Some(counter) = increment_var(record.config()) else { return };
    let configured = env.get(counter).map_or(Some(0), number);
    if let Some(configured) = configured {
        env.insert(counter.to_owned(), configured.saturating_add(record.offset).into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::PmId;

    fn merged(config: Value, env: Value, patch: Value) -> Record {
        let (Value::Object(config), Value::Object(env), Value::Object(patch)) = (config, env, patch) else {
            panic!("objects")
        };
        let mut record = Record::new(PmId(0), config, EnvBlock::new(&env), "u");
        merge(&mut record, Patch { wishes: patch, scope: Scope::Named });
        record
    }

    #[test]
    fn options_merge_and_the_text_null_deletes() {
        let r = merged(
            json!({ "name": "a", "max_restarts": 3, "exec_mode": "fork_mode" }),
            json!({}),
            json!({ "current_conf": { "max_restarts": "null", "kill_timeout": 5, "exec_mode": "cluster_mode",
                                      "pm_id": 9, "env": {} } }),
        );
        assert_eq!(
            Value::Object(r.config().clone()),
            json!({ "name": "a", "exec_mode": "fork_mode", "kill_timeout": 5 })
        );
    }

    #[test]
    fn variables_merge_over_the_stored_ones() {
        let r = merged(
            json!({ "name": "a", "NODE_APP_INSTANCE": 1 }),
            json!({ "KEEP": "1", "CHANGE": "old" }),
            json!({ "CHANGE": "new", "GONE": null, "unique_id": "x", "NODE_APP_INSTANCE": 7, "name": "b",
                    "current_conf": { "env": { "CHANGE": "conf", "ADD": 2 } } }),
        );
        assert_eq!(r.env().members(), r#""KEEP":"1","CHANGE":"new","ADD":2,"GONE":"null","name":"b""#);
        assert_eq!(r.config()["NODE_APP_INSTANCE"], 1);
        assert_eq!(r.name(), "a");
    }

    #[test]
    fn a_whole_environment_leaves_no_variable_behind() {
        let Value::Object(env) = json!({ "STALE": "1", "KEEP": "1" }) else { panic!("object") };
        let mut record = Record::new(PmId(0), Map::new(), EnvBlock::new(&env), "u");
        let Value::Object(wishes) = json!({ "KEEP": "2", "current_conf": {}, "api": {} }) else { panic!("object") };
        assert!(merge(&mut record, Patch { wishes, scope: Scope::All { own: None } }));
        assert_eq!(record.env().members(), r#""KEEP":"2""#);
    }

    /// The environment after a caller with these variables renewed it.
    fn renewed(record: &mut Record, caller: Value) -> Value {
        let Value::Object(wishes) = caller else { panic!("object") };
        assert!(merge(record, Patch { wishes, scope: Scope::Caller }));
        Value::Object(record.env().to_map())
    }

    #[test]
    fn what_a_caller_no_longer_has_goes_and_what_is_the_apps_stays() {
        let Value::Object(env) = json!({ "SHELL_A": "1", "OWN": "app", "BOTH": "app" }) else { panic!("object") };
        let mut record = Record::new(PmId(0), Map::new(), EnvBlock::new(&env), "u");
        let Value::Object(own) = json!({ "OWN": "app", "BOTH": "app" }) else { panic!("object") };
        record.set_own_env(Some(record::own_text(&own)));
        let now = renewed(&mut record, json!({ "SHELL_B": "2", "BOTH": "shell" }));
        assert_eq!(now, json!({ "SHELL_B": "2", "BOTH": "shell", "OWN": "app" }));
        let stored = record.to_stored();
        let mut record = Record::from_stored(PmId(0), stored, None, &mut std::collections::HashMap::new());
        let now = renewed(&mut record, json!({ "SHELL_C": "3" }));
        assert_eq!(now, json!({ "SHELL_C": "3", "BOTH": "app", "OWN": "app" }));
    }

    #[test]
    fn where_nobody_told_whose_a_variable_is_nothing_goes_the_first_time() {
        let Value::Object(env) = json!({ "A": "1", "B": "1" }) else { panic!("object") };
        let mut record = Record::new(PmId(0), Map::new(), EnvBlock::new(&env), "u");
        assert_eq!(renewed(&mut record, json!({ "B": "2", "C": "2" })), json!({ "B": "2", "C": "2", "A": "1" }));
        assert_eq!(renewed(&mut record, json!({ "C": "3" })), json!({ "C": "3", "A": "1" }));
    }

    #[test]
    fn each_instance_keeps_its_distance_from_the_configured_port() {
        let Value::Object(config) = json!({ "name": "a", "increment_var": "PORT" }) else { panic!("object") };
        let Value::Object(env) = json!({ "PORT": 3002 }) else { panic!("object") };
        let mut record = Record::new(PmId(0), config, EnvBlock::new(&env), "u");
        record.offset = 2;
        assert_eq!(renewed(&mut record, json!({ "X": "1" })), json!({ "X": "1", "PORT": 3002 }));
        let Value::Object(wishes) = json!({ "PORT": 4000 }) else { panic!("object") };
        let scope = Scope::All { own: Some(wishes.clone()) };
        assert!(merge(&mut record, Patch { wishes, scope }));
        assert_eq!(record.env().members(), r#""PORT":4002"#);
        assert_eq!(renewed(&mut record, json!({})), json!({ "PORT": 4002 }));
    }

    #[test]
    fn an_empty_patch_changes_nothing() {
        let Value::Object(config) = json!({ "name": "a" }) else { panic!("object") };
        let mut record = Record::new(PmId(0), config, EnvBlock::new(&Map::new()), "u");
        assert!(!merge(&mut record, Patch::default()));
    }
}
