//! Compares an [`Output`] with a model, a plain list of frames, for every way to take bytes out.

use alloc::vec::Vec;
use std::io::{self, ErrorKind, IoSlice, Write};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::frame::EncodedHeader;

/// A frame in the model. `taken` is the number of its bytes that were taken.
#[derive(Clone, Debug, Default)]
struct Frame {
    bytes: Vec<u8>,
    taken: usize,
    is_pong: bool,
    message_bytes: usize,
    compressed: bool,
}

impl Frame {
    fn left(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// The waiting bytes of the payload; for a compressed frame, all bytes of its message.
    fn buffered(&self) -> usize {
        if self.compressed { self.message_bytes } else { self.message_bytes.min(self.left()) }
    }
}

#[derive(Debug, Default)]
struct Model(Vec<Frame>);

impl Model {
    fn wire(&self) -> Vec<u8> {
        self.0.iter().flat_map(|frame| &frame.bytes[frame.taken..]).copied().collect()
    }

    fn buffered(&self) -> u64 {
        self.0.iter().map(|frame| frame.buffered() as u64).sum()
    }

    /// Bytes of pongs that wait.
    fn pongs(&self) -> usize {
        self.0.iter().filter(|frame| frame.is_pong).map(Frame::left).sum()
    }

    /// `Config::max_pending_pong_bytes`: if more bytes of pongs wait, the last pong is replaced if it is complete and
    /// nothing follows it.
    fn write_pong(&mut self, bytes: Vec<u8>, budget: usize) {
        if self.pongs() > budget {
            self.0.pop_if(|last| last.is_pong && last.taken == 0);
        }
        self.0.push(Frame { bytes, is_pong: true, ..Frame::default() });
    }

