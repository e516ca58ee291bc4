//! What is kept about one instance besides its state: configuration, environment, and what the app said about itself.
//!
//! Owns: the record, and its rendering as `pm2_env` (key order as recorded, contract/vectors/rpc-examples.json).
//! Must never: hold state that the supervisor has too (status, counters, pids): that comes in as a [`View`].

mod stored;

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::delta::push_difference;
use super::env_block::{EnvBlock, push_json, push_key, push_member, push_members};
use super::keys;
use crate::PM2_VERSION;
use crate::model::policy::Defaults;
use crate::model::{Exit, PmId, Policy, RunId, Signal};
use crate::supervisor::View;
use crate::wire::rpc::Origin;

pub(crate) use self::stored::{Stored, StoredSaid};

/// One instance.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) id: PmId,
    /// Everything asked for, in the order it was sent; `env` is there as a placeholder for its position only.
    config: Map<String, Value>,
    env: Rc<EnvBlock>,
    /// The app's own variables among those of `env`, as JSON; `None` when who started it did not say. What is not in here
    /// came from a caller's environment, and goes when a caller that renews the environment no longer has it.
    own_env: Option<Rc<str>>,
    /// How far the value of `increment_var` is above the one that was configured.
    pub(crate) offset: i64,
    pub(crate) unique_id: Box<str>,
    /// `version` of the nearest `package.json`; `None` when that file has none.
    pub(crate) version: Option<Rc<str>>,
    pub(crate) said: Said,
    /// The processes that were signalled last.
    pub(crate) tree: Option<Tree>,
    /// `monitor` and `unmonitor` were called with this answer.
    pub(crate) monitored: Option<bool>,
    rendered: RefCell<Option<Rendered>>,
    asked: Asked,
}

/// What each list asks of the configuration, found once.
#[derive(Debug, Default)]
struct Asked {
    name: OnceCell<Box<str>>,
    cluster: OnceCell<bool>,
}

/// What is made of a record once, and forgotten when it changes.
#[derive(Debug)]
struct Rendered {
    /// The configuration as JSON members, before and after the place of `env`.
    before: Box<str>,
    after: Box<str>,
    /// No other rendering, of this or another record, has this number.
    number: u64,
    /// How it was shown in the last list of differences.
    beside: Option<Rc<Beside>>,
}

/// A record as the difference from another one (see `delta`).
#[derive(Debug)]
pub(crate) struct Beside {
    /// The rendering that this is the difference from; its own number: it stands for itself.
    pub(crate) base: u64,
    /// Which keys its state had then.
    pub(crate) keys: StateKeys,
    /// The members that differ, without the state; and those of `env`.
    pub(crate) config: Box<str>,
    pub(crate) env: Box<str>,
}

/// Which of the optional members a state has: one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StateKeys(u16);

/// The processes that a stop signalled: descendants, deepest first, then the process itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tree {
    pub(crate) run: RunId,
    /// Pid and start time, which together name a process for ever.
    pub(crate) members: Vec<(i32, u64)>,
}

/// What the app told us over its channel. Kept as text: it is only passed on.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// Action name and the whole announcement.
    pub(crate) actions: Vec<(Box<str>, Box<RawValue>)>,
    pub(crate) monitor: Vec<(Box<str>, Box<RawValue>)>,
    pub(crate) options: Vec<(Box<str>, Box<RawValue>)>,
    pub(crate) node_version: Option<Box<str>>,
}

impl Said {
    /// Sets `name` in one of the lists, keeping its place.
    pub(crate) fn set(list: &mut Vec<(Box<str>, Box<RawValue>)>, name: &str, value: Box<RawValue>) {
        match list.iter_mut().find(|(known, _)| **known == *name) {
            Some((_, old)) => *old = value,
            None => list.push((name.into(), value)),
        }
    }

    /// `axm_options.pid`: the process to be measured instead of the one that was started.
    pub(crate) fn measured_pid(&self) -> Option<i32> {
        let (_, raw) = self.options.iter().find(|(name, _)| **name == *"pid")?;
        serde_json::from_str(raw.get()).ok().filter(|pid| *pid > 0)
    }
}

impl Record {
    /// `config` is an app as `prepare` takes it, already free of state keys (see `instances`).
    pub(crate) fn new(id: PmId, config: Map<String, Value>, env: Rc<EnvBlock>, unique_id: &str) -> Record {
        Record {
            id,
            config,
            env,
            own_env: None,
            offset: 0,
            unique_id: unique_id.into(),
            version: Some("N/A".into()),
            said: Said::default(),
            tree: None,
            monitored: None,
            rendered: RefCell::new(None),
            asked: Asked::default(),
        }
    }

    pub(crate) fn config(&self) -> &Map<String, Value> {
        &self.config
    }

    /// The configuration, to be changed; what was rendered from it is forgotten.
    pub(crate) fn config_mut(&mut self) -> &mut Map<String, Value> {
        self.rendered.replace(None);
        self.asked = Asked::default();
        &mut self.config
    }

