//! What is known of one process, as rows of a label and a text.

use serde_json::Value;

use super::super::Process;
use crate::cli::render::describe::metric;
use crate::cli::render::list::uptime_text;

pub(super) type Row = (String, String);

/// The metrics that the app itself reports.
pub(super) fn metrics(process: &Process) -> Vec<Row> {
    let Some(Value::Object(metrics)) = process.pm2_env.get("axm_monitor") else { return Vec::new() };
    metrics.iter().map(|(name, value)| (name.clone(), metric(value))).collect()
}

/// The rows of pm2, in its order.
pub(super) fn metadata(process: &Process) -> Vec<Row> {
    let text = |key: &str| Some(process.text(key)).filter(|text| !text.is_empty()).unwrap_or_else(|| "N/A".into());
    let words = |key: &str| match process.pm2_env.get(key) {
        Some(Value::Array(words)) if !words.is_empty() => {
            let plain = |word: &Value| word.as_str().map_or_else(|| word.to_string(), ToOwned::to_owned);
            words.iter().map(plain).collect::<Vec<_>>().join(" ")
        }
        Some(Value::String(words)) if !words.is_empty() => words.clone(),
        _ => "N/A".into(),
    };
    let watches = !matches!(process.text("watch").as_str(), "" | "false");
    let mut rows = vec![
        ("App Name", process.name.clone()),
        ("Namespace", text("namespace")),
        ("Version", text("version")),
        ("Pid", process.pid.map_or_else(|| "N/A".into(), |pid| pid.to_string())),
        ("Restarts", text("restart_time")),
        ("Uptime", uptime_text(process)),
        ("Script path", text("pm_exec_path")),
        ("Script args", words("args")),
        ("Interpreter", text("exec_interpreter")),
        ("Interpreter args", words("node_args")),
        ("Exec mode", text("exec_mode").trim_end_matches("_mode").to_owned()),
        ("Node.js version", text("node_version")),
        ("watch & reload", if watches { "✔" } else { "✘" }.to_owned()),
        ("Unstable restarts", text("unstable_restarts")),
        ("Error log", text("pm_err_log_path")),
        ("Out log", text("pm_out_log_path")),
    ];
    if let Some(Value::Object(versioning)) = process.pm2_env.get("versioning") {
        let known = [("Comment", "comment"), ("Revision", "revision"), ("Branch", "branch"), ("Remote url", "url")];
        let found = |(label, key): (&'static str, &str)| Some((label, versioning.get(key)?.as_str()?.to_owned()));
        rows.extend(known.into_iter().filter_map(found));
    }
    rows.into_iter().map(|(label, text)| (label.to_owned(), text)).collect()
}
