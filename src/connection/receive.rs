//! Frames coming in: what is unusual about them, and what is wrong. Whole messages go a short way, in `hot`. Nothing
//! goes out from here but the Close of a connection that failed.

use core::ops::ControlFlow::{self, Break, Continue};

use super::reading::{Frame, Reading};
use super::{Connection, Phase, Role};
use crate::close::Closed;
use crate::error::{ProtocolError, ProtocolErrorKind};
use crate::event::Event;
use crate::frame::{FrameHeader, HeaderBuffer, MASK, Opcode, RSV, RSV1, decode_payload_len};
use crate::input::Input;
use crate::message::Message;
use crate::output::Output;

/// What one step brought: go on, or come back with this.
pub(super) type Step<'i> = Result<ControlFlow<Option<Event<'i>>>, ProtocolError>;

/// # Receiving
impl Connection {
    /// Takes bytes that were read from the transport and returns the next event, or `None` when every byte is
    /// consumed. What has to be answered, a ping, a Close or a fault, is answered in `output`.
    ///
    /// Call it until it returns `None`. After [`Event::Closed`] it consumes whatever comes and says nothing.
    ///
    /// # Backpressure
    /// Only read more while [`output.len()`](Output::len) is below a limit of your choosing.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "an event is not to go through memory; what is rare is a call")]
    pub fn receive<'i>(&mut self, input: &mut Input<'i>, output: &mut Output) -> Option<Event<'i>> {
        if !self.busy
            && let Some(event) = self.receive_whole(input, output)
        {
            return Some(event);
        }
        self.receive_more(input, output)
    }

    /// Takes the end of the stream: the transport was closed by the peer, or failed in reading or in writing, or the
    /// caller gives up waiting.
    ///
    /// Call it until it returns `None`, which is once more after [`Event::Rejected`]. Nothing more is sent.
    pub fn receive_eof(&mut self) -> Option<Event<'static>> {
        // What came before the end and is not delivered, as while the request was with the caller, goes first; answers
        // have nowhere to go.
        let sent = self.counts.sent_wire;
        let undelivered = self.receive_any(&mut Input::default(), &mut Output::new());
        self.counts.sent_wire = sent;
        if undelivered.is_some() {
            return undelivered;
        }
        match self.phase {
            Phase::Opening => return self.opening_eof(),
            // RFC 6455 §7.1.5: "If _The WebSocket Connection is Closed_ and no Close control frame was received by the
            // endpoint (such as could occur if the underlying transport connection is lost), _The WebSocket Connection
            // Close Code_ is considered to be 1006."
            Phase::Frames => self.end(Closed::abnormally()),
            Phase::Draining => self.phase = Phase::Ended,
            Phase::Ended => {}
        }
        self.report_end()
    }
}

