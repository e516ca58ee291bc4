//! `--web`: an HTTP server beside the apps. `GET /health` for probes, `GET /` for host and processes as JSON.
//!
//! Owns: the listener, and what may be seen: without `PM2_WEB_STRIP_ENV_VARS=false` nothing of any environment.
//! Must never: change anything; there is no request that acts.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::{plan, watch};
use crate::cli::process::Process;
use crate::client::{self, Action, Session};

/// pm2's default port (contract/options.md section 11.1).
const PORT: u16 = 9615;
/// Callers that are served at the same time: others wait.
const AT_ONCE: usize = 32;
/// How long a caller may take for the head of its request.
const PATIENCE: Duration = Duration::from_secs(10);
/// What `GET /` tells of `pm2_env`: nothing that a user may have put a secret into.
const TOLD: [&str; 20] = [
    "name",
    "namespace",
    "version",
    "status",
    "pm_id",
    "pm_uptime",
    "created_at",
    "restart_time",
    "unstable_restarts",
    "exec_mode",
    "exec_interpreter",
    "node_version",
    "pm_exec_path",
    "pm_cwd",
    "instances",
    "autorestart",
    "watch",
    "exit_code",
    "username",
    "axm_monitor",
];

/// Ends the server when it is dropped.
pub(super) struct Web {
    task: AbortHandle,
    /// Where it listens: with port 0 the kernel has chosen.
    pub(super) address: SocketAddr,
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens and serves until the answer is dropped. The error is a line for the user.
pub(super) async fn serve(
    session: &Session,
    wanted: plan::Web,
    env: &impl Fn(&str) -> Option<String>,
) -> Result<Web, String> {
    let number = |name: &str| env(name).and_then(|text| text.parse().ok());
    let port = match wanted {
        plan::Web::Port(port) => port,
        plan::Web::DefaultPort => number("PM2_WEB_PORT").or_else(|| number("PM2_API_PORT")).unwrap_or(PORT),
    };
    let address = env("PM2_API_IPADDR").unwrap_or_else(|| "0.0.0.0".to_owned());
    let ip: IpAddr = address.parse().map_err(|_| format!("PM2_API_IPADDR is no address: {address}"))?;
    let strip = env("PM2_WEB_STRIP_ENV_VARS").is_none_or(|text| text != "false");
    let listener = TcpListener::bind((ip, port)).await;
    let failed = |error| format!("cannot listen on {ip}:{port} for --web: {error}");
    let listener = listener.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let task = tokio::spawn(accept(listener, session.clone(), strip)).abort_handle();
    Ok(Web { task, address })
}

async fn accept(listener: TcpListener, session: Session, strip: bool) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, perhaps: others close some.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let session = session.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, &session, strip));
            let mut server = hyper::server::conn::http1::Builder::new();
            // A connection for each request: a probe comes every few seconds, and an idle one would hold a place.
            server.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false).max_buf_size(16 << 10);
            let serving = server.serve_connection(TokioIo::new(stream), service);
            // One that reads its answer too slowly, or went away, is its own affair.
            let _ = tokio::time::timeout(3 * PATIENCE, serving).await;
            drop(place);
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    session: &Session,
    strip: bool,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = reply(StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": "only GET" }));
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(refusal);
    }
    Ok(match request.uri().path() {
        "/health" | "/healthz" => {
            let list = watch::list(session).await.unwrap_or_default();
            let (status, body) = health(&list);
            reply(status, &body)
        }
        "/" => match watch::list(session).await {
            Some(list) => reply(StatusCode::OK, &overview(session, &list, strip).await),
            None => reply(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": "the daemon does not answer" })),
        },
        _ => reply(StatusCode::NOT_FOUND, &json!({ "error": "there are / and /health" })),
    })
}

