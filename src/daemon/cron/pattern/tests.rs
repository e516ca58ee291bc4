use jiff::tz::TimeZone;

use super::*;
use crate::daemon::cron::{next, parser};

/// Patterns, and the five times that croner 4.1.97 finds after 2026-02-27T23:58:31Z.
const VECTORS: &str = include_str!("vectors.json");

#[test]
fn the_times_are_those_of_pm2s_library() {
    let vectors: Vec<(String, Vec<u64>)> = serde_json::from_str(VECTORS).unwrap();
    let mut wrong = Vec::new();
    for (text, wanted) in vectors {
        let spelled = spelled_out(&text).unwrap();
        let cron = parser().parse(&spelled).unwrap();
        let mut now = 1_772_236_711_000;
        let mut found = Vec::new();
        while found.len() < wanted.len() {
            let Some(at) = next(&cron, &TimeZone::UTC, now) else { break };
            found.push(at);
            now = at;
        }
        if found != wanted {
            wrong.push(format!("{text} = {spelled}: {found:?}, wanted {wanted:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn odd_fields_mean_what_they_mean_to_pm2() {
    assert_eq!(spelled_out("/15 1, ? jan 7").as_deref(), Some("0 0,15,30,45 1 * 1 0"));
    assert_eq!(spelled_out("5/20 * * L * *").as_deref(), Some("5,25,45 * * L * *"));
    for bad in
        ["", ",", "* * *", "60 * * * *", "5-1 * * * *", "*/0 * * * *", "x * * * *", "0 0 0 * *", "@daily", "0 0 * * L"]
    {
        assert_eq!(spelled_out(bad), None, "{bad}");
    }
}
