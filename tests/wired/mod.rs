//! A server and a client that are wired to each other.

use bytes::Buf;
use websocket_proto::{ClientRequest, Config, Connection, Event, Input, Output, Role, State};

/// Both roles.
pub(crate) const ROLES: [Role; 2] = [Role::Server, Role::Client];

/// An open connection of this role, and its open peer.
pub(crate) fn open(role: Role, own: Config, peer: Config) -> (Connection, Connection) {
    let (server, client) = if role == Role::Server { (own, peer) } else { (peer, own) };
    let (mut requests, mut responses) = (Output::new(), Output::new());
    let request = ClientRequest::new("ws://example.com/");
    let mut client = Connection::client(&request, client, [7; 32], &mut requests).expect("a valid request");
    let mut server = Connection::server(server);
    receive(&mut server, &drain(&mut requests), &mut responses);
    receive(&mut client, &drain(&mut responses), &mut requests);
    assert_eq!((server.state(), client.state()), (State::Open, State::Open));
    if role == Role::Server { (server, client) } else { (client, server) }
}

/// Receives the bytes in one read and returns the events; a request is accepted.
pub(crate) fn receive(ws: &mut Connection, bytes: &[u8], output: &mut Output) -> Vec<Event<'static>> {
    let (mut bytes, mut events) = (bytes.to_vec(), Vec::new());
    let mut input = Input::new(&mut bytes);
    while let Some(event) = ws.receive(&mut input, output) {
        match event {
            Event::Request(request) => ws.accept(request, output),
            event => events.push(event.into_owned()),
        }
    }
    events
}

/// Removes and returns all waiting bytes.
pub(crate) fn drain(output: &mut Output) -> Vec<u8> {
    output.copy_to_bytes(output.remaining()).to_vec()
}
