//! Holds the table of `src/lib.rs`: which room may use which, and what only certain rooms may do.
//!
//! The table is read from the crate's documentation, so the two cannot differ. Test code and comments are not looked at.

mod source;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Room to what it may use: `model`, or a part of a room such as `wire::keeper`.
type Table = BTreeMap<String, Vec<String>>;

/// Texts that only some places may contain. A word is matched whole.
const RESERVED: [(&str, &[&str]); 8] = [
    ("unsafe", &["src/sys", "src/keeper"]),
    ("libc::", &["src/sys", "src/keeper"]),
    ("#[napi", &["src/binding"]),
    ("print!", &["src/bin"]),
    ("println!", &["src/bin"]),
    ("eprint!", &["src/bin"]),
    ("eprintln!", &["src/bin"]),
    ("process::exit", &["src/bin"]),
];

/// The third column of the table, per room.
fn read_table(lib: &str) -> Table {
    let rows = lib.lines().filter_map(|line| line.strip_prefix("//! | ")).skip(2);
    let ticked = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').collect();
        let room = ticked(cells[0]).remove(0);
        (room, ticked(cells[2]).iter().flat_map(|path| source::expand(path)).collect())
    })
    .collect()
}

/// What is wrong with one file, as sentences. `path` begins with `src/`.
fn violations(table: &Table, path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let code = source::without_tests(&source::without_comments_and_strings(text));
    for (word, places) in RESERVED {
        if source::contains_word(&code, word) && !places.iter().any(|place| is_below(path, place)) {
            found.push(format!("{path}: `{word}` belongs in {}", places.join(" or ")));
        }
    }
    let parts: Vec<&str> = path.trim_start_matches("src/").trim_end_matches(".rs").split('/').collect();
    let room = parts[0];
    let Some(allowed) = table.get(room) else { return found };
    for used in source::uses(&code, &parts) {
        let first = used.split("::").next().unwrap_or_default();
        let covered =
            |path: &String| used == *path || used.strip_prefix(path).is_some_and(|rest| rest.starts_with("::"));
        if first != room && table.contains_key(first) && !allowed.iter().any(covered) {
            found.push(format!("{path}: `{room}` may not use `{used}` (it may use {})", allowed.join(", ")));
        }
    }
    found
}

fn is_below(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
}

/// Modules of `folder` that exist in tests only: those declared right below `#[cfg(test)]`.
fn test_modules(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("mod.rs")).unwrap_or_default();
    let declared = text.lines().zip(text.lines().skip(1)).filter(|(above, _)| above.trim() == "#[cfg(test)]");
    declared.filter_map(|(_, line)| Some(line.trim().strip_prefix("mod ")?.strip_suffix(';')?.to_owned())).collect()
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let for_tests = test_modules(folder);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_stem().is_some_and(|stem| for_tests.iter().any(|name| stem == name.as_str())) {
            continue;
        }
        if path.is_dir() {
            // A folder `tests` holds modules of tests, as does a file `tests.rs`.
            if !path.ends_with("tests") {
                rust_files(&path, files);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            files.push(path);
        }
    }
}

fn our_table() -> Table {
    read_table(include_str!("../src/lib.rs"))
}

#[test]
fn the_table_is_read_from_the_documentation() {
    let table = our_table();
    let allowed = |room: &str| table[room].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(table.len(), 10);
    assert_eq!(allowed("model"), [""; 0]);
    assert_eq!(allowed("sys"), ["model::signal", "model::units"]);
    assert_eq!(allowed("keeper"), ["wire::keeper", "sys", "model"]);
    assert_eq!(allowed("supervisor"), ["model"]);
}

#[test]
fn every_room_uses_only_what_it_may() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    rust_files(&root.join("src"), &mut files);
    assert!(files.len() > 20, "the sources were not found");
    let table = our_table();
    let mut found = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let path = file.strip_prefix(root).unwrap().to_str().unwrap();
        found.extend(violations(&table, path, &text));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// How many violations a made-up file has.
