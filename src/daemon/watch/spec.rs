//! What an app wants watched: `watch`, `ignore_watch`, `watch_options` (contract/options.md section 8).
//!
//! Owns: how chokidar 3's paths and globs are read. Must never: look at a file, except to list folders.

use std::collections::{BTreeSet, HashSet};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};

use super::glob::Glob;

/// How long it has to be quiet before a change counts as complete: an editor's save is several events.
const QUIET: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Spec {
    pub(super) cwd: PathBuf,
    wanted: Vec<Pattern>,
    ignored: Ignored,
    depth: Option<usize>,
    follow: bool,
    /// `usePolling`: look so often instead of being told.
    pub(super) poll: Option<Duration>,
    pub(super) quiet: Duration,
    pub(super) delay: Duration,
}

#[derive(Debug)]
enum Pattern {
    /// It and everything below.
    Path(PathBuf),
    /// `base` is the part before the first wildcard.
    Glob { base: PathBuf, glob: Glob },
}

#[derive(Debug)]
enum Ignored {
    /// Names with a dot in front, and `node_modules`.
    Usual,
    These(Vec<Pattern>),
}

impl Spec {
    /// Reads the wishes out of a `pm2_env` record. `None`: nothing is to be watched. The texts are patterns that cannot
    /// be read.
    pub(super) fn of(config: &Map<String, Value>) -> Option<(Spec, Vec<String>)> {
        let watch = config.get("watch").filter(|watch| is_on(watch))?;
        let cwd = normal(Path::new(config.get("pm_cwd").and_then(Value::as_str)?));
        let options = config.get("watch_options").and_then(Value::as_object);
        let option = |name: &str| options.and_then(|options| options.get(name));
        let millis = |value: Option<&Value>| value.and_then(Value::as_u64).map(Duration::from_millis);
        let mut bad = Vec::new();
        let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
        for text in texts(watch) {
            match text.strip_prefix('!') {
                Some(text) => unwanted.extend(Pattern::read(&cwd, text, &mut bad)),
                None => wanted.extend(Pattern::read(&cwd, &text, &mut bad)),
            }
        }
        if wanted.is_empty() {
            wanted.push(Pattern::Path(cwd.clone()));
        }
        let given = option("ignored").or_else(|| config.get("ignore_watch")).filter(|list| !list.is_null());
        let ignored = match given {
            Some(list) => {
                unwanted.extend(texts(list).iter().filter_map(|text| Pattern::read(&cwd, text, &mut bad)));
                Ignored::These(unwanted)
            }
            None if unwanted.is_empty() => Ignored::Usual,
            None => {
                let usual = ["**/.*", "**/node_modules"];
                unwanted.extend(usual.iter().filter_map(|text| Pattern::read(&cwd, text, &mut bad)));
                Ignored::These(unwanted)
            }
        };
        let poll = (option("usePolling") == Some(&Value::Bool(true)))
            .then(|| millis(option("interval")).unwrap_or(Duration::from_millis(100)));
        let quiet = match option("awaitWriteFinish") {
            Some(Value::Bool(true)) => Duration::from_secs(2),
            Some(Value::Object(finish)) => millis(finish.get("stabilityThreshold")).unwrap_or(Duration::from_secs(2)),
            _ => QUIET,
        };
        let spec = Spec {
            wanted,
            ignored,
            depth: option("depth").and_then(Value::as_u64).and_then(|depth| usize::try_from(depth).ok()),
            follow: option("followSymlinks") != Some(&Value::Bool(false)),
            poll,
            quiet: quiet.max(poll.unwrap_or_default()),
            delay: millis(config.get("watch_delay")).unwrap_or_default(),
            cwd,
        };
        Some((spec, bad))
    }