/// # The long way
impl Connection {
    #[inline(never)]
    pub(super) fn receive_any<'i>(&mut self, input: &mut Input<'i>, output: &mut Output) -> Option<Event<'i>> {
        let event = loop {
            match self.phase {
                Phase::Opening => break self.receive_opening(input, output),
                Phase::Frames if self.opening().is_some() => {
                    let event = self.receive_held(output);
                    if event.is_some() {
                        break event;
                    }
                }
                Phase::Frames => break self.receive_frames(input, output),
                // RFC 6455 §5.5.1, §7.1.7: whatever comes after a Close, or after the connection was failed, is
                // discarded.
                Phase::Draining | Phase::Ended => {
                    input.take_all();
                    break if self.is_closed() { self.report_end() } else { None };
                }
            }
        };
        self.note_busy();
        // Not before: a buffer that is given back would need the place again.
        if event.is_none() {
            self.tidy();
        }
        event
    }

    pub(super) fn note_busy(&mut self) {
        let between_frames = matches!(&self.reading, Reading::Header(header) if header.as_ref().is_empty());
        let discarding = self.browser_rules && self.close_sent;
        let is_idle = self.phase == Phase::Frames
            && between_frames
            && self.held.as_ref().is_none_or(|held| held.message.is_none() && held.opening.is_none());
        // Parts are no whole messages, however short.
        self.busy = !is_idle || discarding || self.part_size > 0;
    }

    pub(super) fn take<'i>(&mut self, input: &mut Input<'i>, count: usize) -> &'i mut [u8] {
        let taken = input.take(count);
        self.position = self.position.saturating_add(taken.len() as u64);
        taken
    }

    pub(super) fn receive_frames<'i>(&mut self, input: &mut Input<'i>, output: &mut Output) -> Option<Event<'i>> {
        while self.phase == Phase::Frames {
            let step = match self.reading {
                Reading::Header(header) => self.read_header(header, input),
                Reading::Payload(frame) if frame.opcode.is_control() => self.read_control(frame, input, output),
                Reading::Payload(frame) => self.read_data(frame, input, output),
            };
            match step {
                Ok(Continue(())) => {}
                Ok(Break(event)) => return event,
                Err(error) => return self.fail(error, input, output),
            }
        }
        input.take_all();
        None
    }

    /// RFC 6455 §7.1.7, _Fail the WebSocket Connection_: "the endpoint SHOULD send a Close frame with an appropriate
    /// status code before proceeding to _Close the WebSocket Connection_".
    /// And: "An endpoint MUST NOT continue to attempt to process data (including a responding Close frame) from the
    /// remote endpoint after being instructed to _Fail the WebSocket Connection_."
    #[cold]
    pub(super) fn fail<'i>(
        &mut self,
        error: ProtocolError,
        input: &mut Input<'i>,
        output: &mut Output,
    ) -> Option<Event<'i>> {
        self.put_close(Some(error.close_code()), "", output);
        self.end(Closed::failed(error));
        input.take_all();
        self.report_end()
    }

    fn read_header<'i>(&mut self, mut header: HeaderBuffer, input: &mut Input<'i>) -> Step<'i> {
        if header.as_ref().is_empty()
            && let Some(len) = self.read_whole_header(input)
        {
            self.take(input, len);
            return Ok(Continue(()));
        }
        let start = self.position.saturating_sub(header.as_ref().len() as u64);
        let wrong = |kind| ProtocolError { kind, offset: start };
        self.fill(&mut header, input);
        // The first two bytes tell how long the header is, and most of what can be wrong with it.
        if let [first, second, ..] = *header.as_ref() {
            self.check_order(first, second).map_err(wrong)?;
            self.fill(&mut header, input);
            if let Some(len) = decode_payload_len(header.as_ref()).map_err(wrong)? {
                self.check_size(first, len).map_err(wrong)?;
            }
        }
        let Some((header, _)) = FrameHeader::decode(header.as_ref()).map_err(wrong)? else {
            self.reading = Reading::Header(header);
            return Ok(Break(None));
        };
        self.start_frame(header);
        Ok(Continue(()))
    }

    /// Reads a header that is all there, if there is nothing wrong with it. Returns its length.
    #[inline]
    fn read_whole_header(&mut self, input: &Input<'_>) -> Option<usize> {
        let (header, len) = FrameHeader::decode(input.peek()).ok()??;
        let [first, second, ..] = *input.peek() else { return None };
        self.check_order(first, second).ok()?;
        self.check_size(first, header.payload_len).ok()?;
        self.start_frame(header);
        Some(len)
    }

    #[inline]
    fn start_frame(&mut self, header: FrameHeader) {
        let FrameHeader { fin, rsv, opcode, mask, payload_len: remaining } = header;
        let key = mask.unwrap_or_default();
        self.reading =
            Reading::Payload(Frame { opcode, fin, compressed: rsv != 0, is_gathered: false, key, remaining });
    }

    fn fill(&mut self, header: &mut HeaderBuffer, input: &mut Input<'_>) {
        let taken = header.fill(input);
        self.position = self.position.saturating_add(taken as u64);
    }

    /// What the first two bytes show to be wrong on this connection, at this point.
    fn check_order(&self, first: u8, second: u8) -> Result<(), ProtocolErrorKind> {
        // RFC 6455 §5.2: "If a nonzero value is received and none of the negotiated extensions defines the meaning of
        // such a nonzero value, the receiving endpoint MUST _Fail the WebSocket Connection_."
        let opcode = Opcode::new(first & 0xf);
        #[cfg(feature = "deflate")]
        let defined = if self.marks_compressed(opcode) { RSV1 } else { 0 };
        #[cfg(not(feature = "deflate"))]
        let defined = 0;
        if first & RSV & !defined != 0 {
            return Err(ProtocolErrorKind::ReservedBits);
        }
        // RFC 6455 §5.1: "The server MUST close the connection upon receiving a frame that is not masked." "A client
        // MUST close a connection if it detects a masked frame."
        match (self.role, second & MASK != 0) {
            (Role::Server, false) => return Err(ProtocolErrorKind::NotMasked),
            (Role::Client, true) => return Err(ProtocolErrorKind::Masked),
            _ => {}
        }
        // RFC 6455 §5.4: a message is a first frame and continuations, and messages are not interleaved.
        match (opcode, self.message()) {
            (Some(Opcode::Continuation), None) => Err(ProtocolErrorKind::UnexpectedContinuation),
            (Some(Opcode::Text | Opcode::Binary), Some(_)) => Err(ProtocolErrorKind::MissingContinuation),
            (Some(Opcode::Continuation), Some(message)) if message.frames() >= self.max_fragments => {
                Err(ProtocolErrorKind::TooManyFragments)
            }
            _ => Ok(()),
        }
    }

    /// RFC 6455 §10.4: limits on the frame and on the message, which the header alone can be seen to exceed.
    fn check_size(&self, first: u8, len: u64) -> Result<(), ProtocolErrorKind> {
        if Opcode::new(first & 0xf).is_some_and(Opcode::is_control) {
            return Ok(());
        }
        let limit = self.message_limit();
        let under_way = self.message();
        let (gathered, limit) = if first & RSV1 != 0 || under_way.is_some_and(Message::is_compressed) {
            // What a compressed message comes to is seen when it is decompressed. Honest DEFLATE is hardly longer than
            // that, but for what flushes each fragment; blocks without content could go on for ever.
            let flushes = under_way.map_or(0, |message| u64::from(message.frames()) * 16);
            let most = limit.saturating_add(limit / 8).saturating_add(1 << 10).saturating_add(flushes);
            (under_way.map_or(0, Message::compressed_len), most)
        } else {
            (under_way.map_or(0, Message::len), limit)
        };
        if len > limit.saturating_sub(gathered) {
            Err(ProtocolErrorKind::MessageTooBig)
        } else if self.max_frame_size < u32::MAX && len > self.max_frame_size.into() {
            Err(ProtocolErrorKind::FrameTooBig)
        } else {
            Ok(())
        }
    }

    /// Takes and unmasks what is there of the payload, up to `most` bytes.
    pub(super) fn take_payload<'i>(&mut self, frame: &mut Frame, most: usize, input: &mut Input<'i>) -> &'i mut [u8] {
        let payload = self.take(input, usize::try_from(frame.remaining).unwrap_or(usize::MAX).min(most));
        frame.unmask(0, payload);
        frame.advance(payload.len());
        payload
    }
}

pub(super) fn invalid_utf8(start: u64, index: usize) -> ProtocolError {
    ProtocolError { kind: ProtocolErrorKind::InvalidUtf8, offset: start.saturating_add(index as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::handshake::Negotiated;

    /// There is nothing to keep of it then.
    #[test]
    fn a_header_that_is_all_there_is_read_at_once() {
        let mut ping = *b"\x89\x85KEY.Hello";
        for (len, read) in [(11, Some(6)), (6, Some(6)), (5, None)] {
            let mut server = Connection::upgraded(Role::Server, Negotiated::default(), Config::new(), [7; 32]);
            assert_eq!(server.read_whole_header(&Input::new(&mut ping[..len])), read);
        }
    }
}
