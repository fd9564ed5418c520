//! Frames encoded as a peer sends them, and decoded (RFC 6455 §5.2).

use websocket_proto::Role;
use websocket_proto::frame::{FrameHeader, Opcode};

/// The key of the masked vectors in RFC 6455 §5.7.
pub const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A mask key that changes nothing.
pub const ZERO_KEY: [u8; 4] = [0; 4];

/// The header of a frame with a payload of `payload_len` bytes. The first byte is FIN, RSV1 to 3, and any opcode.
pub fn header(first_byte: u8, mask: Option<[u8; 4]>, payload_len: u64) -> Vec<u8> {
    let known = FrameHeader { fin: true, rsv: 0, opcode: Opcode::Binary, mask, payload_len };
    let mut header = known.encode().as_ref().to_vec();
    header[0] = first_byte;
    header
}

/// A frame, masked if `mask` is a key.
pub fn encode(first_byte: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first_byte, mask, payload.len() as u64);
    frame.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ mask.map_or(0, |key| key[i % 4])));
    frame
}

/// A frame as an endpoint of this role sends it: a client masks it with [`KEY`].
pub fn frame(sender: Role, first_byte: u8, payload: &[u8]) -> Vec<u8> {
    encode(first_byte, (sender == Role::Client).then_some(KEY), payload)
}

/// The frames as the peer of a connection of this role sends them.
pub fn from_peer_of(role: Role, frames: &[(u8, &[u8])]) -> Vec<u8> {
    let sender = if role == Role::Server { Role::Client } else { Role::Server };
    frames.iter().flat_map(|(first_byte, payload)| frame(sender, *first_byte, payload)).collect()
}

/// FIN, RSV1 to 3 and the opcode: a frame's first byte.
pub fn first_byte(header: &FrameHeader) -> u8 {
    u8::from(header.fin) << 7 | header.rsv << 4 | header.opcode as u8
}

/// Decodes whole frames; their payloads are unmasked.
pub fn decode(bytes: &[u8]) -> Vec<(FrameHeader, Vec<u8>)> {
    let (frames, rest) = decode_some(bytes);
    assert!(rest.is_empty(), "an incomplete frame: {}", rest.escape_ascii());
    frames
}

/// Decodes all whole frames, and returns the incomplete one after them.
pub fn decode_some(mut bytes: &[u8]) -> (Vec<(FrameHeader, Vec<u8>)>, &[u8]) {
    let mut frames = Vec::new();
    while let Some((header, len)) = FrameHeader::decode(bytes).expect("valid frames") {
        let Some(end) = usize::try_from(header.payload_len).ok().and_then(|payload| payload.checked_add(len)) else {
            break;
        };
        let Some(payload) = bytes.get(len..end) else { break };
        let payload = match header.mask {
            None => payload.to_vec(),
            Some(key) => payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect(),
        };
        frames.push((header, payload));
        bytes = &bytes[end..];
    }
    (frames, bytes)
}
