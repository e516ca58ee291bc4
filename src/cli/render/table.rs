//! Boxes: borders, cells cut to their width, colours that never count.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::super::Ui;
use super::super::ui::Colour;

/// One cell: its text and the colour it is shown in, and what stands before it in a colour of its own.
pub(super) struct Cell {
    text: String,
    colour: Option<Colour>,
    before: Option<(String, Colour)>,
}

impl Cell {
    pub(super) fn plain(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), colour: None, before: None }
    }

    pub(super) fn coloured(text: impl Into<String>, colour: Colour) -> Cell {
        Cell { text: text.into(), colour: Some(colour), before: None }
    }

    /// The same cell behind `text`, which may be empty.
    pub(super) fn after(self, text: String, colour: Colour) -> Cell {
        Cell { before: Some((text, colour)), ..self }
    }

    fn fit(&self, width: usize, ui: &Ui) -> String {
        let (before, colour) = self.before.as_ref().map_or(("", Colour::Bold), |(text, colour)| (text, *colour));
        let used = before.width();
        if used == 0 || used >= width {
            return self.painted(&[before, &self.text].concat(), width, ui);
        }
        ui.paint(colour, before) + &self.painted(&self.text, width - used, ui)
    }

    /// The text in its colour, the blanks behind it in none: an inverse cell would be a block.
    fn painted(&self, text: &str, width: usize, ui: &Ui) -> String {
        let fitted = fit(text, width);
        let shown = fitted.trim_end_matches(' ');
        match self.colour {
            Some(colour) if !shown.is_empty() => [&ui.paint(colour, shown), &fitted[shown.len()..]].concat(),
            _ => fitted,
        }
    }
}

/// `text` in exactly `width` columns: padded, or cut with `…`.
pub(in crate::cli) fn fit(text: &str, width: usize) -> String {
    let text = harmless(text);
    let has = text.width();
    if has <= width {
        return format!("{text}{}", " ".repeat(width - has));
    }
    let mut cut = String::new();
    let mut used = 0;
    // By what a reader takes for one letter: an accent is not torn from it, nor a family into its members.
    for letter in text.graphemes(true) {
        let wide = letter.width();
        if used + wide + 1 > width {
            break;
        }
        cut.push_str(letter);
        used += wide;
    }
    let dots = usize::from(width > 0);
    format!("{cut}{}{}", "…".repeat(dots), " ".repeat(width.saturating_sub(used + dots)))
}

/// `text` in lines of at most `width` columns, as many as it needs; one at least.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for letter in harmless(text).graphemes(true) {
        let wide = letter.width();
        if used + wide > width && used > 0 {
            lines.push(String::new());
            used = 0;
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(letter);
        }
        used += wide;
    }
    lines
}

/// Characters that would move the cursor, or the letters that follow, become spaces.
pub(in crate::cli) fn harmless(text: &str) -> String {
    let moves = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if moves(c) { ' ' } else { c }).collect()
}

/// A whole table. `widths` count the cell with one blank on each side, as the contract does.
pub(super) fn render(widths: &[usize], head: Option<&[&str]>, rows: &[Vec<Cell>], ui: &Ui) -> String {
    let rule = |left: &str, middle: &str, right: &str| {
        let bars: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
        format!("{}\n", ui.paint_border(&format!("{left}{}{right}", bars.join(middle))))
    };
    let bar = ui.paint_border("│");
    let mut text = rule("┌", "┬", "┐");
    if let Some(head) = head {
        for (title, width) in head.iter().zip(widths) {
            text += &[&bar, " ", &ui.paint(Colour::BoldCyan, &fit(title, width - 2)), " "].concat();
        }
        text += &[&bar, "\n"].concat();
        if !rows.is_empty() {
            text.push_str(&rule("├", "┼", "┤"));
        }
    }
    for row in rows {
        for (cell, width) in row.iter().zip(widths) {
            text += &[&bar, " ", &cell.fit(width.saturating_sub(2), ui), " "].concat();
        }
        text += &[&bar, "\n"].concat();
    }
    text.push_str(&rule("└", "┴", "┘"));
    text
}

impl Ui {
    fn paint_border(&self, text: &str) -> String {
        self.paint(Colour::Grey, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_exactly_their_width() {
        assert_eq!(fit("api", 5), "api  ");
        assert_eq!(fit("waiting restart", 9), "waiting …");
        assert_eq!(fit("日本語の名前", 7), "日本語…");
        assert_eq!(fit("日本語の名前", 6), "日本… ");
        assert_eq!(fit("a\u{1b}[2Jb", 6), "a [2Jb");
        assert_eq!(fit("ab", 0), "");
    }

    #[test]
    fn wrapped_lines_hold_everything() {
        assert_eq!(wrap("/srv/app.js", 6), ["/srv/a", "pp.js"]);
        assert_eq!(wrap("日本語", 3), ["日", "本", "語"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn letters_are_never_torn() {
        // e with an accent of its own, a family of three joined people, a flag of two letters.
        let (accent, family, flag) = ("e\u{301}", "👨\u{200d}👩\u{200d}👧", "🇯🇵");
        assert_eq!(fit(&accent.repeat(4), 5), format!("{} ", accent.repeat(4)));
        assert_eq!(fit(&accent.repeat(4), 3), format!("{}…", accent.repeat(2)));
        assert_eq!(fit(&family.repeat(3), 5), format!("{}…", family.repeat(2)));
        assert_eq!(fit(&flag.repeat(3), 4), format!("{flag}… "));
        for text in [accent, family, flag, "日本", "ﷺ", "\u{301}", "a\u{202e}b"] {
            for width in 0..12 {
                assert_eq!(fit(&text.repeat(3), width).width(), width, "{text} in {width}");
            }
        }
        assert_eq!(fit("a\u{202e}b", 3), "a b");
    }
}
