//! Generates payloads, the same in every run.

use std::fmt::Write;
use std::ops::Deref;

use bytes::Bytes;

use crate::aligned::Aligned;

/// The bytes of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Binary,
    Ascii,
    /// Chinese, three bytes a character.
    Cjk,
    /// Compressible JSON, as an application would send it.
    Json,
}

/// A message's payload, in the form that each contender takes.
#[derive(Clone, Debug)]
pub struct Payload(Bytes);

impl Payload {
    /// Checks that the bytes are UTF-8 if `is_text`.
    pub fn new(bytes: Bytes, is_text: bool) -> Self {
        assert!(!is_text || std::str::from_utf8(&bytes).is_ok());
        Self(bytes)
    }

    /// For contenders that count references.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// For messages whose [`Work::is_text`].
    pub fn text(&self) -> &str {
        // SAFETY: in every row with text, `new` has checked that it is UTF-8; the other rows do not call this.
        unsafe { std::str::from_utf8_unchecked(&self.0) }
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// `count` different messages of `size` bytes in one block of memory, each at the start of a cache line.
pub fn payloads(content: Content, size: usize, count: usize) -> Vec<Payload> {
    // One more line between messages, so that not all of them start at the same offset in a page.
    let stride = size.next_multiple_of(64) + 64;
    let mut random = Random(size as u64 + 1);
    let mut all = Aligned::new(stride * count);
    for place in all.chunks_mut(stride) {
        fill(content, &mut random, &mut place[..size]);
    }
    let all = Bytes::from_owner(all);
    let starts = (0..count).map(|index| index * stride);
    starts.map(|start| Payload::new(all.slice(start..start + size), content != Content::Binary)).collect()
}

fn fill(content: Content, random: &mut Random, place: &mut [u8]) {
    match content {
        Content::Binary => place.fill_with(|| random.next() as u8),
        Content::Ascii => place.fill_with(|| b' ' + random.below(95) as u8),
        Content::Cjk => {
            let (characters, rest) = place.as_chunks_mut::<3>();
            for character in characters {
                let code = 0x4e00 + random.below(0x5000) as u32;
                char::from_u32(code).expect("an ideograph").encode_utf8(character);
            }
            rest.fill(b'.');
        }
        Content::Json => {
            let text = json(random, place.len());
            place.copy_from_slice(&text.as_bytes()[..place.len()]);
        }
    }
}

/// JSON as a chat or a dashboard sends it: keys repeat, values do not.
fn json(random: &mut Random, len: usize) -> String {
    const NAMES: [&str; 8] = ["Ada", "Barbara", "Edsger", "Grace", "Kurt", "Leslie", "Niklaus", "Tony"];
    const WORDS: [&str; 12] =
        ["order", "shipped", "to", "the", "customer", "after", "a", "delay", "of", "two", "days", "again"];
    let mut text = String::from("{\"events\":[");
    while text.len() < len {
        let (id, name, price) = (random.next(), NAMES[random.below(8)], random.below(100_000));
        let words: Vec<_> = (0..6).map(|_| WORDS[random.below(12)]).collect();
        let (whole, cents, unread) = (price / 100, price % 100, price % 3 == 0);
        let words = words.join(" ");
        write!(text, r#"{{"id":"{id:016x}","user":"{name}","price":{whole}.{cents:02},"unread":{unread},"#)
            .and_then(|()| write!(text, r#""text":"{words}"}},"#))
            .expect("writing to a string cannot fail");
    }
    text
}

/// `SplitMix64`.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
