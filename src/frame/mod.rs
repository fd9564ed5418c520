//! Frames (RFC 6455 §5.2), without a connection's state, for proxies and codecs: the header codec, and [`FrameReader`]
//! for a stream of frames that reads cut anywhere.
//!
//! # Examples
//! One direction of a relay, from a client to a server. It forwards the bytes of each read, even inside a frame, and
//! masks each frame with a key of its own (RFC 6455 §5.3). The other direction is the same without a key.
//! `examples/relay.rs` is a complete relay.
//! ```
//! use websocket_proto::frame::{FramePiece, FrameReader};
//! use websocket_proto::mask::{MaskKeys, apply_mask, rotate_key};
//! use websocket_proto::{Input, ProtocolError};
//!
//! struct Relay {
//!     reader: FrameReader,
//!     keys: MaskKeys,
//!     /// The mask key for the next byte of payload.
//!     key: [u8; 4],
//! }
//!
//! impl Relay {
//!     fn pass(&mut self, read: &mut [u8], to_server: &mut Vec<u8>) -> Result<(), ProtocolError> {
//!         let mut input = Input::new(read);
//!         while let Some(piece) = self.reader.next(&mut input)? {
//!             match piece {
//!                 FramePiece::Header(mut header) => {
//!                     self.key = self.keys.key();
//!                     header.mask = Some(self.key);
//!                     to_server.extend_from_slice(header.encode().as_ref());
//!                 }
//!                 FramePiece::Payload { bytes, .. } => {
//!                     apply_mask(self.key, bytes);
//!                     self.key = rotate_key(self.key, bytes.len());
//!                     to_server.extend_from_slice(bytes);
//!                 }
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//! # let mut relay = Relay { reader: FrameReader::new(), keys: MaskKeys::from_seed([7; 32]), key: [0; 4] };
//! # let mut sent = Vec::new();
//! # let mut hello = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
//! # hello.chunks_mut(4).try_for_each(|read| relay.pass(read, &mut sent))?;
//! # let (header, payload) = sent.split_at_mut(6);
//! # assert!(header[..2] == *b"\x81\x85" && header[2..] != *b"\x37\xfa\x21\x3d");
//! # apply_mask(*header.last_chunk().expect("a key"), payload);
//! # assert_eq!(payload, b"Hello");
//! # Ok::<_, ProtocolError>(())
//! ```

mod parser;
mod reader;

pub(crate) use parser::{HeaderChecks, HeaderParser};
pub use reader::{FramePiece, FrameReader};

use crate::error::ProtocolErrorKind;

/// The type of a frame (RFC 6455 §5.2, "Opcode"). Opcodes 3–7 and 11–15 are reserved and have no value here.
///
/// # Examples
/// ```
/// use websocket_proto::frame::Opcode;
///
/// assert_eq!(Opcode::new(0x9), Some(Opcode::Ping));
/// assert_eq!(Opcode::new(0x3), None);
/// assert!(Opcode::Ping.is_control() && !Opcode::Text.is_control());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of the message in progress.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// A Close frame: the closing handshake.
    Close = 0x8,
    /// A Ping frame, to be answered with a Pong.
    Ping = 0x9,
    /// A Pong frame.
    Pong = 0xa,
}

