//! Parses complete HTTP/1.1 heads, with httparse.

use alloc::vec::Vec;
use core::mem::MaybeUninit;

use crate::error::HandshakeErrorKind;
use crate::handshake::headers::Headers;

/// A request line and headers that are valid HTTP.
pub(crate) struct RequestHead<'h> {
    pub(crate) method: &'h str,
    pub(crate) target: &'h str,
    pub(crate) minor_version: u8,
    pub(crate) headers: Headers,
}

/// A status line and headers that are valid HTTP.
#[derive(Debug, Default)]
pub(crate) struct ResponseHead {
    pub(crate) status: u16,
    pub(crate) minor_version: u8,
    pub(crate) headers: Headers,
}

/// The length of a head, and its content or the rule that the content breaks.
pub(crate) type ParsedHead<T> = (usize, Result<T, HandshakeErrorKind>);

/// Memory for a header that httparse finds.
type Slot<'h> = MaybeUninit<httparse::Header<'h>>;

/// Heads with up to this many headers, more than a browser sends, are parsed on the stack.
pub(crate) const MAX_STACK_HEADERS: usize = 64;

/// Parses the request head at the start of `bytes`. `None` if it is incomplete or malformed, or has more than
/// `max_headers` headers.
pub(crate) fn parse_request_head(bytes: &[u8], max_headers: usize) -> Option<(usize, RequestHead<'_>)> {
    let (mut few, mut many) = ([const { MaybeUninit::uninit() }; MAX_STACK_HEADERS], Vec::new());
    let mut request = httparse::Request::new(&mut []);
    let parsed = request.parse_with_uninit_headers(bytes, slots(max_headers, &mut few, &mut many));
    let Ok(httparse::Status::Complete(len)) = parsed else { return None };
    let (method, target, minor_version) = (request.method?, request.path?, request.version?);
    let head = bytes.get(..len)?;
    // httparse skips several empty lines, and empty lines that end in a bare LF.
    if !matches!(head.get(..offset_in(head, method.as_bytes()))?, b"" | b"\r\n") {
        return None;
    }
    Some((len, RequestHead { method, target, minor_version, headers: copy_headers(head, request.headers)? }))
}

/// Parses the response head at the start of `bytes`, like [`parse_request_head`].
pub(crate) fn parse_response_head(bytes: &[u8], max_headers: usize) -> Option<ParsedHead<ResponseHead>> {
    let (mut few, mut many) = ([const { MaybeUninit::uninit() }; MAX_STACK_HEADERS], Vec::new());
    let mut response = httparse::Response::new(&mut []);
    let slots = slots(max_headers, &mut few, &mut many);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, slots);
    let Ok(httparse::Status::Complete(len)) = parsed else { return None };
    let (status @ 100.., minor_version) = (response.code?, response.version?) else { return None };
    let head = bytes.get(..len).filter(|head| head.starts_with(b"HTTP/"))?;
    Some((len, Ok(ResponseHead { status, minor_version, headers: copy_headers(head, response.headers)? })))
}

/// Copies the header lines that httparse found in `head`, the whole head; `None` if a line ends in a bare LF, which
/// httparse accepts.
fn copy_headers(head: &[u8], found: &[httparse::Header<'_>]) -> Option<Headers> {
    // One copy for all lines.
    let start = found.first().map_or(head.len(), |first| offset_in(head, first.name.as_bytes()));
    let ends_well = |line: &httparse::Header<'_>| {
        let at = offset_in(head, line.name.as_bytes());
        head.get(at.wrapping_sub(2)..at) == Some(b"\r\n")
    };
    if !head.ends_with(b"\r\n\r\n") || !found.iter().all(ends_well) {
        return None;
    }
    let range = |part: &[u8]| {
        let at = offset_in(head, part).wrapping_sub(start);
        at as u32..at.wrapping_add(part.len()) as u32
    };
    let lines = found.iter().map(|line| (range(line.name.as_bytes()), range(line.value)));
    Some(Headers::from_parts(head.get(start..)?.into(), lines))
}

/// The offset of `part` in `whole`, of which it is a subslice.
fn offset_in(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr())
}

/// `count` slots: in `few` if that suffices, otherwise in `many`.
fn slots<'s, 'h>(count: usize, few: &'s mut [Slot<'h>], many: &'s mut Vec<Slot<'h>>) -> &'s mut [Slot<'h>] {
    if let Some(few) = few.get_mut(..count) {
        return few;
    }
    many.resize(count, MaybeUninit::uninit());
    many
}
