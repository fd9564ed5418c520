//! Connections with permessage-deflate, and a check of the DEFLATE reader and writer with which the tests judge zlib.

use crate::shared::data::noise;
use crate::shared::frames::first_byte;
use crate::shared::wired::ROLES;
use websocket_proto::{Config, Connection, Deflate, Output, Role};

use crate::harness::{REQUEST, client_for_response, drain, frames, from_peer_of, server_for_request};
use crate::http::{add, some_cuts};
pub(crate) use crate::shared::harness::rfc1951::{Reader, Writer};

/// "Hello", as RFC 7692 §7.2.3.1 compresses it.
pub(crate) const HELLO: &[u8] = &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
/// "Hello" again, by reference to the first (§7.2.3.2).
pub(crate) const HELLO_AGAIN: &[u8] = &[0xf2, 0x00, 0x11, 0x00, 0x00];

/// A header line with an offer or an answer.
pub(crate) fn extensions(elements: &str) -> String {
    format!("Sec-WebSocket-Extensions: {elements}\r\n")
}

/// An open server that accepted this offer.
#[track_caller]
pub(crate) fn server(deflate: Deflate, offer: &str) -> Connection {
    let server = server_for_request(Config::new().deflate(deflate), &add(REQUEST, &extensions(offer)));
    assert!(server.uses_deflate(), "declined {offer}");
    server
}

/// An open client that got this answer.
#[track_caller]
pub(crate) fn client(deflate: Deflate, answer: &str) -> Connection {
    let client = client_for_response(Config::new().deflate(deflate), &extensions(answer));
    assert!(client.uses_deflate(), "{answer}");
    client
}

/// An open connection of this role with compression under these parameters.
#[track_caller]
pub(crate) fn agreed(role: Role, deflate: &Deflate, parameters: &str) -> Connection {
    let element = format!("permessage-deflate{parameters}");
    if role == Role::Server { server(deflate.clone(), &element) } else { client(deflate.clone(), &element) }
}

/// Runs frames against both roles, in every way that `some_cuts` knows.
#[track_caller]
pub(crate) fn both_in_pieces(
    make: impl Fn(Role) -> Connection,
    frames: &[(u8, &[u8])],
    check: impl Fn(crate::harness::Outcome),
) {
    for role in ROLES {
        check(some_cuts(|| make(role), &from_peer_of(role, frames)));
    }
}

/// The sent frames, as first byte and unmasked payload.
pub(crate) fn sent(ws: &mut Connection, send: impl FnOnce(&mut Connection, &mut Output)) -> Vec<(u8, Vec<u8>)> {
    let mut output = Output::new();
    send(ws, &mut output);
    let frames = frames(&drain(&mut output));
    // RFC 6455 §5.1, also for compressed frames.
    assert!(frames.iter().all(|(header, _)| header.mask.is_some() == (ws.role() == Role::Client)), "{frames:?}");
    frames.into_iter().map(|(header, payload)| (first_byte(&header), payload)).collect()
}

#[test]
fn the_reader_reads_the_writers_stream_and_the_rfcs_example() {
    let data = noise(300, 1);
    let message = Writer::default()
        .stored(false, &data)
        .fixed(true)
        .literals(b"abc\xff")
        .three_from(304)
        .three_from(1)
        .end_last()
        .message();
    let mut reader = Reader::default();
    let expected = [&data[..], b"abc\xff", &data[..3], &[data[2]; 3]].concat();
    assert_eq!(reader.message(&message), expected);
    assert_eq!((reader.message(HELLO), reader.message(HELLO_AGAIN)), (b"Hello".to_vec(), b"Hello".to_vec()));
    assert_eq!(
        (Writer::default().fixed(false).literals(b"Hello").end().message(), reader.farthest),
        (HELLO.to_vec(), 304)
    );
}
