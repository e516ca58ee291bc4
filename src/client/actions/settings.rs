//! `get`, `set`, `multiset`, `unset`: the store `module_conf.json` (contract/api.md section 6.7).
//!
//! Owns: the file and the syntax of keys. Prints nothing (Q24).

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Map, Value, json};

use super::bulk::{self, Verb};
use super::renew::renew_ids;
use super::{answer, caller, success};
use crate::client::action::{Answer, Context};
use crate::client::error::CallError;
use crate::client::files;
use crate::client::select::select;
use crate::client::session::Session;

type Store = Map<String, Value>;

/// `{success: true, value}`; without a key, or with `all`, the whole store.
pub(super) fn get(session: &Session, key: Option<&str>) -> Result<Answer, CallError> {
    let store = read(session)?;
    let value = match key {
        None | Some("" | "all") => Some(Value::Object(store)),
        Some(key) => find(&store, &parts(key)).cloned(),
    };
    let unknown = || CallError::refused("KEY_NOT_FOUND", format!("no value is set for `{}`", key.unwrap_or_default()));
    answer(&json!({ "success": true, "value": value.ok_or_else(unknown)? }))
}

/// Writes a value; the app or module that it belongs to is restarted with it, if it runs.
pub(super) async fn set(session: &Session, key: &str, value: Value, context: &Context) -> Result<Answer, CallError> {
    change(session, |store| insert(store, &parts(key), value))?;
    restart_owner(session, key, context).await;
    success()
}

/// `k1 v1 k2 v2`.
pub(super) async fn multiset(session: &Session, text: &str, context: &Context) -> Result<Answer, CallError> {
    let words = words(text);
    if words.is_empty() || !words.len().is_multiple_of(2) {
        let text = format!("`{text}` is no list of keys and values: `key value key value`");
        return Err(CallError::refused("INVALID_ARGUMENT", text));
    }
    let pairs: Vec<(String, String)> =
        words.chunks_exact(2).filter_map(|pair| Some((pair.first()?.clone(), pair.last()?.clone()))).collect();
    change(session, |store| {
        for (key, value) in &pairs {
            insert(store, &parts(key), value.clone().into());
        }
    })?;
    for (key, _) in &pairs {
        restart_owner(session, key, context).await;
    }
    success()
}

/// Removes a value; `all` empties the store. An unknown key is no error.
pub(super) fn unset(session: &Session, key: &str) -> Result<Answer, CallError> {
    change(session, |store| {
        if key == "all" {
            store.clear();
        } else {
            remove(store, &parts(key));
        }
    })?;
    success()
}

fn read(session: &Session) -> Result<Store, CallError> {
    let path = &session.home().module_conf_file;
    let Some(content) = files::read(path)? else { return Ok(Store::new()) };
    if content.trim_ascii().is_empty() {
        return Ok(Store::new());
    }
    serde_json::from_slice(&content).map_err(|error| {
        CallError::refused("INVALID_FILE", format!("cannot read {}: {error}; repair or remove it", path.display()))
    })
}

/// Reads, changes, replaces. A file that cannot be read is left alone.
pub(super) fn change(session: &Session, change: impl FnOnce(&mut Store)) -> Result<(), CallError> {
    files::create_home(session.home())?;
    let mut store = read(session)?;
    change(&mut store);
    let mut text = Vec::new();
    let mut writer = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"    "));
    store.serialize(&mut writer).map_err(|error| CallError::refused("INTERNAL", error.to_string()))?;
    files::replace(&session.home().module_conf_file, &text)
}

/// The parts of a key: `a.b`, or `a:b` when no dot stands in it; quoted parts may hold both. A key that names what
/// JavaScript keeps behind objects stays in one piece.
fn parts(key: &str) -> Vec<String> {
    let parts = split(key, |letter| letter == '.').filter(|parts| parts.len() > 1);
    let parts = parts.or_else(|| split(key, |letter| letter == ':')).unwrap_or_else(|| vec![key.to_owned()]);
    if parts.iter().any(|part| ["__proto__", "constructor", "prototype"].contains(&part.as_str())) {
        return vec![key.to_owned()];
    }
    parts
}

/// Splits outside of quotes, which go. `None` when a quote has no end.
fn split(key: &str, separates: impl Fn(char) -> bool) -> Option<Vec<String>> {
    let mut parts = vec![String::new()];
    let mut quote = None;
    for letter in key.chars() {
        match quote {
            Some(open) if letter == open => quote = None,
            None if letter == '"' || letter == '\'' => quote = Some(letter),
            None if separates(letter) => parts.push(String::new()),
            _ => parts.last_mut()?.push(letter),
        }
    }
    quote.is_none().then_some(parts)
}

