//! [`HeadScanner`]: finds the end of an HTTP/1.1 head that arrives in pieces, and limits its size.

use alloc::vec::Vec;

use super::head::{MAX_STACK_HEADERS, ParsedHead};
use super::obs_fold::unfold;
use super::start_line::{StartLine, lower_minor_version};
use crate::config::Config;
use crate::error::HandshakeErrorKind;

/// Finds the end of a head. Scans each byte once, so a head takes linear time and fails at the same byte, however it is
/// split.
///
/// Fails at once at the first byte that breaks the start line's grammar, is a stray control byte, CR or LF, starts a
/// fold that is not allowed, or exceeds a limit. The parser checks the rest when the head is complete: that each header
/// line has a valid name and a colon, and that bytes from 0x80 on in a request target are UTF-8.
#[derive(Debug)]
pub(crate) struct HeadScanner {
    is_request: bool,
    /// Bytes scanned, over all heads on this connection.
    seen: u32,
    /// Complete lines, including the start line and folded lines.
    lines: u32,
    /// The position in the start line; unused after it.
    start_line: StartLine,
    /// Whether the current line has a byte other than CR.
    in_line: bool,
    after_cr: bool,
}

/// Why a head is invalid. `consumed` counts the bytes of the piece up to and including the offending one.
pub(crate) struct ScanError {
    pub(crate) kind: HandshakeErrorKind,
    pub(crate) consumed: usize,
}

impl HeadScanner {
    pub(crate) fn request() -> Self {
        Self::new(true, StartLine::REQUEST)
    }

    pub(crate) fn response() -> Self {
        Self::new(false, StartLine::RESPONSE)
    }

    fn new(is_request: bool, start_line: StartLine) -> Self {
        Self { is_request, seen: 0, lines: 0, start_line, in_line: false, after_cr: false }
    }

    /// Fast path: parses a head that is complete in `piece`, without scanning it. Returns `None` and changes nothing if
    /// it is incomplete, has more than [`MAX_STACK_HEADERS`] headers, or would be rejected or
    /// [normalized](Self::normalize) by the scanner.
    pub(crate) fn parse_at_once<T>(
        &mut self,
        piece: &[u8],
        config: &Config,
        parse: impl FnOnce(&[u8], usize) -> Option<ParsedHead<T>>,
    ) -> Option<ParsedHead<T>> {
        let room = config.max_head_size.saturating_sub(self.seen) as usize;
        let found = parse(piece.get(..room).unwrap_or(piece), MAX_STACK_HEADERS.min(config.max_headers.into()))?;
        self.seen = self.seen.saturating_add(found.0 as u32);
        Some(found)
    }

    /// Scans the next piece. If the head ends in it, returns how many bytes of the piece belong to the head.
    pub(crate) fn scan(&mut self, piece: &[u8], config: &Config) -> Result<Option<usize>, ScanError> {
        let mut consumed = 0;
        let room = config.max_head_size.saturating_sub(self.seen) as usize;
        let allowed = piece.get(..room).unwrap_or(piece);
        loop {
            let text = self.scan_text(allowed.get(consumed..).unwrap_or_default());
            consumed += text.map_err(|bad| ScanError { consumed: consumed + bad.consumed, ..bad })?;
            let Some(&byte) = allowed.get(consumed) else { break };
            consumed += 1;
            let bad = |kind| ScanError { kind, consumed };
            match (self.after_cr, byte) {
                (true, b'\n') => {
                    self.after_cr = false;
                    // RFC 9112 §2.2: "a server that is expecting to receive and parse a request-line SHOULD ignore at
                    // least one empty line (CRLF) received prior to the request-line."
                    if !self.in_line && self.lines == 0 {
                        self.start_line = StartLine::MethodStart;
                        continue;
                    }
                    if !self.in_line {
                        self.seen = self.seen.saturating_add(consumed as u32);
                        return Ok(Some(consumed));
                    }
                    self.in_line = false;
                    self.lines = self.lines.saturating_add(1);
                    // The first line is not a header.
                    if self.lines > u32::from(config.max_headers).saturating_add(1) {
                        return Err(bad(HandshakeErrorKind::HeadTooLarge));
                    }
                }
                (false, b'\r') if self.lines > 0 || self.start_line.may_end() => self.after_cr = true,
                // A control byte, a bare CR or a bare LF. RFC 9112 §2.2 lets a recipient accept a bare LF as a line
                // end; but a head that two parsers read differently can smuggle a request.
                _ => return Err(bad(HandshakeErrorKind::MalformedHttp)),
            }
        }
        self.seen = self.seen.saturating_add(consumed as u32);
        if piece.len() > consumed {
            return Err(ScanError { kind: self.too_large(), consumed: consumed + 1 });
        }
        Ok(None)
    }