fn count(path: &str, text: &str) -> usize {
    violations(&our_table(), path, text).len()
}

#[test]
fn a_use_of_a_forbidden_room_is_caught_however_it_is_written() {
    for text in [
        "use crate::daemon::Bus;",
        "use crate::daemon;",
        "pub(crate) use crate :: daemon :: bus :: Bus as Other;",
        "use crate::{model::Now, daemon::{bus, log}};",
        "use crate::{\n    model,\n    daemon,\n};",
        "fn f() { crate::daemon::run() }",
        "fn f(x: &mut crate::client::Client) {}",
        "use super::super::daemon::Bus;",
        "mod inner { fn f() { super::super::super::daemon::run() } }",
        "fn f<'a>(x: &'a str) -> char { crate::daemon::f(); '\"' }",
        "const X: &str = r#\"a \" b\"#; use crate::sys::Pid;",
        "use pm2_rs::daemon::Bus;",
    ] {
        assert_ne!(count("src/supervisor/table.rs", text), 0, "{text}");
    }
}

#[test]
fn a_part_of_a_room_is_not_the_whole_room() {
    assert_eq!(count("src/keeper/mod.rs", "use crate::wire::keeper::{ToKeeper, FromKeeper};"), 0);
    assert_eq!(count("src/keeper/mod.rs", "use crate::wire::{keeper, amp};"), 1);
    assert_eq!(count("src/keeper/mod.rs", "use crate::wire;"), 1);
    assert_eq!(count("src/sys/mod.rs", "use crate::model::{signal::Signal, units};"), 0);
    assert_eq!(count("src/sys/mod.rs", "use crate::model::Home;"), 1);
}

#[test]
fn what_is_allowed_is_not_reported() {
    for text in [
        "use crate::model::{Now, PmId};\nuse super::types::Input;\nuse crate::supervisor::types;",
        "// use crate::daemon::Bus;\n/* crate::daemon /* nested */ crate::cli */ /// crate::client",
        "const X: &str = \"crate::daemon \\\" unsafe\"; const Y: &str = r##\"crate::cli\"# \"##;",
        "#[cfg(test)]\nmod tests { use crate::daemon::Bus; fn f() { println!(\"{}\", '}'); } }",
        "#[cfg(test)]\n#[expect(unused)]\nuse crate::daemon::Bus;",
        "fn f() -> &'static str { crate::VERSION }",
        "#![expect(unsafe_code, reason = \"a lint is no block\")]",
    ] {
        assert_eq!(count("src/supervisor/table.rs", text), 0, "{text}");
    }
    assert_eq!(count("src/supervisor/a.rs", "#[cfg(test)] mod tests { } use crate::daemon::Bus;"), 1);
    assert_eq!(count("src/supervisor/a.rs", "#[cfg(test)] mod tests; use crate::daemon::Bus;"), 1);
    assert_eq!(count("src/bin/pm2d.rs", "use pm2_rs::daemon; fn main() { std::process::exit(daemon::main()) }"), 0);
}

#[test]
fn reserved_words_are_caught_outside_their_places() {
    for (text, home) in [
        ("fn f() { unsafe { g() } }", "src/sys/poll.rs"),
        ("fn f() { libc::getpid(); }", "src/keeper/mod.rs"),
        ("#[napi(object)]\nstruct A;", "src/binding/mod.rs"),
        ("fn f() { println!(\"x\"); }", "src/bin/pm2d.rs"),
        ("fn f() { eprintln!(\"x\"); }", "src/bin/pm2d.rs"),
        ("fn f() { std::process::exit(1); }", "src/bin/pm2d.rs"),
    ] {
        assert_eq!(count(home, text), 0, "{text} in {home}");
        assert_eq!(count("src/daemon/mod.rs", text), 1, "{text}");
    }
    assert_eq!(count("src/system.rs", "unsafe fn f() {}"), 1, "a name that begins like a place is not below it");
}
