//! Runs tungstenite: `WebSocket` over a stream in memory.

use std::io::{self, Read, Write};

use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket, error::ProtocolError};

use super::{MAX_FRAME, MAX_MESSAGE, Outcome, Setup, Step};
use crate::harness::peers::flag;

pub(crate) fn run(setup: &Setup, stream: &[u8]) -> Outcome {
    let role = if setup.has(flag::CLIENT) { Role::Client } else { Role::Server };
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .max_frame_size(Some(MAX_FRAME))
        .max_message_size(Some(MAX_MESSAGE));
    let mut ws = WebSocket::from_raw_socket(Stream { unread: stream, written: Vec::new() }, role, Some(config));
    if setup.has(flag::CLOSE) {
        ws.close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() })).expect("it is open");
    }
    let mut steps = Vec::new();
    while !matches!(steps.last(), Some(Step::Close(_) | Step::Fault(_) | Step::Eof)) {
        steps.push(step(ws.read()));
    }
    // A server that has answered a Close reports the closed connection as an error.
    let flushed = ws.flush();
    assert!(matches!(flushed, Ok(()) | Err(Error::ConnectionClosed)), "{flushed:?}");
    Outcome::new(setup, steps, &ws.get_ref().written)
}

fn step(read: tungstenite::Result<Message>) -> Step {
    match read {
        Ok(Message::Text(text)) => Step::Text(text.as_bytes().into()),
        Ok(Message::Binary(data)) => Step::Binary(data.into()),
        Ok(Message::Ping(data)) => Step::Ping(data.into()),
        Ok(Message::Pong(data)) => Step::Pong(data.into()),
        Ok(Message::Close(frame)) => Step::Close(frame.map(|frame| (frame.code.into(), frame.reason.as_str().into()))),
        Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => Step::Eof,
        Err(Error::Protocol(_)) => Step::Fault(1002),
        Err(Error::Utf8(_)) => Step::Fault(1007),
        Err(Error::Capacity(_)) => Step::Fault(1009),
        read => panic!("{read:?}"),
    }
}

struct Stream<'s> {
    unread: &'s [u8],
    written: Vec<u8>,
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.unread.read(buffer)
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
