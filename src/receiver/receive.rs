//! The full parser.

use super::parser::FrameParser;
use super::{Received, Receiver, ReceiverState};
use crate::deflate::SharedCodecs;
use crate::error::Fault;
use crate::input::Input;
use crate::lazy::Lazy;

/// The result of one step of the full parser.
pub(super) enum Step<'i> {
    /// Part of the input may be left for the next step.
    Next,
    /// The input is consumed.
    NeedsInput,
    Received(Received<'i>),
}

impl Receiver {
    /// Reads up to the end of the next message, part or control frame; `None` if the input ends before it.
    ///
    /// # Errors
    /// The first rule that the peer broke, or a failed allocation. Nothing may be received after that.
    pub(crate) fn receive<'i>(
        &mut self,
        state: &mut impl Lazy<ReceiverState>,
        input: &mut Input<'i>,
        shared: &mut SharedCodecs,
    ) -> Result<Option<Received<'i>>, Fault> {
        loop {
            let step = match self.parser {
                FrameParser::Header(header) => self.receive_header(header, state, input)?,
                FrameParser::Payload(frame) if frame.opcode.is_control() => {
                    self.receive_control(frame, state, input)?
                }
                FrameParser::Payload(frame) => self.receive_data(frame, state, input, shared)?,
            };
            match step {
                Step::Next => {}
                Step::NeedsInput => return Ok(None),
                Step::Received(received) => return Ok(Some(received)),
            }
        }
    }
}
