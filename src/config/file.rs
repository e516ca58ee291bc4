//! Config files: which texts name one, and reading those that need no JavaScript (contract/options.md section 9).

use std::path::Path;

use serde_json::Value;

use super::FileKind;
use super::error::ConfigError;
use super::yaml;

/// No honest config is larger.
const LIMIT: u64 = 16 << 20;
/// Nor deeper; the JSON5 reader recurses without a limit of its own.
const DEPTH: usize = 128;

/// Config files that are programs; `.ts` where the caller's Node can run it.
const PROGRAMS: [&str; 6] = [".config.js", ".config.cjs", ".config.mjs", ".config.ts", ".config.cts", ".config.mts"];

/// Whether `start`/`restart`/... take this text for a config file: only when it ENDS with the extension (Q44).
pub fn is_config_file(text: &str) -> Option<FileKind> {
    let ends = |list: &[&str]| list.iter().any(|end| text.ends_with(end));
    if ends(&[".json", ".json5"]) {
        Some(FileKind::Json)
    } else if ends(&[".yml", ".yaml"]) {
        Some(FileKind::Yaml)
    } else if ends(&PROGRAMS) {
        Some(FileKind::Js)
    } else {
        None
    }
}

/// Reads a JSON or YAML config file; at most 16 MiB.
///
/// # Errors
/// `File`, `TooLarge`, `Parse`; `NeedsJavaScript` for `.config.js`, and for `.json` texts that only JavaScript can read: pm2
/// evaluates such files, so they may hold any expression.
pub fn read_file(path: &Path) -> Result<Value, ConfigError> {
    let kind = is_config_file(&path.to_string_lossy()).unwrap_or(FileKind::Json);
    let text = text_of(path)?;
    let parse_error = |text: String| ConfigError::Parse { path: path.to_owned(), text };
    match kind {
        FileKind::Js => Err(ConfigError::NeedsJavaScript(path.to_owned())),
        FileKind::Yaml => yaml::read(&text).map_err(parse_error),
        FileKind::Json => {
            if let Ok(value) = serde_json::from_str(&text) {
                return Ok(value);
            }
            if depth(&text) > DEPTH {
                return Err(parse_error(format!("nested deeper than {DEPTH} levels")));
            }
            json5::from_str(&text).map_err(|_| ConfigError::NeedsJavaScript(path.to_owned()))
        }
    }
}

fn text_of(path: &Path) -> Result<String, ConfigError> {
    let failed = |e: std::io::Error| file_error(path, &e);
    let meta = std::fs::metadata(path).map_err(failed)?;
    if meta.is_dir() {
        return Err(file_error(path, &std::io::Error::from(std::io::ErrorKind::IsADirectory)));
    }
    if meta.len() > LIMIT {
        return Err(ConfigError::TooLarge { path: path.to_owned(), size: meta.len(), limit: LIMIT });
    }
    let mut bytes = Vec::new();
    // Bounded once more, because a pipe or a growing file says nothing about its length.
    let file = std::fs::File::open(path).map_err(failed)?;
    std::io::Read::read_to_end(&mut std::io::Read::take(file, LIMIT + 1), &mut bytes).map_err(failed)?;
    let size = bytes.len() as u64;
    if size > LIMIT {
        return Err(ConfigError::TooLarge { path: path.to_owned(), size, limit: LIMIT });
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

/// Node's words and numbers for what the system said.
fn file_error(path: &Path, error: &std::io::Error) -> ConfigError {
    use std::io::ErrorKind;
    let (code, errno, text) = match error.kind() {
        ErrorKind::NotFound => ("ENOENT", -2, "no such file or directory".to_owned()),
        ErrorKind::PermissionDenied => ("EACCES", -13, "permission denied".to_owned()),
        ErrorKind::IsADirectory => ("EISDIR", -21, "illegal operation on a directory".to_owned()),
        ErrorKind::NotADirectory => ("ENOTDIR", -20, "not a directory".to_owned()),
        _ => ("EIO", -error.raw_os_error().unwrap_or(5), error.to_string()),
    };
    ConfigError::File { code, errno, text, path: path.to_owned() }
}

/// The deepest nesting of brackets; texts and comments may make it look deeper, never shallower than a reader recurses.
fn depth(text: &str) -> usize {
    let mut now = 0_usize;
    let mut deepest = 0;
    let mut quote = None;
    let mut escaped = false;
    for b in text.bytes() {
        match (quote, b) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(open), _) if b == open => quote = None,
            (None, b'"' | b'\'') => quote = Some(b),
            // Even in a text: an apostrophe in a comment must not hide the rest of the file.
            (_, b'[' | b'{') => {
                now += 1;
                deepest = deepest.max(now);
            }
            (None, b']' | b'}') => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(name: &str, content: &[u8]) -> Result<Value, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        read_file(&path)
    }

    #[test]
    fn only_the_end_of_a_name_counts() {
        assert_eq!(is_config_file("x/process.json"), Some(FileKind::Json));
        assert_eq!(is_config_file("a.yml"), Some(FileKind::Yaml));
        assert_eq!(is_config_file("ecosystem.config.mjs"), Some(FileKind::Js));
        assert_eq!(is_config_file("ecosystem.config.ts"), Some(FileKind::Js));
        for text in ["app.js", "my.json.app", "a.yamlish", "config.js"] {
            assert_eq!(is_config_file(text), None, "{text}");
        }
    }

    #[test]
    fn json_may_have_comments_and_a_byte_order_mark() {
        let text = b"\xef\xbb\xbf// it's mine\n{ apps: [{ script: 'a.js', /* x */ env: { A: \"1\", }, }], }";
        assert_eq!(read("a.json", text), Ok(json!({ "apps": [{ "script": "a.js", "env": { "A": "1" } }] })));
        assert_eq!(read("package.json", b"{\"apps\":[]}"), Ok(json!({ "apps": [] })));
    }

    #[test]
    fn what_only_javascript_can_read_is_left_to_it() {
        assert!(matches!(read("a.json", b"{ cwd: process.cwd() }"), Err(ConfigError::NeedsJavaScript(_))));
        assert!(matches!(read("a.config.js", b"module.exports = {}"), Err(ConfigError::NeedsJavaScript(_))));
    }

    #[test]
    fn deep_nesting_is_refused_not_followed() {
        for text in ["[".repeat(200_000), format!("// it's\n{}", "[".repeat(200_000))] {
            assert!(matches!(read("a.json", text.as_bytes()), Err(ConfigError::Parse { .. })));
        }
        assert!(matches!(read("a.yaml", "[".repeat(200_000).as_bytes()), Err(ConfigError::Parse { .. })));
    }

    #[test]
    fn errors_of_the_system_are_worded_as_node_words_them() {
        let error = read_file(Path::new("/nonexistent/a.json")).unwrap_err();
        assert_eq!(error.to_string(), "ENOENT: no such file or directory, open '/nonexistent/a.json'");
        assert_eq!(error.code(), "ENOENT");
    }
}
