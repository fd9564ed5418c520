//! The memory of an [`Output`], how often bytes move in it, and which pongs it counts.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::list::KEPT_ENTRIES;
use super::super::*;
use super::{Frame, Model};
use crate::frame::EncodedHeader;

/// The queue does not grow while a payload always waits: the memory of written headers is used again.
#[test]
fn written_headers_do_not_accumulate() {
    let payload = Bytes::from(alloc::vec![7; 1 << 20]);
    let mut output = Output::new();
    for _ in 0..10_000 {
        output.write_shared_frame(b"\x82\x7f\x00\x00\x00\x00\x00\x10\x00\x00", payload.clone());
        output.advance(output.len() - payload.len());
    }
    assert!(output.chunk().len() == payload.len() && output.queue.capacity() <= 100, "{}", output.queue.capacity());
}

/// A list is allocated at its first use, and a drained output keeps only small ones.
#[test]
fn lists_are_allocated_when_used_and_kept_while_small() {
    let mut output = Output::new();
    output.write_frame(&EncodedHeader::of(b"\x82\x04"), None, b"copy");
    output.count_message(0, false);
    assert!(output.extras.is_none());
    for frames in [1, 40, 10_000] {
        for _ in 0..frames {
            output.write_shared_frame(b"\x82\x01", Bytes::from_static(b"x"));
            output.count_message(1, false);
        }
        output.advance(output.len());
        let extras = output.extras.as_ref().expect("it was used");
        let kept = [extras.shared_chunks.capacity(), extras.buffered.capacity()];
        let room = frames.min(KEPT_ENTRIES)..=KEPT_ENTRIES;
        assert!(kept.iter().all(|kept| room.contains(kept)), "{kept:?}");
    }
}

/// The capacity of a list is at most twice its waiting entries, or `KEPT_ENTRIES`.
#[test]
fn lists_shrink_as_they_are_written() {
    let mut output = Output::new();
    for _ in 0..10_000 {
        output.write_shared_frame(b"\x82\x01", Bytes::from_static(b"x"));
        output.count_message(1, false);
    }
    for waiting in (1..10_000).rev() {
        output.advance(3);
        let extras = output.extras.as_ref().expect("it is used");
        for capacity in [extras.shared_chunks.capacity(), extras.buffered.capacity()] {
            assert!(capacity <= (2 * waiting).max(KEPT_ENTRIES), "{capacity} kept for {waiting}");
        }
    }
}

/// Appending a drained shared output leaves its buffer there: an idle connection's backlog gets no memory.
#[test]
fn appending_an_empty_output_moves_no_memory() {
    let (mut shared, mut backlog) = (Output::new(), Output::new());
    shared.write(&[7; 1000]);
    shared.advance(1000);
    backlog.append(&mut shared);
    assert!(shared.queue.capacity() >= 1000 && backlog.queue.capacity() == 0);
}

/// Appending an output with empty lists allocates no lists.
#[test]
fn appending_bytes_allocates_no_lists() {
    let (mut shared, mut backlog) = (Output::new(), Output::new());
    shared.write_shared_frame(b"\x82\x01", Bytes::from_static(b"x"));
    shared.count_message(1, false);
    shared.advance(3);
    shared.write(b"\x8a\0");
    backlog.write(b"\x8a\0");
    backlog.append(&mut shared);
    assert!(shared.extras.is_some() && backlog.extras.is_none());
    assert_eq!(backlog.chunk(), b"\x8a\0\x8a\0");
}

/// Waiting bytes move only when the rest of the buffer is full.
#[test]
fn bytes_move_only_if_room_is_needed() {
    let mut output = Output::new();
    output.write_with(200, |bytes| bytes.extend([7; 100]));
    assert_eq!(output.queue.capacity(), 200);
    output.advance(90);
    let place = output.chunk().as_ptr();
    // The second time, they fill the buffer to the last byte.
    for _ in 0..2 {
        output.write(&[7; 50]);
        assert_eq!((output.chunk().as_ptr(), output.queue.capacity()), (place, 200));
    }
    output.advance(100);
    output.write(&[7; 10]);
    assert_eq!((output.len(), output.queue.capacity()), (20, 200));
}

