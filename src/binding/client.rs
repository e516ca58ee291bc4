//! `NativeClient` and `NativeSubscription`, as `lib/` sees them.

#![expect(clippy::needless_pass_by_value, reason = "napi hands over what JavaScript gave by value")]

use std::fmt::Write;

use napi::bindgen_prelude::{Function, Object};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode, UnknownReturnValue};
use napi::{Env, Status};
use napi_derive::napi;
use serde::de::IgnoredAny;
use tokio::task::AbortHandle;

use super::runtime;
use crate::client::{self, Action, BusEvent, CallError, Options, Session, Subscription};

/// One caller's relation to one home.
#[napi]
#[derive(Debug)]
pub struct NativeClient {
    session: Session,
}

#[napi]
impl NativeClient {
    /// `optionsJson`: `{home, daemonMode, pm2d, agent}`. Opens nothing and starts nothing.
    #[napi(constructor)]
    pub fn new(options_json: String) -> napi::Result<NativeClient> {
        let options: Options =
            serde_json::from_str(&options_json).map_err(|e| napi::Error::from_reason(e.to_string()))?;
        Ok(NativeClient { session: Session::new(options) })
    }

    /// Carries out one action of `client::Action`; resolves to `{"ok": result}` or
    /// `{"error": {code, message, stack?, errors?, partial?}}`, and rejects only when pm2-rs itself is broken.
    #[napi(ts_return_type = "Promise<string>")]
    pub fn run<'env>(&self, env: &'env Env, action_json: String) -> napi::Result<Object<'env>> {
        // Here, on JavaScript's thread, nobody changes the environment meanwhile.
        self.session.note_environment();
        let session = self.session.clone();
        runtime::promise(env, async move {
            match serde_json::from_str::<Action>(&action_json) {
                // `lib/connection.js` puts it together again, faster than whole records can be read.
                Ok(Action::List) => answer(client::run(&session, Action::ListDelta).await),
                Ok(action) => answer(client::run(&session, action).await),
                Err(error) => failure(&CallError::Refused { code: "INVALID_ARGUMENT", message: error.to_string() }),
            }
        })
    }

    /// Closes the rpc connection: `{"ok": true}`, or `{"ok": false}` when there was none.
    #[napi(ts_return_type = "Promise<string>")]
    pub fn disconnect<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let session = self.session.clone();
        runtime::promise(env, async move { format!(r#"{{"ok":{}}}"#, session.disconnect().await) })
    }

    /// Listens to the bus: the callback gets batches `[[topic, payload], ...]` as JSON text. The reserved topics
    /// `:connect`, `:close` and `:reconnect attempt` (payload null) tell about the connection. Keeps no process alive.
    #[napi(ts_args_type = "onEvents: (batchJson: string) => void")]
    pub fn subscribe(&self, on_events: Function<'_, String, UnknownReturnValue>) -> napi::Result<NativeSubscription> {
        let on_events = on_events.build_threadsafe_function().callee_handled::<false>().weak::<true>().build()?;
        let runtime = runtime::handle()?;
        let subscription = {
            let _entered = runtime.enter();
            self.session.subscribe()
        };
        Ok(NativeSubscription { task: runtime.spawn(deliver(subscription, on_events)).abort_handle() })
    }
}

/// An open subscription to the bus.
#[napi]
#[derive(Debug)]
pub struct NativeSubscription {
    task: AbortHandle,
}

#[napi]
impl NativeSubscription {
    /// Ends it; at most the batch under way still comes.
    #[napi]
    pub fn close(&self) {
        self.task.abort();
    }
}

impl Drop for NativeSubscription {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type OnEvents = ThreadsafeFunction<String, UnknownReturnValue, String, Status, false, true>;

/// Hands over batch after batch. The next one goes only when JavaScript has taken the last: meanwhile events gather in
/// the subscription, which is bounded, so a slow listener fills no memory and gets fewer, larger batches.
async fn deliver(mut subscription: Subscription, on_events: OnEvents) {
    loop {
        let batch = to_json(&subscription.next_batch().await);
        let (taken, waiting) = tokio::sync::oneshot::channel();
        let status =
            on_events.call_with_return_value(batch, ThreadsafeFunctionCallMode::NonBlocking, move |result, _| {
                let _ = taken.send(());
                result.map(drop)
            });
        // The environment is closing, or the call was thrown away: nobody listens any more.
        if status != Status::Ok || waiting.await.is_err() {
            return;
        }
    }
}

fn to_json(batch: &[BusEvent]) -> String {
    let mut text = String::from("[");
    for event in batch {
        let (topic, payload) = match event {
            BusEvent::Connected => (":connect", "null"),
            BusEvent::Closed => (":close", "null"),
            BusEvent::Reconnecting => (":reconnect attempt", "null"),
            // An app may choose any topic, but not one of ours; and one broken payload must not cost the whole batch.
            BusEvent::Message { topic, .. } if topic.starts_with(':') => continue,
            BusEvent::Message { payload, .. } if serde_json::from_str::<IgnoredAny>(payload).is_err() => continue,
            BusEvent::Message { topic, payload } => (topic.as_str(), payload.as_str()),
        };
        let comma = if text.len() > 1 { "," } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma}[{},{payload}]", serde_json::Value::from(topic));
    }
    text.push(']');
    text
}

fn answer(result: Result<client::action::Answer, CallError>) -> String {
    match result {
        Ok(answer) => format!(r#"{{"ok":{}}}"#, answer.get()),
        Err(error) => failure(&error),
    }
}

fn failure(error: &CallError) -> String {
    format!(r#"{{"error":{}}}"#, serde_json::Value::from(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_json_whatever_apps_send() {
        let message = |topic: &str, payload: &str| BusEvent::Message { topic: topic.into(), payload: payload.into() };
        let batch = [
            BusEvent::Connected,
            message("a\"b", "{\"x\":1}"),
            message(":error", "1"),
            message("broken", "{"),
            message("last", "null"),
        ];
        assert_eq!(to_json(&batch), r#"[[":connect",null],["a\"b",{"x":1}],["last",null]]"#);
        assert_eq!(to_json(&[]), "[]");
    }
}