    /// Scans the bytes before the next control byte and returns how many they are.
    fn scan_text(&mut self, bytes: &[u8]) -> Result<usize, ScanError> {
        if self.after_cr {
            return Ok(0);
        }
        let text = text_of(bytes);
        if self.lines == 0 {
            for (index, &byte) in text.iter().enumerate() {
                let bad = |kind| ScanError { kind, consumed: index + 1 };
                self.start_line = self.start_line.read(byte).map_err(bad)?;
            }
        } else if !self.in_line && matches!(text, [b' ' | b'\t', ..]) && !self.may_fold() {
            return Err(ScanError { kind: HandshakeErrorKind::MalformedHttp, consumed: 1 });
        }
        self.in_line |= !text.is_empty();
        Ok(text.len())
    }

    /// Whether the next line may be a fold: a continuation of the line before it.
    ///
    /// RFC 9112 §5.2: "A server that receives an obs-fold in a request message [...] MUST either reject the message by
    /// sending a 400 (Bad Request) [...] or replace each received obs-fold with one or more SP octets". §2.2: "A
    /// recipient that receives whitespace between the start-line and the first header field MUST either reject the
    /// message as invalid or consume each whitespace-preceded line without further processing of it".
    fn may_fold(&self) -> bool {
        !self.is_request && self.lines > 1
    }

    /// The error for a head beyond the size limit.
    ///
    /// RFC 9112 §3: "A server that receives a request-target longer than any URI it wishes to parse MUST respond with a
    /// 414 (URI Too Long) status code".
    fn too_large(&self) -> HandshakeErrorKind {
        if self.is_request && self.lines == 0 {
            HandshakeErrorKind::RequestLineTooLong
        } else {
            HandshakeErrorKind::HeadTooLarge
        }
    }

    /// Rewrites a complete, scanned head to a form that the parser accepts.
    pub(crate) fn normalize(&self, head: &mut Vec<u8>) {
        lower_minor_version(head, self.is_request);
        if !self.is_request {
            unfold(head);
        }
    }

    /// The number of lines in the scanned head: at least the number of its headers.
    pub(crate) fn line_count(&self) -> usize {
        self.lines as usize
    }

    /// Prepares for the next head, which follows an interim response.
    pub(crate) fn restart(&mut self) {
        *self = Self { seen: self.seen, ..Self::response() };
    }
}

/// The bytes before the first control byte.
fn text_of(bytes: &[u8]) -> &[u8] {
    let is_control = |&byte: &u8| (byte < b' ' && byte != b'\t') || byte == 0x7f;
    // No branch for each byte, so that the compiler can use vector instructions.
    let is_text = |chunk: &&[u8]| !chunk.iter().fold(false, |found, byte| found | is_control(byte));
    let clear = bytes.chunks_exact(CHUNK).take_while(is_text).count() * CHUNK;
    let len = bytes.iter().skip(clear).position(is_control).map_or(bytes.len(), |at| clear + at);
    bytes.get(..len).unwrap_or_default()
}

