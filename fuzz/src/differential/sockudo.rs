//! Runs sockudo-ws: its `Protocol`, which has no I/O, with the replies that its stream type makes.

use bytes::BytesMut;
use sockudo_ws::error::CloseReason;
use sockudo_ws::protocol::{CompressedProtocol, Message, Protocol, Role};
use sockudo_ws::{DeflateConfig, Error};

use super::{MAX_FRAME, MAX_MESSAGE, Outcome, Setup, Step};
use crate::harness::peers::flag;

pub(crate) fn run(setup: &Setup, stream: &[u8]) -> Outcome {
    match (setup.has(flag::DEFLATE), setup.has(flag::CLIENT)) {
        (false, true) => receive(setup, &mut Protocol::new(Role::Client, MAX_FRAME, MAX_MESSAGE), stream),
        (false, false) => receive(setup, &mut Protocol::new(Role::Server, MAX_FRAME, MAX_MESSAGE), stream),
        (true, true) => receive(setup, &mut CompressedProtocol::client(MAX_FRAME, MAX_MESSAGE, deflate(setup)), stream),
        (true, false) => {
            receive(setup, &mut CompressedProtocol::server(MAX_FRAME, MAX_MESSAGE, deflate(setup)), stream)
        }
    }
}

fn deflate(setup: &Setup) -> DeflateConfig {
    let (server_no_context_takeover, client_no_context_takeover) =
        (setup.has(flag::NO_CONTEXT), setup.has(flag::NO_CONTEXT));
    DeflateConfig { server_no_context_takeover, client_no_context_takeover, ..DeflateConfig::default() }
}

fn receive(setup: &Setup, protocol: &mut impl Endpoint, stream: &[u8]) -> Outcome {
    let (mut messages, mut sent, mut steps) = (Vec::new(), BytesMut::new(), Vec::new());
    if setup.has(flag::CLOSE) {
        protocol.close(&mut sent);
    }
    let end = protocol.parse(&mut stream.into(), &mut messages);
    for message in messages {
        match message {
            Message::Text(text) => steps.push(Step::Text(text.into())),
            Message::Binary(data) => steps.push(Step::Binary(data.into())),
            Message::Ping(data) => {
                protocol.answer_ping(&data, &mut sent);
                steps.push(Step::Ping(data.into()));
            }
            Message::Pong(data) => steps.push(Step::Pong(data.into())),
            Message::Close(reason) => {
                if !setup.has(flag::CLOSE) {
                    protocol.answer_close(&mut sent);
                }
                steps.push(Step::Close(reason.map(|reason| (reason.code, reason.reason))));
                // `Protocol` would continue to parse, but its stream type stops here.
                return Outcome::new(setup, steps, &sent);
            }
        }
    }
    steps.push(end.map_or_else(|error| Step::Fault(close_code(&error)), |()| Step::Eof));
    Outcome::new(setup, steps, &sent)
}

fn close_code(error: &Error) -> u16 {
    match error {
        Error::Protocol(_) | Error::InvalidFrame(_) | Error::InvalidCloseCode(_) => 1002,
        Error::InvalidUtf8 | Error::Compression(_) => 1007,
        Error::FrameTooLarge | Error::MessageTooLarge => 1009,
        error => panic!("{error}"),
    }
}

/// The methods that both protocols have.
trait Endpoint {
    fn parse(&mut self, stream: &mut BytesMut, messages: &mut Vec<Message>) -> sockudo_ws::Result<()>;
    fn answer_ping(&mut self, data: &[u8], output: &mut BytesMut);
    fn answer_close(&mut self, output: &mut BytesMut);
    fn close(&mut self, output: &mut BytesMut);
}

macro_rules! endpoint {
    ($protocol:ty) => {
        impl Endpoint for $protocol {
            fn parse(&mut self, stream: &mut BytesMut, messages: &mut Vec<Message>) -> sockudo_ws::Result<()> {
                self.process_into(stream, messages)
            }

            fn answer_ping(&mut self, data: &[u8], output: &mut BytesMut) {
                self.encode_pong(data, output);
            }

            fn answer_close(&mut self, output: &mut BytesMut) {
                self.encode_close_response(output);
            }

            fn close(&mut self, output: &mut BytesMut) {
                let close = Message::Close(Some(CloseReason::new(CloseReason::NORMAL, "")));
                self.encode_message(&close, output).expect("room");
            }
        }
    };
}

endpoint!(Protocol);
endpoint!(CompressedProtocol);
