//! The sentence about an option that does not exist, with the one that was probably meant.

use super::table::{FIELDS, Field};

/// The warning for an unknown key.
pub(super) fn unknown(key: &str) -> String {
    // A key may be as long as the file; the message may not.
    let shown: String = key.chars().take(60).collect();
    match nearest(key) {
        Some(name) => format!("unknown option \"{shown}\" is ignored; did you mean \"{name}\"?"),
        None => format!("unknown option \"{shown}\" is ignored"),
    }
}

fn nearest(key: &str) -> Option<&'static str> {
    let length = key.chars().count();
    if length > 40 {
        return None;
    }
    let limit = ((length + 1) / 3).clamp(1, 3);
    FIELDS
        .iter()
        .flat_map(Field::names)
        .map(|name| (distance(key, name), name))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, _)| *d)
        .map(|(_, name)| name)
}

/// Levenshtein distance, without regard to case.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.to_lowercase().chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i + 1);
        for ((above, left_above), to) in row.iter().skip(1).zip(&row).zip(&b) {
            let left = next.last().copied().unwrap_or(0);
            next.push((above + 1).min(left + 1).min(left_above + usize::from(from != *to)));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_recognised() {
        assert_eq!(nearest("max_memory_restrat"), Some("max_memory_restart"));
        assert_eq!(nearest("intances"), Some("instances"));
        assert_eq!(nearest("foo"), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
