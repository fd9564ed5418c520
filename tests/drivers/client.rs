//! [`Client`]: the crate's own client on a blocking socket, a peer that keeps to the protocol.

use std::io::Read;
use std::net::TcpStream;

use websocket_proto::{ClientRequest, Closed, Config, Connection, Event, Input, MessageKind, Output};

use crate::PATIENCE;

/// The crate's own client on a blocking socket.
pub(crate) struct Client {
    pub(crate) tcp: TcpStream,
    pub(crate) ws: Connection,
    pub(crate) output: Output,
    pub(crate) read: Vec<u8>,
}

impl Client {
    pub(crate) fn open(address: &str, config: Config) -> Self {
        let tcp = TcpStream::connect(address).expect("it listens");
        tcp.set_nodelay(true).expect("an open socket");
        tcp.set_read_timeout(Some(PATIENCE)).expect("an open socket");
        tcp.set_write_timeout(Some(PATIENCE)).expect("an open socket");
        let (request, mut output) = (ClientRequest::new(format!("ws://{address}/")), Output::new());
        let ws = Connection::client(&request, config, [7; 32], &mut output).expect("a good request");
        let mut client = Self { tcp, ws, output, read: Vec::new() };
        let mut is_open = false;
        while !is_open {
            client.read(|event, _, _| is_open |= matches!(event, Event::Open(_)));
        }
        client
    }

    /// Writes what waits, reads once, and tells of what that brought.
    pub(crate) fn read(&mut self, mut tell: impl FnMut(Event<'_>, &mut Connection, &mut Output)) {
        self.output.write_to(&mut self.tcp).expect("it reads");
        self.read.resize(64 << 10, 0);
        let n = self.tcp.read(&mut self.read).expect("something comes in time");
        let Self { ws, output, .. } = self;
        let mut input = Input::new(&mut self.read[..n]);
        while let Some(event) = if n == 0 { ws.receive_eof() } else { ws.receive(&mut input, output) } {
            tell(event, ws, output);
        }
    }

    /// The next messages, as text or binary; pings are answered on the way.
    pub(crate) fn messages(&mut self, count: usize) -> Vec<(MessageKind, Vec<u8>)> {
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

    pub(crate) fn echo(&mut self, text: &str) {
        self.ws.send_text(text, &mut self.output).expect("it is open");
        assert_eq!(self.messages(1), [(MessageKind::Text, text.as_bytes().to_vec())]);
    }

    /// The last event, and nothing but pongs and the server's Close before it.
    pub(crate) fn closed(mut self) -> Closed {
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
