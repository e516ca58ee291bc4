//! The same verb on many processes: how many at a time, and what becomes of errors.
//!
//! Owns: concurrency. A stock daemon gets few calls at a time, as its own client would send them; ours gets all at once.
//! Invariant: the first error ends the call with that error; what is in flight goes on (contract/api.md section 5).

use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::client::error::CallError;
use crate::client::procs::{Listed, ProcFlat, parse, text};
use crate::client::session::Session;
use crate::wire::rpc::Origin;

/// A verb of the daemon on one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Stop,
    Restart,
    Reload,
    Delete,
}

impl Verb {
    pub(super) fn method(self) -> &'static str {
        match self {
            Verb::Stop => "stopProcessId",
            Verb::Restart => "restartProcessId",
            Verb::Reload => "reloadProcessId",
            Verb::Delete => "deleteProcessId",
        }
    }

    /// The name under which the bus tells that it was done by hand.
    fn event(self) -> &'static str {
        match self {
            Verb::Stop => "stop",
            Verb::Restart => "restart",
            Verb::Reload => "reload",
            Verb::Delete => "delete",
        }
    }
}

/// What restart and reload hand over: new options and variables.
#[derive(Debug)]
pub(super) struct Wishes {
    /// `{current_conf: {..}, NAME: value, ..}` (contract/wire.md section 5).
    pub(super) env: Value,
    pub(super) scope: Scope,
}

/// Which variables of the process go when they are not among those that are sent. A stock daemon knows no such word and
/// keeps what it has.
#[derive(Debug)]
pub(super) enum Scope {
    /// None.
    Named,
    /// Those that came from a caller: what is sent is the whole environment of this one.
    Caller,
    /// All; which ones are the app's own.
    All(Origin),
}

/// Carries out `verb` on one process and has it told on the bus.
pub(super) async fn act(
    session: &Session,
    verb: Verb,
    id: &Value,
    wishes: Option<Arc<Wishes>>,
) -> Result<Box<RawValue>, CallError> {
    let method = verb.method();
    // One connection for all of it: a daemon that goes away meanwhile is not launched again to be told about an event.
    let (connection, _) = session.connection().await?;
    let gone = || CallError::WentAway(method.to_owned());
    let pending = if let Verb::Restart | Verb::Reload = verb {
        let nothing = Value::Object(serde_json::Map::new());
        let (env, scope) = wishes.as_ref().map_or((&nothing, &Scope::Named), |wishes| (&wishes.env, &wishes.scope));
        let (replace_env, pm2rs) = match scope {
            Scope::All(origin) => (true, Some(origin)),
            Scope::Named | Scope::Caller => (false, None),
        };
        let renew_env = matches!(scope, Scope::Caller);
        connection.send(method, &[WithEnv { id, env, replace_env, renew_env, pm2rs }])?.ok_or_else(gone)?
    } else {
        // Else a change of a file, or the exit itself, would start the app again. Sent first, so done first.
        connection.send("stopWatch", &(method, id))?;
        connection.send(method, &[id])?.ok_or_else(gone)?
    };
    let answer = first(method, pending.answer().await?)?;
    let note = serde_json::json!({ "id": id, "action_name": verb.event(), "manually": true });
    if let Some(pending) = connection.send("notifyByProcessId", &[note])? {
        // The daemon refuses it for what is deleted, and if it went away there is nobody to tell.
        let _ = pending.answer().await;
    }
    Ok(answer)
}

#[derive(Debug, serde::Serialize)]
struct WithEnv<'a> {
    id: &'a Value,
    env: &'a Value,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replace_env: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    renew_env: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pm2rs: Option<&'a Origin>,
}

/// The value of an answer; every method that verbs use gives exactly one.
pub(super) fn first(method: &str, values: Vec<Box<RawValue>>) -> Result<Box<RawValue>, CallError> {
    values
        .into_iter()
        .next()
        .ok_or_else(|| CallError::BadAnswer { method: method.to_owned(), reason: "it is empty".to_owned() })
}

/// How many calls at a time: what the caller asks for, else by who listens. `wide`: what a stock daemon gets at most.
pub(super) async fn width(session: &Session, count: usize, asked: Option<usize>, wide: usize) -> usize {
    if let Some(asked) = asked.filter(|asked| *asked > 0) {
        return asked;
    }
    if count <= 1 {
        return 1;
    }
    let ours = match session.connection().await {
        Ok((connection, _)) => connection.peer().await.is_some(),
        Err(_) => false,
    };
    match (ours, wide) {
        (true, _) => count,
        (false, 10..) => wide,
        (false, _) if count <= 2 => 1,
        (false, _) => session.variable("PM2_CONCURRENT_ACTIONS").and_then(|text| text.parse().ok()).unwrap_or(wide),
    }
}

