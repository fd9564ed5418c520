//! [`Peer`]: a socket that need not follow the protocol, and the server's answers to it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::PATIENCE;
use crate::shared::frames::{self, ZERO_KEY, decode_some, encode, first_byte};
use crate::shared::handshake::{OFFER, REQUEST, request_with};
use crate::shared::sockets;
use crate::stage::{Stage, Tally};

/// A socket to the server.
pub(crate) struct Peer {
    tcp: TcpStream,
    pub(crate) sent: usize,
    pub(crate) received: Vec<u8>,
    /// Whether the server closed the socket while bytes were unread or still arriving.
    was_reset: bool,
    /// Whether the stream has ended.
    has_ended: bool,
}

impl Peer {
    pub(crate) fn connect(stage: &Stage) -> Self {
        let tcp = sockets::connect(&stage.address, PATIENCE);
        Self { tcp, sent: 0, received: Vec::new(), was_reset: false, has_ended: false }
    }

    /// A peer after the opening handshake; the response is not part of `received`.
    pub(crate) fn open(stage: &Stage) -> Self {
        Self::open_with(stage, REQUEST)
    }

    pub(crate) fn open_compressed(stage: &Stage) -> Self {
        Self::open_with(stage, &offering_compression())
    }

    fn open_with(stage: &Stage, request: &[u8]) -> Self {
        let mut peer = Self::connect(stage);
        peer.send(request);
        while !peer.received.ends_with(b"\r\n\r\n") {
            peer.read(1);
            assert!(!peer.has_ended, "{}", peer.received.escape_ascii());
        }
        assert!(peer.received.starts_with(b"HTTP/1.1 101 "), "{}", peer.received.escape_ascii());
        peer.received.clear();
        peer
    }

    /// Sends all bytes, unless the server closes the connection.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        match self.tcp.write_all(bytes) {
            Ok(()) => self.sent += bytes.len(),
            Err(error) => self.fails(&error),
        }
    }

    /// Sends the bytes that the socket takes without waiting; returns their number.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> usize {
        let taken = self.at_once(|tcp| tcp.write(bytes)).unwrap_or(0);
        self.sent += taken;
        taken
    }

    /// Reads the available bytes, without waiting for more.
    pub(crate) fn poll(&mut self) {
        let mut buffer = [0; 16 << 10];
        while let Some(n) = self.at_once(|tcp| tcp.read(&mut buffer)) {
            self.received.extend(&buffer[..n]);
            if n == 0 {
                self.has_ended = true;
                return;
            }
        }
    }

    /// Waits for `count` more bytes, or the end of the stream.
    pub(crate) fn read(&mut self, count: usize) {
        let before = self.received.len();
        match Read::by_ref(&mut self.tcp).take(count as u64).read_to_end(&mut self.received) {
            Ok(read) => self.has_ended |= read < count,
            Err(error) => {
                self.fails(&error);
                self.has_ended = true;
            }
        }
        assert!(self.received.len() <= before + count);
    }

    pub(crate) fn read_to_end(&mut self) {
        self.read(usize::MAX >> 1);
    }

    /// Whether this peer has seen the server end the connection.
    pub(crate) fn is_over(&self) -> bool {
        self.was_reset || self.has_ended
    }

    /// Whether the server closed without waiting for this side to close.
    pub(crate) fn was_reset(&self) -> bool {
        self.was_reset
    }

    pub(crate) fn half_close(&self) {
        // Fails if the connection is over.
        let _ = self.tcp.shutdown(Shutdown::Write);
    }

    /// Resets the connection, even with unread bytes.
    pub(crate) fn reset(self) {
        sockets::reset_on_close(&self.tcp);
    }

    /// The server's answer in a word: an HTTP status, the code of a Close, or the way the connection ended.
    pub(crate) fn verdict(&self) -> String {
        let mut rest = &self.received[..];
        if rest.starts_with(b"HTTP/1.1 ") {
            let (status, rest_of_stream) = split_response(rest);
            if status != "101" {
                assert!(rest_of_stream.is_empty(), "{:?} after the answer", rest_of_stream.escape_ascii());
                return status;
            }
            rest = rest_of_stream;
        }
        let (frames, cut) = frames(rest);
        if let Some((0x88, payload)) = frames.last() {
            assert!(cut.is_empty(), "{:?} after the Close", cut.escape_ascii());
            let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            return code.map_or_else(|| "an empty Close".to_owned(), |code| code.to_string());
        }
        let how = if self.was_reset {
            "cut off"
        } else if self.has_ended {
            "the end"
        } else {
            "still open"
        };
        how.to_owned()
    }

    /// The socket for an event loop.
    pub(crate) fn into_mio(self) -> mio::net::TcpStream {
        self.tcp.set_nonblocking(true).expect("the socket is open");
        mio::net::TcpStream::from_std(self.tcp)
    }

    /// `None` if `act` would have to wait, or the connection is over.
    fn at_once(&mut self, act: impl FnOnce(&mut TcpStream) -> io::Result<usize>) -> Option<usize> {
        self.tcp.set_nonblocking(true).expect("the socket is open");
        let done = act(&mut self.tcp);
        self.tcp.set_nonblocking(false).expect("the socket is open");
        match done {
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            done => done.inspect_err(|error| self.fails(error)).ok(),
        }
    }

    fn fails(&mut self, error: &io::Error) {
        let is_known = matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset);
        assert!(is_known, "{error}: {} bytes sent, {} received", self.sent, self.received.len());
        self.was_reset = true;
    }
}

/// Sends the bytes from one peer after the other, to a server that reads.
pub(crate) fn send_all(peers: &mut [Peer], bytes: &[u8]) {
    for peer in peers {
        peer.send(bytes);
    }
}

/// The number of bytes that all peers sent, and their verdicts.
pub(crate) fn sum_up(peers: &[Peer]) -> (usize, Tally) {
    (peers.iter().map(|peer| peer.sent).sum(), peers.iter().map(Peer::verdict).collect())
}

pub(crate) fn offering_compression() -> Vec<u8> {
    request_with(OFFER)
}

/// The status of an HTTP response, and the bytes after the response.
fn split_response(bytes: &[u8]) -> (String, &[u8]) {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head") + 4;
    let head = str::from_utf8(&bytes[..end]).expect("text");
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let length: usize = length.map_or(0, |length| length.parse().expect("a number"));
    (head[9..12].to_owned(), &bytes[end + length..])
}

/// The first byte and the payload of each whole frame from the server, and the incomplete frame after them. RFC 6455
/// §5.1: "A server MUST NOT mask any frames that it sends to the client."
pub(crate) fn frames(bytes: &[u8]) -> (Vec<(u8, Vec<u8>)>, &[u8]) {
    let (frames, rest) = decode_some(bytes);
    assert!(frames.iter().all(|(header, _)| header.mask.is_none()), "a masked frame");
    (frames.into_iter().map(|(header, payload)| (first_byte(&header), payload)).collect(), rest)
}

/// A frame whose mask key is zero, which masks nothing.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    encode(first, Some(ZERO_KEY), payload)
}

/// The header of such a frame. The payload need not follow.
pub(crate) fn header(first: u8, len: u64) -> Vec<u8> {
    frames::header(first, Some(ZERO_KEY), len)
}