fn reply(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{body}\n"))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// 200 when something was started and all of it is well, 503 otherwise.
fn health(list: &[Process]) -> (StatusCode, Value) {
    let apps: Vec<&Process> = list.iter().filter(|process| !process.is_module()).collect();
    let well = !apps.is_empty() && apps.iter().all(|process| watch::is_well(process));
    let shown: Vec<Value> = apps
        .iter()
        .map(|process| json!({ "name": process.name, "pm_id": process.pm_id, "status": process.text("status") }))
        .collect();
    let (status, word) = if well { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "unavailable") };
    (status, json!({ "status": word, "processes": shown }))
}

/// Host and processes.
async fn overview(session: &Session, list: &[Process], strip: bool) -> Value {
    let figures = Action::Rpc { method: "getSystemData".into(), args: vec![json!({})] };
    let figures = client::run(session, figures).await.ok();
    let figures = figures.and_then(|text| serde_json::from_str::<Vec<Value>>(text.get()).ok()?.into_iter().next());
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let numbers = |text: &str| text.split_whitespace().map_while(|word| word.parse().ok()).collect::<Vec<f64>>();
    let uptime = numbers(&read("/proc/uptime"));
    let load: Vec<f64> = numbers(&read("/proc/loadavg")).into_iter().take(3).collect();
    let memory = read("/proc/meminfo");
    let bytes = |name: &str| {
        let line = memory.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()?.saturating_mul(1024))
    };
    let hostname = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    json!({
        "system_info": { "hostname": hostname, "uptime": uptime.first() },
        "monit": { "loadavg": load, "total_mem": bytes("MemTotal"), "free_mem": bytes("MemAvailable"), "host": figures },
        "processes": list.iter().map(|process| process_shown(process, strip)).collect::<Vec<_>>(),
    })
}

fn process_shown(process: &Process, strip: bool) -> Value {
    let env = if strip {
        let told = TOLD.iter().filter_map(|key| Some(((*key).to_owned(), process.pm2_env.get(*key)?.clone())));
        told.collect::<Map<String, Value>>()
    } else {
        process.pm2_env.clone()
    };
    json!({
        "pid": process.pid,
        "name": process.name,
        "pm_id": process.pm_id,
        "monit": { "memory": process.monit.memory, "cpu": process.monit.cpu },
        "pm2_env": env,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processes(of: &Value) -> Vec<Process> {
        serde_json::from_value(of.clone()).expect("processes")
    }

    #[test]
    fn well_is_when_all_run_or_wait_for_their_time() {
        let app = |env: Value| json!({ "name": "a", "pm_id": 0, "pm2_env": env });
        for (list, expected) in [
            (json!([]), StatusCode::SERVICE_UNAVAILABLE),
            (json!([app(json!({ "status": "online" }))]), StatusCode::OK),
            (
                json!([app(json!({ "status": "online" })), app(json!({ "status": "launching" }))]),
                StatusCode::SERVICE_UNAVAILABLE,
            ),
            (json!([app(json!({ "status": "errored" }))]), StatusCode::SERVICE_UNAVAILABLE),
            (json!([app(json!({ "status": "waiting restart" }))]), StatusCode::SERVICE_UNAVAILABLE),
            (json!([app(json!({ "status": "stopped", "exit_code": 0 }))]), StatusCode::SERVICE_UNAVAILABLE),
            (json!([app(json!({ "status": "stopped", "cron_restart": "0 0 * * *" }))]), StatusCode::OK),
        ] {
            assert_eq!(health(&processes(&list)).0, expected, "{list}");
        }
    }

    #[test]
    fn no_secret_is_told() {
        let list = json!([{ "name": "a", "pm_id": 0, "pm2_env": { "status": "online", "TOKEN": "s3cret",
            "env": { "TOKEN": "s3cret" }, "args": ["--password=s3cret"] } }]);
        let list = processes(&list);
        let shown = |strip| process_shown(&list[0], strip).to_string();
        assert!(!shown(true).contains("s3cret"));
        assert!(shown(false).contains("s3cret"));
    }
}