    fn advance(&mut self, mut count: usize) {
        for frame in &mut self.0 {
            let taken = count.min(frame.left());
            frame.taken += taken;
            count -= taken;
        }
        self.0.retain(|frame| frame.left() > 0);
    }
}

#[derive(Clone, Debug)]
enum Operation {
    Put(Vec<u8>),
    Frame { header: Vec<u8>, key: Option<[u8; 4]>, payload: Vec<u8>, counted: bool },
    Compressed { payload: Vec<u8>, message_bytes: usize },
    Shared { header: Vec<u8>, payload: Vec<u8>, counted: bool },
    Pong { key: Option<[u8; 4]>, payload: Vec<u8>, budget: usize },
    AppendTheOther,
    Take(Way, usize),
}

/// The method that takes bytes out.
#[derive(Clone, Debug)]
enum Way {
    Advance,
    Chunk,
    Copy,
    Vectored(usize),
    Write { script: Vec<Step>, is_vectored: bool },
}

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![
        Just(Way::Advance),
        Just(Way::Chunk),
        Just(Way::Copy),
        (1..=8_usize).prop_map(Way::Vectored),
        (vec(step(), 0..8), any::<bool>()).prop_map(|(script, is_vectored)| Way::Write { script, is_vectored }),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let bytes = || vec(any::<u8>(), 0..24);
    let header = || vec(any::<u8>(), 2..14);
    let key = || any::<Option<[u8; 4]>>();
    // A prepared frame has its header in the payload.
    let whole = || (Just(Vec::new()), vec(any::<u8>(), 1..24));
    prop_oneof![
        1 => vec(any::<u8>(), 1..24).prop_map(Operation::Put),
        3 => (header(), key(), bytes(), any::<bool>())
            .prop_map(|(header, key, payload, counted)| Operation::Frame { header, key, payload, counted }),
        1 => (bytes(), 0..100_usize)
            .prop_map(|(payload, message_bytes)| Operation::Compressed { payload, message_bytes }),
        3 => (prop_oneof![whole(), (header(), bytes())], any::<bool>())
            .prop_map(|((header, payload), counted)| Operation::Shared { header, payload, counted }),
        3 => (key(), bytes(), 0..100_usize).prop_map(|(key, payload, budget)| Operation::Pong { key, payload, budget }),
        1 => Just(Operation::AppendTheOther),
        4 => (way(), 1..40_usize).prop_map(|(way, count)| Operation::Take(way, count)),
    ]
}

fn masked(key: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    payload.iter().zip(key.unwrap_or_default().iter().cycle()).map(|(byte, key)| byte ^ key).collect()
}

fn apply(
    operation: Operation,
    (output, model): (&mut Output, &mut Model),
    (other, other_model): (&mut Output, &mut Model),
) {
    match operation {
        Operation::Put(bytes) => {
            output.write(&bytes);
            model.0.push(Frame { bytes, ..Frame::default() });
        }
        Operation::Frame { header, key, payload, counted } => {
            output.write_frame(&EncodedHeader::of(&header), key, &payload);
            let message_bytes = if counted { payload.len() } else { 0 };
            output.count_message(message_bytes, false);
            let bytes = [header, masked(key, &payload)].concat();
            model.0.push(Frame { bytes, message_bytes, ..Frame::default() });
        }
        Operation::Compressed { payload, message_bytes } => {
            let bytes = [&[0xc1, payload.len() as u8], &*payload].concat();
            output.write_frame(&EncodedHeader::of(&[0xc1, payload.len() as u8]), None, &payload);
            output.count_message(message_bytes, true);
            model.0.push(Frame { bytes, message_bytes, compressed: true, ..Frame::default() });
        }
        Operation::Shared { header, payload, counted } => {
            let message_bytes = if counted { payload.len() } else { 0 };
            let bytes = [header.clone(), payload.clone()].concat();
            output.write_shared_frame(&header, payload.into());
            output.count_message(message_bytes, false);
            model.0.push(Frame { bytes, message_bytes, ..Frame::default() });
        }
        Operation::Pong { key, payload, budget } => {
            let (header, before) = ([0x8a, payload.len() as u8], output.len());
            let replaced = output.write_pong(&EncodedHeader::of(&header), key, &payload, budget);
            assert_eq!(before - replaced + header.len() + payload.len(), output.len());
            model.write_pong([&header, &*masked(key, &payload)].concat(), budget);
        }
        Operation::AppendTheOther => {
            output.append(other);
            model.0.append(&mut other_model.0);
        }
        Operation::Take(way, count) => take(way, count, output, model),
    }
}

/// Takes up to `count` bytes, and asserts that they are the first bytes of the model.
fn take(way: Way, count: usize, output: &mut Output, model: &mut Model) {
    let wire = model.wire();
    let taken = match way {
        Way::Advance => {
            output.advance(count);
            count.min(wire.len())
        }
        Way::Chunk => {
            let taken = output.chunk().len().min(count);
            assert_eq!(output.chunk()[..taken], wire[..taken]);
            output.advance(taken);
            taken
        }
        Way::Copy => {
            let copied = output.copy_to_bytes(count);
            assert_eq!(copied, wire[..count.min(wire.len())]);
            copied.len()
        }
        Way::Vectored(slices) => {
            let bytes = vectored(output, slices).concat();
            let taken = bytes.len().min(count);
            assert_eq!(bytes[..taken], wire[..taken]);
            output.advance(taken);
            taken
        }
        Way::Write { script, is_vectored } => {
            let mut writer = Writer { script, is_vectored, written: Vec::new() };
            let result = output.write_to(&mut writer);
            assert_eq!(writer.written, wire[..writer.written.len()]);
            match result {
                Ok(count) => assert_eq!(count, writer.written.len()),
                Err(error) => assert!(error.kind() == ErrorKind::WouldBlock && writer.written.is_empty()),
            }
            writer.written.len()
        }
    };
    model.advance(taken);
}

fn check(output: &Output, model: &Model) {
    let wire = model.wire();
    assert_eq!((output.len(), output.remaining(), output.is_empty()), (wire.len(), wire.len(), wire.is_empty()));
    assert_eq!(output.buffered_amount(), model.buffered());
    assert_eq!(output.waiting_pongs(), model.pongs());
    assert!(wire.starts_with(output.chunk()) && output.chunk().is_empty() == wire.is_empty());
    assert_eq!(vectored(output, 1000).concat(), wire);
}

proptest! {
    /// Each of two outputs may be appended to the other. At the end, both are emptied with one method.
    #[test]
    fn output_agrees_with_a_list_of_frames(
        operations in vec((any::<bool>(), operation()), 1..60),
        last_way in way(),
        step in 1..9_usize,
    ) {
        let (mut left, mut right) = ((Output::new(), Model::default()), (Output::new(), Model::default()));
        for (is_right, operation) in operations {
            let (one, other) = if is_right { (&mut right, &mut left) } else { (&mut left, &mut right) };
            apply(operation, (&mut one.0, &mut one.1), (&mut other.0, &mut other.1));
            check(&one.0, &one.1);
            check(&other.0, &other.1);
        }
        for (mut output, mut model) in [left, right] {
            while !output.is_empty() {
                take(last_way.clone(), step, &mut output, &mut model);
                // The script of a writer may take nothing.
                take(Way::Chunk, step, &mut output, &mut model);
                check(&output, &model);
            }
            prop_assert!(model.0.is_empty());
        }
    }
}

/// One call of a writer.
#[derive(Clone, Copy, Debug)]
enum Step {
    Take(usize),
    Fail(ErrorKind),
}

fn step() -> impl Strategy<Value = Step> {
    use ErrorKind::{Interrupted, WouldBlock};
    prop_oneof![
        4 => (1..30_usize).prop_map(Step::Take),
        1 => Just(Step::Fail(Interrupted)),
        1 => Just(Step::Fail(WouldBlock)),
    ]
}

/// Follows its script, last step first, and then would block. A vectored write may take bytes of several slices.
struct Writer {
    script: Vec<Step>,
    is_vectored: bool,
    written: Vec<u8>,
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.script.pop() {
            Some(Step::Take(most)) => {
                let taken = most.min(bytes.len());
                self.written.extend_from_slice(&bytes[..taken]);
                Ok(taken)
            }
            Some(Step::Fail(kind)) => Err(kind.into()),
            None => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let seen = if self.is_vectored { slices } else { &slices[..1] };
        self.write(&seen.iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<_>>())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The slices that `chunks_vectored` fills, none of them empty.
fn vectored(output: &Output, slices: usize) -> Vec<Vec<u8>> {
    let mut slices = alloc::vec![IoSlice::new(&[]); slices];
    let filled = output.chunks_vectored(&mut slices);
    let pieces: Vec<_> = slices[..filled].iter().map(|slice| slice.to_vec()).collect();
    assert!(pieces.iter().all(|piece| !piece.is_empty()), "{pieces:?}");
    pieces
}

fn is_same(one: &[u8], other: &[u8]) -> bool {
    core::ptr::eq(one, other)
}

/// Headers and payloads alternate, and each payload is the caller's own, before and after a move to another output.
#[test]
fn shared_payloads_are_not_copied() {
    let payloads = [7, 8].map(|byte| Bytes::from(alloc::vec![byte; REFERENCE_MIN]));
    let mut output = Output::new();
    for payload in &payloads {
        output.write_shared_frame(b"\x82\x7e\x40\x00", payload.clone());
    }
    let mut backlog = Output::new();
    backlog.write(b"first");
    backlog.append(&mut output);
    assert_eq!(backlog.chunk(), b"first\x82\x7e\x40\x00");
    backlog.advance(9);
    assert!(is_same(backlog.chunk(), &payloads[0]));

    let taken = backlog.copy_to_bytes(100);
    assert!(is_same(&taken, &payloads[0][..100]));
    assert!(is_same(backlog.chunk(), &payloads[0][100..]));

    backlog.advance(REFERENCE_MIN - 100 + 4);
    let taken = backlog.copy_to_bytes(REFERENCE_MIN);
    assert!(is_same(&taken, &payloads[1]) && backlog.is_empty());
}

/// A payload is dropped with its last byte, even if more bytes wait after it.
#[test]
fn a_written_payload_is_dropped() {
    let payload = Bytes::from(alloc::vec![7; REFERENCE_MIN]);
    let mut output = Output::new();
    output.write_shared_frame(b"\x82\x7e\x40\x00", payload.clone());
    output.write_frame(&EncodedHeader::of(b"\x82\x04"), None, b"next");
    output.advance(REFERENCE_MIN + 3);
    assert!(!payload.is_unique());
    output.advance(1);
    assert!(payload.is_unique() && output.len() == 6);
}

/// One call passes all segments to a writer with vectored writes.
#[test]
fn headers_and_payloads_go_out_together() {
    let mut output = Output::new();
    for payload in ["one", "two"] {
        output.write_shared_frame(b"\x81\x03", payload.into());
    }
    output.write_frame(&EncodedHeader::of(b"\x89\x00"), None, b"");
    assert_eq!(vectored(&output, 8), [&b"\x81\x03"[..], b"one", b"\x81\x03", b"two", b"\x89\x00"]);
    let mut writer = Writer { script: alloc::vec![Step::Take(100)], is_vectored: true, written: Vec::new() };
    assert_eq!(output.write_to(&mut writer).unwrap(), 12);
    assert_eq!(writer.written, b"\x81\x03one\x81\x03two\x89\x00");
}

/// WS-BUF-1: "the number of bytes of application data (UTF-8 text and binary data) that have been queued using
/// `send()` but not yet been transmitted to the network", without "framing overhead".
#[test]
fn buffered_amount_counts_the_waiting_payload() {
    let mut output = Output::new();
    output.write_frame(&EncodedHeader::of(b"\x89\x04"), None, b"ping");
    assert_eq!(output.buffered_amount(), 0, "no message");
    output.write_frame(&EncodedHeader::of(b"\x82\x64"), None, &[7; 100]);
    output.count_message(100, false);
    output.write_frame(&EncodedHeader::of(b"\xc2\x03"), None, b"abc");
    output.count_message(1000, true);
    for (taken, amount) in [(0, 1100), (6 + 2, 1100), (1, 1099), (98, 1001), (1, 1000), (4, 1000), (1, 0)] {
        output.advance(taken);
        assert_eq!(output.buffered_amount(), amount, "{} bytes wait", output.len());
    }
}

mod memory;
