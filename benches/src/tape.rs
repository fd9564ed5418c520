//! The bytes that a socket reads: the messages of a row, encoded by a client.

use std::rc::Rc;

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush};

use crate::aligned::Aligned;
use crate::content::Payload;
use crate::content::Random;
use crate::handshake;
use crate::work::{DEFLATE_LEVEL, MEMORY_LEVEL, Task, WINDOW_BITS, Work};

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const MASKED: u8 = 0x80;

/// All messages once, each frame with its own key. Empty if the work reads nothing.
pub fn tape(work: &Work) -> Rc<Aligned> {
    let mut bytes = Vec::new();
    let mut keys = Random(4);
    let opcode = if work.is_text() { 1 } else { 2 };
    match work.task {
        Task::EncodeServer | Task::EncodeClient | Task::Deflate => {}
        Task::Handshake => bytes = handshake::requests(),
        Task::Decode | Task::Echo => {
            for payload in work.payloads() {
                put_frame(FIN | opcode, &payload, keys.next(), &mut bytes);
            }
        }
        Task::DecodeFragments => {
            for payload in work.payloads() {
                let fragments = payload.chunks(work.size);
                let last = fragments.len() - 1;
                for (index, fragment) in fragments.enumerate() {
                    let fin = if index == last { FIN } else { 0 };
                    let opcode = if index == 0 { opcode } else { 0 };
                    put_frame(fin | opcode, fragment, keys.next(), &mut bytes);
                }
            }
        }
        Task::Inflate => {
            for compressed in compressed(&work.payloads()) {
                put_frame(FIN | RSV1 | opcode, &compressed, keys.next(), &mut bytes);
            }
        }
    }
    Rc::new(bytes.as_slice().into())
}

pub fn put_frame(first: u8, payload: &[u8], key: u64, tape: &mut Vec<u8>) {
    tape.push(first);
    match payload.len() {
        len @ 0..=125 => tape.push(MASKED | len as u8),
        len @ 126..=0xffff => {
            tape.push(MASKED | 126);
            tape.extend((len as u16).to_be_bytes());
        }
        len => {
            tape.push(MASKED | 127);
            tape.extend((len as u64).to_be_bytes());
        }
    }
    let key = (key as u32).to_be_bytes();
    tape.extend(key);
    tape.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// Compresses with context takeover: each message refers to those before it. The first refers to none, and so can
/// follow the last when the tape is repeated.
pub fn compressed(payloads: &[Payload]) -> Vec<Vec<u8>> {
    let mut deflate = Deflate::new_with_config(deflate_config());
    let compress = |payload: &Payload| {
        let mut out = vec![0; payload.len() + 64];
        let before = (deflate.total_in(), deflate.total_out());
        deflate.compress(payload, &mut out, DeflateFlush::SyncFlush).expect("a valid state");
        assert_eq!(deflate.total_in() - before.0, payload.len() as u64);
        out.truncate((deflate.total_out() - before.1) as usize);
        assert_eq!(out.split_off(out.len() - 4), [0, 0, 0xff, 0xff]);
        out
    };
    payloads.iter().map(compress).collect()
}

/// The compression settings of every contender.
pub fn deflate_config() -> DeflateConfig {
    DeflateConfig {
        level: DEFLATE_LEVEL.into(),
        window_bits: -i32::from(WINDOW_BITS),
        mem_level: MEMORY_LEVEL.into(),
        ..DeflateConfig::default()
    }
}
