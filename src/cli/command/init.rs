//! `init`: an example config file (contract/cli.md section 14.1). Never overwrites without `--force`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use serde_json::Value;

use super::super::Ui;
use super::{Call, Failure};

const SIMPLE: &str = "\
module.exports = {
  apps: [
    {
      name: 'app1',
      script: './app.js',
    },
  ],
}
";

const FULL: &str = "\
// Every field: https://github.com/pm2-rs/pm2-rs/blob/main/docs/options.md
module.exports = {
  apps: [
    {
      name: 'app',
      script: 'index.js',
      watch: '.',
    },
    {
      name: 'worker',
      script: './service-worker/',
      watch: ['./service-worker'],
    },
  ],

  deploy: {
    production: {
      user: 'SSH_USERNAME',
      host: 'SSH_HOSTNAME',
      ref: 'origin/master',
      repo: 'GIT_REPOSITORY',
      path: 'DESTINATION_PATH',
      'pre-deploy-local': '',
      'post-deploy': 'npm install && pm2-rs reload ecosystem.config.js --env production',
      'pre-setup': '',
    },
  },
}
";

pub(super) fn run(call: &Call<'_>, ui: &mut Ui) -> Result<(), Failure> {
    let simple = call.request.targets.first().is_some_and(|mode| mode == "simple");
    let cwd = &call.context.cwd;
    let name = if is_module(cwd) { "ecosystem.config.cjs" } else { "ecosystem.config.js" };
    let path = cwd.join(name);
    let mut options = OpenOptions::new();
    options.write(true);
    if call.request.is_set("force") {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let written =
        options.open(&path).and_then(|mut file| file.write_all(if simple { SIMPLE } else { FULL }.as_bytes()));
    match written {
        Ok(()) => {
            ui.message(&format!("File {} generated", path.display()));
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Failure::Text(format!("File {} exists already; overwrite it with --force", path.display())))
        }
        Err(error) => Err(Failure::Text(format!("cannot write {}: {error}", path.display()))),
    }
}

/// Whether `.js` files of this folder are ES modules: the nearest package.json says so.
fn is_module(folder: &Path) -> bool {
    let manifest = folder.ancestors().find_map(|folder| std::fs::read(folder.join("package.json")).ok());
    let manifest: Option<Value> = manifest.and_then(|text| serde_json::from_slice(&text).ok());
    manifest.is_some_and(|manifest| manifest["type"] == "module")
}
