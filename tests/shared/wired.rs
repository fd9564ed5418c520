//! A server and a client connected in memory.

use bytes::Buf;
use websocket_proto::{ClientRequest, Closed, Config, Connection, Event, Input, Output, Role, State};

/// Both roles.
pub const ROLES: [Role; 2] = [Role::Server, Role::Client];

/// An open connection of this role, and its open peer.
pub fn open(role: Role, own: Config, peer: Config) -> (Connection, Connection) {
    let (server, client) = if role == Role::Server { (own, peer) } else { (peer, own) };
    let (server, client) = try_open(server, client).expect("the client accepts the response");
    if role == Role::Server { (server, client) } else { (client, server) }
}

/// An open server and an open client, or the error of the client, which rejects the response.
pub fn try_open(server: Config, client: Config) -> Result<(Connection, Connection), Closed> {
    let (mut requests, mut responses) = (Output::new(), Output::new());
    let request = ClientRequest::new("ws://example.com/");
    let mut client = Connection::client(&request, client, [7; 32], &mut requests).expect("the request is valid");
    let mut server = Connection::server(server);
    assert_eq!(receive(&mut server, &drain(&mut requests), &mut responses), []);
    match receive(&mut client, &drain(&mut responses), &mut requests).pop() {
        Some(Event::Open(_)) => {}
        Some(Event::Closed(closed)) => return Err(closed),
        event => panic!("{event:?} instead of the handshake's end"),
    }
    assert_eq!((server.state(), client.state()), (State::Open, State::Open));
    assert!(requests.is_empty(), "an open client has sent its request only");
    Ok((server, client))
}

/// Receives the bytes in one read and returns the events; a request is accepted.
pub fn receive(ws: &mut Connection, bytes: &[u8], output: &mut Output) -> Vec<Event<'static>> {
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

/// Receives the bytes in reads of at most `size` bytes; see [`receive`].
pub fn receive_in_pieces(ws: &mut Connection, bytes: &[u8], size: usize, output: &mut Output) -> Vec<Event<'static>> {
    bytes.chunks(size).flat_map(|piece| receive(ws, piece, output)).collect()
}

/// Removes and returns all waiting bytes.
pub fn drain(output: &mut Output) -> Vec<u8> {
    output.copy_to_bytes(output.remaining()).to_vec()
}
