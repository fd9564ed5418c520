//! tungstenite 0.30 in the event loop: every message that is ready is read and its echo queued, then one flush.
//!
//! A read buffer of 32 KiB, a quarter of its default, because it clears the buffer before each read; of the powers of
//! two it is the fastest over all sizes.

use std::io::ErrorKind::WouldBlock;
use std::ops::ControlFlow::{self, Break, Continue};

use tungstenite::handshake::MidHandshake;
use tungstenite::handshake::server::NoCallback;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, HandshakeError, ServerHandshake, WebSocket};

use super::event_loop;
use super::socket::Socket;
use crate::contender::MAX_MESSAGE;

pub enum Peer {
    Opening(Option<Box<Opening>>),
    Open(Box<WebSocket<Socket>>),
}

type Opening = MidHandshake<ServerHandshake<Socket, NoCallback>>;

pub fn config() -> WebSocketConfig {
    let limit = Some(MAX_MESSAGE);
    WebSocketConfig::default().read_buffer_size(32 << 10).max_message_size(limit).max_frame_size(limit)
}

impl event_loop::Peer for Peer {
    fn new(socket: Socket) -> Self {
        Self::Opening(Some(Box::new(ServerHandshake::start(socket, NoCallback, Some(config())))))
    }

    fn socket(&mut self) -> Option<&mut Socket> {
        match self {
            Self::Opening(opening) => Some(opening.as_mut()?.get_mut().get_mut()),
            Self::Open(open) => Some(open.get_mut()),
        }
    }

    fn turn(&mut self, _: &mut [u8]) -> ControlFlow<()> {
        if let Self::Opening(opening) = self {
            let Some(begun) = opening.take() else { return Break(()) };
            match begun.handshake() {
                Ok(open) => *self = Self::Open(Box::new(open)),
                Err(HandshakeError::Interrupted(unfinished)) => *opening = Some(Box::new(unfinished)),
                Err(HandshakeError::Failure(_)) => return Break(()),
            }
        }
        if let Self::Open(open) = self { echo(open) } else { Continue(()) }
    }
}

/// Echoes until there is nothing to read, or no room to write: then nothing is read.
fn echo(open: &mut WebSocket<Socket>) -> ControlFlow<()> {
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
