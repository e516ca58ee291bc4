//! From words to a [`Request`]: what pm2's grammar means, with its traps taken out (contract/cli.md section 1.6).

use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use serde_json::{Map, Value};

use super::flags::{self, FLAGS, Kind};
use super::{Exit, Invocation, Ui, args};
use crate::config;

/// What was asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    pub(super) command: String,
    /// The arguments of the command, in their order.
    pub(super) targets: Vec<String>,
    /// Attributes of the app that options set.
    pub(super) attributes: Map<String, Value>,
    /// Options that only steer the command (global ones and its own): present with their last value, switches with "".
    pub(super) steering: Map<String, Value>,
    /// What stood after `--`; `None` when there was no `--`.
    pub(super) app_args: Option<Vec<String>>,
}

impl Request {
    /// Whether a switch was given.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.steering.contains_key(name)
    }

    /// The value of an option.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.steering.get(name).and_then(Value::as_str)
    }
}

/// Nothing to run: help, a version, or a mistake in the words.
#[derive(Debug)]
pub(super) enum Stop {
    Print(String),
    /// The short usage, on stdout, with exit code 1: no arguments at all.
    Usage,
    Mistake(String),
}

impl Stop {
    pub(super) fn tell(self, ui: &mut Ui) -> Exit {
        match self {
            Stop::Print(text) => {
                ui.data(&text);
                Exit::Success
            }
            Stop::Usage => {
                ui.data(args::SHORT_USAGE);
                Exit::Failure
            }
            Stop::Mistake(text) => {
                ui.complain(&text);
                Exit::Failure
            }
        }
    }
}

/// Reads the words of one invocation.
pub(super) fn parse(invocation: &Invocation) -> Result<Request, Stop> {
    let mut words = invocation.args.clone();
    let app_args = words.iter().position(|word| word == "--").map(|at| {
        let rest = words.split_off(at);
        rest.into_iter().skip(1).collect::<Vec<_>>()
    });
    match words.as_slice() {
        [] => return Err(Stop::Usage),
        [word] if ["-v", "-V", "--version", "version"].contains(&word.as_str()) => {
            return Err(Stop::Print(format!("{}\n", crate::VERSION)));
        }
        _ => {}
    }
    let words = bind_optional_values(words, |word| invocation.cwd.join(word).exists());
    let matches = matches(&words).map_err(|error| mistake(&error))?;
    request(matches, app_args)
}

/// What was asked for, out of what clap read.
fn request(mut matches: clap::ArgMatches, app_args: Option<Vec<String>>) -> Result<Request, Stop> {
    let Some((name, mut own)) = matches.remove_subcommand() else {
        return Err(Stop::Usage);
    };
    let (attributes, mut steering) = collect(&own);
    let targets = own.try_remove_many::<String>("targets").ok().flatten().map_or_else(Vec::new, Iterator::collect);
    for id in args::own_options(&name) {
        if let Some(value) = args::given(&own, id) {
            steering.insert((*id).to_owned(), Value::String(value));
        }
    }
    Ok(Request { command: name, targets, attributes, steering, app_args })
}

/// What clap makes of the words. Help and mistakes are told by the whole definition, which knows all names.
fn matches(words: &[String]) -> Result<clap::ArgMatches, clap::Error> {
    let of = |command: clap::Command| {
        command.try_get_matches_from(std::iter::once("pm2-rs").chain(words.iter().map(String::as_str)))
    };
    of(args::command_for(words)).or_else(|_| of(args::command()))
}

