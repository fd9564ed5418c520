//! HTTP/1.1 heads, once they are complete: parsed by httparse.

use alloc::vec::Vec;
use core::mem::MaybeUninit;

use crate::error::HandshakeErrorKind;
use crate::handshake::headers::Headers;

/// A request's first line, checked as far as HTTP goes, and its headers.
pub(crate) struct RequestHead<'h> {
    pub(crate) method: &'h str,
    pub(crate) target: &'h str,
    pub(crate) minor_version: u8,
    pub(crate) headers: Headers,
}

/// A response's status line and headers.
#[derive(Debug, Default)]
pub(crate) struct ResponseHead {
    pub(crate) status: u16,
    pub(crate) minor_version: u8,
    pub(crate) headers: Headers,
}

/// What a head says, or what is wrong with that, and the head's length.
pub(crate) type ParsedHead<T> = (usize, Result<T, HandshakeErrorKind>);

/// A place for a header that httparse finds.
type Slot<'h> = MaybeUninit<httparse::Header<'h>>;

/// Heads of up to so many headers, which is more than a browser sends, are parsed without an allocation.
pub(crate) const MAX_STACK_HEADERS: usize = 64;

/// The request head that these bytes begin with. `None` if none does that is whole, well-formed and of no more headers.
pub(crate) fn parse_request_head(bytes: &[u8], max_headers: usize) -> Option<(usize, RequestHead<'_>)> {
    let (mut few, mut many) = ([const { MaybeUninit::uninit() }; MAX_STACK_HEADERS], Vec::new());
    let mut request = httparse::Request::new(&mut []);
    let parsed = request.parse_with_uninit_headers(bytes, slots(max_headers, &mut few, &mut many));
    let Ok(httparse::Status::Complete(len)) = parsed else { return None };
    let (method, target, minor_version) = (request.method?, request.path?, request.version?);
    let head = bytes.get(..len)?;
    // httparse skips any number of empty lines, and ones that end in a bare LF.
    if !matches!(head.get(..offset_in(head, method.as_bytes()))?, b"" | b"\r\n") {
        return None;
    }
    Some((len, RequestHead { method, target, minor_version, headers: copy_headers(head, request.headers)? }))
}

/// The response head that these bytes begin with, as [`parse_request_head`].
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

/// The lines that httparse found in a head, of which `head` is all; `None` if one ends in a bare LF, which httparse
/// accepts.
fn copy_headers(head: &[u8], found: &[httparse::Header<'_>]) -> Option<Headers> {
    // One copy for all of them.
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

/// The offset of `part`, which is a part of `whole`.
fn offset_in(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr())
}

fn slots<'s, 'h>(count: usize, few: &'s mut [Slot<'h>], many: &'s mut Vec<Slot<'h>>) -> &'s mut [Slot<'h>] {
    if let Some(few) = few.get_mut(..count) {
        return few;
    }
    many.resize(count, MaybeUninit::uninit());
    many
}
