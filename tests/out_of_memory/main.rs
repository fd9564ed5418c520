//! Without memory to compress with, nothing is sent and everything goes on; without memory to receive a message with, the
//! connection ends and says so. Each allocation fails in turn, alone and with all after it.

#[expect(unsafe_code, reason = "a global allocator that fails")]
mod allocator;
mod receiving;
mod sending;

use bytes::Buf;
use websocket_proto::{ClientRequest, Config, Connection, Deflate, DeflateParameter, Event, Input, Output, Role};

use allocator::Failing;

const ROLES: [Role; 2] = [Role::Server, Role::Client];

/// How connections keep their compressors: each its own, with the context of the messages before or without it, or all
/// the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Takeover,
    NoTakeover,
    Shared,
}

const MODES: [Mode; 3] = [Mode::Takeover, Mode::NoTakeover, Mode::Shared];

impl Mode {
    fn deflate(self) -> Deflate {
        // As small as can be: there are many of them.
        let deflate = Deflate::new().threshold(0).window_bits(9).memory_level(1);
        match self {
            Self::Takeover => deflate,
            Self::NoTakeover => deflate
                .server_no_context_takeover(DeflateParameter::Require)
                .client_no_context_takeover(DeflateParameter::Require),
            Self::Shared => deflate.shared(),
        }
    }
}

/// Both ends of an open connection: the one of this role, whose memory fails, and its peer, whose does not.
fn open(role: Role, deflate: &Deflate, config: &Config) -> [Connection; 2] {
    let config = config.clone().deflate(deflate.clone());
    let (mut to_server, mut to_client) = (Output::new(), Output::new());
    let request = ClientRequest::new("ws://example.com/");
    let mut client = Connection::client(&request, config.clone(), [7; 32], &mut to_server).unwrap();
    let mut server = Connection::server(config);
    let Some(Event::Request(request)) = server.receive(&mut Input::new(&mut taken(&mut to_server)), &mut to_client)
    else {
        panic!("the request is not understood");
    };
    server.accept(request, &mut to_client);
    let mut answer = taken(&mut to_client);
    let opened = client.receive(&mut Input::new(&mut answer), &mut to_server);
    assert!(matches!(opened, Some(Event::Open(_))) && client.uses_deflate(), "{opened:?}");
    // What the opening left is freed.
    assert_eq!(server.receive(&mut Input::new(&mut []), &mut to_client), None);
    if role == Role::Server { [server, client] } else { [client, server] }
}

/// No compressor and no decompressor fits below this.
const CODEC: usize = 40 << 10;

fn taken(output: &mut Output) -> Vec<u8> {
    output.copy_to_bytes(output.remaining()).to_vec()
}

/// What comes out of these bytes.
fn received(ws: &mut Connection, mut bytes: Vec<u8>, output: &mut Output) -> Vec<Event<'static>> {
    let (mut input, mut events) = (Input::new(&mut bytes), Vec::new());
    while let Some(event) = ws.receive(&mut input, output) {
        events.push(event.into_owned());
    }
    events
}

/// A message goes from one to the other, compressed.
#[track_caller]
fn assert_passes(text: &str, [from, to]: [&mut Connection; 2], outputs: [&mut Output; 2]) {
    let [out, back] = outputs;
    from.send_text(text, out).unwrap();
    let bytes = taken(out);
    assert_eq!(bytes[0], 0xc1, "compressed");
    assert_eq!(received(to, bytes, back), [Event::Text(text.into())]);
}

/// Runs `act` for each of the allocations that it makes, which fails, until there is none left to fail. `act` plans the
/// failure itself, when everything is ready, and checks what happened.
fn at_each_allocation(act: impl Fn(Failing) -> bool) -> usize {
    at_first_allocations(usize::MAX, act)
}

/// As [`at_each_allocation`], for the first `most` of them.
fn at_first_allocations(most: usize, act: impl Fn(Failing) -> bool) -> usize {
    let mut failures = 0;
    for plan in [Failing::Once, Failing::From] {
        for index in 0.. {
            assert!(index < 1000, "it goes on for ever");
            if index == most || !act(plan(index)) {
                break;
            }
            failures += 1;
        }
    }
    failures
}

/// Bytes without a pattern.
fn noise(len: usize) -> Vec<u8> {
    let mut seed = 1_u32;
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Text that is compressed well, with characters of several bytes.
fn verse() -> String {
    "Ringel, Ringel, Röslein – schöne Aprikösen. ".repeat(14)
}
