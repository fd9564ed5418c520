//! Frames coming in: what is unusual about them, and what is wrong. Whole messages go a short way, in `hot`. Nothing
//! goes out from here but the Close of a connection that failed.

use core::ops::ControlFlow::{self, Break, Continue};

use super::reading::{Frame, Reading};
use super::{Connection, Phase, Role};
use crate::error::{ConnectionError, Fault, OutOfMemory, ProtocolError, ProtocolErrorKind};
use crate::event::Closed;
use crate::event::Event;
use crate::frame::{FrameHeader, HeaderChecks, HeaderParser, MASK, Opcode, RSV, RSV1};
use crate::input::Input;
use crate::message::Message;
use crate::output::Output;

/// What one step brought: go on, or come back with this.
pub(super) type Step<'i> = Result<ControlFlow<Option<Event<'i>>>, Fault>;

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
            // §7.2.1: "If at any point the underlying transport layer connection is unexpectedly lost, the client MUST
            // _Fail the WebSocket Connection_."
            Phase::Frames => self.end(Closed::failed(ConnectionError::TransportLost)),
            Phase::Draining => self.phase = Phase::Ending,
            Phase::Ending | Phase::Ended => {}
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
                Phase::Draining | Phase::Ending | Phase::Ended => {
                    input.consume_all();
                    break self.report_end();
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
        let between_frames = matches!(&self.reading, Reading::Header(header) if header.buffered() == 0);
        let discarding = self.browser_rules && self.close_sent;
        let is_idle = self.phase == Phase::Frames
            && between_frames
            && self.held.as_ref().is_none_or(|held| held.message.is_none() && held.opening.is_none());
        // Parts are no whole messages, however short.
        self.busy = !is_idle || discarding || self.part_size > 0;
    }

    pub(super) fn take<'i>(&mut self, input: &mut Input<'i>, count: usize) -> &'i mut [u8] {
        let taken = input.consume(count);
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
                Err(error) => return Some(self.fail(error, input, output)),
            }
        }
        input.consume_all();
        None
    }

    /// RFC 6455 §7.1.7, _Fail the WebSocket Connection_: "the endpoint SHOULD send a Close frame with an appropriate
    /// status code before proceeding to _Close the WebSocket Connection_".
    /// And: "An endpoint MUST NOT continue to attempt to process data (including a responding Close frame) from the
    /// remote endpoint after being instructed to _Fail the WebSocket Connection_."
    #[cold]
    pub(super) fn fail(&mut self, fault: Fault, input: &mut Input<'_>, output: &mut Output) -> Event<'static> {
        if fault != Fault::OutOfMemory || self.make_room_for_close(output).is_ok() {
            self.put_close(Some(fault.close_code()), "", output);
        }
        self.stop();
        self.release();
        input.consume_all();
        Event::Closed(fault.into())
    }

    fn make_room_for_close(&mut self, output: &mut Output) -> Result<(), OutOfMemory> {
        const CODE_LEN: usize = 2;

        if let Some(held) = &mut self.held {
            held.free_memory();
        }
        output.try_reserve(FrameHeader::MAX_LEN + CODE_LEN)
    }

    fn read_header<'i>(&mut self, mut header: HeaderParser, input: &mut Input<'i>) -> Step<'i> {
        let (offset, before) = (self.position.saturating_sub(header.buffered() as u64), input.len());
        let parsed = header.parse(input, self).map_err(|kind| ProtocolError { kind, offset });
        self.position = self.position.saturating_add((before - input.len()) as u64);
        if let Some(parsed) = parsed? {
            self.start_frame(parsed);
            return Ok(Continue(()));
        }
        self.reading = Reading::Header(header);
        Ok(Break(None))
    }

    #[inline]
    fn start_frame(&mut self, header: FrameHeader) {
        let FrameHeader { fin, rsv, opcode, mask, payload_len: remaining } = header;
        let key = mask.unwrap_or_default();
        self.reading =
            Reading::Payload(Frame { opcode, fin, compressed: rsv != 0, is_gathered: false, key, remaining });
    }
}

impl HeaderChecks for Connection {
    /// What the first two bytes show to be wrong on this connection, at this point.
    fn check_sequence(&self, first: u8, second: u8) -> Result<(), ProtocolErrorKind> {
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
    fn check_limits(&self, first: u8, len: u64) -> Result<(), ProtocolErrorKind> {
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
}

impl Connection {
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
