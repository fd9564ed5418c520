//! Runs this crate.

use websocket_proto::{
    CloseCode, Closed, Config, ConnectionError, Deflate, DeflateParameter, Event, Input, Output, Role,
};

use super::{MAX_FRAME, MAX_MESSAGE, Outcome, Setup, Step};
use crate::harness::peers::flag;
use crate::wired::{drain, open};

pub(crate) fn run(setup: &Setup, stream: &[u8]) -> Outcome {
    let role = if setup.has(flag::CLIENT) { Role::Client } else { Role::Server };
    let (mut ws, _) = open(role, config(setup), config(setup));
    let (mut output, mut steps) = (Output::new(), Vec::new());
    if setup.has(flag::CLOSE) {
        ws.close(CloseCode::NORMAL_CLOSURE, "", &mut output);
    }
    let mut stream = stream.to_vec();
    let mut input = Input::new(&mut stream);
    while let Some(event) = ws.receive(&mut input, &mut output) {
        steps.extend(step(event));
    }
    steps.extend(ws.receive_eof().and_then(step));
    Outcome::new(setup, steps, &drain(&mut output))
}

fn config(setup: &Setup) -> Config {
    let config = Config::new()
        .max_frame_size(MAX_FRAME)
        .max_message_size(MAX_MESSAGE)
        // Peers have no such limits.
        .max_fragments(u32::MAX)
        .max_pending_pong_bytes(usize::MAX);
    let takeover = if setup.has(flag::NO_CONTEXT) { DeflateParameter::Require } else { DeflateParameter::Reject };
    if setup.has(flag::DEFLATE) {
        config.deflate(Deflate::new().server_no_context_takeover(takeover).client_no_context_takeover(takeover))
    } else {
        config
    }
}

fn step(event: Event<'_>) -> Option<Step> {
    Some(match event {
        Event::Text(text) => Step::Text(text.into_owned().into()),
        Event::Binary(data) => Step::Binary(data.into_owned()),
        Event::Ping(data) => Step::Ping(data.into_owned()),
        Event::Pong(data) => Step::Pong(data.into_owned()),
        // `Event::Closed` has the same code and reason.
        Event::CloseReceived { .. } => return None,
        Event::Closed(closed) => end(&closed),
        event => panic!("{event:?}"),
    })
}

fn end(closed: &Closed) -> Step {
    match closed.error() {
        Some(ConnectionError::Protocol(error)) => Step::Fault(error.close_code().get()),
        Some(ConnectionError::TransportLost) => Step::Eof,
        Some(error) => panic!("{error}"),
        None if closed.code() == 1005 => Step::Close(None),
        None => Step::Close(Some((closed.code(), closed.reason().into()))),
    }
}