/// Runs `work` on all `items`, `width` at a time; the answers are in the order of the items.
pub(super) async fn each<I, T, F, R>(items: Vec<I>, width: usize, work: F) -> Result<Vec<T>, CallError>
where
    F: Fn(I) -> R,
    R: Future<Output = Result<T, CallError>> + Send + 'static,
    T: Send + 'static,
{
    let mut answers: Vec<Option<T>> = Vec::new();
    answers.resize_with(items.len(), || None);
    let mut running = JoinSet::new();
    let mut waiting = items.into_iter().enumerate();
    loop {
        while running.len() < width.max(1)
            && let Some((index, item)) = waiting.next()
        {
            let job = work(item);
            running.spawn(async move { (index, job.await) });
        }
        let Some(done) = running.join_next().await else { break };
        let (index, answer) = done.map_err(|panic| CallError::refused("INTERNAL", panic.to_string()))?;
        match answer {
            Ok(answer) => {
                if let Some(slot) = answers.get_mut(index) {
                    *slot = Some(answer);
                }
            }
            Err(error) => {
                running.detach_all();
                return Err(error);
            }
        }
    }
    Ok(answers.into_iter().flatten().collect())
}

/// The list of processes, as far as verbs look into it.
pub(super) async fn list(session: &Session) -> Result<Vec<Listed>, CallError> {
    let list = ask_list(session, json!({ "brief": true })).await?;
    parse("getMonitorData", &list)
}

/// The list of processes as the daemon gave it.
pub(super) async fn raw_list(session: &Session) -> Result<Box<RawValue>, CallError> {
    first("getMonitorData", session.rpc("getMonitorData", &[serde_json::Map::new()]).await?)
}

/// The list of processes, of which no more is needed than the wish says (`daemon::methods::list`). A stock daemon knows no
/// wishes and gives the whole list.
pub(super) async fn ask_list(session: &Session, wish: Value) -> Result<Box<RawValue>, CallError> {
    first("getMonitorData", session.rpc("getMonitorData", &[json!({ "pm2rs": wish })]).await?)
}

/// Carries out `verb` on all `targets` (an id and what is handed over).
pub(super) async fn act_on_all(
    session: &Session,
    verb: Verb,
    targets: Vec<(Value, Option<Arc<Wishes>>)>,
    asked: Option<usize>,
) -> Result<Vec<ProcFlat>, CallError> {
    let wide = if verb == Verb::Delete { 10 } else { 2 };
    let width = width(session, targets.len(), asked, wide).await;
    let answers = each(targets, width, |(id, wishes)| {
        let session = session.clone();
        async move {
            let answer = act(&session, verb, &id, wishes).await?;
            let flat = ProcFlat::read(verb.method(), &answer)?;
            match flat {
                Some(flat) if flat.is_outgoing() => Ok(Some(current(&session, &id).await?.unwrap_or(flat))),
                flat => Ok(flat),
            }
        }
    })
    .await?;
    Ok(answers.into_iter().flatten().collect())
}

/// The process that has this id now.
async fn current(session: &Session, id: &Value) -> Result<Option<ProcFlat>, CallError> {
    let list = ask_list(session, json!({ "target": text(id) })).await?;
    let processes: Vec<&RawValue> = parse("getMonitorData", &list)?;
    for process in processes {
        let seen: Listed = parse("getMonitorData", process)?;
        if seen.pm_id == *id {
            return ProcFlat::read("getMonitorData", process);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn no_more_run_than_allowed_and_answers_keep_their_order() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let running = Arc::new(AtomicUsize::new(0));
        let answers = runtime
            .block_on(each((0..20_u64).collect(), 3, |item| {
                let running = Arc::clone(&running);
                async move {
                    assert!(running.fetch_add(1, Ordering::SeqCst) < 3);
                    tokio::time::sleep(std::time::Duration::from_millis(20 - item)).await;
                    running.fetch_sub(1, Ordering::SeqCst);
                    Ok(item)
                }
            }))
            .unwrap();
        assert_eq!(answers, (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_error_ends_the_call() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let result = runtime.block_on(each(vec![1, 2, 3], 1, |item| async move {
            assert_ne!(item, 3, "never begun");
            if item == 2 { Err(CallError::NotFound) } else { Ok(item) }
        }));
        assert!(matches!(result, Err(CallError::NotFound)));
    }
}
