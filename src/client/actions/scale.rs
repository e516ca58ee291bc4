//! `scale`: more or fewer processes of one name (contract/api.md section 12.3).

use serde_json::Value;

use super::bulk::{self, Verb};
use super::success;
use crate::client::action::Answer;
use crate::client::error::CallError;
use crate::client::procs::text;
use crate::client::session::Session;

pub(super) async fn scale(session: &Session, name: &Value, count: &Value) -> Result<Answer, CallError> {
    let name = text(name);
    let list = bulk::list(session).await?;
    let ids: Vec<Value> =
        list.iter().filter(|process| process.name() == name).map(|process| process.pm_id.clone()).collect();
    let Some(first) = ids.first() else { return Err(CallError::refused("PROCESS_NOT_FOUND", "App not found")) };
    let wanted = wanted(&text(count), ids.len())?;
    match wanted.checked_sub(ids.len()) {
        Some(0) => return Err(CallError::refused("SAME_NUMBER", "Same process number")),
        Some(more) => {
            let width = bulk::width(session, more, None, 1).await;
            bulk::each(vec![first.clone(); more], width, |id| {
                let session = session.clone();
                async move { session.rpc("duplicateProcessId", &[id]).await }
            })
            .await?;
        }
        None => {
            let fewer = ids.len() - wanted;
            let targets = ids.into_iter().take(fewer).map(|id| (id, None)).collect();
            bulk::act_on_all(session, Verb::Delete, targets, None).await?;
        }
    }
    success()
}

/// The total: plainly, or `+2`, `-1` from what there is (Q37).
fn wanted(count: &str, now: usize) -> Result<usize, CallError> {
    let count = count.trim();
    let wrong = || {
        let text = format!("the number of processes must be a whole number, `+n` or `-n`, but is `{count}`");
        CallError::refused("INVALID_ARGUMENT", text)
    };
    if let Some(more) = count.strip_prefix('+') {
        return Ok(now + more.parse::<u16>().map(usize::from).map_err(|_| wrong())?);
    }
    if let Some(fewer) = count.strip_prefix('-') {
        return Ok(now.saturating_sub(fewer.parse().map_err(|_| wrong())?));
    }
    count.parse::<u16>().map(usize::from).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::wanted;

    #[test]
    fn counts_are_totals_or_differences() {
        for (count, expected) in [("3", Some(3)), ("+2", Some(6)), ("-1", Some(3)), ("-9", Some(0)), ("0", Some(0))] {
            assert_eq!(wanted(count, 4).ok(), expected, "{count}");
        }
        for count in ["", "x", "1.5", "+", "--1", "99999999"] {
            assert!(wanted(count, 4).is_err(), "{count}");
        }
    }
}
