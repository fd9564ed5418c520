//! [`Printable`]: text that a peer chose, for a terminal and for programs that read its lines.

use std::fmt;

/// Shows text in one line: characters that a terminal obeys instead of showing them come as `\u{a}`, all others as they
/// are. (The escapes of `str::escape_debug` would change quotes and backslashes, too.)
pub(crate) struct Printable<'t>(pub(crate) &'t str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, mut shown) = (self.0, 0);
        for (at, c) in text.char_indices() {
            // The backslash of text that looks like an escape is escaped itself, so that each line means one text.
            let is_imitation = text[at..].starts_with(r"\u{");
            if is_imitation || is_obeyed(c) {
                write!(f, "{}{}", &text[shown..at], c.escape_unicode())?;
                shown = at + c.len_utf8();
            }
        }
        f.write_str(&text[shown..])
    }
}

/// Whether a terminal or a reader of lines does something else than to show this: control characters (C0, DEL, C1, with
/// the line ends among them), Unicode's separators of lines and paragraphs, and its `Bidi_Control`, which turns the
/// direction of writing.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}')
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
