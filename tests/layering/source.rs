//! Just enough reading of Rust to find the paths a file uses.

/// The text with comments and the contents of strings and characters blanked out.
pub(super) fn without_comments_and_strings(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if next == '"' {
            string(rest)
        } else if next == '\'' {
            character(rest)
        } else if next == 'r' && !code.ends_with(is_word) && !code.ends_with('b') {
            raw_string(rest)
        } else if rest.starts_with("br") && !code.ends_with(is_word) {
            let length = raw_string(&rest[1..]);
            if length == 0 { 0 } else { length + 1 }
        } else {
            0
        };
        if skipped == 0 {
            code.push(next);
            rest = &rest[next.len_utf8()..];
        } else {
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    code
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of `r"..."` or `r#"..."#`; 0 for anything else, as a raw identifier.
fn raw_string(text: &str) -> usize {
    let marks = text[1..].bytes().take_while(|byte| *byte == b'#').count();
    if !text[1 + marks..].starts_with('"') {
        return 0;
    }
    let start = marks + 2;
    let end = format!("\"{}", "#".repeat(marks));
    text[start..].find(&end).map_or(text.len(), |at| start + at + end.len())
}

/// The length of a character; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        // The character after the backslash is part of the escape, also when it is a quote.
        Some((_, '\\')) => text[3..].find('\'').map_or(0, |at| at + 4),
        Some(_) => chars.next().filter(|(_, end)| *end == '\'').map_or(0, |(at, _)| at + 1),
        None => 0,
    }
}

/// The code without items marked `#[cfg(test)]`.
pub(super) fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        kept.push_str(&rest[..at]);
        rest = &rest[at + MARK.len()..];
        rest = &rest[item_length(rest)..];
    }
    kept + rest
}

/// Up to the end of the first item: its `;` or its closing brace.
fn item_length(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth = depth.saturating_sub(1);
                // A `use a::{b};` goes on to its semicolon; harmless to leave that alone.
                if depth == 0 && byte == b'}' {
                    return at + 1;
                }
            }
            b';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Whether the code contains these characters, not as part of a longer word.
pub(super) fn contains_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let after = &code[at + word.len()..];
        let begins = !word.starts_with(is_word) || !code[..at].ends_with(is_word);
        begins && (!word.ends_with(is_word) || !after.starts_with(is_word))
    })
}

/// All paths from the root of the crate that the code of this module mentions, without `crate::`.
pub(super) fn uses(code: &str, module: &[&str]) -> Vec<String> {
    // Spaces only separate words: without those around `::` and `{` a path is one piece.
    let mut tight = String::with_capacity(code.len());
    for piece in code.split_whitespace() {
        if tight.ends_with(is_word) && piece.starts_with(is_word) {
            tight.push(' ');
        }
        tight.push_str(piece);
    }
    let mut found = Vec::new();
    let depth = if module.last() == Some(&"mod") { module.len() - 1 } else { module.len() };
    // In a file `super` goes up from the file's module; in inline modules more of them do, never fewer.
    let to_root = "super::".repeat(depth);
    for start in ["crate::", "pm2_rs::", &to_root] {
        for (at, _) in tight.match_indices(start) {
            let before = &tight[..at];
            if before.ends_with(is_word) || before.ends_with("::") {
                continue;
            }
            let rest = tight[at + start.len()..].trim_start_matches("super::");
            found.extend(expand(path(rest)).into_iter().filter(|path| !path.is_empty()));
        }
    }
    found
}

/// The path in front of the code, groups in braces included.
fn path(code: &str) -> &str {
    let mut depth = 0_usize;
    for (at, character) in code.char_indices() {
        match character {
            '{' if depth > 0 || code[..at].is_empty() || code[..at].ends_with("::") => depth += 1,
            '}' if depth > 1 => depth -= 1,
            '}' if depth == 1 => return &code[..=at],
            ',' | '*' | ' ' if depth > 0 => {}
            ':' => {}
            other if is_word(other) => {}
            _ => return &code[..at],
        }
    }
    code
}

/// `a::{b, c::{d}}` as `a::b` and `a::c::d`; a rename is cut off.
pub(super) fn expand(path: &str) -> Vec<String> {
    let Some((head, group)) = path.split_once('{') else {
        let path = path.trim().split(' ').next().unwrap_or_default();
        let path = path.trim_end_matches("::self").trim_end_matches(':');
        return vec![path.to_owned()];
    };
    let mut parts = vec![String::new()];
    let mut depth = 0_usize;
    for character in group.strip_suffix('}').unwrap_or(group).chars() {
        match character {
            ',' if depth == 0 => parts.push(String::new()),
            _ => {
                depth = depth + usize::from(character == '{') - usize::from(character == '}');
                if let Some(part) = parts.last_mut() {
                    part.push(character);
                }
            }
        }
    }
    let head = head.trim();
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| expand(&format!("{head}{}", part.trim()))).collect()
}
