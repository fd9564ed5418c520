//! A model that finds every fault in a complete stream: an implementation that fails must report one of these.

use std::str::{Utf8Error, from_utf8};

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

use super::stream::Frame;
use super::{MAX_FRAME, MAX_MESSAGE, Setup};
use crate::harness::peers::flag;

/// Faults up to the first frame after which no implementation can continue. Some implementations report a fault only
/// once its message is complete, so there may be earlier faults in an unfinished message.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    causes: Vec<Cause>,
    /// The stream has a compressed message without a byte, and a later message may depend on it.
    pub has_empty_deflate: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Wrong reserved bits, opcode, mask, fragmentation, or length of a control frame.
    Header,
    LengthNotMinimal,
    LengthTopBitSet,
    FrameTooBig,
    MessageTooBig,
    NotUtf8,
    CloseTooShort,
    CloseCode(u16),
    NotDeflate,
    /// The message ends inside a block.
    DeflateCutShort,
    /// One of the two faults above comes after a block marked as the last.
    AfterFinalBlock,
    /// The data would be valid if the window from before a block marked as the last were kept.
    WindowEnded,
}

impl Cause {
    fn close_code(self) -> u16 {
        match self {
            Self::NotUtf8 | Self::NotDeflate | Self::DeflateCutShort | Self::AfterFinalBlock | Self::WindowEnded => {
                1007
            }
            Self::FrameTooBig | Self::MessageTooBig => 1009,
            _ => 1002,
        }
    }
}

impl Faults {
    pub fn of(setup: &Setup, mut stream: &[u8]) -> Self {
        let mut walk = Walk { setup, faults: Self::default(), message: None, compressed: Vec::new() };
        while let Some((frame, rest)) = Frame::split(stream) {
            if walk.ends_with(&frame) {
                break;
            }
            stream = rest;
        }
        walk.faults
    }

    pub fn has(&self, cause: Cause) -> bool {
        self.causes.contains(&cause)
    }

    pub fn has_code(&self, code: u16) -> bool {
        self.causes.iter().any(|cause| cause.close_code() == code)
    }

    pub fn close_code(&self) -> Option<u16> {
        self.causes.iter().find_map(|cause| if let Cause::CloseCode(code) = *cause { Some(code) } else { None })
    }
}

struct Walk<'s> {
    setup: &'s Setup,
    faults: Faults,
    message: Option<Message>,
    /// The payloads of the earlier compressed messages whose window the next message uses.
    compressed: Vec<Vec<u8>>,
}

struct Message {
    is_text: bool,
    is_compressed: bool,
    reassembled: Vec<u8>,
}

impl Walk<'_> {
    fn ends_with(&mut self, frame: &Frame) -> bool {
        let before = self.faults.causes.len();
        self.check_header(frame);
        if self.faults.causes.len() > before {
            // Peers that wait for the whole frame may find more faults in it.
            self.check_payload(frame);
            return true;
        }
        self.check_payload(frame);
        frame.opcode == 8 || (frame.fin && !frame.is_control() && !self.faults.causes.is_empty())
    }

    fn check_header(&mut self, frame: &Frame) {
        let is_start = matches!(frame.opcode, 1 | 2);
        let rsv1 = if self.setup.has(flag::DEFLATE) && is_start { 4 } else { 0 };
        let is_header_wrong = frame.rsv & !rsv1 != 0
            || matches!(frame.opcode, 3..=7 | 11..=15)
            || frame.is_masked == self.setup.has(flag::CLIENT)
            || frame.is_control() && (!frame.fin || frame.len > 125)
            || frame.opcode == 0 && self.message.is_none()
            || is_start && self.message.is_some();
        let shorter = [0, 126, 0x1_0000][frame.extended.div_ceil(4)];
        let checks = [
            (is_header_wrong, Cause::Header),
            (frame.len < shorter, Cause::LengthNotMinimal),
            (frame.len >> 63 != 0, Cause::LengthTopBitSet),
            (frame.len > MAX_FRAME as u64, Cause::FrameTooBig),
        ];
        self.faults.causes.extend(checks.iter().filter(|(is_wrong, _)| *is_wrong).map(|(_, cause)| *cause));
    }

    fn check_payload(&mut self, frame: &Frame) {
        match frame.opcode {
            8 => self.check_close(&frame.payload),
            0..=2 => self.check_data(frame),
            _ => {}
        }
    }

    fn check_close(&mut self, body: &[u8]) {
        let Some((code, reason)) = body.split_first_chunk() else {
            self.faults.causes.extend((!body.is_empty()).then_some(Cause::CloseTooShort));
            return;
        };
        let code = u16::from_be_bytes(*code);
        if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
            self.faults.causes.push(Cause::CloseCode(code));
        }
        if from_utf8(reason).is_err() {
            self.faults.causes.push(Cause::NotUtf8);
        }
    }

    fn check_data(&mut self, frame: &Frame) {
        let (is_text, is_compressed) = (frame.opcode == 1, frame.rsv & 4 != 0);
        let message = self.message.get_or_insert(Message { is_text, is_compressed, reassembled: Vec::new() });
        message.reassembled.extend_from_slice(&frame.payload);
        let inflate = |keeps_window| Inflated::new(&self.compressed, &message.reassembled, frame.fin, keeps_window);
        // RFC 7692 does not say whether the window outlives a last block.
        let readings = if message.is_compressed {
            vec![inflate(false), inflate(true)]
        } else {
            vec![Inflated { content: message.reassembled.clone(), ..Inflated::default() }]
        };
        let is_faulty = |error: Utf8Error| frame.fin || error.error_len().is_some();
        let any = |is: &dyn Fn(&Inflated) -> bool| readings.iter().any(is);
        let checks = [
            (any(&|it| it.is_invalid), Cause::NotDeflate),
            (any(&|it| it.is_cut_short), Cause::DeflateCutShort),
            (any(&|it| it.has_final_block && (it.is_invalid || it.is_cut_short)), Cause::AfterFinalBlock),
            (any(&|it| it.is_invalid) && any(&|it| !it.is_invalid), Cause::WindowEnded),
            (any(&|it| it.content.len() > MAX_MESSAGE), Cause::MessageTooBig),
            (message.is_text && any(&|it| from_utf8(&it.content).is_err_and(is_faulty)), Cause::NotUtf8),
        ];
        self.faults.causes.extend(checks.iter().filter(|(is_wrong, _)| *is_wrong).map(|(_, cause)| *cause));
        if frame.fin {
            let message = self.message.take().expect("a message");
            if message.is_compressed && !self.setup.has(flag::NO_CONTEXT) {
                self.faults.has_empty_deflate |= message.reassembled.is_empty();
                self.compressed.push(message.reassembled);
            }
        }
    }
}

