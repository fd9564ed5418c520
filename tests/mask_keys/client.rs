//! A client, the frames that it sends, and a prediction of their mask keys.

use crate::shared::frames::{decode, first_byte};
use crate::shared::wired::{drain, open};
use websocket_proto::handshake::Negotiated;
use websocket_proto::{Config, Connection, Input, Output, Role};

/// The seed of every client here and in `shared::wired`.
const SEED: [u8; 32] = [7; 32];

/// The random numbers from a seed: `ChaCha20` (RFC 8439 §2.3) with a nonce of zeros, from block 0.
pub(crate) struct Numbers {
    /// The block with the next number.
    block: [u32; 16],
    drawn: u32,
}

impl Numbers {
    /// After the first `drawn` numbers, all of which are in the first block.
    pub(crate) fn after(drawn: u32) -> Self {
        Self { block: block(SEED, 0), drawn }
    }

    /// The next number's bytes.
    pub(crate) fn draw(&mut self) -> [u8; 4] {
        let word = self.block[self.drawn as usize % 16];
        self.drawn += 1;
        if self.drawn.is_multiple_of(16) {
            self.block = block(SEED, self.drawn / 16);
        }
        word.to_le_bytes()
    }
}

fn block(key: [u8; 32], count: u32) -> [u32; 16] {
    let mut start = [0; 16];
    start[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
    for (word, bytes) in start[4..].iter_mut().zip(key.chunks(4)) {
        *word = u32::from_le_bytes(bytes.try_into().unwrap());
    }
    start[12] = count;
    let mut state = start;
    for _ in 0..10 {
        for column in 0..4 {
            quarter_round(&mut state, [0, 1, 2, 3].map(|row| 4 * row + column));
        }
        for diagonal in 0..4 {
            quarter_round(&mut state, [0, 1, 2, 3].map(|row| 4 * row + (diagonal + row) % 4));
        }
    }
    std::array::from_fn(|index| state[index].wrapping_add(start[index]))
}

/// RFC 8439 §2.1.
fn quarter_round(state: &mut [u32; 16], [a, b, c, d]: [usize; 4]) {
    for (sum, addend, mixed, by) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
        state[sum] = state[sum].wrapping_add(state[addend]);
        state[mixed] = (state[mixed] ^ state[sum]).rotate_left(by);
    }
}

/// RFC 8439, appendix A.1, test vectors 1 and 2.
#[test]
fn the_prediction_is_chacha20() {
    assert_eq!(block([0; 32], 0)[..4], [0xade0_b876, 0x903d_f1a0, 0xe56a_5d40, 0x28bd_8653]);
    assert_eq!(block([0; 32], 1)[..4], [0xbee7_079f, 0x7a38_5155, 0x7c97_ba98, 0x0d08_2d73]);
}

/// A sent frame: its first byte, and its unmasked payload.
pub(crate) type Frame = (u8, Vec<u8>);

/// A client with its output and the expected mask keys.
pub(crate) struct Client {
    pub(crate) ws: Connection,
    pub(crate) output: Output,
    pub(crate) keys: Numbers,
}

impl Client {
    /// Open clients: one after an opening handshake, whose nonce is drawn from the seed first, and one without.
    pub(crate) fn open(config: &Config) -> [Self; 2] {
        let (ws, _) = open_pair(config);
        let upgraded = Connection::upgraded(Role::Client, Negotiated::default(), config.clone(), SEED);
        // RFC 6455 §4.1, 7: "The nonce MUST be selected randomly": 16 bytes.
        [(ws, 4), (upgraded, 0)].map(|(ws, drawn)| Self { ws, output: Output::new(), keys: Numbers::after(drawn) })
    }

    /// The frames sent since the last call; asserts that each has the next key.
    #[track_caller]
    pub(crate) fn sent(&mut self) -> Vec<Frame> {
        let keys = &mut self.keys;
        frames(&drain(&mut self.output), |key, _| assert_eq!(key, keys.draw(), "not the next key"))
    }

    /// Receives the bytes in pieces of at most `piece` bytes, and ignores the events.
    pub(crate) fn receive(&mut self, bytes: &[u8], piece: usize) {
        for piece in bytes.to_vec().chunks_mut(piece) {
            let mut input = Input::new(piece);
            while self.ws.receive(&mut input, &mut self.output).is_some() {}
        }
    }
}

/// A client and a server that have opened a connection between them.
pub(crate) fn open_pair(config: &Config) -> (Connection, Connection) {
    open(Role::Client, config.clone(), config.clone())
}

/// Decodes an output; `check` sees each frame's key, and its first byte.
#[track_caller]
pub(crate) fn frames(bytes: &[u8], mut check: impl FnMut([u8; 4], u8)) -> Vec<Frame> {
    let mut frames = Vec::new();
    for (header, payload) in decode(bytes) {
        let first = first_byte(&header);
        let key = header.mask.expect("§5.1: a client MUST mask all frames that it sends to the server");
        check(key, first);
        frames.push((first, payload));
    }
    frames
}
