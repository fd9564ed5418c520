//! [`Sender`]: messages and control frames to an output (RFC 6455 §5, §6.1). The connection decides what may be sent
//! when; [`check_output_limit`](Sender::check_output_limit) is the one limit that is checked here.
//!
//! | file | content |
//! |---|---|
//! | `frames.rs` | frames, masked by a client; ping, pong and Close |
//! | `message.rs` | messages and fragments |
//! | `fast_path.rs` | short messages, without checks |
//! | `deflate.rs` | compressed messages |
//! | `shared.rs`, `prepared.rs` | payloads by reference; [`PreparedMessage`] |

mod deflate;
mod fast_path;
mod frames;
mod message;
mod prepared;
mod shared;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;

use crate::config::Config;
use crate::counters::Traffic;
use crate::deflate::{AgreedParameters, Compressor};
use crate::error::SendError;
use crate::frame::FrameHeader;
use crate::lazy::Lazy;
use crate::mask::MaskKeys;
use crate::output::Output;

pub(crate) use fast_path::{FastPath, TINY};
pub(crate) use frames::MAX_CONTROL_LEN;
pub use prepared::PreparedMessage;

use message::FragmentedMessage;

/// One direction of a connection: the frames sent to the peer.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    messages: u64,
    message_bytes: u64,
    wire_bytes: u64,
    pings: u32,
    /// The most bytes that may wait in an output after a message or a control frame; `u32::MAX` is no limit.
    max_output: u32,
    /// Set if permessage-deflate is in use.
    deflate: Option<AgreedParameters>,
}

/// The rare state of a sender.
#[derive(Debug, Default)]
pub(crate) struct SenderState {
    /// The keys of a client, which masks its frames; a server has none.
    keys: Option<MaskKeys>,
    /// The fragmented message in progress.
    fragmented: Option<FragmentedMessage>,
    /// A shared compressor is here only during a message; otherwise it is in the output.
    compressor: Option<Box<Compressor>>,
}

impl Sender {
    pub(crate) fn new(config: &Config) -> Self {
        let max_output = config.max_output;
        Self { messages: 0, message_bytes: 0, wire_bytes: 0, pings: 0, max_output, deflate: None }
    }

    /// Starts after the opening handshake.
    pub(crate) fn start(&mut self, agreed: Option<AgreedParameters>) {
        self.deflate = agreed;
    }

    pub(crate) fn traffic(&self) -> Traffic {
        let Self { messages, message_bytes, wire_bytes, pings, .. } = *self;
        Traffic { messages, message_bytes, wire_bytes, pings }
    }

    pub(crate) fn max_output(&self) -> u32 {
        self.max_output
    }

    pub(crate) fn set_max_output(&mut self, max_output: u32) {
        self.max_output = max_output;
    }

    /// Whether permessage-deflate is in use.
    #[cfg(feature = "deflate")]
    pub(crate) fn uses_deflate(&self) -> bool {
        self.deflate.is_some()
    }

    /// Whether an unfragmented message of `len` bytes is compressed, unless the caller asks for it uncompressed.
    #[inline]
    pub(crate) fn compresses(&self, len: usize) -> bool {
        self.deflate.is_some_and(|agreed| len >= agreed.threshold())
    }

    /// Whether a payload of `len` bytes may be added to the output.
    #[inline]
    pub(crate) fn check_output_limit(&self, len: usize, output: &Output) -> Result<(), SendError> {
        if self.max_output == u32::MAX {
            return Ok(());
        }
        let waiting = output.len().saturating_add(len).saturating_add(FrameHeader::MAX_LEN);
        if waiting > self.max_output as usize { Err(SendError::Full) } else { Ok(()) }
    }

    /// RFC 6455 §5.4: "The fragments of one message MUST NOT be interleaved between the fragments of another message".
    #[inline]
    pub(crate) fn check_between_messages(state: &impl Lazy<SenderState>) -> Result<(), SendError> {
        let is_in_message = state.get().is_some_and(|state| state.fragmented.is_some());
        if is_in_message { Err(SendError::MessageInProgress) } else { Ok(()) }
    }

    /// Counts the frame that was written last as a message, or as a fragment of one.
    #[inline]
    fn count(&mut self, bytes: usize, ends_message: bool) {
        self.messages = self.messages.wrapping_add(ends_message.into());
        self.message_bytes = self.message_bytes.wrapping_add(bytes as u64);
    }
}

impl SenderState {
    /// The state of a client.
    pub(crate) fn with_keys(keys: MaskKeys) -> Self {
        Self { keys: Some(keys), ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        let Self { keys, fragmented, compressor } = self;
        keys.is_none() && fragmented.is_none() && compressor.is_none()
    }

    /// Frees the compressor.
    pub(crate) fn free_memory(&mut self) {
        self.compressor = None;
    }
}