#[test]
fn a_drained_buffer_is_kept_up_to_a_size() {
    for (len, kept) in [(KEPT_CAPACITY, KEPT_CAPACITY), (KEPT_CAPACITY + 1, 0)] {
        let mut output = Output::new();
        output.write(&std::vec![7; len]);
        output.advance(len);
        assert_eq!(output.queue.capacity(), kept);
    }
}

/// An output whose moved bytes and capacity are checked after each step.
#[derive(Debug, Default)]
struct Watched {
    output: Output,
    put: usize,
    taken: usize,
    moved: usize,
    /// The most bytes that have waited.
    most: usize,
}

impl Watched {
    fn put(&mut self, count: usize) {
        self.put += count;
        self.watch(|output| output.write(&alloc::vec![7; count]));
    }

    fn take(&mut self, count: usize) {
        self.taken += count.min(self.output.len());
        self.watch(|output| output.advance(count));
    }

    fn watch(&mut self, step: impl FnOnce(&mut Output)) {
        let queue = &self.output.queue;
        let (place, front, capacity, waiting) =
            (queue.start(), queue.waiting().as_ptr(), queue.capacity(), queue.waiting().len());
        step(&mut self.output);
        let queue = &self.output.queue;
        self.most = self.most.max(self.output.len());
        // Bytes move to a new buffer or to the front of this one. Bytes that were taken do not move.
        let kept = waiting.min(queue.waiting().len());
        let is_new = queue.capacity() != capacity || queue.start() != place;
        if is_new || queue.waiting().as_ptr() < front {
            self.moved += kept;
        }
        let peak = if is_new { capacity + queue.capacity() } else { capacity };
        assert!(4 * peak <= 11 * self.most, "{peak} bytes at peak, when {} have waited", self.most);
        let held = queue.capacity();
        assert!(held <= KEPT_CAPACITY.max(2 * self.output.len()), "{held} held for {}", self.output.len());
    }

    fn check_work(&self) {
        assert!(self.moved <= 4 * self.put, "{} bytes moved, {} put, {} taken", self.moved, self.put, self.taken);
    }
}

/// A peer reads a part of the waiting bytes at a time, at sizes around those where bytes move.
#[test]
fn bytes_move_a_constant_number_of_times() {
    for waiting in [1, 100, 1000, 100_000, 1_000_000] {
        for (put, taken) in [(1, 1), (100, 99), (100, 60), (100, 10), (1000, 1000), (10_000, 9999)] {
            let mut watched = Watched::default();
            watched.put(waiting);
            let rounds = 2000.min(20_000_000 / (waiting + put));
            for _ in 0..rounds {
                watched.put(put);
                watched.take(taken);
            }
            watched.check_work();
        }
    }
}

/// An adversary writes and takes exactly the bytes that make the waiting bytes move again, at every fill level of the
/// buffer.
#[test]
fn bytes_move_a_constant_number_of_times_at_every_border() {
    for (size, share) in [1000, 300_000].into_iter().flat_map(|size| (1..100).map(move |share| (size, share))) {
        let mut watched = Watched::default();
        watched.put(size);
        for round in 0..60 {
            watched.take(watched.output.len() * share / 100);
            let capacity = watched.output.queue.capacity();
            // Fills the buffer to its end, then adds one byte.
            let free = watched.output.queue.spare();
            watched.put(if round % 2 == 0 { free } else { 1 });
            watched.put(1);
            watched.take(watched.output.len().saturating_sub(capacity / 2));
            watched.take(1);
        }
        watched.check_work();
    }
}

proptest! {
    #[test]
    fn bytes_move_a_constant_number_of_times_at_random(
        steps in vec((any::<bool>(), 0..20_u32, 1..4096_usize), 1..200),
    ) {
        let mut watched = Watched::default();
        for (is_put, scale, count) in steps {
            let count = (count << scale) >> 12;
            if is_put { watched.put(count) } else { watched.take(count) }
        }
        watched.check_work();
    }
}