    /// Whether a change of this path is one that the app wants to hear of.
    pub(super) fn counts(&self, path: &Path) -> bool {
        let deep = |base: &Path| {
            let below = path.strip_prefix(base).map_or(0, |rest| rest.components().count());
            self.depth.is_none_or(|depth| below <= depth + 1)
        };
        let wanted = self.wanted.iter().any(|pattern| match pattern {
            Pattern::Path(base) => path.starts_with(base) && deep(base),
            Pattern::Glob { base, .. } => pattern.matches(path) && deep(base),
        });
        wanted && !self.ignores(path)
    }

    fn ignores(&self, path: &Path) -> bool {
        match &self.ignored {
            Ignored::Usual => {
                // What lies above is where the app happens to be installed.
                let inside = path.strip_prefix(&self.cwd).unwrap_or(path);
                inside.components().any(|part| match part {
                    Component::Normal(name) => {
                        let name = name.to_string_lossy();
                        name.starts_with('.') || name.contains("node_modules")
                    }
                    _ => false,
                })
            }
            Ignored::These(patterns) => patterns.iter().any(|pattern| match pattern {
                Pattern::Path(_) => pattern.matches(path),
                // What is in an ignored folder is ignored too.
                Pattern::Glob { .. } => path.ancestors().any(|above| pattern.matches(above)),
            }),
        }
    }

    /// The folders to be watched so that nothing that counts is missed, as they are now.
    pub(super) fn folders(&self) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        for pattern in &self.wanted {
            let (Pattern::Path(base) | Pattern::Glob { base, .. }) = pattern;
            // Above it too: it may be removed and come back, or not be there yet.
            let above = base.ancestors().skip(1).find(|folder| folder.is_dir());
            found.extend(above.map(Path::to_owned));
            if base.is_dir() {
                self.walk(base, 0, &mut found, &mut HashSet::new());
            }
        }
        found
    }

    fn walk(&self, folder: &Path, depth: usize, found: &mut BTreeSet<PathBuf>, linked: &mut HashSet<PathBuf>) {
        found.insert(folder.to_owned());
        if self.depth.is_some_and(|limit| depth >= limit) {
            return;
        }
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let path = entry.path();
            let is_folder = kind.is_dir() || (kind.is_symlink() && self.follow && path.is_dir());
            if !is_folder || self.ignores(&path) {
                continue;
            }
            // A link may lead back up.
            if kind.is_symlink() && !path.canonicalize().is_ok_and(|real| linked.insert(real)) {
                continue;
            }
            self.walk(&path, depth + 1, found, linked);
        }
    }
}

impl Pattern {
    /// Whether this very path is meant, for a glob; whether it is the path or lies below, for a path.
    fn matches(&self, path: &Path) -> bool {
        match self {
            Pattern::Path(base) => path.starts_with(base),
            Pattern::Glob { base, glob } => path.strip_prefix(base).is_ok_and(|below| glob.matches(below)),
        }
    }

    fn read(cwd: &Path, text: &str, bad: &mut Vec<String>) -> Option<Pattern> {
        if text.is_empty() {
            return None;
        }
        let full = normal(&cwd.join(text));
        if !is_glob(text) {
            return Some(Pattern::Path(full));
        }
        let base: PathBuf =
            full.components().take_while(|part| !is_glob(&part.as_os_str().to_string_lossy())).collect();
        // The folder itself is text, whatever characters it has.
        let rest = full.strip_prefix(&base).unwrap_or(&full).to_string_lossy().replace("@(", "(");
        let rest = braces(&rest);
        match Glob::new(&rest) {
            Ok(glob) => Some(Pattern::Glob { base, glob }),
            Err(error) => {
                bad.push(format!("{text}: {error}"));
                None
            }
        }
    }
}

/// `(a|b)` and `@(a|b)` are `{a,b}`.
fn braces(text: &str) -> String {
    if !text.contains('(') {
        return text.to_owned();
    }
    text.replace('(', "{").replace(')', "}").replace('|', ",")
}

fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '[', '{']) || (text.contains('(') && text.contains(')'))
}

/// Whether `watch` is a wish at all.
pub(super) fn is_on(watch: &Value) -> bool {
    match watch {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty() && text != "false",
        _ => true,
    }
}

