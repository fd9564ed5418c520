//! Both halves of the opening handshake as a peer sends them (RFC 6455 §4.1, §4.2.2).

use websocket_proto::handshake::accept_key;

/// A valid request with no optional header.
pub const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// The header line that offers permessage-deflate without parameters.
pub const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

/// [`REQUEST`] with additional header lines, each ended by CRLF.
pub fn request_with(lines: &str) -> Vec<u8> {
    [&REQUEST[..REQUEST.len() - 2], lines.as_bytes(), b"\r\n"].concat()
}

/// The 101 response to a client's request, with additional header lines, each ended by CRLF.
pub fn response_to(request: &str, lines: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: {}\r\n{lines}\r\n",
        accept_for(request)
    )
    .into_bytes()
}

/// The value of Sec-WebSocket-Accept for a client's request.
pub fn accept_for(request: &str) -> String {
    let headers = request.lines().filter_map(|line| line.split_once(':'));
    let mut keys = headers.filter(|(name, _)| name.eq_ignore_ascii_case("Sec-WebSocket-Key"));
    let key = keys.next().expect("a request has a key").1.trim();
    String::from_utf8(accept_key(key.as_bytes()).to_vec()).expect("base64 is text")
}