/// A pong is not replaced if a payload by reference follows it, whether written or appended, although no byte of the
/// queue does.
#[test]
fn a_pong_before_a_payload_is_not_replaced() {
    let pong = |output: &mut Output, byte| output.write_pong(&EncodedHeader::of(b"\x8a\x01"), None, &[byte], 0);
    for is_appended in [false, true] {
        let (mut output, mut other) = (Output::new(), Output::new());
        pong(&mut output, b'1');
        if is_appended {
            other.write_shared_frame(b"", Bytes::from_static(b"payload"));
            output.append(&mut other);
        } else {
            output.write_shared_frame(b"", Bytes::from_static(b"payload"));
        }
        assert_eq!([pong(&mut output, b'2'), pong(&mut output, b'3')], [0, 3]);
        let waiting = output.len();
        assert_eq!(output.copy_to_bytes(waiting), b"\x8a\x011payload\x8a\x013".as_slice());
    }
}

/// Operations on an output with more groups of pongs than it keeps.
#[derive(Clone, Debug)]
enum Step {
    Pong(usize),
    Message(usize),
    Take(usize),
    MoveToBacklog,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..126_usize).prop_map(Step::Pong),
        8 => (0..300_usize).prop_map(Step::Message),
        1 => (1..2000_usize).prop_map(Step::Take),
        1 => Just(Step::MoveToBacklog),
    ]
}

/// The position of a group that was added after others were merged is exact.
#[test]
fn a_group_after_merged_ones_has_its_exact_position() {
    let (mut output, mut model) = (Output::new(), Model::default());
    // The shortest neighbours are at the end.
    let short = core::iter::repeat_n(1, 300);
    for count in core::iter::repeat_n(50, KEPT_ENTRIES).chain(short).chain([1000, 1]) {
        for _ in 0..count {
            output.write_pong(&EncodedHeader::of(b"\x8a\0"), None, b"", usize::MAX);
            model.write_pong(b"\x8a\0".to_vec(), usize::MAX);
        }
        output.write(&[7; 100]);
        model.0.push(Frame { bytes: alloc::vec![7; 100], ..Frame::default() });
    }
    let most = model.pongs();
    while !output.is_empty() {
        output.advance(37);
        model.advance(37);
        let (counted, exact) = (output.waiting_pong_bytes(), model.pongs());
        assert!(counted <= exact && exact - counted <= most / 31, "{counted} of {exact}, once {most}");
    }
}

proptest! {
    /// At most `KEPT_ENTRIES` groups are kept, and the counted bytes never exceed the exact number and are less by at
    /// most 1/31.
    #[test]
    fn pongs_in_many_groups_are_counted_approximately(steps in vec(step(), 1..1000)) {
        let (mut output, mut backlog, mut model, mut most) = (Output::new(), Output::new(), Model::default(), 0);
        for step in steps {
            match step {
                Step::Pong(len) => {
                    let (header, payload) = ([0x8a, len as u8], alloc::vec![7; len]);
                    output.write_pong(&EncodedHeader::of(&header), None, &payload, usize::MAX);
                    model.write_pong([&header, &*payload].concat(), usize::MAX);
                }
                Step::Message(len) => {
                    let bytes = alloc::vec![7; len];
                    output.write(&bytes);
                    model.0.push(Frame { bytes, ..Frame::default() });
                }
                Step::Take(count) => {
                    backlog.append(&mut output);
                    core::mem::swap(&mut output, &mut backlog);
                    output.advance(count.min(output.len()));
                    model.advance(count);
                }
                Step::MoveToBacklog => {
                    backlog.append(&mut output);
                    core::mem::swap(&mut output, &mut backlog);
                }
            }
            let (counted, exact) = (output.waiting_pong_bytes(), model.pongs());
            most = most.max(exact);
            prop_assert!(counted <= exact && exact - counted <= most / 31, "{counted} of {exact}, once {most}");
            let groups = output.extras.as_ref().map_or(0, |extras| extras.pongs.count());
            prop_assert!(groups <= KEPT_ENTRIES, "{groups} groups");
        }
    }
}
