//! Decompresses messages as they arrive (RFC 7692 §6.2, §7.2.2), and checks the size limit and UTF-8 at every step.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::assembler::MessageAssembler;
use super::parser::{FrameParser, PayloadReader};
use super::receive::Step;
use super::{Received, Receiver, ReceiverState};
use crate::deflate::{Codecs, Decompressor, SharedCodecs, Step as Inflated, try_box};
use crate::error::{Fault, OutOfMemory, ProtocolError, ProtocolErrorKind};
use crate::input::Input;
use crate::message::MessageKind;

/// The most compressed bytes that are unmasked at once if messages are delivered in parts: a full part may leave some
/// of them unread.
const UNMASK_MAX: usize = 4 << 10;

/// Decompresses payloads into a message, or into the current part of it.
struct MessageInflater<'r> {
    decompressor: &'r mut Decompressor,
    message: &'r mut MessageAssembler,
    /// A buffer that an empty message can take over.
    spare: &'r mut Vec<u8>,
    /// The most bytes of a message, and of a part.
    message_limit: u64,
    part_limit: usize,
}

impl Receiver {
    /// Reads the available bytes of a compressed message that is delivered whole.
    pub(super) fn receive_compressed<'i>(
        &mut self,
        mut frame: PayloadReader,
        state: &mut ReceiverState,
        input: &mut Input<'i>,
        shared: &mut SharedCodecs,
    ) -> Result<Step<'i>, Fault> {
        let kind = MessageKind::of(frame.opcode);
        state.message.get_or_insert_with(|| MessageAssembler::new(kind, frame.is_compressed, Vec::new()));
        if frame.remaining > 0 && input.is_empty() {
            return Ok(Step::NeedsInput);
        }
        self.inflate_frame(&mut frame, state, input, shared)?;
        if frame.remaining > 0 {
            self.parser = FrameParser::Payload(frame);
            return Ok(Step::Next);
        }
        let Some(message) = &mut state.message else { return Ok(Step::NeedsInput) };
        let frame_start = message.frame_start(self.position);
        self.parser = FrameParser::default();
        message.count_frame();
        if !frame.fin {
            return Ok(Step::Next);
        }
        Ok(Step::Received(Received::Message(self.take_whole_message(state, frame_start)?)))
    }

    /// Decompresses the available bytes of a frame into the message in progress. If it is delivered in parts, stops
    /// when a part is full. The offset of a fault is the start of the frame's payload.
    pub(super) fn inflate_frame(
        &mut self,
        frame: &mut PayloadReader,
        state: &mut ReceiverState,
        input: &mut Input<'_>,
        shared: &mut SharedCodecs,
    ) -> Result<(), Fault> {
        let Some(message) = &mut state.message else { return Ok(()) };
        let offset = message.frame_start(self.position);
        // The header check rejects a compressed frame where compression is not in use.
        let reserved = ProtocolError { kind: ProtocolErrorKind::ReservedBits, offset };
        let parameters = self.inflate.ok_or(reserved)?;
        let codecs = parameters.is_shared.then_some(&mut *shared);
        let decompressor = match &mut state.decompressor {
            Some(decompressor) => decompressor,
            slot => slot.insert(borrow_or_make(codecs)?),
        };
        let before = input.len();
        let inflated = MessageInflater {
            decompressor,
            message,
            spare: &mut state.spare,
            message_limit: self.message_limit(),
            part_limit: if self.part_size == 0 { usize::MAX } else { self.part_size as usize },
        }
        .read_frame(frame, parameters.takeover, input);
        self.position = self.position.saturating_add((before - input.len()) as u64);
        if parameters.is_shared && inflated != Ok(false) {
            give_back(&mut state.decompressor, inflated.is_err(), shared);
        }
        inflated.map(drop).map_err(|fault| fault.map(|kind| ProtocolError { kind, offset }))
    }
}

