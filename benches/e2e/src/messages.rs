//! The messages that the generator repeats, and their echoes.

use crate::contender::Kind;
use crate::frame;

/// The number of different messages, each with its own payload and mask key.
const COUNT: usize = 16;

/// The frames to send, in a circle, and the frames expected back.
pub struct Messages {
    sent: Vec<u8>,
    expected: Vec<u8>,
}

impl Messages {
    /// Messages of `size` bytes. The reference echoes the masked frames themselves, so each of its echoes is four bytes
    /// longer.
    pub fn new(size: usize, kind: Kind) -> Self {
        let (mut sent, mut expected, mut random) = (Vec::new(), Vec::new(), Random(size as u64));
        for _ in 0..COUNT {
            let payload: Vec<u8> = (0..size).map(|_| random.next() as u8).collect();
            let key = (random.next() as u32).to_be_bytes();
            frame::append(&mut sent, &payload, Some(key));
            frame::append(&mut expected, &payload, None);
        }
        if kind == Kind::Reference {
            expected.clone_from(&sent);
        }
        Self { sent, expected }
    }

    /// The bytes of a message on the wire.
    pub fn sent_len(&self) -> u64 {
        (self.sent.len() / COUNT) as u64
    }

    /// The bytes of an echo on the wire.
    pub fn echo_len(&self) -> u64 {
        (self.expected.len() / COUNT) as u64
    }

    /// The bytes from `start` to `end` of the endless stream to send, but not more than one circle: those up to the end
    /// of the circle, and those from its beginning.
    pub fn to_send(&self, start: u64, end: u64) -> [&[u8]; 2] {
        let (len, start) = ((end - start) as usize, (start % self.sent.len() as u64) as usize);
        let first = &self.sent[start..self.sent.len().min(start + len)];
        let second = &self.sent[..(len - first.len()).min(start)];
        [first, second]
    }

    /// Whether `bytes` continue the stream of echoes, after `received` bytes of it.
    pub fn are_echoes(&self, received: u64, mut bytes: &[u8]) -> bool {
        let mut position = (received % self.expected.len() as u64) as usize;
        while !bytes.is_empty() {
            let expected = &self.expected[position..];
            let (compared, rest) = bytes.split_at(expected.len().min(bytes.len()));
            if compared != &expected[..compared.len()] {
                return false;
            }
            (bytes, position) = (rest, 0);
        }
        true
    }
}

/// `SplitMix64`: the same payloads on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_repeats_its_messages() {
        let messages = Messages::new(20, Kind::Peer);
        assert_eq!((messages.sent_len(), messages.echo_len()), (26, 22));
        let circle = messages.sent.len() as u64;
        let [first, second] = messages.to_send(circle - 3, circle + 2);
        assert_eq!((first, second), (&messages.sent[circle as usize - 3..], &messages.sent[..2]));
        let [first, second] = messages.to_send(5, 5 + 2 * circle);
        assert_eq!(first.len() + second.len(), messages.sent.len());
    }

    #[test]
    fn echoes_are_recognized_at_every_position_and_wrong_ones_too() {
        let messages = Messages::new(20, Kind::Peer);
        let mut stream = [&*messages.expected, &*messages.expected].concat();
        for start in 0..messages.expected.len() {
            assert!(messages.are_echoes(start as u64, &stream[start..]));
            // An echo of another message.
            assert!(!messages.are_echoes(start as u64 + messages.echo_len(), &stream[start..]));
        }
        let last = stream.len() - 1;
        stream[last] ^= 1;
        assert!(!messages.are_echoes(0, &stream));
    }
}
