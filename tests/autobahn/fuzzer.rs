//! The fuzzer: plays a script to the system under test, and reads its answers.

use websocket_proto::{Closed, Role};

use crate::script::{Burst, Lcg, close_frame, xor};
use crate::sut::{Application, Sut};
use crate::vectors::{Case, Seen};

/// How the fuzzer's bytes are cut into reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Delivery {
    /// All bytes up to a wait in one read.
    Whole,
    /// One read for each write of the suite, which chops some frames.
    AsWritten,
    ByteByByte,
    /// Random lengths, from this seed.
    Random(u64),
}

/// The result of a case.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) seen: Vec<Seen>,
    /// The fuzzer's Close came before the other side's.
    pub(crate) closed_by_fuzzer: bool,
    /// The Close that the fuzzer received.
    pub(crate) close: Option<Close>,
    /// The system under test closed the transport, not the fuzzer.
    pub(crate) sut_hung_up: bool,
    /// The last event of the system under test.
    pub(crate) told: Closed,
}

#[derive(Debug)]
pub(crate) struct Close {
    pub(crate) code: Option<u16>,
}

/// Plays a case. Time is simulated: a wait only lets the written bytes arrive.
pub(crate) fn play(case: &Case, bursts: &[Burst], role: Role, delivery: Delivery, application: Application) -> Outcome {
    let mut fuzzer = Fuzzer::open(role, delivery, application);
    let (last, waited_after) = bursts.split_last().expect("a script has a burst");
    for burst in waited_after {
        fuzzer.send(burst);
        fuzzer.close_if_done(case);
        if !fuzzer.is_open() {
            return fuzzer.end();
        }
        fuzzer.reader.seen.extend(burst.tag.clone().map(Seen::Timeout));
    }
    fuzzer.send(last);
    fuzzer.close_if_done(case);
    fuzzer.close(&case.last_close);
    fuzzer.end()
}

struct Fuzzer {
    role: Role,
    delivery: Delivery,
    sut: Sut,
    reader: Reader,
    /// The fuzzer's Close came first.
    closed_first: bool,
}

impl Fuzzer {
    fn open(role: Role, delivery: Delivery, application: Application) -> Self {
        let sut = Sut::open(role, application);
        Self { role, delivery, sut, reader: Reader::of(role), closed_first: false }
    }

    fn is_open(&self) -> bool {
        !self.closed_first && self.reader.close.is_none() && !self.sut.has_hung_up()
    }

    fn send(&mut self, burst: &Burst) {
        self.closed_first |= burst.starts_closing && self.is_open();
        let mut bytes = burst.bytes.clone();
        let mut rest = bytes.as_mut_slice();
        for len in self.delivery.reads(burst) {
            if self.sut.has_hung_up() {
                break;
            }
            let (read, behind) = rest.split_at_mut(len);
            rest = behind;
            self.sut.read(read);
            self.reader.read(&self.sut.written());
        }
    }

    fn close_if_done(&mut self, case: &Case) {
        if case.auto_close && case.expect.iter().all(|(_, seen)| *seen == self.reader.seen) {
            self.close(&case.close.codes[0].to_be_bytes());
        }
    }

    fn close(&mut self, payload: &[u8]) {
        if self.is_open() {
            self.send(&close_frame(self.role, payload));
        }
    }

    fn end(self) -> Outcome {
        let sut_hung_up = self.sut.has_hung_up();
        let told = self.sut.hang_up();
        let Reader { seen, close, .. } = self.reader.finish();
        Outcome { seen, closed_by_fuzzer: self.closed_first, close, sut_hung_up, told }
    }
}

impl Delivery {
    /// The lengths of the reads.
    fn reads(self, burst: &Burst) -> Vec<usize> {
        let mut left = burst.bytes.len();
        match self {
            Self::Whole => vec![left],
            Self::AsWritten => burst.writes.clone(),
            Self::ByteByByte => vec![1; left],
            Self::Random(seed) => {
                let (mut lcg, mut reads) = (Lcg(seed), Vec::new());
                while left > 0 {
                    // Every order of magnitude up to 64 KiB.
                    let most = 1 << (lcg.next() % 17);
                    let len = left.min(1 + lcg.next() as usize % most);
                    reads.push(len);
                    left -= len;
                }
                reads
            }
        }
    }
}

