//! [`Client`]: this crate's client on a blocking socket, as a peer that follows the protocol.

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use super::sockets;
use websocket_proto::{ClientRequest, Closed, Config, Connection, Event, Input, MessageKind, Output};

/// This crate's client on a blocking socket.
pub struct Client {
    pub tcp: TcpStream,
    pub ws: Connection,
    pub output: Output,
    pub read: Vec<u8>,
}

impl Client {
    /// Connects, and completes the opening handshake. Reads and writes fail after `patience`.
    pub fn open(address: &str, config: Config, patience: Duration) -> Self {
        let tcp = sockets::connect(address, patience);
        let (request, mut output) = (ClientRequest::new(format!("ws://{address}/")), Output::new());
        let ws = Connection::client(&request, config, [7; 32], &mut output).expect("the request is valid");
        let mut client = Self { tcp, ws, output, read: Vec::new() };
        let mut is_open = false;
        while !is_open {
            client.read(|event, _, _| match event {
                Event::Open(_) => is_open = true,
                Event::Rejected(response) => panic!("the server rejects the request: {response:?}"),
                Event::Closed(closed) => panic!("the server ends the connection before its handshake: {closed}"),
                _ => {}
            });
        }
        client
    }

    /// Writes the output, reads once, and passes the events to `tell`.
    pub fn read(&mut self, mut tell: impl FnMut(Event<'_>, &mut Connection, &mut Output)) {
        self.output.write_to(&mut self.tcp).expect("the peer reads");
        self.read.resize(64 << 10, 0);
        let n = self.tcp.read(&mut self.read).expect("bytes arrive in time");
        let Self { ws, output, .. } = self;
        let mut input = Input::new(&mut self.read[..n]);
        while let Some(event) = if n == 0 { ws.receive_eof() } else { ws.receive(&mut input, output) } {
            tell(event, ws, output);
        }
    }

    /// The next `count` messages, text or binary; pings are answered.
    pub fn messages(&mut self, count: usize) -> Vec<(MessageKind, Vec<u8>)> {
        let mut messages = Vec::new();
        while messages.len() < count {
            self.read(|event, _, _| match event {
                Event::Text(text) => messages.push((MessageKind::Text, text.into_owned().into_bytes())),
                Event::Binary(data) => messages.push((MessageKind::Binary, data.into_owned())),
                Event::Closed(closed) => panic!("{closed}"),
                _ => {}
            });
        }
        messages
    }

    pub fn echo(&mut self, text: &str) {
        self.ws.send_text(text, &mut self.output).expect("the connection is open");
        assert_eq!(self.messages(1), [(MessageKind::Text, text.as_bytes().to_vec())]);
    }

    /// The last event; before it only pings, pongs and the server's Close may come.
    pub fn closed(mut self) -> Closed {
        let mut last = None;
        while !self.ws.is_closed() {
            self.read(|event, _, _| match event {
                Event::Closed(closed) => last = Some(closed),
                Event::Pong(_) | Event::Ping(_) | Event::CloseReceived { .. } => {}
                event => panic!("{event:?}"),
            });
        }
        last.expect("Closed is the last event")
    }
}
