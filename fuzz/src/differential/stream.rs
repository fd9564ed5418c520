//! A frame parser that is independent of the crate under test.

use super::MAX_FRAME;

/// A frame, legal or not.
pub(crate) struct Frame {
    pub fin: bool,
    pub rsv: u8,
    pub opcode: u8,
    pub is_masked: bool,
    /// The number of bytes in the extended payload length.
    pub extended: usize,
    pub len: u64,
    /// The available part of the payload, unmasked.
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn is_control(&self) -> bool {
        self.opcode & 8 != 0
    }

    /// The first frame of the stream and the bytes after it, if the frame's header is complete.
    pub fn split(stream: &[u8]) -> Option<(Self, &[u8])> {
        let ([first, second], rest) = stream.split_first_chunk()?;
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let is_masked = second & 0x80 != 0;
        let (length, rest) = rest.split_at_checked(extended)?;
        let (key, rest) = rest.split_at_checked(if is_masked { 4 } else { 0 })?;
        let len = match extended {
            0 => (second & 0x7f).into(),
            _ => length.iter().fold(0, |len, &byte| len << 8 | u64::from(byte)),
        };
        let (payload, rest) = rest.split_at(rest.len().min(usize::try_from(len).unwrap_or(usize::MAX)));
        let keys = key.iter().chain(if is_masked { &[] } else { &[0][..] }).cycle();
        let payload = payload.iter().zip(keys).map(|(byte, key)| byte ^ key).collect();
        let (fin, rsv, opcode) = (first & 0x80 != 0, first >> 4 & 7, first & 0xf);
        Some((Self { fin, rsv, opcode, is_masked, extended, len, payload }, rest))
    }
}

/// The stream with its last frame completed by zeros, unless its length exceeds the limit, and with the end of a
/// message after it.
pub(crate) fn completed(mut stream: Vec<u8>) -> Vec<u8> {
    let (mut at, mut is_masked) = (0, false);
    while at < stream.len() {
        let Some((frame, rest)) = Frame::split(&stream[at..]) else {
            stream.push(0);
            continue;
        };
        is_masked = frame.is_masked;
        let missing = frame.len - frame.payload.len() as u64;
        if missing > MAX_FRAME as u64 {
            return stream;
        }
        at = stream.len() - rest.len() + missing as usize;
        stream.resize(stream.len().max(at), 0);
    }
    stream.extend(if is_masked { &[0x80, 0x80, 0, 0, 0, 0][..] } else { &[0x80, 0] });
    stream
}
