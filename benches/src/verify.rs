//! Verifies that a contender does the work for which it is timed.

use std::collections::HashSet;

use zlib_rs::{Inflate, InflateFlush};

use crate::contender::Run;
use crate::contenders::Kind;
use crate::content::Payload;
use crate::handshake;
use crate::socket::Socket;
use crate::work::{Task, Work};

/// Runs a contender over every message at least twice, and compares the delivered messages and the written bytes with
/// the expected ones.
pub fn verify(work: &Work, kind: Kind, run: &mut dyn Run, socket: &Socket) -> Result<(), String> {
    let payloads = work.payloads();
    let messages = payloads.len() * 2 + 1;
    socket.record();
    let (mut received, mut wrong) = (0, None);
    let reported = run.verify(messages, &mut |message| {
        if work.task != Task::Handshake && *message != *payloads[received % payloads.len()] {
            wrong = wrong.or(Some(received));
        }
        received += 1;
    });
    let written = socket.recorded();

    if reported < messages {
        return Err(format!("{reported} messages handled instead of {messages}"));
    }
    if let Some(index) = wrong {
        return Err(format!("message {index} was received with other bytes"));
    }
    if work.reads_messages() && received != reported {
        return Err(format!("{received} messages received, {reported} reported"));
    }
    match (kind, work.task) {
        (Kind::Limit, _) | (_, Task::Decode | Task::DecodeFragments | Task::Inflate) => Ok(()),
        (_, Task::Handshake) => expect_count(handshake::check(&written)?, reported),
        _ => expect_count(check_frames(work, &payloads, &written)?, reported),
    }
}

fn expect_count(written: usize, reported: usize) -> Result<(), String> {
    if written == reported { Ok(()) } else { Err(format!("{written} messages written, {reported} reported")) }
}

/// Reads the written bytes as the peer would. Returns the number of messages.
fn check_frames(work: &Work, payloads: &[Payload], written: &[u8]) -> Result<usize, String> {
    let (is_masked, is_compressed) = (work.task == Task::EncodeClient, work.task == Task::Deflate);
    let expected = 0x80 | if is_compressed { 0x40 } else { 0 } | if work.is_text() { 1 } else { 2 };
    let (mut rest, mut count, mut keys, mut inflate) = (written, 0, HashSet::new(), Inflate::new(false, 15));
    while let Some(frame) = next_frame(&mut rest) {
        if frame.first != expected || frame.key.is_some() != is_masked {
            return Err(format!("frame {count} begins with {:#x} and has the key {:?}", frame.first, frame.key));
        }
        keys.extend(frame.key);
        let message = if is_compressed { decompress(&mut inflate, frame.payload) } else { frame.payload };
        if *message != *payloads[count % payloads.len()] {
            return Err(format!("message {count} was sent with other bytes"));
        }
        count += 1;
    }
    if !rest.is_empty() {
        return Err(format!("{} bytes after the last whole frame", rest.len()));
    }
    // Two short random keys may be equal.
    if is_masked && keys.len() + 2 < count {
        return Err(format!("{} keys for {count} frames", keys.len()));
    }
    Ok(count)
}

pub struct Frame {
    pub first: u8,
    pub key: Option<[u8; 4]>,
    pub payload: Vec<u8>,
}

/// Decodes a frame without the code of any contender; unmasks it byte by byte.
pub fn next_frame(bytes: &mut &[u8]) -> Option<Frame> {
    let mut rest = *bytes;
    let [first, second] = *rest.split_off(..2)? else { return None };
    let len = match second & 0x7f {
        126 => u16::from_be_bytes(rest.split_off(..2)?.try_into().ok()?).into(),
        127 => u64::from_be_bytes(rest.split_off(..8)?.try_into().ok()?),
        len => len.into(),
    };
    let key: Option<[u8; 4]> = if second & 0x80 == 0 { None } else { Some(rest.split_off(..4)?.try_into().ok()?) };
    let payload = rest.split_off(..usize::try_from(len).ok()?)?;
    let mask = key.unwrap_or_default();
    let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    *bytes = rest;
    Some(Frame { first, key, payload })
}

/// The peer of permessage-deflate, with context takeover.
pub fn decompress(inflate: &mut Inflate, mut compressed: Vec<u8>) -> Vec<u8> {
    compressed.extend([0, 0, 0xff, 0xff]);
    let mut message = vec![0; 1 << 16];
    let before = inflate.total_out();
    inflate.decompress(&compressed, &mut message, InflateFlush::SyncFlush).expect("DEFLATE");
    message.truncate((inflate.total_out() - before) as usize);
    message
}
