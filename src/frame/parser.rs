//! [`HeaderParser`]: the one parser of frame headers, for [`FrameReader`](super::FrameReader) and for connections.

use super::{FrameHeader, decode_payload_len, header_len};
use crate::error::ProtocolErrorKind;
use crate::input::Input;

/// Parses headers, which reads may cut. Keeps the bytes of an incomplete header inline.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HeaderParser {
    bytes: [u8; FrameHeader::MAX_LEN],
    len: u8,
}

/// Checks beyond those of [`FrameHeader::decode`], each called as soon as the bytes that it needs are there.
pub(crate) trait HeaderChecks {
    /// Called with the first two bytes, before anything else is checked.
    fn check_sequence(&self, first: u8, second: u8) -> Result<(), ProtocolErrorKind>;

    /// Called with the first byte and the payload's length.
    fn check_limits(&self, first: u8, payload_len: u64) -> Result<(), ProtocolErrorKind>;
}

/// For a stream of frames that is no connection.
impl HeaderChecks for () {
    fn check_sequence(&self, _: u8, _: u8) -> Result<(), ProtocolErrorKind> {
        Ok(())
    }

    fn check_limits(&self, _: u8, _: u64) -> Result<(), ProtocolErrorKind> {
        Ok(())
    }
}

impl HeaderParser {
    /// Bytes of the incomplete header.
    #[inline]
    pub(crate) fn buffered(&self) -> usize {
        usize::from(self.len)
    }

    /// Consumes the next header; `None` if the input ends inside it.
    ///
    /// # Errors
    /// As soon as the bytes that show the fault are there. After that, every call returns an error.
    #[inline]
    pub(crate) fn parse(
        &mut self,
        input: &mut Input<'_>,
        checks: &impl HeaderChecks,
    ) -> Result<Option<FrameHeader>, ProtocolErrorKind> {
        if self.len == 0
            && let Some((header, len)) = parse_complete(input.peek(), checks)
        {
            input.consume(len);
            return Ok(Some(header));
        }
        self.parse_incomplete(input, checks)
    }

    /// Parses a header that a read cut, or that has a fault.
    fn parse_incomplete(
        &mut self,
        input: &mut Input<'_>,
        checks: &impl HeaderChecks,
    ) -> Result<Option<FrameHeader>, ProtocolErrorKind> {
        self.fill(input);
        // The first two bytes tell the header's length, and show most faults.
        if let [first, second, ..] = *self.as_ref() {
            checks.check_sequence(first, second)?;
            self.fill(input);
            if let Some(len) = decode_payload_len(self.as_ref())? {
                checks.check_limits(first, len)?;
            }
        }
        let Some((header, _)) = FrameHeader::decode(self.as_ref())? else { return Ok(None) };
        *self = Self::default();
        Ok(Some(header))
    }

    /// Consumes the first two bytes of the header, or, once they are there, its other bytes.
    fn fill(&mut self, input: &mut Input<'_>) {
        let known = usize::from(self.len);
        let needed = match *self.as_ref() {
            [_, second, ..] => header_len(second),
            _ => 2,
        };
        let bytes = input.consume(needed.saturating_sub(known));
        if let Some(place) = self.bytes.get_mut(known..known + bytes.len()) {
            place.copy_from_slice(bytes);
            self.len += bytes.len() as u8;
        }
    }
}

impl AsRef<[u8]> for HeaderParser {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// The header at the front of `bytes` and its length; `None` if it is incomplete or has a fault.
#[inline]
fn parse_complete(bytes: &[u8], checks: &impl HeaderChecks) -> Option<(FrameHeader, usize)> {
    let (header, len) = FrameHeader::decode(bytes).ok()??;
    let [first, second, ..] = *bytes else { return None };
    checks.check_sequence(first, second).ok()?;
    checks.check_limits(first, header.payload_len).ok()?;
    Some((header, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A complete header is parsed without a copy.
    #[test]
    fn a_complete_header_is_parsed_in_place() {
        let mut ping = *b"\x89\x85KEY.Hello";
        for (len, parsed) in [(11, Some(6)), (6, Some(6)), (5, None)] {
            let header = parse_complete(Input::new(&mut ping[..len]).peek(), &());
            assert_eq!(header.map(|(_, len)| len), parsed);
        }
    }
}
