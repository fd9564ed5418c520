//! [`Printable`]: shows a peer's text safely, to a terminal and to programs that read lines.

use std::fmt;

/// Shows text in one line, with control characters as `\u{a}` and all others unchanged. (The escapes of
/// `str::escape_debug` would change quotes and backslashes, too.)
pub(crate) struct Printable<'t>(pub(crate) &'t str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, mut shown) = (self.0, 0);
        for (at, c) in text.char_indices() {
            // Escapes the backslash of text that looks like an escape, so that the output is unambiguous.
            let looks_escaped = text[at..].starts_with(r"\u{");
            if looks_escaped || needs_escape(c) {
                write!(f, "{}{}", &text[shown..at], c.escape_unicode())?;
                shown = at + c.len_utf8();
            }
        }
        f.write_str(&text[shown..])
    }
}

/// Whether a terminal or a line reader acts on this character: control characters (C0, DEL, C1, with the line ends
/// among them), Unicode's line and paragraph separators, and its `Bidi_Control`, which changes the writing direction.
fn needs_escape(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}')
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
