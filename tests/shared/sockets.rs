//! Blocking TCP sockets whose reads and writes fail after `patience`.

use std::io::Read;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use socket2::SockRef;

/// Sets both timeouts, and turns off Nagle's algorithm.
pub fn configure(tcp: &TcpStream, patience: Duration) {
    tcp.set_nodelay(true).expect("the socket is open");
    tcp.set_read_timeout(Some(patience)).expect("the socket is open");
    tcp.set_write_timeout(Some(patience)).expect("the socket is open");
}

/// Connects to a server of this machine.
pub fn connect(address: impl ToSocketAddrs, patience: Duration) -> TcpStream {
    let tcp = TcpStream::connect(address).expect("the server listens");
    configure(&tcp, patience);
    tcp
}

/// Reads a head of HTTP/1.1 and no byte after it.
pub fn read_head(stream: &mut (impl Read + ?Sized)) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a whole head arrives");
        head.extend(byte);
    }
    String::from_utf8(head).expect("a head is text")
}

/// Reads to the end of the stream; panics if it ends with a reset.
pub fn read_to_end(stream: &mut (impl Read + ?Sized)) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("the stream ends without a reset");
    bytes
}

/// Makes closing the socket reset the connection.
pub fn reset_on_close(tcp: &TcpStream) {
    SockRef::from(tcp).set_linger(Some(Duration::ZERO)).expect("the socket is open");
}