    pub(crate) fn env(&self) -> &Rc<EnvBlock> {
        &self.env
    }

    pub(crate) fn set_env(&mut self, env: Rc<EnvBlock>) {
        self.rendered.replace(None);
        self.env = env;
    }

    /// The app's own variables, as JSON.
    pub(crate) fn own_env(&self) -> Option<&Rc<str>> {
        self.own_env.as_ref()
    }

    pub(crate) fn own_env_map(&self) -> Option<Map<String, Value>> {
        // The text was written by `own_text`, so it always parses.
        self.own_env.as_deref().map(|text| serde_json::from_str(text).unwrap_or_default())
    }

    pub(crate) fn origin(&self) -> Origin {
        Origin { own_env: self.own_env_map(), offset: Some(self.offset).filter(|offset| *offset != 0) }
    }

    pub(crate) fn set_own_env(&mut self, own: Option<Rc<str>>) {
        self.own_env = own;
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.config.get(key).and_then(Value::as_str)
    }

    /// A flag as JSON or as text; `None` when it is neither.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        match self.config.get(key)? {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) if text == "true" => Some(true),
            Value::String(text) if text == "false" => Some(false),
            _ => None,
        }
    }

    /// A list of arguments: an array of scalars, or a single text.
    pub(crate) fn list(&self, key: &str) -> Vec<String> {
        match self.config.get(key) {
            Some(Value::Array(items)) => items.iter().filter_map(scalar_text).collect(),
            Some(Value::String(text)) if !text.is_empty() => text.split_whitespace().map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.text("name").unwrap_or_default()
    }

    /// The name as JSON.
    pub(crate) fn name_json(&self) -> &str {
        self.asked.name.get_or_init(|| {
            let mut json = String::new();
            push_json(&mut json, self.name());
            json.into()
        })
    }

    /// Whether a client means this name: as text, whatever it was given as.
    pub(crate) fn name_is(&self, name: &str) -> bool {
        match self.config.get("name") {
            Some(Value::String(own)) => own == name,
            other => other.and_then(scalar_text).is_some_and(|own| own == name),
        }
    }

    pub(crate) fn namespace(&self) -> &str {
        self.text("namespace").unwrap_or("default")
    }

    pub(crate) fn is_cluster(&self) -> bool {
        *self.asked.cluster.get_or_init(|| self.text("exec_mode").is_some_and(|mode| mode.starts_with("cluster")))
    }

    pub(crate) fn policy(&self, defaults: &Defaults) -> Policy {
        Policy::from_record(&self.config, defaults)
    }

    /// Whether `name` selects this instance: its name, its namespace, the base name of its script, or `all`
    /// (contract/api.md section 6.4).
    pub(crate) fn answers_to(&self, name: &str) -> bool {
        let script = self.text("pm_exec_path").unwrap_or_default();
        let base = script.rsplit('/').next().unwrap_or_default();
        name == "all" || name == self.name() || name == self.namespace() || (!base.is_empty() && name == base)
    }

    /// The id as clients see it: a worker that is being replaced is `_old_<id>`.
    pub(crate) fn push_pm_id(&self, text: &mut String, old: bool) {
        if old {
            push_json(text, &format!("_old_{}", self.id));
        } else {
            push_json(text, &self.id.0);
        }
    }

    /// Appends the `pm2_env` object. With `with_env` the stored environment is part of it; the flat copy always is.
    pub(crate) fn push_pm2_env(&self, out: &mut String, view: &View, with_env: bool, old: bool) {
        let mut rendered = self.rendered.borrow_mut();
        let Rendered { before, after, .. } = rendered.get_or_insert_with(|| self.render_config());
        let start = out.len();
        out.reserve(before.len() + after.len() + self.env.members().len() + self.env.flat().len() + 2048);
        out.push('{');
        push_members(out, before);
        if with_env {
            push_key(out, "env");
            out.push('{');
            push_members(out, self.env.members());
            push_key(out, "unique_id");
            push_json(out, &self.unique_id);
            out.push('}');
        }
        push_members(out, after);
        push_members(out, self.env.flat());
        self.push_state(out, view, old);
        out.push('}');
        debug_assert!(out[start..].starts_with('{'));
    }

    /// The number of the present rendering, and how it was shown beside others if it was.
    pub(crate) fn rendering(&self) -> (u64, Option<Rc<Beside>>) {
        let mut rendered = self.rendered.borrow_mut();
        let rendered = rendered.get_or_insert_with(|| self.render_config());
        (rendered.number, rendered.beside.clone())
    }

    pub(crate) fn set_beside(&self, beside: Rc<Beside>) {
        if let Some(rendered) = &mut *self.rendered.borrow_mut() {
            rendered.beside = Some(beside);
        }
    }

    /// The members that differ from those of `base`, without state: of the record, and of its `env`. `None` when they do
    /// not have the same members in the same order.
    pub(crate) fn difference(&self, base: &Record) -> Option<(String, String)> {
        let (mut ours, mut theirs) = (self.rendered.borrow_mut(), base.rendered.borrow_mut());
        let ours = ours.get_or_insert_with(|| self.render_config());
        let theirs = theirs.get_or_insert_with(|| base.render_config());
        let mut config = String::new();
        push_difference(&mut config, &theirs.before, &ours.before)?;
        push_difference(&mut config, &theirs.after, &ours.after)?;
        let mut env = String::new();
        push_difference(&mut env, base.env.members(), self.env.members())?;
        push_difference(&mut config, base.env.flat(), self.env.flat())?;
        Some((config, env))
    }

    /// Which members [`Record::push_state`] writes besides those that are always there.
    pub(crate) fn state_keys(&self, view: &View) -> StateKeys {
        let there = [
            view.started_at.is_some(),
            self.is_cluster(),
            self.version.is_some(),
            self.said.node_version.is_some(),
            view.prev_restart_delay.is_some(),
            self.tree.is_some(),
            view.last_exit.is_some(),
            matches!(view.last_exit, Some(Exit::Signal(_))),
            view.ended_at.is_some(),
            self.monitored.is_some(),
        ];
        StateKeys(there.iter().fold(0, |bits, there| bits << 1 | u16::from(*there)))
    }

    /// Appends the members that change while the record does not.
    pub(crate) fn push_state(&self, out: &mut String, view: &View, old: bool) {
        push_key(out, "unique_id");
        push_json(out, &self.unique_id);
        push_key(out, "status");
        push_json(out, &view.status);
        if let Some(at) = view.started_at {
            push_key(out, "pm_uptime");
            push_json(out, &at);
        }
        push_key(out, "axm_actions");
        push_list(out, self.said.actions.iter().map(|(_, raw)| raw.get()));
        push_key(out, "axm_monitor");
        push_object(out, &self.said.monitor);
        push_key(out, "axm_options");
        push_object(out, &self.said.options);
        out.push_str(r#","axm_dynamic":{}"#);
        push_key(out, "created_at");
        push_json(out, &view.created_at);
        push_key(out, "pm_id");
        self.push_pm_id(out, old);
        push_key(out, "restart_time");
        push_json(out, &view.restart_time);
        push_key(out, "unstable_restarts");
        push_json(out, &view.unstable_restarts);
        if self.is_cluster() {
            push_key(out, "_pm2_version");
            push_json(out, PM2_VERSION);
        }
        if let Some(version) = &self.version {
            push_key(out, "version");
            push_json(out, &**version);
        }
        if let Some(version) = &self.said.node_version {
            push_key(out, "node_version");
            push_json(out, version);
        }
        if let Some(delay) = view.prev_restart_delay {
            push_key(out, "prev_restart_delay");
            push_json(out, &delay);
        }
        if let Some(tree) = &self.tree {
            let pids: Vec<i32> = tree.members.iter().map(|(pid, _)| *pid).collect();
            push_key(out, "_tree_pids");
            push_json(out, &pids);
        }
        if let Some(exit) = view.last_exit {
            push_key(out, "exit_code");
            push_json(out, &exit.pm2_code());
            if let Exit::Signal(signal) = exit {
                push_key(out, "exit_signal");
                push_json(out, &Signal(signal).to_string());
            }
        }
        if let Some(at) = view.ended_at {
            push_key(out, "exited_at");
            push_json(out, &at);
        }
        if let Some(monitored) = self.monitored {
            push_key(out, "_km_monitored");
            push_json(out, &monitored);
        }
    }

    fn render_config(&self) -> Rendered {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut before = String::new();
        let mut after = None;
        for (key, value) in &self.config {
            if key == "env" {
                after = Some(String::new());
                continue;
            }
            push_member(after.as_mut().unwrap_or(&mut before), key, value);
        }
        Rendered {
            before: before.into(),
            after: after.unwrap_or_default().into(),
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            beside: None,
        }
    }
}

fn push_list<'a>(out: &mut String, items: impl Iterator<Item = &'a str>) {
    out.push('[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(item);
    }
    out.push(']');
}

fn push_object(out: &mut String, members: &[(Box<str>, Box<RawValue>)]) {
    out.push('{');
    for (name, raw) in members {
        push_key(out, name);
        out.push_str(raw.get());
    }
    out.push('}');
}

/// The text of a scalar as JavaScript's `String()` gives it; `None` for null, arrays and objects.
pub(crate) fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The app's own variables as a record keeps them; instances of one start share the text.
pub(crate) fn own_text(own: &Map<String, Value>) -> Rc<str> {
    let mut text = String::from("{");
    for (key, value) in own {
        push_member(&mut text, key, value);
    }
    text.push('}');
    text.into()
}

/// Removes what is no configuration from an app that a client sent: state keys, and flat copies of variables that are
/// in its environment too (they come back in dumps).
pub(crate) fn clean(config: &mut Map<String, Value>, env: &Map<String, Value>) {
    config.retain(|key, _| !keys::is_state(key) && (keys::is_reserved(key) || !env.contains_key(key)));
}

#[cfg(test)]
mod tests;
