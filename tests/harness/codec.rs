//! The pure parts: frame headers, masks, handshake parsers, URIs.

use std::collections::HashSet;

use bytes::Buf;
use websocket_proto::frame::{FrameHeader, Opcode};
use websocket_proto::handshake::{Request, accept_key, parse_extensions, parse_request};
use websocket_proto::mask::apply_mask;
use websocket_proto::uri::Uri;
use websocket_proto::{ClientRequest, Config, Connection, Event, Input, Output};

use super::bytes::Bytes;
use super::opening;

/// The header codec is a bijection between legal headers and their bytes, and says so at the earliest byte.
pub fn frame(data: &[u8]) {
    decode_and_encode(data);
    encode_and_decode(&mut Bytes::new(data));
    mask_in_pieces(&mut Bytes::new(data));
}

fn decode_and_encode(data: &[u8]) {
    let whole = FrameHeader::decode(data);
    if let Ok(Some((header, len))) = whole {
        assert_eq!(header.encode().as_ref(), &data[..len]);
    }
    for end in 0..data.len().min(FrameHeader::MAX_LEN) {
        // What a prefix says, more bytes do not change.
        let prefix = FrameHeader::decode(&data[..end]);
        assert!(prefix == Ok(None) || prefix == whole, "{end} bytes: {prefix:?}, all of them: {whole:?}");
        if let Ok(Some((_, len))) = whole {
            assert_eq!(prefix == Ok(None), end < len, "a header of {len} bytes is known after {end}");
        }
    }
}

fn encode_and_decode(bytes: &mut Bytes<'_>) {
    let [flags, opcode] = bytes.array();
    let Some(opcode) = Opcode::new(opcode & 0xf) else { return };
    // The shift spreads the lengths over all three forms.
    let len = (u64::from_be_bytes(bytes.array()) & i64::MAX as u64) >> (bytes.byte() & 63);
    let header = FrameHeader {
        fin: flags & 1 != 0 || opcode.is_control(),
        rsv: flags >> 1 & 7,
        opcode,
        mask: (flags & 0x10 != 0).then(|| bytes.array()),
        payload_len: if opcode.is_control() { len % 126 } else { len },
    };
    let encoded = header.encode();
    assert_eq!(FrameHeader::decode(encoded.as_ref()), Ok(Some((header, encoded.as_ref().len()))));
}

/// RFC 6455 §5.3: "transformed-octet-i = original-octet-i XOR masking-key-octet-j", where j = i MOD 4.
fn mask_in_pieces(bytes: &mut Bytes<'_>) {
    let key: [u8; 4] = bytes.array();
    let payload = bytes.take(usize::MAX);
    let mut masked = payload.to_vec();
    apply_mask(key, &mut masked);
    assert!(masked.iter().zip(payload).enumerate().all(|(i, (out, byte))| *out == byte ^ key[i % 4]));
}

/// The parsers of the opening handshake take anything, and what they accept is what the RFC describes.
pub fn handshake(data: &[u8]) {
    if let Ok(request) = parse_request(data) {
        check_request(&request);
    }
    check_server_agrees(data);
    opening::header_lists(data);
    opening::both_sides(data);
    check_extensions(data);
    if let Ok(text) = std::str::from_utf8(data) {
        check_uri(text);
    }
    // RFC 6455 §4.2.2: 20 bytes of SHA-1 in base64 are 27 characters and one of padding.
    let accept = accept_key(data);
    assert!(
        accept.ends_with(b"=") && accept[..27].iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(byte))
    );
}

fn check_request(request: &Request) {
    assert!(request.path().starts_with('/') && !request.host().is_empty(), "{request:?}");
    let query = request.query().map(|query| format!("?{query}")).unwrap_or_default();
    assert_eq!(request.resource(), format!("{}{query}", request.path()));
    let mut seen = HashSet::new();
    assert!(request.subprotocols().all(|name| is_token(name) && seen.insert(name)), "{request:?}");
    assert!(request.headers().iter().all(|(name, value)| is_token(name) && !value.contains(&b'\n')), "{request:?}");
}

/// A connection accepts no request that the parser does not, nor reads another one out of it.
fn check_server_agrees(data: &[u8]) {
    let mut buffer = data.to_vec();
    let mut input = Input::new(&mut buffer);
    if let Some(Event::Request(request)) = Connection::server(Config::new()).receive(&mut input, &mut Output::new()) {
        let head = &data[..data.len() - input.len()];
        assert_eq!(parse_request(head), Ok(request));
    }
}

/// Extensions that parse are made of tokens, and the plain list of them parses to the same.
fn check_extensions(data: &[u8]) {
    let Ok(extensions) = parse_extensions(data.split(|&byte| byte == b'\n')) else { return };
    let lines = extensions.iter().map(|extension| {
        let parameters = extension.parameters.iter().map(|(name, value)| {
            assert!(is_token(name) && value.as_deref().is_none_or(is_token), "{extension:?}");
            value.as_ref().map_or_else(|| format!(";{name}"), |value| format!(";{name}={value}"))
        });
        assert!(is_token(&extension.name), "{extension:?}");
        extension.name.clone() + &parameters.collect::<String>()
    });
    let list = lines.collect::<Vec<_>>().join(",");
    assert_eq!(parse_extensions([list.as_bytes()]), Ok(extensions));
}

/// A URI that parses is its own normal form, and leads to a request that a server understands in the same way.
fn check_uri(text: &str) {
    let Ok(uri) = Uri::parse(text) else { return };
    assert_eq!(Uri::parse_whatwg(text).as_ref(), Ok(&uri));
    let scheme = if uri.is_secure() { "wss" } else { "ws" };
    let normal = format!("{scheme}://{}{}", uri.authority(), uri.resource());
    assert_eq!(Uri::parse(&normal).as_ref(), Ok(&uri), "{text} and its normal form {normal}");

    let mut output = Output::new();
    let client = Connection::client(&ClientRequest::new(text), Config::new(), [0; 32], &mut output);
    assert!(client.is_ok(), "{text}: {client:?}");
    let request = parse_request(output.chunk()).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!((request.host(), request.resource()), (uri.authority(), uri.resource()));
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    let is_delimiter = |byte| b"\"(),/:;<=>?@[\\]{}".contains(byte);
    !text.is_empty() && text.as_bytes().iter().all(|byte| byte.is_ascii_graphic() && !is_delimiter(byte))
}
