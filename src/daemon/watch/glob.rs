//! Globs as `watch` has them: `*`, `?`, `[a-z]`, `{a,b}`, `**`.
//!
//! Owns: reading and matching them. A library for this brings an engine for regular expressions along, a seventh of the
//! daemon's file. Must never: take time that grows faster than length of pattern times length of name, in one folder's
//! name, or make more than [`MOST`] patterns out of one.

use std::path::Path;

/// Alternatives of one pattern: `{a,b}{c,d}` are four.
const MOST: usize = 256;

/// Matches a path below the folder that it is asked about.
#[derive(Debug)]
pub(super) struct Glob(Vec<Vec<Part>>);

/// What matches the names of a path.
#[derive(Debug, PartialEq)]
enum Part {
    /// `**`: any number of folders, none included, so that `src/**` is `src` and everything inside, as chokidar has it.
    Folders,
    Name(Vec<Piece>),
}

#[derive(Debug, PartialEq)]
enum Piece {
    This(char),
    One,
    Many,
    Class { not: bool, ranges: Vec<(char, char)> },
}

/// Why a pattern cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum GlobError {
    #[error("`{0}` is not closed")]
    Open(char),
    #[error("`}}` closes nothing")]
    Closed,
    #[error("`{0}-{1}` is no range")]
    Range(char, char),
    #[error("nothing follows the last backslash")]
    Escape,
    #[error("it has more than {MOST} alternatives")]
    TooMany,
}

impl Glob {
    pub(super) fn new(text: &str) -> Result<Glob, GlobError> {
        let text: Vec<char> = text.chars().collect();
        alternatives(&text)?.iter().map(|plain| read(plain)).collect::<Result<_, _>>().map(Glob)
    }

    /// `path` is relative.
    pub(super) fn matches(&self, path: &Path) -> bool {
        let names: Vec<Vec<char>> =
            path.components().map(|part| part.as_os_str().to_string_lossy().chars().collect()).collect();
        self.0.iter().any(|parts| fits(parts, &names))
    }
}

/// The patterns without braces that a pattern stands for.
fn alternatives(text: &[char]) -> Result<Vec<Vec<char>>, GlobError> {
    let mut made = vec![Vec::new()];
    let mut at = 0;
    while let Some(&next) = text.get(at) {
        let end = match next {
            '\\' => (at + 2).min(text.len()),
            '[' => end_of_class(text, at)?,
            '{' => {
                let (choices, end) = choices(text, at)?;
                made =
                    made.iter().flat_map(|start| choices.iter().map(move |rest| [&start[..], rest].concat())).collect();
                if made.len() > MOST {
                    return Err(GlobError::TooMany);
                }
                at = end;
                continue;
            }
            '}' => return Err(GlobError::Closed),
            _ => at + 1,
        };
        for start in &mut made {
            start.extend(text.get(at..end).unwrap_or_default());
        }
        at = end;
    }
    Ok(made)
}

/// What the braces that open at `at` offer, and where they end.
fn choices(text: &[char], at: usize) -> Result<(Vec<Vec<char>>, usize), GlobError> {
    let mut found = Vec::new();
    let (mut depth, mut start, mut next) = (1, at + 1, at + 1);
    while let Some(&char) = text.get(next) {
        match char {
            '\\' => next += 1,
            '[' => next = end_of_class(text, next)? - 1,
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && char == ',') {
            found.extend(alternatives(text.get(start..next).unwrap_or_default())?);
            start = next + 1;
        }
        if depth == 0 {
            return Ok((found, next + 1));
        }
        next += 1;
    }
    Err(GlobError::Open('{'))
}

/// Behind the bracket that closes the class that opens at `at`. One that comes first is part of the class.
fn end_of_class(text: &[char], at: usize) -> Result<usize, GlobError> {
    let negated = matches!(text.get(at + 1), Some('!' | '^'));
    let first = at + 2 + usize::from(negated);
    let closed = text.iter().skip(first).position(|char| *char == ']');
    closed.map(|closed| first + closed + 1).ok_or(GlobError::Open('['))
}

fn read(text: &[char]) -> Result<Vec<Part>, GlobError> {
    let mut parts = Vec::new();
    let mut name = Vec::new();
    let mut at = 0;
    while let Some(&next) = text.get(at) {
        at += 1;
        match next {
            '/' => end_name(&mut parts, &mut name),
            '?' => name.push(Piece::One),
            '*' => name.push(Piece::Many),
            '[' => {
                let end = end_of_class(text, at - 1)?;
                name.push(class(text.get(at..end - 1).unwrap_or_default())?);
                at = end;
            }
            '\\' => {
                name.push(Piece::This(*text.get(at).ok_or(GlobError::Escape)?));
                at += 1;
            }
            char => name.push(Piece::This(char)),
        }
    }
    end_name(&mut parts, &mut name);
    Ok(parts)
}

fn end_name(parts: &mut Vec<Part>, name: &mut Vec<Piece>) {
    let name = std::mem::take(name);
    if name == [Piece::Many, Piece::Many] {
        // Two in a row say no more than one, and would be tried against each other.
        if parts.last() != Some(&Part::Folders) {
            parts.push(Part::Folders);
        }
    } else if !name.is_empty() {
        parts.push(Part::Name(name));
    }
}