/// Words separated by blanks; quoted ones keep their quotes.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for letter in text.chars() {
        match quote {
            Some(open) if letter == open => quote = None,
            None if letter == '"' || letter == '\'' => quote = Some(letter),
            None if letter.is_whitespace() => {
                words.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(word) = words.last_mut() {
            word.push(letter);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn find<'a>(store: &'a Store, parts: &[String]) -> Option<&'a Value> {
    let (first, rest) = parts.split_first()?;
    rest.iter().try_fold(store.get(first)?, |value, part| value.get(part))
}

fn insert(store: &mut Store, parts: &[String], value: Value) {
    let Some((last, path)) = parts.split_last() else { return };
    let mut inner = store;
    for part in path {
        let next = inner.entry(part.clone()).or_insert_with(|| json!({}));
        if !next.is_object() {
            *next = json!({});
        }
        let Value::Object(next) = next else { return };
        inner = next;
    }
    inner.insert(last.clone(), value);
}

fn remove(store: &mut Store, parts: &[String]) {
    let Some((last, path)) = parts.split_last() else { return };
    let mut inner = store;
    for part in path {
        let Some(Value::Object(next)) = inner.get_mut(part) else { return };
        inner = next;
    }
    inner.shift_remove(last);
}

/// Hands the new settings to the app that the first part names. Whatever fails: the setting is written.
async fn restart_owner(session: &Session, key: &str, context: &Context) {
    let parts = parts(key);
    let Some(owner) = parts.first().filter(|_| parts.len() > 1) else { return };
    // No daemon, nobody to tell: none is launched for it.
    if !matches!(session.connection_if_alive().await, Ok(Some(_))) {
        return;
    }
    let _: Result<(), CallError> = async {
        let list = bulk::list(session).await?;
        let ids = select(owner, &list, &context.cwd)?;
        let options = [("updateEnv".to_owned(), Value::Bool(true))].into_iter().collect();
        let caller = caller::caller(session, context);
        renew_ids(session, Verb::Restart, ids, &options, &list, &caller).await.map(drop)
    }
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::launch::Options;

    #[test]
    fn keys_are_split_at_dots_or_else_at_colons() {
        for (key, expected) in [
            ("a", vec!["a"]),
            ("a:b", vec!["a", "b"]),
            ("a.b:c", vec!["a", "b:c"]),
            ("'x.y'.z", vec!["x.y", "z"]),
            ("a.__proto__", vec!["a.__proto__"]),
            ("it's", vec!["it's"]),
        ] {
            assert_eq!(parts(key), expected, "{key}");
        }
    }

    #[test]
    fn values_are_set_found_and_removed() {
        let mut store = Store::new();
        insert(&mut store, &parts("m:a"), "1".into());
        insert(&mut store, &parts("m.b.c"), "2".into());
        insert(&mut store, &parts("m.a.x"), "3".into());
        assert_eq!(Value::Object(store.clone()), json!({ "m": { "a": { "x": "3" }, "b": { "c": "2" } } }));
        assert_eq!(find(&store, &parts("m.b.c")), Some(&json!("2")));
        assert_eq!(find(&store, &parts("m.b.c.d")), None);
        remove(&mut store, &parts("m.a"));
        remove(&mut store, &parts("n.a"));
        assert_eq!(Value::Object(store), json!({ "m": { "b": { "c": "2" } } }));
    }

    #[test]
    fn the_file_is_indented_by_four_and_a_broken_one_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let options =
            Options { home: folder.path().into(), daemon_mode: true, pm2d: "/nowhere".into(), agent: "".into() };
        let session = Session::new(options);
        let path = session.home().module_conf_file.clone();
        change(&session, |store| insert(store, &parts("a:b"), "c".into())).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\n    \"a\": {\n        \"b\": \"c\"\n    }\n}");
        std::fs::write(&path, "{oops").unwrap();
        assert_eq!(change(&session, Store::clear).unwrap_err().code(), "INVALID_FILE");
        assert_eq!(std::fs::read(&path).unwrap(), b"{oops");
    }

    #[test]
    fn words_keep_their_quotes() {
        assert_eq!(words("a 1  'b c' \"x y\""), ["a", "1", "'b c'", "\"x y\""]);
    }
}
