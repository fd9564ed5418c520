//! Sec-WebSocket-Key and Sec-WebSocket-Accept (RFC 6455 §4.1, §4.2.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::grammar::ByteSet;

/// Length of a key in base64: 16 bytes are 24 characters.
pub(crate) const KEY_LEN: usize = 24;

/// Length of a Sec-WebSocket-Accept value in base64: 20 bytes are 28 characters.
pub(crate) const ACCEPT_LEN: usize = 28;

/// The value of Sec-WebSocket-Accept that answers a Sec-WebSocket-Key (RFC 6455 §4.2.2, step 5.4): 28 characters of
/// base64. White space around the key is ignored.
///
/// # Examples
/// ```
/// use websocket_proto::handshake::accept_key;
///
/// assert_eq!(&accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
#[must_use]
pub fn accept_key(key: &[u8]) -> [u8; ACCEPT_LEN] {
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

    let mut sha1 = sha1_smol::Sha1::new();
    sha1.update(key.trim_ascii());
    sha1.update(GUID);
    let mut accept = [0; ACCEPT_LEN];
    // 20 bytes always fill 28 characters.
    let _ = STANDARD.encode_slice(sha1.digest().bytes(), &mut accept);
    accept
}

/// The value of Sec-WebSocket-Key for a nonce: 24 characters of base64 (RFC 6455 §4.1, step 7).
///
/// # Examples
/// ```
/// use websocket_proto::handshake::request_key;
///
/// assert_eq!(&request_key([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]), b"AQIDBAUGBwgJCgsMDQ4PEA==");
/// ```
#[must_use]
pub fn request_key(nonce: [u8; 16]) -> [u8; KEY_LEN] {
    let mut key = [0; KEY_LEN];
    // 16 bytes always fill 24 characters.
    let _ = STANDARD.encode_slice(nonce, &mut key);
    key
}

/// Whether a Sec-WebSocket-Key decodes to 16 bytes: 22 characters of base64, and two of padding.
///
/// The RFC's own example is not canonical base64 (its last character has bits beyond the sixteenth byte), so trailing
/// bits are tolerated; the key is only ever hashed as text.
pub(crate) fn is_key(key: &[u8]) -> bool {
    const BASE64: ByteSet = ByteSet::alphanumeric_and(b"+/");

    key.len() == KEY_LEN && key.strip_suffix(b"==").is_some_and(|digits| BASE64.has_all(digits))
}

#[cfg(test)]
mod tests {
    use super::is_key;
    use base64::Engine;
    use base64::alphabet::STANDARD;
    use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

    /// RFC 6455 §4.2.1, 5: "a base64-encoded [...] value that, when decoded, is 16 bytes in length".
    #[test]
    fn is_key_accepts_exactly_the_base64_of_16_bytes() {
        let lenient = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
        let lenient = GeneralPurpose::new(&STANDARD, lenient);
        let keys = ["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ", ""];
        for (key, at) in keys.into_iter().flat_map(|key| (0..key.len()).map(move |at| (key, at))) {
            for byte in 0..=u8::MAX {
                let mut key = key.as_bytes().to_vec();
                key[at] = byte;
                let is_nonce = lenient.decode(&key).is_ok_and(|nonce| nonce.len() == 16);
                assert_eq!(is_key(&key), is_nonce, "{}", key.escape_ascii());
            }
        }
    }
}
