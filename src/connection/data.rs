//! Data frames coming in: messages lent, gathered, or handed out in parts. Nothing is answered here.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::ops::ControlFlow::{self, Break, Continue};

use super::Connection;
use super::held::Held;
use super::reading::{Frame, Reading};
use super::receive::{Step, invalid_utf8};
#[cfg(not(feature = "deflate"))]
use crate::error::ProtocolErrorKind;
use crate::error::{Fault, ProtocolError};
use crate::event::Event;
use crate::frame::Opcode;
use crate::input::Input;
use crate::message::{Message, MessageKind, Payload};
use crate::output::Output;
use crate::utf8;

impl Connection {
    pub(super) fn message_limit(&self) -> u64 {
        if self.max_message_size == usize::MAX { u64::MAX } else { self.max_message_size as u64 }
    }

    pub(super) fn read_data<'i>(&mut self, frame: Frame, input: &mut Input<'i>, output: &mut Output) -> Step<'i> {
        let most = if self.part_size == 0 { u64::MAX } else { self.part_size.into() };
        let is_here = frame.remaining <= most.min(input.len() as u64);
        if is_here && frame.fin && !frame.compressed && self.message().is_none() {
            return self.read_whole(frame, input);
        }
        let is_compressed = frame.compressed || self.message().is_some_and(Message::is_compressed);
        if self.part_size == 0 && !is_compressed {
            return self.read_plain(frame, input);
        }
        let mut held = self.take_held()?;
        let step = self.read_piece(frame, &mut held, input, output);
        self.held = Some(held);
        step
    }

    /// A message in one frame that lies whole in the input: lent, not copied.
    fn read_whole<'i>(&mut self, mut frame: Frame, input: &mut Input<'i>) -> Step<'i> {
        let start = self.position;
        let payload = self.take_payload(&mut frame, usize::MAX, input);
        self.reading = Reading::default();
        let payload = if frame.opcode == Opcode::Text {
            let (text, checked) = utf8::check_prefix(payload);
            if let Err(error) = checked.map_err(|error| invalid_utf8(start, error.index)) {
                return self.read_broken(frame, text, error);
            }
            Payload::Text(Cow::Borrowed(text))
        } else {
            Payload::Binary(Cow::Borrowed(payload))
        };
        self.count_received(payload.len(), true);
        let event = if self.part_size == 0 { payload.into_whole() } else { payload.into_part(true, true) };
        Ok(self.deliver(event))
    }

    /// Text that goes wrong behind its first part.
    #[cold]
    fn read_broken<'i>(&mut self, frame: Frame, text: &'i str, error: ProtocolError) -> Step<'i> {
        if self.part_size == 0 {
            return Err(error.into());
        }
        let mut message = Message::start(MessageKind::Text, false, Vec::new());
        let part = message.part(Payload::Text(Cow::Borrowed(text)), false, Err(error.into()))?;
        self.count_received(text.len(), false);
        self.reading = Reading::Payload(frame);
        self.held().message = Some(message);
        Ok(part.map_or(Continue(()), |event| self.deliver(event)))
    }

    /// A message of which this piece is not all, uncompressed and delivered whole: gathered.
    fn read_plain<'i>(&mut self, frame: Frame, input: &mut Input<'i>) -> Step<'i> {
        if frame.remaining > 0 && input.is_empty() {
            return Ok(Break(None));
        }
        let held = self.take_held()?;
        let held = self.held.insert(held);
        if held.message.is_none() {
            let kind = MessageKind::of(frame.opcode);
            held.message = Some(Message::start(kind, false, core::mem::take(&mut held.spare)));
        }
        self.reading = Reading::Payload(Frame { is_gathered: true, ..frame });
        self.gather_more(input).map(|event| event.map_or(Continue(()), |event| Break(Some(event))))
    }

    /// Gathers what is there of a frame and of the fragments behind it. Returns the message if that was the last of it,
    /// and it goes to the application.
    pub(super) fn gather_more<'i>(&mut self, input: &mut Input<'i>) -> Result<Option<Event<'i>>, Fault> {
        loop {
            let event = self.gather_frame(input)?;
            if event.is_some() || !self.begin_fragment(input) {
                return Ok(event);
            }
        }
    }

    #[inline]
    fn gather_frame<'i>(&mut self, input: &mut Input<'i>) -> Result<Option<Event<'i>>, Fault> {
        let limit = self.message_limit();
        let Reading::Payload(frame) = &mut self.reading else { return Ok(None) };
        let Some(message) = self.held.as_mut().and_then(|held| held.message.as_mut()) else { return Ok(None) };
        let (start, key) = (self.position, frame.key);
        let piece = input.consume(usize::try_from(frame.remaining).unwrap_or(usize::MAX));
        self.position = start.wrapping_add(piece.len() as u64);
        frame.advance(piece.len());
        let to_come = |message: &Message| {
            let room = limit.saturating_sub(message.len()).saturating_sub(piece.len() as u64);
            if frame.fin { frame.remaining } else { room }
        };
        message.push(key, piece, to_come).map_err(|fault| fault.map(|error| invalid_utf8(start, error.index)))?;
        if frame.remaining > 0 {
            return Ok(None);
        }
        let ends_message = frame.fin;
        self.reading = Reading::default();
        message.count_frame();
        if !ends_message {
            return Ok(None);
        }
        if !message.is_complete() {
            return Err(invalid_utf8(self.position, 0).into());
        }
        let payload = message.take()?;
        if let Some(held) = &mut self.held {
            held.message = None;
        }
        self.count_received(payload.len(), true);
        // Whatever else could keep it busy was so before.
        self.busy = self.browser_rules && self.close_sent;
        match self.deliver(payload.into_whole()) {
            Break(event) => Ok(event),
            Continue(()) => Ok(None),
        }
    }

    /// As [`read_plain`](Self::read_plain), compressed or handed out in parts.
    fn read_piece<'i>(
        &mut self,
        mut frame: Frame,
        held: &mut Held,
        input: &mut Input<'i>,
        output: &mut Output,
    ) -> Step<'i> {
        let message = held.message.get_or_insert_with(|| {
            let kind = MessageKind::of(frame.opcode);
            Message::start(kind, frame.compressed, Vec::new())
        });
        if let Some(fault) = message.fault() {
            return Err(fault);
        }
        if frame.remaining > 0 && input.is_empty() && !message.has_more() {
            return Ok(Break(None));
        }
        let frame_start = message.frame_start(self.position);
        #[cfg(feature = "deflate")]
        let inflated = message.is_compressed().then(|| {
            let (spare, codecs) = (&mut held.spare, &mut held.codecs);
            self.inflate(&mut frame, message, spare, codecs, input, output)
        });
        // No message is compressed without an extension that does it: a frame that says so was refused.
        #[cfg(not(feature = "deflate"))]
        let (inflated, _) = (None::<Result<(), Fault<ProtocolErrorKind>>>, output);
        let (lent, mut read) = match inflated {
            Some(inflated) => {
                let located = |kind| ProtocolError { kind, offset: frame_start };
                (None, inflated.map_err(|fault| fault.map(located)))
            }
            None => self.lend(&mut frame, message, input),
        };
        let is_over = read.is_ok() && frame.remaining == 0 && !message.has_more();
        let ends = is_over && frame.ends_message();
        if ends && !message.is_complete() {
            let cut_short = if message.is_compressed() { frame_start } else { self.position };
            read = Err(invalid_utf8(cut_short, 0).into());
        }
        self.reading = if is_over && read.is_ok() { Reading::default() } else { Reading::Payload(frame) };
        let last = ends && read.is_ok();
        let event = if self.part_size > 0 {
            let payload = match lent {
                Some(lent) => lent,
                None => message.take()?,
            };
            self.count_received(payload.len(), last);
            message.part(payload, last, read)?
        } else {
            read?;
            if last {
                let payload = message.take()?;
                self.count_received(payload.len(), true);
                Some(payload.into_whole())
            } else {
                None
            }
        };
        if is_over {
            message.count_frame();
        }
        if last {
            held.message = None;
        }
        Ok(event.map_or(Continue(()), |event| self.deliver(event)))
    }

    /// Takes a part of what is there of a frame, to be handed out where it lies, or of the message if there is none.
    fn lend<'i>(
        &mut self,
        frame: &mut Frame,
        message: &mut Message,
        input: &mut Input<'i>,
    ) -> (Option<Payload<'i>>, Result<(), Fault>) {
        let start = self.position;
        // A character that was begun before goes on its own, so that what follows can be lent.
        let lacking = message.lacking();
        let most = if lacking > 0 { lacking } else { self.part_size as usize };
        let bytes = self.take_payload(frame, most, input);
        let (payload, checked) = if lacking > 0 {
            (None, message.push([0; 4], bytes, |_| 0))
        } else {
            let (lent, checked) = message.lend(bytes);
            (Some(lent), checked)
        };
        (payload, checked.map_err(|fault| fault.map(|error| invalid_utf8(start, error.index))))
    }

    /// A message goes to the application, except that a browser's is no longer listening once it called `close()`
    /// (WHATWG: "If ready state is not OPEN (1), then return").
    fn deliver<'i>(&self, event: Event<'i>) -> ControlFlow<Option<Event<'i>>> {
        if self.browser_rules && self.close_sent { Continue(()) } else { Break(Some(event)) }
    }

    #[inline]
    pub(super) fn count_received(&mut self, bytes: usize, ends_message: bool) {
        self.counts.received_messages = self.counts.received_messages.wrapping_add(ends_message.into());
        self.counts.received_bytes = self.counts.received_bytes.wrapping_add(bytes as u64);
    }
}
