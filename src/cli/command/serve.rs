//! `serve`: a static file server as an ordinary app (contract/cli.md section 13).

use serde_json::{Map, Value, json};

use super::super::Ui;
use super::{Call, Failure};
use crate::client::{Action, Target};

pub(super) async fn run(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let variable = |name: &str| call.local.get(name).filter(|text| !text.is_empty()).cloned();
    let option = |name: &str| call.request.value(name).filter(|text| !text.is_empty()).map(ToOwned::to_owned);
    let words = &call.request.targets;
    let folder = variable("PM2_SERVE_PATH").or_else(|| words.first().cloned()).unwrap_or_else(|| ".".into());
    let port = variable("PM2_SERVE_PORT").or_else(|| option("port")).or_else(|| words.get(1).cloned());
    let port = port.unwrap_or_else(|| "8080".into());
    if port.parse::<u16>().is_err() {
        return Err(Failure::Text(format!("`{port}` is no port: give a number up to 65535")));
    }
    let path = call.context.cwd.join(&folder);
    let path =
        path.canonicalize().map_err(|error| Failure::Text(format!("cannot serve {}: {error}", path.display())))?;
    if !path.is_dir() {
        return Err(Failure::Text(format!("cannot serve {}: it is no folder", path.display())));
    }
    let server = call.session.options().agent.with_file_name("static_server.js");
    let mut env = Map::new();
    env.insert("PM2_SERVE_PATH".into(), json!(path));
    env.insert("PM2_SERVE_PORT".into(), json!(port));
    for (name, id) in [("PM2_SERVE_SPA", "spa"), ("PM2_SERVE_FTP", "ftp")] {
        if call.request.is_set(id) {
            env.insert(name.into(), json!("true"));
        }
    }
    if let Some(host) = option("host").or_else(|| variable("PM2_SERVE_HOST")) {
        env.insert("PM2_SERVE_HOST".into(), json!(host));
    }
    let login = (option("basic-auth-username"), option("basic-auth-password"));
    if login.0.is_some() != login.1.is_some() {
        // Half a login would serve without one.
        return Err(Failure::Text("basic authentication needs --basic-auth-username and --basic-auth-password".into()));
    }
    if call.request.is_set("monitor") {
        ui.warn("--monitor needs pm2's hosted service, which pm2-rs does not use: served without it");
    }
    if let (Some(user), Some(password)) = login {
        env.insert("PM2_SERVE_BASIC_AUTH".into(), json!("true"));
        env.insert("PM2_SERVE_BASIC_AUTH_USERNAME".into(), json!(user));
        env.insert("PM2_SERVE_BASIC_AUTH_PASSWORD".into(), json!(password));
    }
    let mut app = call.request.attributes.clone();
    let name =
        app.get("name").and_then(Value::as_str).map_or_else(|| format!("static-page-server-{port}"), ToOwned::to_owned);
    app.insert("name".into(), json!(name));
    app.insert("script".into(), json!(server));
    app.entry("cwd").or_insert_with(|| json!(path));
    app.insert("env".into(), Value::Object(env));
    let runs = call.processes().await?.iter().any(|process| process.name == name && process.text("status") == "online");
    if runs && !call.request.is_set("force") {
        return Err(Failure::Text("Script already launched, add -f option to force re-execution".into()));
    }
    let target = Target::Config { value: json!([app]), file: None };
    let action = Action::Start { target, options: Map::new(), context: call.context.clone() };
    let done: Vec<Value> = call.ask_about(&name, action).await?;
    ui.say(&format!("Serving {} on port {port}", path.display()));
    call.finish(ui, &done).await
}