/// Splits the options that were given into attributes of the app and those that steer the command.
fn collect(matches: &clap::ArgMatches) -> (Map<String, Value>, Map<String, Value>) {
    let (mut attributes, mut steering) = (Map::new(), Map::new());
    for flag in FLAGS {
        if matches.value_source(flag.long) != Some(clap::parser::ValueSource::CommandLine) {
            continue;
        }
        let texts = || matches.get_many::<String>(flag.long).into_iter().flatten().cloned().collect::<Vec<_>>();
        let value = match flag.kind {
            Kind::Switch => Value::Bool(true),
            Kind::Off => Value::Bool(false),
            Kind::Value => texts().pop().map_or(Value::Null, Value::String),
            Kind::List => texts().iter().flat_map(|text| text.split([',', ' '])).filter(|t| !t.is_empty()).collect(),
            Kind::Optional => {
                let given: Vec<String> = texts().into_iter().filter(|text| !text.is_empty()).collect();
                if given.is_empty() {
                    Value::Bool(true)
                } else if flag.attribute == Some("log_file") {
                    Value::String(given.concat())
                } else {
                    given.into_iter().collect()
                }
            }
        };
        if let Some(attribute) = flag.attribute {
            attributes.insert(attribute.to_owned(), value);
        } else {
            let text = if let Value::String(text) = value { text } else { String::new() };
            steering.insert(flag.long.to_owned(), Value::String(text));
        }
    }
    (attributes, steering)
}

/// Joins `--watch path` to `--watch=path` where the word is meant as the value.
///
/// pm2 always swallows the next word, so that `start --watch app.js` watches app.js and starts nothing. Here the word is
/// the value only if another target remains, or no such file exists.
fn bind_optional_values(words: Vec<String>, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut open = Vec::new(); // positions of words that may be a value
    let mut positional = 0;
    let mut at = 0;
    while let Some(word) = words.get(at) {
        match flags::find(word) {
            Some(flag)
                if flag.kind == Kind::Optional && words.get(at + 1).is_some_and(|next| !next.starts_with('-')) =>
            {
                open.push(at + 1);
                at += 1;
            }
            Some(flag) if matches!(flag.kind, Kind::Value | Kind::List) => at += 1,
            None if !word.starts_with('-') => positional += 1,
            _ => {}
        }
        at += 1;
    }
    // The first positional word is the command itself.
    let target_remains = positional > 1;
    let mut bound: Vec<String> = Vec::with_capacity(words.len());
    for (at, word) in words.into_iter().enumerate() {
        if open.contains(&at) && (target_remains || !exists(&word)) {
            if let Some(flag) = bound.last_mut() {
                *flag = format!("{}={word}", long_form(flag));
            }
        } else {
            bound.push(word);
        }
    }
    bound
}

fn long_form(word: &str) -> String {
    flags::find(word).map_or_else(|| word.to_owned(), |flag| format!("--{}", flag.long))
}

/// pm2's markers for what clap found wrong, with the nearest known option.
fn mistake(error: &clap::Error) -> Stop {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.last().cloned(),
        _ => None,
    };
    let argument = context(ContextKind::InvalidArg).unwrap_or_default();
    let nearest = |kind| context(kind).map(|text| format!("; did you mean `{text}`?")).unwrap_or_default();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Stop::Print(error.to_string()),
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            Stop::Mistake(format!("error: unknown option `{argument}`{}", nearest(ContextKind::SuggestedArg)))
        }
        ErrorKind::UnknownArgument => Stop::Mistake(format!("Unknown command argument: {argument}")),
        ErrorKind::InvalidSubcommand => {
            let name = context(ContextKind::InvalidSubcommand).unwrap_or_default();
            let nearest = nearest(ContextKind::SuggestedSubcommand);
            Stop::Mistake(format!("[PM2][ERROR] Command not found: `{name}`{nearest}"))
        }
        ErrorKind::MissingRequiredArgument => missing(error, &argument),
        ErrorKind::WrongNumberOfValues | ErrorKind::TooFewValues if !argument.starts_with("--") => {
            missing(error, &argument)
        }
        ErrorKind::InvalidValue if context(ContextKind::InvalidValue).is_none_or(|value| value.is_empty()) => {
            Stop::Mistake(format!("error: option `{argument}` argument missing"))
        }
        _ => Stop::Mistake(error.to_string().trim_end().to_owned()),
    }
}

/// pm2's marker, and how the command is used.
fn missing(error: &clap::Error, argument: &str) -> Stop {
    let usage = error
        .get(ContextKind::Usage)
        .map(|usage| format!("\n{}", usage.to_string().trim_end().replacen("Usage", "usage", 1)));
    Stop::Mistake(format!("error: missing required argument `{argument}`{}", usage.unwrap_or_default()))
}

