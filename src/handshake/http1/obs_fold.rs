//! Unfolds header lines in a response.

use alloc::vec::Vec;

/// Replaces each obs-fold in a complete head with one space, so that the parser never sees one and no value contains a
/// line end. Consecutive folds, as around a line of only white space, become one space.
///
/// RFC 9112 §5.2: "A user agent that receives an obs-fold in a response message that is not within a "message/http"
/// container MUST replace each received obs-fold with one or more SP octets prior to interpreting the field value."
/// "obs-fold = OWS CRLF RWS".
pub(crate) fn unfold(head: &mut Vec<u8>) {
    // The first line is the status line, so the second cannot continue a header.
    let is_fold = |(index, line): (usize, &[u8])| index > 1 && matches!(line, [b' ' | b'\t', ..]);
    if !lines(head).enumerate().any(is_fold) {
        return;
    }
    let mut unfolded = Vec::with_capacity(head.len());
    for (index, line) in lines(head).enumerate() {
        if is_fold((index, line)) {
            let continued = unfolded.strip_suffix(b"\r\n").unwrap_or(&unfolded);
            let trailing = continued.iter().rev().take_while(|byte| is_white_space(**byte)).count();
            unfolded.truncate(continued.len().saturating_sub(trailing));
            unfolded.push(b' ');
            unfolded.extend(line.iter().skip_while(|byte| is_white_space(**byte)));
        } else {
            unfolded.extend_from_slice(line);
        }
    }
    *head = unfolded;
}

/// The lines of a head without a bare LF, each with its line end.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split_inclusive(|&byte| byte == b'\n')
}

fn is_white_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::unfold;
    use alloc::vec::Vec;

    fn unfolded(head: &str) -> Vec<u8> {
        let mut head = head.as_bytes().to_vec();
        unfold(&mut head);
        head
    }

    #[test]
    fn a_fold_is_replaced_with_one_space() {
        for (folded, expected) in [
            ("S\r\nA: b\r\n c\r\n\r\n", "S\r\nA: b c\r\n\r\n"),
            ("S\r\nA: b \t\r\n\t  c \r\n\r\n", "S\r\nA: b c \r\n\r\n"),
            ("S\r\nA:\r\n b\r\n\r\n", "S\r\nA: b\r\n\r\n"),
            // Consecutive folds, around a line of white space.
            ("S\r\nA: b\r\n \r\n\t\t\r\n c\r\nD: e\r\n f\r\n\r\n", "S\r\nA: b c\r\nD: e f\r\n\r\n"),
            ("S\r\nA: b\r\n \r\n\r\n", "S\r\nA: b \r\n\r\n"),
            // The name is now invalid, which the parser reports.
            ("S\r\nA\r\n : b\r\n\r\n", "S\r\nA : b\r\n\r\n"),
        ] {
            assert_eq!(unfolded(folded), expected.as_bytes(), "{folded:?}");
        }
    }

    #[test]
    fn heads_without_a_fold_are_unchanged() {
        for head in [
            "S\r\n\r\n",
            "S\r\nA: b  c\t\r\nD: e\r\n\r\n",
            // White space before the first header line has no line to continue, and must not become part of another
            // one.
            "S\r\n A: b\r\n\r\n",
            "S\r\n \r\n\r\n",
        ] {
            assert_eq!(unfolded(head), head.as_bytes(), "{head:?}");
        }
        assert_eq!(unfolded("S\r\n \r\n A: b\r\n\r\n"), b"S\r\n A: b\r\n\r\n", "still not a header line");
    }
}
