//! permessage-deflate's share of a connection (RFC 7692 §6): which messages, with whose compressor. The streams in that
//! are `deflate`'s.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Connection;
use super::reading::Frame;
use crate::deflate::{AgreedParameters as Agreed, Codecs, Compressor, Decompressor, Step, try_box};
use crate::error::{Fault, OutOfMemory, ProtocolErrorKind, SendError};
use crate::frame::Opcode;
use crate::input::Input;
use crate::message::Message;
use crate::output::Output;

/// How many compressed bytes are unmasked at a time, if what they become may not all be wanted.
const BLOCK: usize = 4 << 10;

/// # Compression
/// With [`Config::deflate`](crate::Config::deflate), and if the peer agreed, messages are compressed from a threshold
/// on.
impl Connection {
    /// Whether permessage-deflate is in use, once the connection is open.
    ///
    /// # Examples
    /// ```
    /// use bytes::Buf;
    /// use websocket_proto::handshake::parse_extended_connect;
    /// use websocket_proto::{Accept, ClientRequest, Config, Connection, Deflate, Output, Role};
    ///
    /// let config = Config::new().deflate(Deflate::new());
    /// let handshake = ClientRequest::new("wss://example.com/").extended_connect(&config)?;
    /// let request = parse_extended_connect(handshake.headers().iter())?;
    /// let (_, negotiated) = request.accept(&Accept::new(), &config)?;
    /// assert!(negotiated.uses_deflate());
    ///
    /// let mut server = Connection::upgraded(Role::Server, negotiated, config, [0; 32]);
    /// assert!(server.uses_deflate());
    /// let mut output = Output::new();
    /// server.send_text(&"na ".repeat(100), &mut output)?;
    /// assert_eq!(output.chunk()[0], 0xc1, "FIN, RSV1, text: compressed");
    /// assert!(output.len() < 20);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn uses_deflate(&self) -> bool {
        self.agreed.is_some()
    }
}

impl Connection {
    /// Whether a message of so many bytes is compressed.
    #[inline]
    pub(super) fn deflates(&self, len: usize) -> bool {
        self.agreed.is_some_and(|agreed| len >= usize::from(agreed.threshold))
    }

    /// RFC 7692 §6: RSV1 marks a compressed message on its first frame, and nothing else.
    pub(super) fn marks_compressed(&self, opcode: Option<Opcode>) -> bool {
        self.agreed.is_some() && matches!(opcode, Some(Opcode::Text | Opcode::Binary))
    }

    /// RFC 7692 §6.1: compress, then frame; RSV1 on the first frame alone. Without memory, puts nothing: what comes next,
    /// the same fragment once more or another message, refers to nothing before it.
    #[inline(never)]
    pub(super) fn put_deflated(
        &mut self,
        fin: bool,
        opcode: Opcode,
        payload: &[u8],
        output: &mut Output,
    ) -> Result<(), SendError> {
        let Some(agreed) = self.agreed else { return Err(SendError::OutOfMemory) };
        let written = self.put_compressed(agreed, fin, opcode, payload, output);
        self.tidy();
        self.count_wire(written?);
        Ok(())
    }

    /// Returns the frame's length.
    fn put_compressed(
        &mut self,
        agreed: Agreed,
        fin: bool,
        opcode: Opcode,
        payload: &[u8],
        output: &mut Output,
    ) -> Result<usize, OutOfMemory> {
        let held = self.take_held()?;
        let mut codecs = match self.held.insert(held).codecs.take() {
            Some(codecs) => codecs,
            None => try_box(Codecs::default())?,
        };
        let lent = if agreed.shared && codecs.compressor.is_none() {
            output.codecs().map(|shared| codecs.compressor = shared.compressor.take())
        } else {
            Ok(())
        };
        let framed = lent.and_then(|()| self.put_framed(codecs.compressor(agreed), fin, opcode, payload, output));
        // After a failure, too: no message may refer to one that the peer does not get, or to another connection's.
        let forgets = framed.is_err() || fin && !agreed.own_takeover;
        if let Some(compressor) = codecs.compressor.as_mut().filter(|_| forgets) {
            compressor.reset();
        }
        if agreed.shared && (fin || framed.is_err()) {
            let compressor = codecs.compressor.take();
            if let Ok(shared) = output.codecs() {
                shared.compressor = compressor;
            }
        }
        self.held().codecs = (!codecs.is_empty()).then_some(codecs);
        framed
    }

    fn put_framed(
        &mut self,
        compressor: Result<&mut Compressor, OutOfMemory>,
        fin: bool,
        opcode: Opcode,
        payload: &[u8],
        output: &mut Output,
    ) -> Result<usize, OutOfMemory> {
        let compressor = compressor?;
        let rsv = if opcode == Opcode::Continuation { 0 } else { 4 };
        output.put_framed(
            Compressor::most(payload.len()),
            |out| compressor.compress(payload, fin, out),
            |len| self.header(fin, rsv, opcode, len),
        )
    }