/// What is between the brackets.
fn class(text: &[char]) -> Result<Piece, GlobError> {
    let not = matches!(text.first(), Some('!' | '^'));
    let mut rest = text.get(usize::from(not)..).unwrap_or_default();
    let mut ranges = Vec::new();
    while let Some((&first, after)) = rest.split_first() {
        rest = if let ['-', last, after @ ..] = after {
            if first > *last {
                return Err(GlobError::Range(first, *last));
            }
            ranges.push((first, *last));
            after
        } else {
            ranges.push((first, first));
            after
        };
    }
    Ok(Piece::Class { not, ranges })
}

fn fits(parts: &[Part], names: &[Vec<char>]) -> bool {
    // As far as the folders that are matched last may reach: what lies before needs no other try.
    let (mut part, mut name) = (0, 0);
    let mut again = None;
    loop {
        match (parts.get(part), names.get(name)) {
            (None, None) => return true,
            (Some(Part::Folders), Some(_)) if part + 1 == parts.len() => return true,
            (Some(Part::Folders), _) => {
                again = Some((part, name));
                part += 1;
                continue;
            }
            (Some(Part::Name(pieces)), Some(text)) if name_fits(pieces, text) => {
                (part, name) = (part + 1, name + 1);
                continue;
            }
            _ => {}
        }
        match again {
            Some((folders, from)) if from < names.len() => {
                again = Some((folders, from + 1));
                (part, name) = (folders + 1, from + 1);
            }
            _ => return false,
        }
    }
}

fn name_fits(pieces: &[Piece], name: &[char]) -> bool {
    let (mut piece, mut char) = (0, 0);
    let mut again = None;
    loop {
        match (pieces.get(piece), name.get(char)) {
            (None, None) => return true,
            (Some(Piece::Many), _) => {
                again = Some((piece, char));
                piece += 1;
                continue;
            }
            (Some(one), Some(text)) if one.fits(*text) => {
                (piece, char) = (piece + 1, char + 1);
                continue;
            }
            _ => {}
        }
        match again {
            Some((many, from)) if from < name.len() => {
                again = Some((many, from + 1));
                (piece, char) = (many + 1, from + 1);
            }
            _ => return false,
        }
    }
}

impl Piece {
    fn fits(&self, char: char) -> bool {
        match self {
            Piece::This(own) => *own == char,
            Piece::One => true,
            Piece::Many => false,
            Piece::Class { not, ranges } => ranges.iter().any(|(first, last)| (*first..=*last).contains(&char)) != *not,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(glob: &str, yes: &[&str], no: &[&str]) {
        let read = Glob::new(glob).unwrap();
        for path in yes {
            assert!(read.matches(Path::new(path)), "{glob} matches {path}");
        }
        for path in no {
            assert!(!read.matches(Path::new(path)), "{glob} does not match {path}");
        }
    }

    #[test]
    fn names_and_folders() {
        check("*.js", &["a.js", ".js", "ab.c.js"], &["a.ts", "x/a.js", "a.jsx", ""]);
        check("a?c", &["abc", "aäc"], &["ac", "abbc"]);
        check("**/*.js", &["a.js", "x/a.js", "x/y/a.js"], &["a.ts", "x"]);
        check("src/**/*.js", &["src/a.js", "src/b/c/a.js"], &["a.js", "lib/src/a.js"]);
        check("src/**", &["src", "src/a", "src/a/b"], &["srcs", "srcs/a", "lib/src"]);
        check("**/a/**/b", &["a/b", "x/a/y/z/b", "a/a/b"], &["a", "b", "a/b/c"]);
        check("a**b", &["ab", "axxb"], &["a/b"]);
        check("*a*b*c*", &["abc", "xaxbxcx", "aabbcc"], &["acb", "ab"]);
    }

    #[test]
    fn choices_and_classes() {
        check("*.{js,ts}", &["a.js", "a.ts"], &["a.css", "a."]);
        check("{a,b/{c,d}}/x", &["a/x", "b/c/x", "b/d/x"], &["b/x", "c/x"]);
        check("a{,.min}.js", &["a.js", "a.min.js"], &["a.max.js"]);
        check("[a-c]x[!0-9]", &["axz", "cx-"], &["dxz", "ax1", "ax"]);
        check("[]-]", &["]", "-"], &["a"]);
        check("[{,}]", &["{", ",", "}"], &["a"]);
        check(r"\*\{", &["*{"], &["a{"]);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let error = |glob: &str| Glob::new(glob).unwrap_err();
        assert_eq!(error("{a,b"), GlobError::Open('{'));
        assert_eq!(error("a[b"), GlobError::Open('['));
        assert_eq!(error("{a[}"), GlobError::Open('['));
        assert_eq!(error("a}"), GlobError::Closed);
        assert_eq!(error("[z-a]"), GlobError::Range('z', 'a'));
        assert_eq!(error(r"a\"), GlobError::Escape);
        assert_eq!(error(&"{a,b}".repeat(20)), GlobError::TooMany);
        assert_eq!(error(&format!("{}{}", "{a,".repeat(3), "}".repeat(2))), GlobError::Open('{'));
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        let name = "a".repeat(255);
        assert!(!Glob::new(&format!("{}b", "*a".repeat(100))).unwrap().matches(Path::new(&name)));
        let path = "a/".repeat(500);
        assert!(!Glob::new(&format!("{}b", "**/a/".repeat(100))).unwrap().matches(Path::new(&path)));
    }
}
