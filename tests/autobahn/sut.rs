//! The system under test: a connection of the crate, with an application and a simulated transport.

use crate::shared::handshake::{request_with, response_to};
use crate::shared::wired::drain;
use websocket_proto::{ClientRequest, Closed, Config, Connection, Event, Input, Output, Role, State};

/// The application's reaction to an event.
pub(crate) type Application = fn(&mut Connection, Event<'_>, &mut Output);

/// The application that the suite requires: an echo. Messages that arrive when sending is no longer possible are not
/// answered.
pub(crate) fn echo(ws: &mut Connection, event: Event<'_>, output: &mut Output) {
    let _ = match event {
        Event::Text(text) => ws.send_text(&text, output),
        Event::Binary(data) => ws.send_binary(&data, output),
        _ => Ok(()),
    };
}

pub(crate) struct Sut {
    ws: Connection,
    application: Application,
    output: Output,
    closed: Option<Closed>,
}

impl Sut {
    /// A connection after its opening handshake.
    pub(crate) fn open(role: Role, application: Application) -> Self {
        // Section 9 has messages of 16 MiB.
        let config = Config::new().max_message_size(64 << 20);
        let (mut sut, written) = Self::open_with(config, role, application, "", |_| String::new());
        assert!(role == Role::Client || written.starts_with(b"HTTP/1.1 101 "));
        assert!(sut.written().is_empty());
        sut
    }

    /// The same with the header lines `offer` in the request to a server, or those that `answer` gives for a client's
    /// request in the response. Also returns the bytes written.
    pub(crate) fn open_with(
        config: Config,
        role: Role,
        application: Application,
        offer: &str,
        answer: impl FnOnce(&str) -> String,
    ) -> (Self, Vec<u8>) {
        let mut output = Output::new();
        let (ws, mut head) = match role {
            Role::Server => (Connection::server(config), request_with(offer)),
            Role::Client => {
                let request = ClientRequest::new("ws://localhost/");
                let ws = Connection::client(&request, config, [7; 32], &mut output).expect("the request is valid");
                let request = String::from_utf8(drain(&mut output)).expect("a request is text");
                (ws, response_to(&request, &answer(&request)))
            }
        };
        let mut sut = Self { ws, application, output, closed: None };
        sut.read(&mut head);
        assert_eq!(sut.ws.state(), State::Open);
        let written = sut.written();
        (sut, written)
    }

    /// Passes bytes from the transport to the connection.
    pub(crate) fn read(&mut self, bytes: &mut [u8]) {
        let mut input = Input::new(bytes);
        while let Some(event) = self.ws.receive(&mut input, &mut self.output) {
            assert!(self.closed.is_none(), "{event:?} after the end");
            match event {
                Event::Request(request) => self.ws.accept(request, &mut self.output),
                Event::Open(_) => {}
                Event::Closed(closed) => self.closed = Some(closed),
                event => (self.application)(&mut self.ws, event, &mut self.output),
            }
        }
        assert!(input.is_empty(), "there is no event, and bytes are left");
    }

    /// The bytes written since the last call.
    pub(crate) fn written(&mut self) -> Vec<u8> {
        drain(&mut self.output)
    }

    /// Whether it has closed its transport.
    pub(crate) fn has_hung_up(&self) -> bool {
        self.ws.is_closed()
    }

    /// Signals the end of the stream, unless it has ended before; returns the last event.
    pub(crate) fn hang_up(mut self) -> Closed {
        if let Some(event) = self.ws.receive_eof() {
            let Event::Closed(closed) = event else { panic!("{event:?} at the end of the stream") };
            assert!(self.closed.replace(closed).is_none(), "the end was reported twice");
        }
        assert!(self.ws.is_closed());
        self.closed.expect("the end is reported")
    }
}
