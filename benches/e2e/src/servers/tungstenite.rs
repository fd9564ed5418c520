//! tungstenite 0.30 in the event loop: every message that is ready is read and its echo queued, then one flush.
//!
//! A read buffer of 64 KiB, half of its default, because it clears the buffer before each read.

use std::io::ErrorKind::WouldBlock;
use std::ops::ControlFlow::{self, Break, Continue};

use mio::event::Event;
use mio::net::TcpStream;
use tungstenite::handshake::server::NoCallback;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, HandshakeError, ServerHandshake, WebSocket};

use super::event_loop;
use crate::contender::MAX_MESSAGE;

pub enum Peer {
    Opening(Option<Box<Opening>>),
    Open(Box<WebSocket<TcpStream>>),
}

type Opening = tungstenite::handshake::MidHandshake<ServerHandshake<TcpStream, NoCallback>>;

pub fn config() -> WebSocketConfig {
    let limit = Some(MAX_MESSAGE);
    WebSocketConfig::default().read_buffer_size(64 << 10).max_message_size(limit).max_frame_size(limit)
}

impl event_loop::Peer for Peer {
    fn new(tcp: TcpStream) -> Self {
        Self::Opening(Some(Box::new(ServerHandshake::start(tcp, NoCallback, Some(config())))))
    }

    fn turn(&mut self, _: &Event, _: &mut [u8]) -> ControlFlow<()> {
        if let Self::Opening(opening) = self {
            let Some(begun) = opening.take() else { return Break(()) };
            match begun.handshake() {
                Ok(open) => *self = Self::Open(Box::new(open)),
                Err(HandshakeError::Interrupted(unfinished)) => *opening = Some(Box::new(unfinished)),
                Err(HandshakeError::Failure(_)) => return Break(()),
            }
        }
        match self {
            Self::Open(open) => echo(open),
            Self::Opening(_) => Continue(()),
        }
    }
}

/// Echoes until there is nothing to read, or no room to write: then nothing is read.
fn echo(open: &mut WebSocket<TcpStream>) -> ControlFlow<()> {
    while done(open.flush())?.is_some() {
        let is_empty = loop {
            let Some(message) = done(open.read())? else { break true };
            if (message.is_text() || message.is_binary()) && done(open.write(message))?.is_none() {
                break false;
            }
        };
        if is_empty {
            done(open.flush())?;
            break;
        }
    }
    Continue(())
}

/// The result; `None` if the socket would block; `Break` if the connection is over.
fn done<T>(result: tungstenite::Result<T>) -> ControlFlow<(), Option<T>> {
    match result {
        Ok(value) => Continue(Some(value)),
        Err(Error::Io(error)) if error.kind() == WouldBlock => Continue(None),
        Err(_) => Break(()),
    }
}