    /// Decompresses what is there of a frame into the message under way. In parts: until one is full, and more of the
    /// frame may be there than was taken.
    pub(super) fn inflate(
        &mut self,
        frame: &mut Frame,
        message: &mut Message,
        spare: &mut Vec<u8>,
        held: &mut Option<Box<Codecs>>,
        input: &mut Input<'_>,
        output: &mut Output,
    ) -> Result<(), Fault<ProtocolErrorKind>> {
        let Some(agreed) = self.agreed else { return Err(ProtocolErrorKind::ReservedBits.into()) };
        let mut codecs = match held.take() {
            Some(codecs) => codecs,
            None => try_box(Codecs::default())?,
        };
        if agreed.shared && codecs.decompressor.is_none() {
            codecs.decompressor = output.codecs()?.decompressor.take();
        }
        let decompressor = codecs.decompressor()?;
        let inflated = self.inflate_with(decompressor, agreed.peer_takeover, frame, message, spare, input);
        if agreed.shared && matches!(inflated, Ok(Progress::Ended) | Err(_)) {
            if inflated.is_err() {
                // It is in the middle of what it read, and the message comes to nothing.
                decompressor.restart();
            }
            let decompressor = codecs.decompressor.take();
            if let Ok(shared) = output.codecs() {
                shared.decompressor = decompressor;
            }
        }
        *held = (!codecs.is_empty()).then_some(codecs);
        message.set_more(inflated == Ok(Progress::Full));
        inflated.map(|_| ())
    }

    fn inflate_with(
        &mut self,
        decompressor: &mut Decompressor,
        takeover: bool,
        frame: &mut Frame,
        message: &mut Message,
        spare: &mut Vec<u8>,
        input: &mut Input<'_>,
    ) -> Result<Progress, Fault<ProtocolErrorKind>> {
        let limit = self.message_limit();
        let (block, part_size) =
            if self.part_size == 0 { (usize::MAX, usize::MAX) } else { (BLOCK, self.part_size as usize) };
        loop {
            let bytes = input.peek_mut(block.min(usize::try_from(frame.remaining).unwrap_or(usize::MAX)));
            frame.unmask(0, bytes);
            let (read, inflated) = inflate_block(decompressor, bytes, message, spare, limit, part_size);
            // What was not read goes back as it came.
            frame.unmask(read, bytes.get_mut(read..).unwrap_or_default());
            self.take(input, read);
            frame.advance(read);
            message.count_compressed(read);
            inflated?;
            if decompressor.is_full() {
                return Ok(Progress::Full);
            }
            if frame.ends_message() {
                let is_whole = decompressor.finish(takeover);
                return if is_whole { Ok(Progress::Ended) } else { Err(ProtocolErrorKind::InvalidDeflate.into()) };
            }
            if frame.remaining == 0 || input.is_empty() {
                return Ok(Progress::Hungry);
            }
        }
    }
}

/// Why decompressing paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// A part is full, and there may be more.
    Full,
    /// Everything is read.
    Hungry,
    /// That was the message.
    Ended,
}

/// Decompresses into the message until all is read, or a part is full. Returns how many bytes it read.
fn inflate_block(
    decompressor: &mut Decompressor,
    bytes: &[u8],
    message: &mut Message,
    spare: &mut Vec<u8>,
    limit: u64,
    part_size: usize,
) -> (usize, Result<(), Fault<ProtocolErrorKind>>) {
    // What was full may be so again. Later, as much again as came before: what is decompressed into is filled with
    // zeros, which is not to be more work than what comes.
    let mut expected = if decompressor.is_full() { part_size } else { decompressor.expected_len(bytes.len()) };
    let mut read = 0;
    // Where there was no more room, there may be more behind, which has to come before anything else is looked at.
    while read < bytes.len() || decompressor.is_full() {
        let fitting = usize::try_from(limit.saturating_sub(message.len())).unwrap_or(usize::MAX);
        // One byte more shows that the message is too long.
        let most = fitting.saturating_add(1).min(message.room(part_size));
        if most == 0 {
            break;
        }
        let (rest, mut step) = (bytes.get(read..).unwrap_or_default(), Step::default());
        let checked = message.append(spare, expected, most, |place| {
            step = decompressor.push(rest, place);
            step.written.min(fitting)
        });
        // What fits is looked at first: so the fault that is found does not depend on how much came at once.
        if let Err(fault) = checked {
            return (read, Err(fault.map(|_| ProtocolErrorKind::InvalidUtf8)));
        } else if step.written > fitting {
            return (read, Err(ProtocolErrorKind::MessageTooBig.into()));
        } else if step.is_broken {
            return (read, Err(ProtocolErrorKind::InvalidDeflate.into()));
        }
        read += step.read;
        expected = step.written.saturating_add(decompressor.expected_len(0));
    }
    (read, Ok(()))
}