impl Opcode {
    /// The opcode with this number, or `None` if it is reserved.
    #[inline]
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        Some(match number {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    /// Whether this is a control frame: at most 125 bytes of payload, never fragmented (RFC 6455 §5.5).
    #[inline]
    #[must_use]
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// A frame's header (RFC 6455 §5.2).
///
/// Decoding checks the rules for every frame: a known opcode, control frames unfragmented and short, lengths in their
/// minimal form. A [`Connection`](crate::Connection) also checks those that depend on it: the RSV bits, which side
/// masks, the order of fragments, limits.
///
/// # Examples
/// ```
/// use websocket_proto::frame::{FrameHeader, Opcode};
///
/// let bytes = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
/// let (header, len) = FrameHeader::decode(bytes)?.expect("the header is whole");
/// assert_eq!((header.opcode, header.fin, header.payload_len), (Opcode::Text, true, 5));
/// assert_eq!(header.mask, Some([0x37, 0xfa, 0x21, 0x3d]));
/// let encoded = header.encode();
/// assert_eq!(encoded.as_ref(), &bytes[..len]);
/// assert!(encoded.as_ref().len() <= FrameHeader::MAX_LEN);
/// # Ok::<_, websocket_proto::ProtocolErrorKind>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Whether this is the message's last frame.
    pub fin: bool,
    /// The three reserved bits, RSV1 as 4, RSV2 as 2, RSV3 as 1. Only the low three bits are encoded.
    pub rsv: u8,
    /// The type of the frame.
    pub opcode: Opcode,
    /// The mask key, present in every frame from a client and in none from a server.
    pub mask: Option<[u8; 4]>,
    /// Bytes of payload that follow. At most 2⁶³ − 1.
    pub payload_len: u64,
}

impl FrameHeader {
    /// The longest header: two bytes, eight of length, four of mask key.
    pub const MAX_LEN: usize = 14;

    /// Decodes the header at the front of `bytes`, with its own length in bytes; `None` if more bytes are needed.
    ///
    /// # Errors
    /// A reserved opcode, or a fragmented or overlong control frame, as soon as the first two bytes are there; a length
    /// with its top bit set or not in its minimal form, as soon as the length is complete.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProtocolErrorKind> {
        let Some(payload_len) = decode_payload_len(bytes)? else { return Ok(None) };
        let [first, second, ..] = *bytes else { return Ok(None) };
        let Some(opcode) = Opcode::new(first & 0xf) else { return Ok(None) };
        let len = header_len(second);
        let mask = match second & MASK {
            0 => None,
            _ => match bytes.get(..len).and_then(<[u8]>::last_chunk) {
                Some(key) => Some(*key),
                None => return Ok(None),
            },
        };
        Ok(Some((Self { fin: first & FIN != 0, rsv: first >> 4 & 7, opcode, mask, payload_len }, len)))
    }

    /// The header's bytes, with the length in its minimal form.
    #[inline]
    #[must_use]
    pub fn encode(&self) -> EncodedHeader {
        let first = u8::from(self.fin) << 7 | (self.rsv & 7) << 4 | self.opcode as u8;
        match u16::try_from(self.payload_len) {
            Ok(payload_len) => {
                let ShortHeader { bytes, len } = ShortHeader::new(first, payload_len, self.mask);
                EncodedHeader::new(bytes.into(), len)
            }
            Err(_) => Self::encode_long(first, self.payload_len, self.mask),
        }
    }

    #[cold]
    fn encode_long(first: u8, payload_len: u64, mask: Option<[u8; 4]>) -> EncodedHeader {
        let mask_bit = if mask.is_some() { MASK } else { 0 };
        let known =
            u128::from(u16::from_le_bytes([first, mask_bit | LEN_64])) | u128::from(payload_len.swap_bytes()) << 16;
        match mask {
            None => EncodedHeader::new(known, 10),
            Some(key) => EncodedHeader::new(known | u128::from(u32::from_le_bytes(key)) << 80, 14),
        }
    }
}

/// The header of a payload of at most 65,535 bytes, as it is sent: 2 to 8 bytes in a register.
#[derive(Clone, Copy)]
pub(crate) struct ShortHeader {
    /// The lowest byte is sent first.
    pub(crate) bytes: u64,
    pub(crate) len: u8,
}

impl ShortHeader {
    /// `first`: the first byte.
    #[inline]
    pub(crate) fn new(first: u8, payload_len: u16, mask: Option<[u8; 4]>) -> Self {
        // RFC 6455 §5.2: "Note that in all cases, the minimal number of bytes MUST be used to encode the length".
        let (second, len) = match payload_len {
            0..=125 => (u32::from(payload_len), 2),
            126.. => (u32::from(LEN_16) | u32::from(payload_len.swap_bytes()) << 8, 4),
        };
        let known = u64::from(first) | u64::from(second) << 8;
        match mask {
            None => Self { bytes: known, len },
            Some(key) => {
                let key = u64::from(u32::from_le_bytes(key)) << (8 * len);
                Self { bytes: known | u64::from(MASK) << 8 | key, len: len + 4 }
            }
        }
    }
}

/// A header as it is sent: 2 to 14 bytes, stored inline. Made by [`FrameHeader::encode`].
#[derive(Clone, Copy, Debug)]
pub struct EncodedHeader {
    bytes: [u8; 16],
    len: u8,
}

impl EncodedHeader {
    #[inline]
    fn new(octets: u128, len: u8) -> Self {
        Self { bytes: octets.to_le_bytes(), len }
    }

