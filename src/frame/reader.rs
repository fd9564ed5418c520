//! [`FrameReader`]: frames from a stream that is cut anywhere, in the pieces in which they arrive. It keeps no payload,
//! and knows no message.

use super::{FrameHeader, HeaderBuffer};
use crate::error::ProtocolError;
use crate::input::Input;
use crate::mask::{apply_mask, rotate_key};

/// Reads a stream of frames, from the first byte after the opening handshake on, without gathering anything.
///
/// For a proxy, a load balancer, a recorder: whatever handles frames and not messages. It decodes headers however they
/// are cut, unmasks payloads where they lie and lends them from the [`Input`]. It is one direction of a connection:
/// both need two. It allocates nothing and holds at most the 14 bytes of a header.
///
/// # What it checks
/// What [`FrameHeader::decode`] checks, which holds for every frame. What depends on a connection is its user's to
/// decide: what the RSV bits mean, who masks, the order of fragments, whether text is UTF-8, and every limit: a length
/// is only what the header says, and each header comes before its payload, so that a frame can be refused on it.
/// A frame with a reserved opcode is refused, even if an extension should define one.
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
    /// What there is of the next header.
    header: HeaderBuffer,
    /// Of the frame whose header was given last, until its end.
    payload: Option<Payload>,
}

/// A payload under way.
#[derive(Clone, Copy, Debug)]
struct Payload {
    /// The key for the next byte, if the frame is masked.
    mask: Option<[u8; 4]>,
    remaining: u64,
}

/// A part of a frame: first its header, then one or more pieces of its payload.
#[derive(Debug, PartialEq, Eq)]
pub enum FramePiece<'i> {
    /// A frame begins. To send it on, [encode](FrameHeader::encode) it, with another [mask](FrameHeader::mask) or none.
    Header(FrameHeader),
    /// The next bytes of the payload, as many of them as there are in the input.
    Payload {
        /// Unmasked, in the caller's buffer, where they may be masked again. Never empty, except that a frame without
        /// payload has this one piece, and it is the last.
        bytes: &'i mut [u8],
        /// Whether the frame ends here.
        is_last: bool,
    },
}

impl FrameReader {
    /// A reader at the beginning of a frame.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes that were read from the transport and returns the next piece, or `None` when every byte is consumed.
    ///
    /// The same bytes, however cut, give the same headers and the same payloads, only in other pieces, and the same
    /// error in the same place.
    ///
    /// # Errors
    /// As [`FrameHeader::decode`], with the offset of the header in everything that this reader was given. Nothing
    /// behind a wrong header can be understood: every further call gives the same error.
    #[inline]
    pub fn next<'i>(&mut self, input: &mut Input<'i>) -> Result<Option<FramePiece<'i>>, ProtocolError> {
        match self.payload {
            None => Ok(self.next_header(input)?.map(FramePiece::Header)),
            Some(payload) => Ok(self.next_payload(payload, input)),
        }
    }

    /// Whether the next byte is the first of a frame.
    ///
    /// Only there may a proxy put a frame of its own into the stream, such as a Close, and only there does a stream end
    /// that was not cut off.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.payload.is_none() && self.header.as_ref().is_empty()
    }

    fn next_header(&mut self, input: &mut Input<'_>) -> Result<Option<FrameHeader>, ProtocolError> {
        let offset = self.position.saturating_sub(self.header.as_ref().len() as u64);
        loop {
            let decoded = FrameHeader::decode(self.header.as_ref());
            if let Some((header, _)) = decoded.map_err(|kind| ProtocolError { kind, offset })? {
                self.header = HeaderBuffer::default();
                self.payload = Some(Payload { mask: header.mask, remaining: header.payload_len });
                return Ok(Some(header));
            }
            match self.header.fill(input) {
                0 => return Ok(None),
                taken => self.position = self.position.saturating_add(taken as u64),
            }
        }
    }

    fn next_payload<'i>(&mut self, mut payload: Payload, input: &mut Input<'i>) -> Option<FramePiece<'i>> {
        if payload.remaining > 0 && input.is_empty() {
            return None;
        }
        let bytes = input.take(usize::try_from(payload.remaining).unwrap_or(usize::MAX));
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
