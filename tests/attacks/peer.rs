//! [`Peer`]: a socket that keeps to nothing, and what it is told.

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
    /// Whether the server closed the socket while something was unread, or while more came.
    was_reset: bool,
    /// Whether there is nothing more to read.
    has_ended: bool,
}

impl Peer {
    pub(crate) fn connect(stage: &Stage) -> Self {
        let tcp = sockets::connect(&stage.address, PATIENCE);
        Self { tcp, sent: 0, received: Vec::new(), was_reset: false, has_ended: false }
    }

    /// Behind the opening handshake, whose answer is not among what was received.
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

    /// Sends it all, if the server stays for it.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        match self.tcp.write_all(bytes) {
            Ok(()) => self.sent += bytes.len(),
            Err(error) => self.fails(&error),
        }
    }

    /// Sends what the socket takes at once, and returns how much that was.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> usize {
        let taken = self.at_once(|tcp| tcp.write(bytes)).unwrap_or(0);
        self.sent += taken;
        taken
    }

    /// Takes what is there, without waiting for more.
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

    /// Waits for so many more bytes, or the end.
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

    /// Whether the server has ended it, as far as was seen.
    pub(crate) fn is_over(&self) -> bool {
        self.was_reset || self.has_ended
    }

    /// Whether the server has not waited for this side to be closed.
    pub(crate) fn was_reset(&self) -> bool {
        self.was_reset
    }

    pub(crate) fn half_close(&self) {
        // It may be over already.
        let _ = self.tcp.shutdown(Shutdown::Write);
    }

    /// Ends with a reset, whatever is unread.
    pub(crate) fn reset(self) {
        sockets::reset_on_close(&self.tcp);
    }

    /// What it was told, in a word: an HTTP status, or the code of a Close; or how else it ended.
    pub(crate) fn verdict(&self) -> String {
        let mut rest = &self.received[..];
        if rest.starts_with(b"HTTP/1.1 ") {
            let (status, behind) = split_answer(rest);
            if status != "101" {
                assert!(behind.is_empty(), "{:?} behind the answer", behind.escape_ascii());
                return status;
            }
            rest = behind;
        }
        let (frames, cut) = frames(rest);
        if let Some((0x88, payload)) = frames.last() {
            assert!(cut.is_empty(), "{:?} behind the Close", cut.escape_ascii());
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

    /// The socket, for an event loop.
    pub(crate) fn into_mio(self) -> mio::net::TcpStream {
        self.tcp.set_nonblocking(true).expect("a socket");
        mio::net::TcpStream::from_std(self.tcp)
    }

    /// `None` if that would have to wait, or the connection is over.
    fn at_once(&mut self, act: impl FnOnce(&mut TcpStream) -> io::Result<usize>) -> Option<usize> {
        self.tcp.set_nonblocking(true).expect("a socket");
        let done = act(&mut self.tcp);
        self.tcp.set_nonblocking(false).expect("a socket");
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

/// Sends it all, from one after the other, to a server that reads.
pub(crate) fn send_all(peers: &mut [Peer], bytes: &[u8]) {
    for peer in peers {
        peer.send(bytes);
    }
}

/// What all of them sent, and the verdicts on them.
pub(crate) fn sum_up(peers: &[Peer]) -> (usize, Tally) {
    (peers.iter().map(|peer| peer.sent).sum(), peers.iter().map(Peer::verdict).collect())
}

pub(crate) fn offering_compression() -> Vec<u8> {
    request_with(OFFER)
}

/// The status of an HTTP answer, and what is behind the answer.
fn split_answer(bytes: &[u8]) -> (String, &[u8]) {
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

/// The header of such a frame, whose payload may not follow.
pub(crate) fn header(first: u8, len: u64) -> Vec<u8> {
    frames::header(first, Some(ZERO_KEY), len)
}