/// Bytes of a vector register.
const CHUNK: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::head::{parse_request_head, parse_response_head};
    use super::{HeadScanner, ParsedHead};
    use crate::config::Config;
    use crate::handshake::headers::Headers;
    use alloc::borrow::ToOwned;
    use alloc::string::String;
    use alloc::vec::Vec;

    const REQUEST: &[u8] = b"\r\nGET /a?b HTTP/1.1\r\nHost: c\r\nEmpty:\r\nLast:\t d \r\n\r\nG";
    const RESPONSE: &[u8] = b"HTTP/1.1 101 Yes\r\nUpgrade: w\r\nEmpty:\r\n\r\n\x81";

    /// The content of a head: a request's method and target; a number made of a response's status and the minor
    /// version; the headers.
    type HeadContents = (Vec<String>, u16, Headers);

    fn request(bytes: &[u8], max_headers: usize) -> Option<ParsedHead<HeadContents>> {
        let (len, head) = parse_request_head(bytes, max_headers)?;
        Some((
            len,
            Ok(([head.method, head.target].map(ToOwned::to_owned).into(), head.minor_version.into(), head.headers)),
        ))
    }

    fn response(bytes: &[u8], max_headers: usize) -> Option<ParsedHead<HeadContents>> {
        let (len, head) = parse_response_head(bytes, max_headers)?;
        Some((len, head.map(|head| (Vec::new(), head.status * 10 + u16::from(head.minor_version), head.headers))))
    }

    /// `bytes` with one change at each place: a byte replaced or inserted, one or two removed, a line end inserted.
    fn changed(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
        let others = b"\0\t\n\r !#:AZaz019/\x7f\x80\xff".iter();
        (0..bytes.len()).flat_map(move |at| {
            let with = move |replaced: usize, by: &[u8]| [&bytes[..at], by, &bytes[at + replaced..]].concat();
            let all = others.clone().flat_map(move |&byte| [with(1, &[byte]), with(0, &[byte])]);
            all.chain([with(1, b""), with(0, b"\r\n"), with(2.min(bytes.len() - at), b"")])
        })
    }

    /// Both accept the same heads, with the same content.
    #[test]
    fn parse_at_once_agrees_with_the_scanner() {
        type Parse = fn(&[u8], usize) -> Option<ParsedHead<HeadContents>>;
        type Side = (&'static [u8], fn() -> HeadScanner, Parse);
        let sides: [Side; 2] = [(REQUEST, HeadScanner::request, request), (RESPONSE, HeadScanner::response, response)];
        // Limits: one byte more than the request has, and exactly its headers; then too few headers.
        let configs = [(52, 3), (60, 2)].map(|(size, headers)| Config::new().max_head_size(size).max_headers(headers));
        for (head, scanner, parse) in sides {
            let mut accepted = 0;
            // A sample of the heads with two changes.
            let twice = |once: &Vec<u8>| changed(once).step_by(23).collect::<Vec<_>>();
            for head in changed(head).chain(changed(head).flat_map(|once| twice(&once))) {
                for config in &configs {
                    let mut slow = scanner();
                    let end = slow.scan(&head, config).ok().flatten();
                    let scanned = end.and_then(|end| parse(&head[..end], slow.line_count()));
                    let parsed = scanner().parse_at_once(&head, config, parse);
                    assert_eq!(parsed, scanned, "{}", head.escape_ascii());
                    accepted += usize::from(parsed.is_some());
                }
            }
            assert!(accepted > 1000, "{accepted} heads were accepted");
        }
    }

    /// So the scanner rejects every invalid start line before the end of the head, except for a target that is not
    /// UTF-8, which only the parser checks.
    #[test]
    fn the_parser_accepts_every_start_line_that_the_scanner_accepts() {
        let bytes = || 0..=u8::MAX;
        let mut accepted = 0;
        for line in ["GET /a HTTP/1.1", "HTTP/1.1 200 OK", "HTTP/1.1 404"] {
            for (at, byte) in (0..line.len()).flat_map(|at| bytes().map(move |byte| (at, byte))) {
                for replaced in [0, 1] {
                    let (before, after) = (&line.as_bytes()[..at], &line.as_bytes()[at + replaced..]);
                    let mut head = [before, &[byte], after, b"\r\nA: b\r\n\r\n"].concat();
                    let is_request = line.starts_with('G');
                    let mut scanner = if is_request { HeadScanner::request() } else { HeadScanner::response() };
                    let Ok(end) = scanner.scan(&head, &Config::new()) else { continue };
                    assert_eq!(end, Some(head.len()));
                    scanner.normalize(&mut head);
                    let minor = if is_request {
                        parse_request_head(&head, 1).map(|(_, head)| head.minor_version)
                    } else {
                        parse_response_head(&head, 1).map(|(_, head)| head.unwrap().minor_version)
                    };
                    assert!(minor.is_some() || is_request && byte >= 0x80, "{}", head.escape_ascii());
                    accepted += 1;
                }
            }
        }
        assert!(accepted > 1000, "{accepted} start lines were accepted");
    }

    #[test]
    fn scanning_byte_by_byte_agrees_with_scanning_at_once() {
        let config = Config::new().max_head_size(52).max_headers(3);
        let of_requests = changed(REQUEST).map(|head| (head, HeadScanner::request as fn() -> HeadScanner));
        let of_responses = changed(RESPONSE).map(|head| (head, HeadScanner::response as fn() -> HeadScanner));
        for (head, scanner) in of_requests.chain(of_responses) {
            let expected = scanner().scan(&head, &config).map_err(|bad| (bad.kind, bad.consumed));
            let mut scanner = scanner();
            let mut found = Ok(None);
            for (at, byte) in head.iter().enumerate() {
                match scanner.scan(&[*byte], &config) {
                    Ok(None) => {}
                    Ok(Some(len)) => found = Ok(Some(at + len)),
                    Err(bad) => found = Err((bad.kind, at + bad.consumed)),
                }
                if found != Ok(None) {
                    break;
                }
            }
            assert_eq!(found, expected, "{}", head.escape_ascii());
        }
    }
}
