//! Header lists that another HTTP stack exchanges. In HTTP/2 and HTTP/3, pseudo-headers come first, names are
//! lower-case, and connection-specific headers are forbidden (RFC 9113 §8.2, §8.3; RFC 9114 §4.2, §4.3).

use alloc::string::String;

use crate::error::HandshakeErrorKind;
use crate::handshake::Bootstrap;
use crate::handshake::grammar::is_token;
use crate::handshake::header_checks::check_value;
use crate::handshake::headers::Headers;

/// Reads a header list. Pseudo-headers must have one of `pseudo_names`, come before the other headers, and occur at
/// most once. Returns their values in the order of `pseudo_names`, and the other headers.
pub(crate) fn read_header_list<const P: usize, N: AsRef<[u8]>, V: AsRef<[u8]>>(
    bootstrap: Bootstrap,
    fields: impl IntoIterator<Item = (N, V)>,
    pseudo_names: [&str; P],
) -> Result<([Option<String>; P], Headers), HandshakeErrorKind> {
    let mut pseudo = [const { None }; P];
    let mut headers = Headers::default();
    for (name, value) in fields {
        let (name, value) = (name.as_ref(), value.as_ref());
        let read = match name {
            [b':', ..] => read_pseudo_header(name, value, &pseudo_names, &mut pseudo).filter(|()| headers.is_empty()),
            _ => read_header(bootstrap, name, value, &mut headers),
        };
        read.ok_or(match bootstrap {
            Bootstrap::Upgrade => HandshakeErrorKind::MalformedHttp,
            Bootstrap::ExtendedConnect => HandshakeErrorKind::MalformedHeaderList,
        })?;
    }
    Ok((pseudo, headers))
}

/// Stores a pseudo-header's value at the index of its name; `None` if the pseudo-header is unknown, repeated or
/// malformed.
///
/// RFC 9113 §8.3: "The same pseudo-header field name MUST NOT appear more than once in a field block." "Endpoints MUST
/// treat a request or response that contains undefined or invalid pseudo-header fields as malformed".
fn read_pseudo_header(name: &[u8], value: &[u8], names: &[&str], pseudo: &mut [Option<String>]) -> Option<()> {
    let index = names.iter().position(|known| known.as_bytes() == name)?;
    let slot = pseudo.get_mut(index).filter(|slot| slot.is_none())?;
    check_value(value).ok()?;
    *slot = Some(core::str::from_utf8(value).ok()?.into());
    Some(())
}

/// Adds a received header; `None` if it is malformed.
fn read_header(bootstrap: Bootstrap, name: &[u8], value: &[u8], headers: &mut Headers) -> Option<()> {
    let name = core::str::from_utf8(name).ok().filter(|name| is_token(name))?;
    check_value(value).ok()?;
    // RFC 9113 §8.2.1: "A field name MUST NOT contain characters in the ranges 0x00-0x20, 0x41-0x5a, or 0x7f-0xff";
    // §8.2.2: "Any message containing connection-specific header fields MUST be treated as malformed".
    if bootstrap == Bootstrap::ExtendedConnect
        && (name.bytes().any(|byte| byte.is_ascii_uppercase()) || is_connection_specific(name, value))
    {
        return None;
    }
    headers.push(name, value);
    Some(())
}

/// Adds a header to send. In HTTP/2 and HTTP/3, omits a connection-specific one and makes the name lower-case. RFC 9113
/// §8.2.2: an HTTP/1.1 message that is turned into an HTTP/2 one "MUST remove connection-specific header fields"; §8.2:
/// "Field names MUST be converted to lowercase".
pub(crate) fn push_header(bootstrap: Bootstrap, headers: &mut Headers, name: &str, value: &[u8]) {
    match bootstrap {
        Bootstrap::Upgrade => headers.push(name, value),
        Bootstrap::ExtendedConnect if is_connection_specific(name, value) => {}
        Bootstrap::ExtendedConnect => headers.push(&name.to_ascii_lowercase(), value),
    }
}

/// Whether a header is connection-specific. RFC 9113 §8.2.2: Connection and "Proxy-Connection, Keep-Alive,
/// Transfer-Encoding, and Upgrade"; "The only exception to this is the TE header field, which MAY be present in an
/// HTTP/2 request; when it is, it MUST NOT contain any value other than "trailers"."
fn is_connection_specific(name: &str, value: &[u8]) -> bool {
    const NAMES: [&str; 5] = ["Connection", "Proxy-Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade"];
    NAMES.iter().any(|specific| specific.eq_ignore_ascii_case(name))
        || name.eq_ignore_ascii_case("TE") && !value.eq_ignore_ascii_case(b"trailers")
}
