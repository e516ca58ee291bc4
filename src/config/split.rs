//! One text into many words, as pm2 splits `args`, `node_args` and `ignore_watch` (contract/options.md section 2.3).

/// Words are separated by blanks, and end with their closing quote. A word in quotes loses them; `key="a b"` keeps them; there
/// is no escape.
pub fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for c in text.chars() {
        match quote {
            Some(open) => {
                word.push(c);
                if c == open {
                    quote = None;
                    finish(&mut words, &mut word);
                }
            }
            None if c.is_whitespace() => finish(&mut words, &mut word),
            None => {
                // A quote opens only at the start of a word or after `key=`: elsewhere (`it's`) it is a letter.
                let opens = word.is_empty() || (word.len() > 1 && word.ends_with('='));
                if (c == '"' || c == '\'') && opens {
                    quote = Some(c);
                }
                word.push(c);
            }
        }
    }
    finish_open(&mut words, &mut word, quote.is_some());
    words
}

fn finish(words: &mut Vec<String>, word: &mut String) {
    let whole = std::mem::take(word);
    let unquoted = ['"', '\'']
        .iter()
        .find_map(|q| whole.strip_prefix(*q)?.strip_suffix(*q).filter(|inner| !inner.contains(*q)).map(str::to_owned));
    let word = unquoted.unwrap_or(whole);
    if !word.is_empty() {
        words.push(word);
    }
}

/// The last word; a quote that was never closed is a letter, so that what follows it is split as usual.
fn finish_open(words: &mut Vec<String>, word: &mut String, open: bool) {
    if open {
        for part in word.split_whitespace() {
            words.push(part.to_owned());
        }
        word.clear();
    } else {
        finish(words, word);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_documented_line_is_split_as_documented() {
        let words = split(r#"--a "b c" 'd e' --f="g h" x\ y"#);
        assert_eq!(words, ["--a", "b c", "d e", r#"--f="g h""#, r"x\", "y"]);
    }

    #[test]
    fn empty_words_are_dropped_and_open_quotes_are_letters() {
        assert_eq!(split("  a \t b\n\"\" ''"), ["a", "b"]);
        assert_eq!(split("it's \"a b"), ["it's", "\"a", "b"]);
    }

    proptest! {
        #[test]
        fn words_without_blanks_and_quotes_survive(words in proptest::collection::vec("[a-zA-Z0-9=./-]{1,8}", 0..8)) {
            prop_assert_eq!(split(&words.join("  ")), words);
        }

        #[test]
        fn quoted_words_survive(words in proptest::collection::vec("[a-z ]{0,6}[a-z]", 0..8)) {
            let line = words.iter().map(|w| format!("\"{w}\"")).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(split(&line), words);
        }

        #[test]
        fn nothing_but_blanks_and_quotes_is_lost(text in any::<String>()) {
            let keep = |t: &str| t.chars().filter(|c| !c.is_whitespace() && *c != '"' && *c != '\'').collect::<String>();
            prop_assert_eq!(keep(&split(&text).concat()), keep(&text));
        }
    }
}
