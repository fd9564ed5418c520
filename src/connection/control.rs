//! Control frames coming in (RFC 6455 §5.5): a ping is answered, a Close ends the connection. The message that they
//! come in the middle of is not touched.

use alloc::borrow::Cow;
use core::ops::ControlFlow::Break;

use super::reading::{Frame, Reading};
use super::receive::{Step, invalid_utf8};
use super::{Connection, Phase, Role};
use crate::close_code::{ClosePayloadError, CloseStatus, parse_close_payload};
use crate::error::{ProtocolError, ProtocolErrorKind};
use crate::event::{Closed, Event};
use crate::frame::Opcode;
use crate::input::Input;
use crate::output::Output;

impl Connection {
    pub(super) fn read_control<'i>(
        &mut self,
        mut frame: Frame,
        input: &mut Input<'i>,
        output: &mut Output,
    ) -> Step<'i> {
        if frame.remaining > 0 && input.is_empty() {
            return Ok(Break(None));
        }
        let bytes = self.take_payload(&mut frame, usize::MAX, input);
        let cut = self.held.as_ref().is_some_and(|held| !held.control.is_empty());
        let payload = if frame.remaining > 0 || cut {
            self.held().control.extend_from_slice(bytes);
            if frame.remaining > 0 {
                self.reading = Reading::Payload(frame);
                return Ok(Break(None));
            }
            Cow::Owned(core::mem::take(&mut self.held().control))
        } else {
            Cow::Borrowed(&*bytes)
        };
        self.reading = Reading::default();
        match frame.opcode {
            Opcode::Close => self.receive_close(&payload, output),
            Opcode::Ping => {
                // RFC 6455 §5.5.3: "A Pong frame sent in response to a Ping frame must have identical "Application
                // data" as found in the message body of the Ping frame being replied to."
                let (header, mask) = self.header(true, 0, Opcode::Pong, payload.len());
                let replaced = output.put_pong(&header, mask, &payload, self.max_pending_pong_bytes as usize);
                self.count_wire(header.as_ref().len() + payload.len());
                self.counts.sent_wire = self.counts.sent_wire.wrapping_sub(replaced as u64);
                self.counts.received_pings = self.counts.received_pings.saturating_add(1);
                Ok(Break(Some(Event::Ping(payload))))
            }
            _ => Ok(Break(Some(Event::Pong(payload)))),
        }
    }

    fn receive_close<'i>(&mut self, payload: &Cow<'i, [u8]>, output: &mut Output) -> Step<'i> {
        let (status, reason) = match payload {
            Cow::Borrowed(body) => self.check_close(body).map(|(status, reason)| (status, Cow::Borrowed(reason)))?,
            Cow::Owned(body) => self.check_close(body).map(|(status, reason)| (status, Cow::Owned(reason.into())))?,
        };
        // RFC 6455 §5.5.1: "If an endpoint receives a Close frame and did not previously send a Close frame, the
        // endpoint MUST send a Close frame in response. (When sending a Close frame in response, the endpoint typically
        // echos the status code it received.)"
        let echo = if let CloseStatus::Code(code) = status { Some(code) } else { None };
        self.put_close(echo, "", output);
        let closed = Closed::cleanly(status, &reason);
        match self.role {
            // RFC 6455 §5.5.1: "The server MUST close the underlying TCP connection immediately; the client SHOULD wait
            // for the server to close the connection but MAY close the connection at any time".
            Role::Server => {
                self.end(closed);
                Ok(Break(self.report_end()))
            }
            Role::Client => {
                self.phase = Phase::Draining;
                self.held().ending = Some(closed);
                self.release();
                Ok(Break(Some(Event::CloseReceived { status, reason })))
            }
        }
    }

    /// The status and the reason in the body of a Close frame, which is the last thing that was consumed.
    fn check_close<'b>(&self, body: &'b [u8]) -> Result<(CloseStatus, &'b str), ProtocolError> {
        let start = self.position.saturating_sub(body.len() as u64);
        // A control frame's length is in its second byte.
        let header = if self.role == Role::Server { 6 } else { 2 };
        let wrong = |kind| ProtocolError { kind, offset: start.saturating_sub(header) };
        parse_close_payload(body).map_err(|error| match error {
            ClosePayloadError::TooShort => wrong(ProtocolErrorKind::ClosePayloadTooShort),
            ClosePayloadError::InvalidCode(code) => wrong(ProtocolErrorKind::InvalidCloseCode(code)),
            ClosePayloadError::InvalidReason(index) => invalid_utf8(start, index),
        })
    }
}
