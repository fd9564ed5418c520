use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use websocket_proto::uri::Uri;

/// Asks a proxy for a tunnel to the server, and waits at most `patience` for its answer.
pub(crate) fn tunnel(tcp: &mut TcpStream, uri: &Uri, patience: Duration) -> io::Result<()> {
    // An IPv6 address is in brackets, and the port is always present.
    let host = if uri.host().contains(':') { format!("[{}]", uri.host()) } else { uri.host().to_owned() };
    let authority = format!("{host}:{}", uri.port());
    tcp.set_write_timeout(Some(patience))?;
    tcp.write_all(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n").as_bytes())?;
    let (mut head, deadline) = (Vec::new(), Instant::now() + patience);
    while !head.ends_with(b"\r\n\r\n") {
        // Must not read beyond the head. A timeout of zero is an error: then `patience` is over.
        let mut byte = [0];
        tcp.set_read_timeout(Some(deadline.saturating_duration_since(Instant::now())))?;
        tcp.read_exact(&mut byte)?;
        head.push(byte[0]);
        if head.len() > 16 << 10 {
            return Err(ErrorKind::InvalidData.into());
        }
    }
    let is_open = head.starts_with(b"HTTP/1.1 2") || head.starts_with(b"HTTP/1.0 2");
    if is_open { Ok(()) } else { Err(ErrorKind::ConnectionRefused.into()) }
}
