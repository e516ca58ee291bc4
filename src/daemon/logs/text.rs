//! Text out of bytes that were cut anywhere.

use std::borrow::Cow;

/// How many bytes at the end begin a character that is not complete (0 to 3).
pub(super) fn incomplete_tail(bytes: &[u8]) -> usize {
    for (back, byte) in bytes.iter().rev().take(3).enumerate() {
        let length = match byte {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 0,
        };
        return if length > back + 1 { back + 1 } else { 0 };
    }
    0
}

/// Turns the chunks of one stream into text; a character that was cut waits for its rest.
#[derive(Debug, Default)]
pub(super) struct TextCutter {
    held: Vec<u8>,
}

impl TextCutter {
    /// The text of the next chunk, with U+FFFD for what is no UTF-8. `last`: what is held comes too.
    pub(super) fn next<'a>(&mut self, chunk: &'a [u8], last: bool) -> Cow<'a, str> {
        let hold = if last { 0 } else { incomplete_tail(chunk) };
        let (now, later) = chunk.split_at(chunk.len() - hold);
        if self.held.is_empty() {
            self.held.extend_from_slice(later);
            return String::from_utf8_lossy(now);
        }
        self.held.extend_from_slice(chunk);
        let hold = if last { 0 } else { incomplete_tail(&self.held) };
        let later = self.held.split_off(self.held.len() - hold);
        let now = std::mem::replace(&mut self.held, later);
        Cow::Owned(String::from_utf8_lossy(&now).into_owned())
    }

    /// Forgets what is held: chunks were left out.
    pub(super) fn clear(&mut self) {
        self.held.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &[u8], size: usize) -> String {
        let mut cutter = TextCutter::default();
        let mut out: String = text.chunks(size).map(|chunk| cutter.next(chunk, false).into_owned()).collect();
        out.push_str(&cutter.next(b"", true));
        out
    }

    #[test]
    fn characters_stay_whole() {
        for size in 1..9 {
            assert_eq!(cut("aé⏰🦀\u{2028}z".as_bytes(), size), "aé⏰🦀\u{2028}z", "{size}");
        }
        assert_eq!(TextCutter::default().next(b"\xe2\x8f", true), "\u{fffd}");
    }

    proptest! {
        #[test]
        fn any_text_in_any_pieces(text in ".{0,30}", size in 1_usize..9) {
            prop_assert_eq!(cut(text.as_bytes(), size), text);
        }

        #[test]
        fn any_bytes_are_no_error(bytes in prop::collection::vec(any::<u8>(), 0..50), size in 1_usize..9) {
            prop_assert_eq!(cut(&bytes, size).is_empty(), bytes.is_empty());
        }
    }
}