/// A compressed message, or its first part.
#[derive(Default)]
struct Inflated {
    content: Vec<u8>,
    is_invalid: bool,
    is_cut_short: bool,
    has_final_block: bool,
}

impl Inflated {
    /// Decompresses a payload (RFC 7692 §7.2.2) after the messages whose window it uses.
    fn new(before: &[Vec<u8>], payload: &[u8], is_whole: bool, keeps_window: bool) -> Self {
        // An empty last block: the inflater recognises it only at a block border.
        const LAST: &[u8] = b"\x01\0\0\xff\xff";
        let mut inflater = Inflater { keeps_window, ..Inflater::default() };
        for message in before {
            inflater.read(&with_tail(message));
        }
        let start = inflater.output.len();
        inflater.final_blocks = 0;
        inflater.read(&if is_whole { with_tail(payload) } else { payload.to_vec() });
        let (is_invalid, has_final_block) = (inflater.is_invalid, inflater.final_blocks > 0);
        let content = inflater.output[start..].to_vec();
        let is_border = inflater.read(LAST) && inflater.output.len() == start + content.len();
        Self { content, is_invalid, is_cut_short: is_whole && !is_invalid && !is_border, has_final_block }
    }
}

/// Appends the tail that senders remove. An empty message stays empty: it is not DEFLATE, and no compressor makes it,
/// but its meaning is clear.
fn with_tail(message: &[u8]) -> Vec<u8> {
    if message.is_empty() { Vec::new() } else { [message, b"\0\0\xff\xff"].concat() }
}

#[derive(Default)]
struct Inflater {
    state: Box<DecompressorOxide>,
    output: Vec<u8>,
    /// The offset in the output at which the window begins.
    window: usize,
    keeps_window: bool,
    final_blocks: usize,
    is_invalid: bool,
}

impl Inflater {
    /// Decompresses these bytes; returns whether the last block ends with them.
    fn read(&mut self, mut compressed: &[u8]) -> bool {
        const FLAGS: u32 =
            inflate_flags::TINFL_FLAG_HAS_MORE_INPUT | inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        while !self.is_invalid {
            let start = self.output.len();
            self.output.resize(start + 4096, 0);
            let place = &mut self.output[self.window..];
            let (status, read, written) = decompress(&mut self.state, compressed, place, start - self.window, FLAGS);
            self.output.truncate(start + written);
            compressed = &compressed[read..];
            match status {
                TINFLStatus::HasMoreOutput => {}
                TINFLStatus::NeedsMoreInput => return false,
                // RFC 7692 §7.2.1 allows more blocks after a last one, at a byte border.
                TINFLStatus::Done => {
                    *self.state = DecompressorOxide::new();
                    self.final_blocks += 1;
                    if !self.keeps_window {
                        self.window = self.output.len();
                    }
                    if compressed.is_empty() {
                        return true;
                    }
                }
                _ => self.is_invalid = true,
            }
        }
        false
    }
}