/// Takes the shared decompressor, or makes a new one.
fn borrow_or_make(shared: Option<&mut SharedCodecs>) -> Result<Box<Decompressor>, OutOfMemory> {
    let existing = match shared {
        Some(shared) => Codecs::shared(shared)?.decompressor.take(),
        None => None,
    };
    existing.map_or_else(|| try_box(Decompressor::new()?), Ok)
}

/// Returns the decompressor to the shared codecs. After a fault, which is in the middle of a message, resets it first.
fn give_back(decompressor: &mut Option<Box<Decompressor>>, found_fault: bool, shared: &mut SharedCodecs) {
    let mut decompressor = decompressor.take();
    if let Some(decompressor) = decompressor.as_mut().filter(|_| found_fault) {
        decompressor.restart();
    }
    if let Ok(shared) = Codecs::shared(shared) {
        shared.decompressor = decompressor;
    }
}

impl MessageInflater<'_> {
    /// Reads until the input or the frame ends, or the part is full. Returns whether the message is complete.
    fn read_frame(
        &mut self,
        frame: &mut PayloadReader,
        takeover: bool,
        input: &mut Input<'_>,
    ) -> Result<bool, Fault<ProtocolErrorKind>> {
        let max_len = if self.part_limit == usize::MAX { usize::MAX } else { UNMASK_MAX };
        loop {
            let bytes = input.peek_mut(max_len.min(frame.remaining_len()));
            frame.unmask(0, bytes);
            let (read, inflated) = self.read_bytes(bytes);
            // Masks the unread bytes again.
            frame.unmask(read, bytes.get_mut(read..).unwrap_or_default());
            input.consume(read);
            frame.advance(read);
            self.message.count_compressed(read);
            inflated?;
            if self.decompressor.is_full() {
                return Ok(false);
            }
            if frame.ends_message() {
                let is_whole = self.decompressor.finish(takeover);
                return if is_whole { Ok(true) } else { Err(ProtocolErrorKind::InvalidDeflate.into()) };
            }
            if frame.remaining == 0 || input.is_empty() {
                return Ok(false);
            }
        }
    }

    /// Decompresses until `bytes` are read or the part is full. Returns the number of bytes read.
    fn read_bytes(&mut self, bytes: &[u8]) -> (usize, Result<(), Fault<ProtocolErrorKind>>) {
        // The length of the buffer for the decompressor. The buffer is zeroed first, which must not be more work than
        // decompressing: so after a full part, expect another; after any other step, as much output as that step had.
        let mut expected =
            if self.decompressor.is_full() { self.part_limit } else { self.decompressor.expected_len(bytes.len()) };
        let mut read = 0;
        // The decompressor returns output that had no room before it reads more.
        while read < bytes.len() || self.decompressor.is_full() {
            let allowed = usize::try_from(self.message_limit.saturating_sub(self.message.len())).unwrap_or(usize::MAX);
            let room = self.part_limit.saturating_sub(self.message.buffered());
            // One byte more than the limit shows that the message is too long.
            let max_len = allowed.saturating_add(1).min(room);
            if max_len == 0 {
                break;
            }
            let (rest, mut step) = (bytes.get(read..).unwrap_or_default(), Inflated::default());
            let decompressor = &mut *self.decompressor;
            let checked = self.message.push_with(self.spare, expected, max_len, |buffer| {
                step = decompressor.push(rest, buffer);
                step.written.min(allowed)
            });
            // Checks the bytes within the limit first, so that the fault does not depend on how the input is split.
            if let Err(fault) = checked {
                return (read, Err(fault.map(|_| ProtocolErrorKind::InvalidUtf8)));
            } else if step.written > allowed {
                return (read, Err(ProtocolErrorKind::MessageTooBig.into()));
            } else if step.is_broken {
                return (read, Err(ProtocolErrorKind::InvalidDeflate.into()));
            }
            read += step.read;
            expected = step.written.saturating_add(self.decompressor.expected_len(0));
        }
        (read, Ok(()))
    }
}
