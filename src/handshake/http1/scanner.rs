//! [`HeadScanner`]: finds the end of an HTTP/1.1 head in linear time, however it is cut, and bounds it.

use alloc::vec::Vec;

use super::head::{MAX_STACK_HEADERS, ParsedHead};
use super::obs_fold::unfold;
use super::start_line::{StartLine, lower_minor_version};
use crate::config::Config;
use crate::error::HandshakeErrorKind;

/// Looks for the end of a head, each byte once, and refuses what cannot be one at the first byte that shows it: so a
/// head costs linear time however it is cut, and fails at the same place.
#[derive(Debug)]
pub(crate) struct HeadScanner {
    is_request: bool,
    /// Bytes seen, over all heads on this connection.
    seen: u32,
    /// Lines that have ended, the start line and folded ones among them.
    lines: u16,
    /// How far the start line has come, until it has ended.
    start_line: StartLine,
    /// Whether the line under way has a byte other than CR.
    in_line: bool,
    after_cr: bool,
}

/// Where a head was found wanting: after how many bytes of the piece.
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

    /// The shortcut for a head that lies in one piece, from its first byte to its last, and in which the scanner would
    /// find nothing wrong and nothing to [normalize](Self::normalize): it is parsed at once. `None` leaves everything
    /// as it is.
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

    /// Takes the next piece; returns how many bytes of it belong to the head if the head ends in it.
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
                    // The first line is no header.
                    if self.lines > config.max_headers.saturating_add(1) {
                        return Err(bad(HandshakeErrorKind::HeadTooLarge));
                    }
                }
                (false, b'\r') if self.lines > 0 || self.start_line.may_end() => self.after_cr = true,
                // Control bytes, among them a bare CR and a bare LF. RFC 9112 §2.2 lets a recipient take a bare LF for
                // the end of a line; but what two parsers read differently smuggles requests.
                _ => return Err(bad(HandshakeErrorKind::MalformedHttp)),
            }
        }
        self.seen = self.seen.saturating_add(consumed as u32);
        if piece.len() > consumed {
            return Err(ScanError { kind: self.too_large(), consumed: consumed + 1 });
        }
        Ok(None)
    }

    /// How many bytes lie before the next control byte.
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

    /// Whether the next line may continue the one before it.
    ///
    /// RFC 9112 §5.2: "A server that receives an obs-fold in a request message [...] MUST either reject the message by
    /// sending a 400 (Bad Request) [...] or replace each received obs-fold with one or more SP octets". §2.2: "A
    /// recipient that receives whitespace between the start-line and the first header field MUST either reject the
    /// message as invalid or consume each whitespace-preceded line without further processing of it".
    fn may_fold(&self) -> bool {
        !self.is_request && self.lines > 1
    }

    /// RFC 9112 §3: "A server that receives a request-target longer than any URI it wishes to parse MUST respond with a
    /// 414 (URI Too Long) status code".
    fn too_large(&self) -> HandshakeErrorKind {
        if self.is_request && self.lines == 0 {
            HandshakeErrorKind::RequestLineTooLong
        } else {
            HandshakeErrorKind::HeadTooLarge
        }
    }

    /// Rewrites a whole head, in which the scanner found nothing wrong, to what the parser takes.
    pub(crate) fn normalize(&self, head: &mut Vec<u8>) {
        lower_minor_version(head, self.is_request);
        if !self.is_request {
            unfold(head);
        }
    }

    /// How many headers the head can have that was scanned.
    pub(crate) fn line_count(&self) -> usize {
        self.lines.into()
    }

    /// Gets ready for the next head, of which there is one after an interim response.
    pub(crate) fn restart(&mut self) {
        *self = Self { seen: self.seen, ..Self::response() };
    }
}

/// The bytes before the first control byte.
fn text_of(bytes: &[u8]) -> &[u8] {
    let is_control = |&byte: &u8| (byte < b' ' && byte != b'\t') || byte == 0x7f;
    // Without a branch for each byte, for which the compiler finds vector instructions.
    let is_text = |chunk: &&[u8]| !chunk.iter().fold(false, |found, byte| found | is_control(byte));
    let clear = bytes.chunks_exact(CHUNK).take_while(is_text).count() * CHUNK;
    let len = bytes.iter().skip(clear).position(is_control).map_or(bytes.len(), |at| clear + at);
    bytes.get(..len).unwrap_or_default()
}

/// A vector's bytes.
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

    /// All there is in a head.
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

    /// Every change of one byte.
    fn changed(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
        let others = b"\0\t\n\r !#:AZaz019/\x7f\x80\xff".iter();
        (0..bytes.len()).flat_map(move |at| {
            let with = move |replaced: usize, by: &[u8]| [&bytes[..at], by, &bytes[at + replaced..]].concat();
            let all = others.clone().flat_map(move |&byte| [with(1, &[byte]), with(0, &[byte])]);
            all.chain([with(1, b""), with(0, b"\r\n"), with(2.min(bytes.len() - at), b"")])
        })
    }

    /// The shortcut takes what the scanner takes, for the same head, and nothing else.
    #[test]
    fn the_shortcut_is_one() {
        type Parse = fn(&[u8], usize) -> Option<ParsedHead<HeadContents>>;
        type Side = (&'static [u8], fn() -> HeadScanner, Parse);
        let sides: [Side; 2] = [(REQUEST, HeadScanner::request, request), (RESPONSE, HeadScanner::response, response)];
        // As many bytes as the request has and one more, as many headers as it has; then too few of these.
        let configs = [(52, 3), (60, 2)].map(|(size, headers)| Config::new().max_head_size(size).max_headers(headers));
        for (head, scanner, parse) in sides {
            let mut taken = 0;
            // Of the changes of two bytes, some.
            let twice = |once: &Vec<u8>| changed(once).step_by(23).collect::<Vec<_>>();
            for head in changed(head).chain(changed(head).flat_map(|once| twice(&once))) {
                for config in &configs {
                    let mut slow = scanner();
                    let end = slow.scan(&head, config).ok().flatten();
                    let scanned = end.and_then(|end| parse(&head[..end], slow.line_count()));
                    let skipped = scanner().parse_at_once(&head, config, parse);
                    assert_eq!(skipped, scanned, "{}", head.escape_ascii());
                    taken += usize::from(skipped.is_some());
                }
            }
            assert!(taken > 1000, "{taken} were heads");
        }
    }

    /// A start line in which the scanner finds nothing wrong is one to the parser, too: nothing else can wait for the
    /// end of the head to be refused. Only that a target is UTF-8 is left to the parser.
    #[test]
    fn the_parser_takes_every_start_line_that_the_scanner_takes() {
        let bytes = || 0..=u8::MAX;
        let mut taken = 0;
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
                    taken += 1;
                }
            }
        }
        assert!(taken > 1000, "{taken} were start lines");
    }

    /// A scanner takes a head in pieces as it takes it in one.
    #[test]
    fn pieces_are_one() {
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