/// Decodes the frames of a peer of one role, as strictly as RFC 6455 allows.
pub(crate) struct Reader {
    masked: bool,
    bytes: Vec<u8>,
    /// The fragmented message in progress.
    message: Option<(u8, Vec<u8>)>,
    pub(crate) seen: Vec<Seen>,
    pub(crate) close: Option<Close>,
}

impl Reader {
    pub(crate) fn of(role: Role) -> Self {
        Self { masked: role == Role::Client, bytes: Vec::new(), message: None, seen: Vec::new(), close: None }
    }

    pub(crate) fn read(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        let mut bytes = std::mem::take(&mut self.bytes);
        let mut read = 0;
        while let Some(len) = self.read_frame(&mut bytes[read..]) {
            read += len;
        }
        bytes.drain(..read);
        self.bytes = bytes;
    }

    /// At the end of the stream.
    pub(crate) fn finish(mut self) -> Self {
        if !self.bytes.is_empty() {
            self.seen.push(Seen::Illegal("half a frame"));
        }
        self
    }

    /// Reads a frame and returns its length, or `None` while it is incomplete.
    fn read_frame(&mut self, bytes: &mut [u8]) -> Option<usize> {
        let [first, second, ..] = *bytes else { return None };
        let (extended, least) = match second & 0x7f {
            126 => (2, 126),
            127 => (8, 0x1_0000),
            _ => (0, 0),
        };
        let len = match bytes.get(2..2 + extended)? {
            [] => usize::from(second & 0x7f),
            extended => extended.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)),
        };
        let masked = second & 0x80 != 0;
        let start = 2 + extended + if masked { 4 } else { 0 };
        let end = start + len;
        let (head, payload) = bytes.get_mut(..end)?.split_at_mut(start);
        if let Some(key) = head.last_chunk().filter(|_| masked) {
            xor(*key, payload);
        }
        let wrong = [
            (masked != self.masked, "masked as the other role"),
            (first & 0x70 != 0, "reserved bits"),
            (len < least, "length not in the shortest form"),
            (first & 0x08 != 0 && (first & 0x80 == 0 || len > 125), "fragmented or long control frame"),
            (self.close.is_some(), "frame after the Close"),
        ];
        match wrong.iter().find(|(wrong, _)| *wrong) {
            Some((_, what)) => self.seen.push(Seen::Illegal(what)),
            None => self.take_frame(first, payload),
        }
        Some(end)
    }

    fn take_frame(&mut self, first: u8, payload: &[u8]) {
        match (first & 0xf, self.message.take()) {
            (opcode @ (1 | 2), None) => self.take_data(first, opcode, payload.to_vec()),
            (0, Some((opcode, mut message))) => {
                message.extend(payload);
                self.take_data(first, opcode, message);
            }
            (0..=2, _) => self.seen.push(Seen::Illegal("frame that is out of order")),
            (opcode, message) => {
                self.message = message;
                self.take_control(opcode, payload);
            }
        }
    }

    fn take_data(&mut self, first: u8, opcode: u8, message: Vec<u8>) {
        if first & 0x80 == 0 {
            self.message = Some((opcode, message));
            return;
        }
        self.seen.push(match opcode {
            2 => Seen::Binary(message),
            _ if str::from_utf8(&message).is_ok() => Seen::Text(message),
            _ => Seen::Illegal("text that is not UTF-8"),
        });
    }

    fn take_control(&mut self, opcode: u8, payload: &[u8]) {
        match (opcode, payload) {
            (9, ping) => self.seen.push(Seen::Ping(ping.to_vec())),
            (10, pong) => self.seen.push(Seen::Pong(pong.to_vec())),
            (8, []) => self.close = Some(Close { code: None }),
            (8, [high, low, reason @ ..]) if str::from_utf8(reason).is_ok() => {
                self.close = Some(Close { code: Some(u16::from_be_bytes([*high, *low])) });
            }
            (8, _) => self.seen.push(Seen::Illegal("malformed Close")),
            _ => self.seen.push(Seen::Illegal("reserved opcode")),
        }
    }
}
