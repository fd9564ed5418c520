//! permessage-deflate's share of a connection (RFC 7692 §6): which messages, with whose compressor.

use alloc::boxed::Box;

use super::Connection;
use crate::deflate::{Agreed, Codecs, Compressor, InflateFault};
use crate::error::{ProtocolErrorKind, SendError};
use crate::frame::Opcode;
use crate::message::{Message, MessageKind};
use crate::output::Output;

/// What was agreed, and the compressors at work.
#[derive(Debug, Default)]
pub(super) struct Compression {
    agreed: Option<Agreed>,
    /// A shared connection's are here only while a message is under way; otherwise they are in the output.
    codecs: Option<Box<Codecs>>,
}

impl Compression {
    pub(super) fn new(agreed: Option<Agreed>) -> Self {
        Self { agreed, codecs: None }
    }

    /// Frees the compressors; what was agreed stays known.
    pub(super) fn release(&mut self) {
        self.codecs = None;
    }

    /// RFC 7692 §6: RSV1 marks a compressed message on its first frame, and nothing else.
    pub(super) fn marks(&self, opcode: Option<Opcode>) -> bool {
        self.agreed.is_some() && matches!(opcode, Some(Opcode::Text | Opcode::Binary))
    }
}

/// # Compression
/// With [`Config::deflate`](crate::Config::deflate), and if the peer agreed, messages are compressed from a threshold
/// on.
impl Connection {
    /// Whether permessage-deflate is in use, once the connection is open.
    #[must_use]
    pub fn uses_deflate(&self) -> bool {
        self.compression.agreed.is_some()
    }
}

impl Connection {
    pub(super) fn deflates(&self, len: usize) -> bool {
        self.compression.agreed.is_some_and(|agreed| len >= usize::from(agreed.threshold))
    }

    /// The next fragment of a message; whether it is compressed is decided by the first.
    pub(super) fn put_fragment(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        fin: bool,
        compress: bool,
        output: &mut Output,
    ) -> Result<(), SendError> {
        let opcode = self.fragment_opcode(kind);
        if self.sending.is_none() {
            self.sending_compressed = compress && if fin { self.deflates(payload.len()) } else { self.uses_deflate() };
        }
        if self.sending_compressed {
            return self.put_deflated(fin, opcode, payload, output);
        }
        self.put_frame(fin, opcode, payload, output);
        Ok(())
    }

    /// RFC 7692 §6.1: compress, then frame; RSV1 on the first frame alone.
    pub(super) fn put_deflated(
        &mut self,
        fin: bool,
        opcode: Opcode,
        payload: &[u8],
        output: &mut Output,
    ) -> Result<(), SendError> {
        let Some(agreed) = self.compression.agreed else { return Err(SendError::Deflate) };
        let mut codecs = self.compression.codecs.take().unwrap_or_default();
        if agreed.shared && codecs.compressor.is_none() {
            codecs.compressor = output.codecs().compressor.take();
        }
        let compressor = codecs.compressor(agreed);
        let rsv = if opcode == Opcode::Continuation { 0 } else { 4 };
        let framed = output.put_framed(
            Compressor::expected_len(payload.len()),
            |out| compressor.compress(payload, fin, out),
            |len| self.header(fin, rsv, opcode, len),
        );
        if fin && !agreed.own_takeover {
            compressor.reset();
        }
        if fin && agreed.shared {
            output.codecs().compressor = codecs.compressor.take();
        }
        self.keep(codecs);
        if framed { Ok(()) } else { Err(SendError::Deflate) }
    }

    /// Decompresses a piece of a message, the last one with `fin`, into it, within the limit.
    pub(super) fn inflate(
        &mut self,
        message: &mut Message,
        payload: &[u8],
        fin: bool,
        output: &mut Output,
    ) -> Result<(), ProtocolErrorKind> {
        let Some(agreed) = self.compression.agreed else { return Err(ProtocolErrorKind::ReservedBits) };
        let mut codecs = self.compression.codecs.take().unwrap_or_default();
        if agreed.shared && codecs.decompressor.is_none() {
            codecs.decompressor = output.codecs().decompressor.take();
        }
        message.count_compressed(payload.len());
        let limit = self.max_message_size;
        // What fits is looked at first: so the fault that is found does not depend on how much came at once.
        let mut gather = |piece: &[u8]| {
            let room = limit.saturating_sub(message.len());
            let (fitting, rest) = piece.split_at(room.min(piece.len()));
            let to_come = room.saturating_sub(fitting.len()) as u64;
            message.push(fitting, to_come).map_err(|_| ProtocolErrorKind::InvalidUtf8)?;
            if rest.is_empty() { Ok(()) } else { Err(ProtocolErrorKind::MessageTooBig) }
        };
        let decompressor = codecs.decompressor();
        let mut inflated = decompressor.push(payload, &mut gather);
        if fin && inflated.is_ok() {
            inflated = decompressor.finish(agreed.peer_takeover, &mut gather);
        }
        // One that found a fault is in the middle of what it read.
        if fin && agreed.shared && inflated.is_ok() {
            output.codecs().decompressor = codecs.decompressor.take();
        }
        self.keep(codecs);
        inflated.map_err(|fault| match fault {
            InflateFault::Data => ProtocolErrorKind::InvalidDeflate,
            InflateFault::Refused(kind) => kind,
        })
    }

    fn keep(&mut self, codecs: Box<Codecs>) {
        self.compression.codecs = (!codecs.is_empty()).then_some(codecs);
    }
}
