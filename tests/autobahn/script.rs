//! The fuzzer's encoder: turns steps into bytes, in masked frames for a server and unmasked ones for a client.

use websocket_proto::Role;

use crate::vectors::{Case, Step};

/// Bytes that the fuzzer writes without a wait between them, and the wait after them.
#[derive(Default)]
pub(crate) struct Burst {
    pub(crate) bytes: Vec<u8>,
    /// The lengths of the fuzzer's writes; their sum is the number of bytes.
    pub(crate) writes: Vec<usize>,
    /// The bytes include the Close that makes the fuzzer the side that starts closing.
    pub(crate) starts_closing: bool,
    /// The tag of the wait, if it has one. No wait follows the last burst.
    pub(crate) tag: Option<String>,
}

/// The bytes that the fuzzer sends to a connection of this role.
pub(crate) fn script(case: &Case, role: Role) -> Vec<Burst> {
    let mut writer = Writer::to(role);
    let mut bursts = Vec::new();
    for step in &case.steps {
        match step {
            Step::Frame { first, payload, chop, starts_closing } => {
                writer.frame(*first, payload, *chop);
                writer.burst.starts_closing |= starts_closing;
            }
            Step::Fragments { first, payload, size } => writer.fragments(*first, payload, *size),
            Step::Head { first, len } => writer.head(*first, *len),
            Step::Data(payload) => writer.data(payload),
            Step::Wait(tag) => {
                writer.burst.tag.clone_from(tag);
                bursts.push(writer.take());
            }
        }
    }
    bursts.push(writer.take());
    bursts
}

/// A single Close frame.
pub(crate) fn close_frame(role: Role, payload: &[u8]) -> Burst {
    let mut writer = Writer::to(role);
    writer.frame(0x88, payload, None);
    writer.burst.starts_closing = true;
    writer.take()
}

/// A random generator that gives the same numbers in every run.
pub(crate) struct Lcg(pub u64);

impl Lcg {
    pub(crate) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }
}

pub(crate) struct Writer {
    burst: Burst,
    /// Generates the mask keys, if frames are masked.
    keys: Option<Lcg>,
    /// The key for the next byte of payload.
    key: [u8; 4],
}

impl Writer {
    pub(crate) fn to(role: Role) -> Self {
        Self { burst: Burst::default(), keys: (role == Role::Server).then_some(Lcg(0)), key: [0; 4] }
    }

    pub(crate) fn take(&mut self) -> Burst {
        std::mem::take(&mut self.burst)
    }

    fn fragments(&mut self, first: u8, payload: &[u8], size: usize) {
        let mut fragments: Vec<&[u8]> = payload.chunks(size).collect();
        // As in the suite: if nothing remains, the last frame is empty.
        if payload.len().is_multiple_of(size) {
            fragments.push(&[]);
        }
        let last = fragments.len() - 1;
        for (index, fragment) in fragments.into_iter().enumerate() {
            let opcode = if index == 0 { first & 0xf } else { 0 };
            let fin = if index == last { 0x80 } else { 0 };
            self.frame(fin | opcode, fragment, None);
        }
    }

    pub(crate) fn frame(&mut self, first: u8, payload: &[u8], chop: Option<usize>) {
        let start = self.burst.bytes.len();
        self.put_head(first, payload.len());
        self.put_payload(payload);
        self.written(start, chop);
    }

    fn head(&mut self, first: u8, len: usize) {
        let start = self.burst.bytes.len();
        self.put_head(first, len);
        self.written(start, None);
    }

    fn data(&mut self, payload: &[u8]) {
        let start = self.burst.bytes.len();
        self.put_payload(payload);
        self.written(start, None);
    }

    fn put_head(&mut self, first: u8, len: usize) {
        let mask = if self.keys.is_some() { 0x80 } else { 0 };
        let out = &mut self.burst.bytes;
        if let Ok(len @ ..126) = u8::try_from(len) {
            out.extend([first, mask | len]);
        } else if let Ok(len) = u16::try_from(len) {
            out.extend([first, mask | 0x7e]);
            out.extend(len.to_be_bytes());
        } else {
            out.extend([first, mask | 0x7f]);
            out.extend((len as u64).to_be_bytes());
        }
        if let Some(keys) = &mut self.keys {
            self.key = keys.next().to_be_bytes();
            out.extend(self.key);
        }
    }

    fn put_payload(&mut self, payload: &[u8]) {
        let start = self.burst.bytes.len();
        self.burst.bytes.extend(payload);
        xor(self.key, &mut self.burst.bytes[start..]);
        self.key.rotate_left(payload.len() % 4);
    }

    /// Records how the bytes from `start` on were written.
    fn written(&mut self, start: usize, chop: Option<usize>) {
        let len = self.burst.bytes.len() - start;
        let chop = chop.unwrap_or(len);
        self.burst.writes.extend((0..len).step_by(chop).map(|at| chop.min(len - at)));
    }
}

/// Masks or unmasks, 16 bytes at a time because tests are not optimised.
pub(crate) fn xor(key: [u8; 4], payload: &mut [u8]) {
    let mut wide_key = [0; 16];
    wide_key.as_chunks_mut().0.fill(key);
    let wide_key = u128::from_ne_bytes(wide_key);
    let (blocks, rest) = payload.as_chunks_mut();
    for block in blocks {
        *block = (u128::from_ne_bytes(*block) ^ wide_key).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}
