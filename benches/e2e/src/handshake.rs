//! The client's side of the opening handshake.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::error::Result;

/// The key and the accept value of RFC 6455, section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Opens a connection, without compression. Blocks.
pub fn shake(tcp: &mut TcpStream) -> Result<()> {
    let host = tcp.peer_addr()?;
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    );
    tcp.write_all(request.as_bytes())?;
    let (mut response, mut byte) = (Vec::new(), [0]);
    // Byte by byte, as nothing after the head may be consumed.
    while !response.ends_with(b"\r\n\r\n") {
        tcp.read_exact(&mut byte)?;
        response.extend(byte);
    }
    check(&String::from_utf8_lossy(&response)).map_err(Into::into)
}

fn check(response: &str) -> std::result::Result<(), String> {
    let (status, headers) = response.split_once("\r\n").unwrap_or_default();
    let mut headers = headers.lines().filter_map(|line| line.split_once(':'));
    let is_accepted =
        headers.any(|(name, value)| name.eq_ignore_ascii_case("sec-websocket-accept") && value.trim() == ACCEPT);
    if status.starts_with("HTTP/1.1 101 ") && is_accepted { Ok(()) } else { Err(format!("not accepted: {response}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_answer_is_accepted() {
        let right = format!("HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: {ACCEPT}\r\n\r\n");
        assert!(check(&right).is_ok());
        assert!(check(&right.replace(" 101 ", " 200 ")).is_err());
        assert!(check(&right.replace(ACCEPT, KEY)).is_err());
        assert!(check("").is_err());
    }
}
