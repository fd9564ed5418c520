//! [`FrameReader`]: reads frames from a stream, in the pieces in which they arrive.

use super::{FrameHeader, HeaderParser};
use crate::error::ProtocolError;
use crate::input::Input;
use crate::mask::{apply_mask, rotate_key};

/// Reads a stream of frames, from the first byte after the opening handshake on, without reassembling messages.
///
/// For programs that handle frames instead of messages: a proxy, a load balancer, a recorder. It decodes headers that
/// reads may cut, unmasks payloads in place, and lends them from the [`Input`]. It reads one direction of a connection,
/// allocates nothing, and keeps at most the 14 bytes of a header.
///
/// # Checks
/// It checks the rules for every frame, like [`FrameHeader::decode`]. The caller must check those that depend on the
/// connection: the meaning of the RSV bits, which side masks, the order of fragments, UTF-8 in text, and every limit.
/// Each header is returned before its payload, so that the caller can reject a frame by the length in it. A frame with
/// a reserved opcode is rejected, even if an extension should define it.
///
/// # Examples
/// ```
/// use websocket_proto::Input;
/// use websocket_proto::frame::{FramePiece, FrameReader, Opcode};
///
/// let mut reader = FrameReader::new();
/// // A masked "Hello" (RFC 6455 §5.7), of which the first read cuts the header, the second the payload.
/// let (mut first, mut second, mut third) = (*b"\x81\x85\x37", *b"\xfa\x21\x3d\x7f\x9f", *b"\x4d\x51\x58");
///
/// assert_eq!(reader.next(&mut Input::new(&mut first))?, None);
///
/// let mut input = Input::new(&mut second);
/// let Some(FramePiece::Header(header)) = reader.next(&mut input)? else { unreachable!() };
/// assert_eq!((header.opcode, header.payload_len), (Opcode::Text, 5));
/// let Some(FramePiece::Payload { bytes, is_last }) = reader.next(&mut input)? else { unreachable!() };
/// assert_eq!((&*bytes, is_last), (&b"He"[..], false));
/// assert_eq!(reader.next(&mut input)?, None);
/// assert!(!reader.is_between_frames());
///
/// let mut input = Input::new(&mut third);
/// let Some(FramePiece::Payload { bytes, is_last }) = reader.next(&mut input)? else { unreachable!() };
/// assert_eq!((&*bytes, is_last), (&b"llo"[..], true));
/// assert!(reader.is_between_frames());
/// # Ok::<_, websocket_proto::ProtocolError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct FrameReader {
    /// Bytes consumed.
    position: u64,
    header: HeaderParser,
    /// The payload of the frame whose header was returned last, until its end.
    payload: Option<Payload>,
}

/// The rest of a payload.
#[derive(Clone, Copy, Debug)]
struct Payload {
    /// The mask key for the next byte, if the frame is masked.
    mask: Option<[u8; 4]>,
    remaining: u64,
}

/// A piece of a frame: first its header, then one or more pieces of its payload.
#[derive(Debug, PartialEq, Eq)]
pub enum FramePiece<'i> {
    /// A frame begins. To forward it, [encode](FrameHeader::encode) it, with another [mask](FrameHeader::mask) or none.
    Header(FrameHeader),
    /// The part of the payload that is in the input.
    Payload {
        /// Unmasked, in the caller's buffer, where they may be masked again. Empty only for a frame without payload,
        /// which has one such piece.
        bytes: &'i mut [u8],
        /// Whether the frame ends here.
        is_last: bool,
    },
}

impl FrameReader {
    /// A reader at the start of a frame.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Consumes bytes that were read from the transport and returns the next piece; `None` once every byte is consumed.
    ///
    /// The same bytes, however split, give the same headers, the same payloads in other pieces, and the same error at
    /// the same offset.
    ///
    /// # Errors
    /// Those of [`FrameHeader::decode`], with the header's offset from the first byte that this reader was given. No
    /// frame can be read after an invalid header: every further call returns the same error.
    #[inline]
    pub fn next<'i>(&mut self, input: &mut Input<'i>) -> Result<Option<FramePiece<'i>>, ProtocolError> {
        match self.payload {
            None => Ok(self.next_header(input)?.map(FramePiece::Header)),
            Some(payload) => Ok(self.next_payload(payload, input)),
        }
    }

    /// Whether the next byte is the first of a frame.
    ///
    /// Only here may a proxy insert a frame of its own, such as a Close. A stream that ends elsewhere was cut off.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.payload.is_none() && self.header.buffered() == 0
    }

    fn next_header(&mut self, input: &mut Input<'_>) -> Result<Option<FrameHeader>, ProtocolError> {
        let (offset, before) = (self.position.saturating_sub(self.header.buffered() as u64), input.len());
        let header = self.header.parse(input, &()).map_err(|kind| ProtocolError { kind, offset });
        self.position = self.position.saturating_add((before - input.len()) as u64);
        if let Ok(Some(header)) = header {
            self.payload = Some(Payload { mask: header.mask, remaining: header.payload_len });
        }
        header
    }

    fn next_payload<'i>(&mut self, mut payload: Payload, input: &mut Input<'i>) -> Option<FramePiece<'i>> {
        if payload.remaining > 0 && input.is_empty() {
            return None;
        }
        let bytes = input.consume(usize::try_from(payload.remaining).unwrap_or(usize::MAX));
        self.position = self.position.saturating_add(bytes.len() as u64);
        if let Some(key) = &mut payload.mask {
            apply_mask(*key, bytes);
            *key = rotate_key(*key, bytes.len());
        }
        payload.remaining = payload.remaining.saturating_sub(bytes.len() as u64);
        let is_last = payload.remaining == 0;
        self.payload = (!is_last).then_some(payload);
        Some(FramePiece::Payload { bytes, is_last })
    }
}
