//! Masking (RFC 6455 §5.3): the XOR, and the source of the keys.

#[expect(unsafe_code, reason = "loads and stores of registers, for the kernel")]
#[expect(clippy::inline_always, reason = "registers must not be passed through memory")]
mod block;
#[expect(unsafe_code, reason = "for the reasons and figures in its docs")]
pub(crate) mod kernel;

use alloc::boxed::Box;

use chacha20::rand_core::SeedableRng;
use chacha20::rand_core::block::BlockRng;
use chacha20::variants::Legacy;
use chacha20::{ChaChaCore, R20};

/// XORs `payload` with `key` in place: masks and unmasks alike (RFC 6455 §5.3).
///
/// For a payload that arrives in pieces, continue with the key that [`rotate_key`] returns.
///
/// # Examples
/// ```
/// use websocket_proto::mask::apply_mask;
///
/// let mut payload = *b"\x7f\x9f\x4d\x51\x58";
/// apply_mask([0x37, 0xfa, 0x21, 0x3d], &mut payload);
/// assert_eq!(&payload, b"Hello");
/// ```
#[inline]
pub fn apply_mask(key: [u8; 4], payload: &mut [u8]) {
    kernel::mask(key, payload);
}

/// The key for the next octet after `count` octets of a payload were masked with `key`.
///
/// # Examples
/// ```
/// use websocket_proto::mask::{apply_mask, rotate_key};
///
/// let key = [1, 2, 3, 4];
/// let (mut whole, mut cut) = ([0; 9], [0; 9]);
/// apply_mask(key, &mut whole);
/// apply_mask(key, &mut cut[..3]);
/// apply_mask(rotate_key(key, 3), &mut cut[3..]);
/// assert_eq!(whole, cut);
/// ```
#[inline]
#[must_use]
pub const fn rotate_key(key: [u8; 4], count: usize) -> [u8; 4] {
    // The first octet is the low end of a little-endian word.
    u32::from_le_bytes(key).rotate_right((count as u32 & 3) * 8).to_le_bytes()
}

/// Mask keys, a new one for every frame, drawn from the caller's seed: for a proxy or a codec that masks frames itself.
/// A [`Connection`](crate::Connection) has its own.
///
/// RFC 6455 §5.3: "The masking key needs to be unpredictable; thus, the masking key MUST be derived from a strong
/// source of entropy, and the masking key for a given frame MUST NOT make it simple for a server/proxy to predict the
/// masking key for a subsequent frame." `ChaCha20` ensures that if the seed has the entropy: fill a new seed for every
/// connection from the operating system's random source. Holds some 350 bytes on the heap.
///
/// # Examples
/// ```
/// use websocket_proto::mask::MaskKeys;
///
/// let seed = [7; 32]; // From getrandom, except in a test.
/// let mut keys = MaskKeys::from_seed(seed);
/// assert_ne!(keys.key(), keys.key());
/// ```
pub struct MaskKeys(Box<BlockRng<ChaChaCore<R20, Legacy>>>);

impl MaskKeys {
    /// Starts the sequence of keys that belongs to `seed`: the same for the same seed.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(Box::new(BlockRng::new(ChaChaCore::from_seed(seed))))
    }

    /// The next frame's key.
    #[inline]
    #[must_use = "no call returns this key again"]
    pub fn key(&mut self) -> [u8; 4] {
        self.0.next_word().to_le_bytes()
    }

    /// The next frame's key, if it is computed already: keys are, 64 at a time.
    #[inline]
    pub(crate) fn computed_key(&mut self) -> Option<[u8; 4]> {
        if self.0.remaining_results().is_empty() { None } else { Some(self.key()) }
    }

    /// The nonce of a client's opening handshake.
    pub(crate) fn nonce(&mut self) -> [u8; 16] {
        let mut nonce = [0; 16];
        self.0.fill_bytes(&mut nonce);
        nonce
    }
}

/// Shows no keys: with them, data could be chosen that an intermediary takes as a request.
impl core::fmt::Debug for MaskKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("MaskKeys(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 6455-5.3-5: octet `i` of the payload is `XORed` with octet `i mod 4` of the key, at any cut and alignment.
    #[test]
    fn chunked_mask_equals_octet_by_octet() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let plain: alloc::vec::Vec<u8> = (0..4096_usize).map(|i| (i * 31 % 251) as u8).collect();
        let expected: alloc::vec::Vec<u8> = plain.iter().enumerate().map(|(i, octet)| octet ^ key[i % 4]).collect();
        for chunk in 1..=67 {
            for align in 0..64 {
                let mut buffer = alloc::vec![0; align];
                buffer.extend_from_slice(&plain);
                let mut at = key;
                for piece in buffer[align..].chunks_mut(chunk) {
                    apply_mask(at, piece);
                    at = rotate_key(at, piece.len());
                }
                assert!(buffer[align..] == expected, "chunk {chunk}, alignment {align}");
            }
        }
    }

    /// 6455-5.3-2, 6455-5.3-4: keys differ from frame to frame, and the same seed gives the same keys.
    #[test]
    fn keys_are_fresh_and_reproducible() {
        let draw = |seed| {
            let mut keys = MaskKeys::from_seed(seed);
            (keys.nonce(), (0..1000).map(|_| keys.key()).collect::<alloc::collections::BTreeSet<_>>())
        };
        let (nonce, keys) = draw([1; 32]);
        assert_eq!(keys.len(), 1000);
        assert_eq!((nonce, keys), draw([1; 32]));
        assert_ne!(draw([1; 32]).0, draw([2; 32]).0);
    }
}
