//! Properties of functions without state: frame headers, masks, handshake parsers, URIs.

use std::collections::HashSet;

use bytes::Buf;
use websocket_proto::frame::{FrameHeader, FramePiece, FrameReader, Opcode};
use websocket_proto::handshake::{Request, accept_key, parse_extensions, parse_request};
use websocket_proto::mask::apply_mask;
use websocket_proto::uri::Uri;
use websocket_proto::{ClientRequest, Config, Connection, Event, Input, Output, ProtocolErrorKind};

use super::bytes::Bytes;
use super::opening;
use super::stream::pieces;

/// The header codec is a bijection between legal headers and their bytes, and decides at the earliest byte; a stream of
/// frames decodes the same in pieces as whole. The first three bytes are the sizes of the pieces.
pub fn frame(data: &[u8]) {
    decode_and_encode(data);
    encode_and_decode(&mut Bytes::new(data));
    mask_in_pieces(&mut Bytes::new(data));
    read_in_pieces(&mut Bytes::new(data));
}

fn decode_and_encode(data: &[u8]) {
    let whole = FrameHeader::decode(data);
    if let Ok(Some((header, len))) = whole {
        assert_eq!(header.encode().as_ref(), &data[..len]);
    }
    for end in 0..data.len().min(FrameHeader::MAX_LEN) {
        // More bytes do not change what a prefix decodes to.
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

/// However a stream of frames is cut, `FrameReader` gives the same frames as the header codec and the mask.
fn read_in_pieces(bytes: &mut Bytes<'_>) {
    let sizes: [u8; 3] = bytes.array();
    let stream = bytes.take(usize::MAX);
    let expected = Stream::decode(stream);
    for pieces in [vec![stream], stream.chunks(1).collect(), pieces(stream, &sizes)] {
        let read = Stream::read(&pieces);
        assert!(read == expected, "in pieces: {pieces:x?}\n{read:x?}\nexpected: {expected:x?}");
    }
}

/// The frames of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Stream {
    /// Headers and unmasked payloads, the last of which may be incomplete.
    frames: Vec<(FrameHeader, Vec<u8>)>,
    /// Whether the stream ends between two frames.
    is_whole: bool,
    /// The first error, and the offset of the header that has it.
    fault: Option<(ProtocolErrorKind, u64)>,
}

impl Stream {
    fn decode(stream: &[u8]) -> Self {
        let (mut frames, mut rest) = (Vec::new(), stream);
        let fault = loop {
            let (header, len) = match FrameHeader::decode(rest) {
                Ok(Some(decoded)) => decoded,
                Ok(None) => break None,
                Err(kind) => break Some((kind, (stream.len() - rest.len()) as u64)),
            };
            let announced = usize::try_from(header.payload_len).unwrap_or(usize::MAX);
            let (payload, behind) = rest[len..].split_at(announced.min(rest.len() - len));
            let mut payload = payload.to_vec();
            apply_mask(header.mask.unwrap_or_default(), &mut payload);
            let is_cut = payload.len() < announced;
            frames.push((header, payload));
            if is_cut {
                return Self { frames, is_whole: false, fault: None };
            }
            rest = behind;
        };
        Self { frames, is_whole: rest.is_empty(), fault }
    }

    fn read(pieces: &[&[u8]]) -> Self {
        let (mut reader, mut frames, mut in_payload) = (FrameReader::new(), Vec::new(), false);
        for piece in pieces {
            let mut piece = piece.to_vec();
            let mut input = Input::new(&mut piece);
            loop {
                match reader.next(&mut input) {
                    Ok(Some(FramePiece::Header(header))) => {
                        assert!(!in_payload, "{header:?} inside a frame");
                        frames.push((header, Vec::new()));
                        in_payload = true;
                    }
                    Ok(Some(FramePiece::Payload { bytes, is_last })) => {
                        assert!(in_payload, "{bytes:x?} outside a frame");
                        let (header, payload) = frames.last_mut().expect("a header comes first");
                        assert!(!bytes.is_empty() || header.payload_len == 0, "an empty piece of {header:?}");
                        payload.extend_from_slice(bytes);
                        assert_eq!(is_last, payload.len() as u64 == header.payload_len, "{header:?} {payload:x?}");
                        in_payload = !is_last;
                    }
                    Ok(None) => break,
                    Err(error) => {
                        assert_eq!(reader.next(&mut Input::new(&mut [0x81, 0])), Err(error), "an error stays");
                        let fault = Some((error.kind(), error.offset()));
                        return Self { frames, is_whole: reader.is_between_frames(), fault };
                    }
                }
            }
            assert!(input.is_empty(), "None means that every byte was consumed");
            let is_short = |(header, payload): &(FrameHeader, Vec<u8>)| (payload.len() as u64) < header.payload_len;
            assert_eq!(in_payload, frames.last().is_some_and(is_short), "a frame ends with its last byte");
        }
        Self { frames, is_whole: reader.is_between_frames(), fault: None }
    }
}

/// The parsers of the opening handshake accept any input without a panic, and accept only what the RFC describes.
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

/// A connection accepts only requests that the parser accepts, and reads the same request.
fn check_server_agrees(data: &[u8]) {
    let mut buffer = data.to_vec();
    let mut input = Input::new(&mut buffer);
    if let Some(Event::Request(request)) = Connection::server(Config::new()).receive(&mut input, &mut Output::new()) {
        let head = &data[..data.len() - input.len()];
        assert_eq!(parse_request(head), Ok(request));
    }
}

/// Parsed extensions consist of tokens, and their plain list parses to the same extensions.
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

/// The normal form of a valid URI parses to the same URI, and a server reads the client's request for it with the same
/// host and resource.
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
