//! Folded header lines in a response.

use alloc::vec::Vec;

/// Replaces each obs-fold in a whole head with one space, so that the parser never sees one and no line end can get
/// into a value. Several folds in a row, as around a line of white space only, become one space together.
///
/// RFC 9112 §5.2: "A user agent that receives an obs-fold in a response message that is not within a "message/http"
/// container MUST replace each received obs-fold with one or more SP octets prior to interpreting the field value."
/// "obs-fold = OWS CRLF RWS".
pub(crate) fn unfold(head: &mut Vec<u8>) {
    // The first line is the status line. The next has nothing before it that it could continue.
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

/// The lines of a head, each with its line end. It has no bare LF.
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
    fn a_fold_becomes_a_space() {
        for (folded, expected) in [
            ("S\r\nA: b\r\n c\r\n\r\n", "S\r\nA: b c\r\n\r\n"),
            ("S\r\nA: b \t\r\n\t  c \r\n\r\n", "S\r\nA: b c \r\n\r\n"),
            ("S\r\nA:\r\n b\r\n\r\n", "S\r\nA: b\r\n\r\n"),
            // Of several, as around a line of white space, one.
            ("S\r\nA: b\r\n \r\n\t\t\r\n c\r\nD: e\r\n f\r\n\r\n", "S\r\nA: b c\r\nD: e f\r\n\r\n"),
            ("S\r\nA: b\r\n \r\n\r\n", "S\r\nA: b \r\n\r\n"),
            // The name is no name any more, and the parser says so.
            ("S\r\nA\r\n : b\r\n\r\n", "S\r\nA : b\r\n\r\n"),
        ] {
            assert_eq!(unfolded(folded), expected.as_bytes(), "{folded:?}");
        }
    }

    #[test]
    fn everything_else_stays() {
        for head in [
            "S\r\n\r\n",
            "S\r\nA: b  c\t\r\nD: e\r\n\r\n",
            // White space before the first header line continues nothing, and is not to be read as part of another line.
            "S\r\n A: b\r\n\r\n",
            "S\r\n \r\n\r\n",
        ] {
            assert_eq!(unfolded(head), head.as_bytes(), "{head:?}");
        }
        assert_eq!(unfolded("S\r\n \r\n A: b\r\n\r\n"), b"S\r\n A: b\r\n\r\n", "still no header line");
    }
}
