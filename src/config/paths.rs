//! Paths as Node resolves them: purely by their text.

use std::path::{Component, Path, PathBuf};

/// Node's `path.resolve(base, text)`; `base` must be absolute.
pub(super) fn resolve(base: &Path, text: &str) -> PathBuf {
    let mut path = PathBuf::from("/");
    for component in base.join(text).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::ParentDir => drop(path.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    path
}

/// The extension as Node's `path.extname` sees it, with its dot; empty without.
pub(super) fn extension(path: &Path) -> &str {
    let base = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    match base.rfind('.') {
        Some(dot) if dot > 0 => &base[dot..],
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_resolved_by_their_text() {
        for (text, path) in [("a/../b", "/w/b"), ("/x/./y/", "/x/y"), ("../../..", "/"), ("", "/w"), (".", "/w")] {
            assert_eq!(resolve(Path::new("/w"), text), Path::new(path), "{text}");
        }
    }

    #[test]
    fn extensions_are_nodes() {
        assert_eq!(extension(Path::new("/a/b.tar.gz")), ".gz");
        assert_eq!(extension(Path::new("/a/.profile")), "");
        assert_eq!(extension(Path::new("/a.d/b")), "");
    }
}
