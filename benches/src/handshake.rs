//! A browser's handshake request, and the check of the answers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::content::Random;

/// Chromium's request without the key, with a cookie.
const HEAD: &str = "GET /chat?room=17 HTTP/1.1\r\n\
    Host: chat.example.com\r\n\
    Connection: Upgrade\r\n\
    Pragma: no-cache\r\n\
    Cache-Control: no-cache\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36\r\n\
    Upgrade: websocket\r\n\
    Origin: https://chat.example.com\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-US,en;q=0.9\r\n\
    Cookie: session=9f86d081884c7d659a2feaa0c55ad015; theme=dark\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
    Sec-WebSocket-Key: ";

const KEY_LEN: usize = 24;

/// The length of each request.
pub const REQUEST_LEN: usize = HEAD.len() + KEY_LEN + 4;

/// The number of requests on the tape, each with its own key.
const REQUESTS: usize = 64;

pub fn requests() -> Vec<u8> {
    keys().flat_map(|key| format!("{HEAD}{key}\r\n\r\n").into_bytes()).collect()
}

/// Checks that `written` has an answer to each request of the tape, from the first, and again after the last. Returns
/// the number of answers.
pub fn check(written: &[u8]) -> Result<usize, String> {
    let written = str::from_utf8(written).map_err(|error| error.to_string())?;
    let answers: Vec<_> = written.split_terminator("\r\n\r\n").collect();
    let keys: Vec<_> = keys().collect();
    for (answer, key) in answers.iter().zip(keys.iter().cycle()) {
        let mut lines = answer.split("\r\n");
        if !lines.next().unwrap_or_default().starts_with("HTTP/1.1 101 ") {
            return Err(format!("not 101: {answer}"));
        }
        let mut headers: Vec<_> = lines
            .map(|line| line.split_once(':').unwrap_or((line, "")))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            // soketto names itself.
            .filter(|(name, _)| name != "server")
            .collect();
        headers.sort();
        let expected = [
            ("connection", "upgrade".to_owned()),
            ("sec-websocket-accept", accept(key)),
            ("upgrade", "websocket".to_owned()),
        ];
        let is_expected = headers.len() == expected.len()
            && headers.iter().zip(&expected).all(|((name, value), (expected_name, expected))| {
                name == expected_name && (value == expected || value.to_ascii_lowercase() == *expected)
            });
        if !is_expected {
            return Err(format!("wrong answer to {key}: {answer}"));
        }
    }
    Ok(answers.len())
}

fn keys() -> impl Iterator<Item = String> {
    let mut random = Random(6);
    (0..REQUESTS).map(move |_| {
        let nonce = [random.next(), random.next()].map(u64::to_be_bytes);
        STANDARD.encode(nonce.as_flattened())
    })
}

fn accept(key: &str) -> String {
    let hash = sha1_smol::Sha1::from(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    STANDARD.encode(hash.digest().bytes())
}