/// Whether `word` names a file with one of pm2's config endings, and which kind.
pub(super) fn is_javascript(path: &Path) -> bool {
    config::is_config_file(&path.to_string_lossy()) == Some(config::FileKind::Js)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Tty;

    fn request(words: &[&str]) -> Result<Request, Stop> {
        parse(&Invocation {
            args: words.iter().map(|word| (*word).to_owned()).collect(),
            cwd: std::env::temp_dir(),
            env: std::collections::BTreeMap::new(),
            pm2d: "pm2d".into(),
            agent: "agent".into(),
            node: None,
            node_version: None,
            program: None,
            tty: Tty::default(),
        })
    }

    fn mistake_of(words: &[&str]) -> String {
        match request(words) {
            Err(Stop::Mistake(text)) => text,
            other => panic!("{words:?} gave {other:?}"),
        }
    }

    #[test]
    fn options_may_stand_anywhere_before_the_dashes() {
        let request = request(&["--name", "api", "start", "api.js", "-i4", "--", "--name", "x"]).expect("valid");
        assert_eq!(request.command, "start");
        assert_eq!(request.targets, ["api.js"]);
        assert_eq!(request.attributes["name"], "api");
        assert_eq!(request.attributes["instances"], "4");
        assert_eq!(request.app_args.as_deref(), Some(["--name".to_owned(), "x".to_owned()].as_slice()));
    }

    #[test]
    fn an_optional_value_never_takes_the_only_target() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("app.js"), "").expect("a file");
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let bind = |line: &[&str]| bind_optional_values(words(line), |word| dir.path().join(word).exists());
        assert_eq!(bind(&["start", "--watch", "app.js"]), words(&["start", "--watch", "app.js"]));
        assert_eq!(bind(&["start", "--watch", "src", "app.js"]), words(&["start", "--watch=src", "app.js"]));
        assert_eq!(bind(&["start", "-l", "all.log", "app.js"]), words(&["start", "--log=all.log", "app.js"]));
    }

    #[test]
    fn negative_instances_and_equal_signs_are_values() {
        assert_eq!(request(&["start", "a.js", "-i", "-1"]).expect("valid").attributes["instances"], "-1");
        assert_eq!(request(&["start", "a.js", "-n=foo"]).expect("valid").attributes["name"], "foo");
        let codes = request(&["start", "a.js", "--stop-exit-codes", "1,2"]).expect("valid");
        assert_eq!(codes.attributes["stop_exit_codes"], serde_json::json!(["1", "2"]));
    }

    #[test]
    fn every_command_means_the_same_without_the_others() {
        for name in args::names() {
            for line in
                [vec![name], vec!["--name", "stop", name, "list"], vec![name, "a", "b", "--json"], vec![name, "-h"]]
            {
                let words: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
                let whole =
                    args::command().try_get_matches_from(std::iter::once("pm2-rs".to_owned()).chain(words.clone()));
                match (matches(&words), whole) {
                    (Ok(few), Ok(whole)) => {
                        assert_eq!(
                            super::request(few, None).expect("a command"),
                            super::request(whole, None).expect("too"),
                            "{line:?}"
                        );
                    }
                    (Err(few), Err(whole)) => assert_eq!(few.to_string(), whole.to_string(), "{line:?}"),
                    (few, whole) => panic!("{line:?}: {few:?} {whole:?}"),
                }
            }
        }
    }

    #[test]
    fn mistakes_carry_pm2s_markers_and_the_nearest_name() {
        assert!(
            mistake_of(&["start", "a.js", "--nmae", "x"])
                .starts_with("error: unknown option `--nmae`; did you mean `--name`?")
        );
        assert!(mistake_of(&["stop"]).starts_with("error: missing required argument"));
        assert!(mistake_of(&["start", "a.js", "--name"]).contains("argument missing"));
        assert!(
            mistake_of(&["restrat", "a"])
                .starts_with("[PM2][ERROR] Command not found: `restrat`; did you mean `restart`?")
        );
        assert!(matches!(request(&[]), Err(Stop::Usage)));
    }
}