/// A text or a list of texts. The word `true` is no path, nor is what is no text.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) if text == "true" => Vec::new(),
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// Without `.` and `..`, by the text alone.
fn normal(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(config: Value) -> Spec {
        let Value::Object(mut config) = config else { panic!("object") };
        config.insert("pm_cwd".to_owned(), json!("/srv/.app"));
        let (spec, bad) = Spec::of(&config).unwrap();
        assert_eq!(bad, Vec::<String>::new());
        spec
    }

    #[track_caller]
    fn check(spec: &Spec, counted: &[&str], not: &[&str]) {
        for path in counted {
            assert!(spec.counts(Path::new(path)), "{path} counts");
        }
        for path in not {
            assert!(!spec.counts(Path::new(path)), "{path} does not count");
        }
    }

    #[test]
    fn the_working_directory_without_hidden_files_and_modules() {
        for watch in [json!(true), json!([]), json!("true")] {
            let counted = ["/srv/.app/a.js", "/srv/.app/lib/b.js", "/srv/.app/lib"];
            let not = ["/srv/.app/.git/x", "/srv/.app/lib/.swp", "/srv/.app/node_modules/m/i.js", "/srv/b.js"];
            check(&spec(json!({ "watch": watch })), &counted, &not);
        }
    }

    #[test]
    fn nothing_is_watched_without_a_wish() {
        for watch in [json!(false), json!(null), json!("false"), json!("")] {
            let config = json!({ "watch": watch, "pm_cwd": "/x" });
            assert!(Spec::of(config.as_object().unwrap()).is_none(), "{watch}");
        }
    }

    #[test]
    fn paths_and_globs_are_relative_to_the_working_directory() {
        let some = spec(json!({ "watch": ["lib", "./*.txt", "src/**/*.{js,ts}", "!lib/tmp"] }));
        let counted = ["/srv/.app/lib/x/y", "/srv/.app/a.txt", "/srv/.app/src/a.js", "/srv/.app/src/b/c.ts"];
        check(
            &some,
            &counted,
            &["/srv/.app/lib2/x", "/srv/.app/b/a.txt", "/srv/.app/src/a.css", "/srv/.app/lib/tmp/x"],
        );
    }

    #[test]
    fn a_given_list_replaces_what_is_usually_ignored() {
        let some = spec(json!({ "watch": true, "ignore_watch": ["data", "*.log", "**/cache"] }));
        let counted = ["/srv/.app/.env", "/srv/.app/sub/a.log", "/srv/.app/node_modules/a.js"];
        check(&some, &counted, &["/srv/.app/data/x/y", "/srv/.app/a.log", "/srv/.app/x/cache/y"]);
    }

    #[test]
    fn options_are_read_in_chokidars_words() {
        let options = json!({ "usePolling": true, "interval": 40, "depth": 0, "awaitWriteFinish": { "stabilityThreshold": 300 } });
        let some = spec(json!({ "watch": true, "watch_options": options, "watch_delay": 7 }));
        assert_eq!((some.poll, some.quiet), (Some(Duration::from_millis(40)), Duration::from_millis(300)));
        assert_eq!(some.delay, Duration::from_millis(7));
        check(&some, &["/srv/.app/a"], &["/srv/.app/a/b"]);
    }

    #[test]
    fn folders_are_those_that_matter_and_links_end() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for made in ["a/b", "node_modules/m", ".git"] {
            std::fs::create_dir_all(root.join(made)).unwrap();
        }
        std::os::unix::fs::symlink(root.join("a"), root.join("a/b/up")).unwrap();
        let config = json!({ "watch": true, "pm_cwd": root });
        let (spec, _) = Spec::of(config.as_object().unwrap()).unwrap();
        let found = spec.folders();
        assert!(found.contains(root) && found.contains(&root.join("a/b")) && found.len() < 12, "{found:?}");
        assert!(!found.iter().any(|path| path.ends_with("m") || path.ends_with(".git")), "{found:?}");
    }
}