    #[cfg(test)]
    pub(crate) fn of(octets: &[u8]) -> Self {
        let mut bytes = [0; 16];
        bytes[..octets.len()].copy_from_slice(octets);
        Self { bytes, len: octets.len() as u8 }
    }

    /// The header, padded with zeros to the size of a register.
    #[inline]
    pub(crate) fn padded(&self) -> &[u8; 16] {
        &self.bytes
    }
}

impl AsRef<[u8]> for EncodedHeader {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// The 7-bit length that announces a 16-bit length.
const LEN_16: u8 = 126;
/// The 7-bit length that announces a 64-bit length.
const LEN_64: u8 = 127;

pub(crate) const FIN: u8 = 0x80;
pub(crate) const MASK: u8 = 0x80;
/// The three reserved bits.
pub(crate) const RSV: u8 = 0x70;
/// The reserved bit that permessage-deflate defines.
pub(crate) const RSV1: u8 = 0x40;

/// The header's length, given by its second byte.
#[inline]
pub(crate) const fn header_len(second: u8) -> usize {
    let extended = match second & 0x7f {
        LEN_16 => 2,
        LEN_64 => 8,
        _ => 0,
    };
    2 + extended + if second & MASK == 0 { 0 } else { 4 }
}

/// The payload's length, once the bytes before the mask key are there.
pub(crate) fn decode_payload_len(bytes: &[u8]) -> Result<Option<u64>, ProtocolErrorKind> {
    let [first, second, extended @ ..] = bytes else { return Ok(None) };
    let opcode = Opcode::new(first & 0xf).ok_or(ProtocolErrorKind::ReservedOpcode(first & 0xf))?;
    let short = second & 0x7f;
    if opcode.is_control() {
        // RFC 6455 §5.5: "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be
        // fragmented."
        if first & FIN == 0 {
            return Err(ProtocolErrorKind::FragmentedControlFrame);
        }
        if short > 125 {
            return Err(ProtocolErrorKind::ControlFrameTooLong);
        }
    }
    let (len, minimum) = match short {
        LEN_16 => match extended.first_chunk() {
            Some(bytes) => (u64::from(u16::from_be_bytes(*bytes)), 126),
            None => return Ok(None),
        },
        LEN_64 => match extended.first_chunk() {
            Some(bytes) => (u64::from_be_bytes(*bytes), 0x1_0000),
            None => return Ok(None),
        },
        _ => (u64::from(short), 0),
    };
    // RFC 6455 §5.2: "the following 8 bytes interpreted as a 64-bit unsigned integer (the most significant bit MUST
    // be 0) are the payload length."
    if len > i64::MAX as u64 {
        return Err(ProtocolErrorKind::LengthTopBitSet);
    }
    // RFC 6455 §5.2: "the minimal number of bytes MUST be used to encode the length".
    if len < minimum {
        return Err(ProtocolErrorKind::LengthNotMinimal);
    }
    Ok(Some(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 6455-5.2-5, 6455-5.2-6, 6455-5.2-8: every length form at its bounds, with and without a key; no header is
    /// decoded before its last byte.
    #[test]
    fn headers_survive_a_round_trip_and_prefixes_are_incomplete() {
        for payload_len in [0, 1, 125, 126, 127, 0xffff, 0x1_0000, 1 << 32, i64::MAX as u64] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let header = FrameHeader { fin: true, rsv: 0b101, opcode: Opcode::Binary, mask, payload_len };
                let encoded = header.encode();
                let bytes = encoded.as_ref();
                let extended = if payload_len < 126 {
                    0
                } else if payload_len < 0x1_0000 {
                    2
                } else {
                    8
                };
                assert_eq!(bytes.len(), 2 + extended + mask.map_or(0, |key| key.len()));
                assert_eq!(FrameHeader::decode(bytes), Ok(Some((header, bytes.len()))));
                for end in 0..bytes.len() {
                    assert_eq!(FrameHeader::decode(&bytes[..end]), Ok(None), "{bytes:x?} up to {end}");
                }
            }
        }
    }
}
