//! The command lines that the files of each init system hold, and how they are quoted. Pure.

use super::{Service, quoted};

/// The command that does `words`: the native executable itself, or, where the path holds a version of Node (nvm, fnm, asdf
/// and the like keep one folder for each), a line for `sh` that finds the executable and a node at boot if that version
/// has been removed since.
pub(super) fn command(service: &Service, words: &str) -> Vec<String> {
    let program = service.program.display().to_string();
    let Some((root, inside)) = versioned(&program) else {
        let mut line = vec![program, "cli".to_owned()];
        line.extend(words.split_whitespace().map(ToOwned::to_owned));
        return line;
    };
    let script = format!(
        "p={program}; if [ ! -x \"$p\" ]; then unset PM2_RS_AGENT; for c in {root}/*{inside}; do if [ -x \"$c\" ]; then p=$c; fi; \
         done; fi; if ! command -v node >/dev/null; then for c in {root}/*/bin {root}/*/installation/bin; do if [ -x \
         \"$c/node\" ]; then PATH=$c:$PATH; fi; done; export PATH; fi; exec \"$p\" cli {words}",
        program = quoted(&program),
        root = quoted(root),
        inside = quoted(inside),
    );
    vec!["/bin/sh".to_owned(), "-c".to_owned(), script]
}

/// Folder of the versions of Node, and what follows the version: `/home/a/.nvm/versions/node` and `/lib/node_modules/...`.
fn versioned(program: &str) -> Option<(&str, &str)> {
    let folders = ["/versions/node/", "/node-versions/", "/installs/nodejs/", "/installs/node/"];
    let (at, folder) = folders.iter().find_map(|folder| program.find(folder).map(|at| (at, folder)))?;
    let (root, rest) = program.split_at(at + folder.len());
    let inside = rest.find('/')?;
    Some((root.trim_end_matches('/'), rest.split_at(inside).1))
}

/// The same as one line for a shell.
pub(super) fn shell_command(service: &Service, words: &str) -> String {
    command(service, words).iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// Text inside XML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
