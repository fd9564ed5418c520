//! permessage-deflate over random parameters, messages and garbage, and within the negotiated window.
#![cfg(feature = "deflate")]

mod shared;

use bytes::Buf;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use shared::compression::message;
use shared::handshake::{OFFER, request_with};
use shared::harness;
use shared::harness::deflate::operation::{BINARY, FRAGMENTS, LONG, OTHER, PING, SERVER, UNCOMPRESSED};
use shared::harness::deflate::{WISH, flag, frame};
use websocket_proto::{Config, Connection, Deflate, DeflateParameter, Event, Input, Output};
use zlib_rs::{Inflate, InflateFlush};

/// Configurations that mostly lead to an agreement.
fn wish() -> impl Strategy<Value = [u8; WISH]> {
    let parameters = prop_oneof![4 => vec(0..2u8, 4), 1 => vec(0..4u8, 4)];
    let threshold = (select(vec![0, 0, 5, 64]), prop::bool::weighted(0.3));
    (0..10u8, 0..9u8, 0..8u8, 0..8u8, threshold, parameters).prop_map(|(level, memory, own, peer, threshold, bits)| {
        let parameters = bits.iter().fold(0, |all, bits| all << 2 | bits);
        [level, memory, own, peer, threshold.0 << 1 | u8::from(threshold.1), parameters]
    })
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[ab]{0,120}".prop_map(String::into_bytes),
        2 => ".{0,40}".prop_map(String::into_bytes),
        2 => vec(any::<u8>(), 0..200),
        1 => vec(0..3u8, 0..250),
    ]
}

fn string(content: &[u8]) -> Vec<u8> {
    [&[content.len() as u8], content].concat()
}

fn sent() -> impl Strategy<Value = Vec<u8>> {
    let long = prop_oneof![15 => Just(0), 1 => Just(LONG)];
    let fragments = prop_oneof![2 => Just(None), 1 => any::<u8>().prop_map(Some)];
    let others = vec(prop::bool::weighted(0.3), 5);
    (others, long, fragments, content()).prop_map(|(others, long, fragments, content)| {
        let flags = [BINARY, SERVER, OTHER, UNCOMPRESSED, PING].into_iter().zip(others);
        let flags = flags.filter(|(_, is_set)| *is_set).fold(long, |all, (flag, _)| all | flag);
        let head = fragments.map_or(vec![flags], |size| vec![flags | FRAGMENTS, size]);
        [head, string(&content)].concat()
    })
}

/// Compressed data as a peer may send it: valid, with a changed byte, truncated, or garbage.
fn compressed() -> impl Strategy<Value = Vec<u8>> {
    let spoilt = (any::<Index>(), any::<u8>(), 0..8u8);
    let good = (content(), 0..10i32, spoilt).prop_map(|(content, level, (at, byte, kind))| {
        let mut message = message(&content, level);
        let at = at.index(message.len());
        match kind {
            0 => message[at] = byte,
            1 => message.truncate(at),
            2 => message.insert(at, byte),
            _ => {}
        }
        message.truncate(250);
        message
    });
    prop_oneof![5 => good, 1 => vec(any::<u8>(), 0..40)]
}

/// A message in up to three frames, with or without pings in between.
fn received() -> impl Strategy<Value = Vec<u8>> {
    let whole = select(vec![frame::COMPRESSED, frame::COMPRESSED, frame::COMPRESSED | frame::BINARY, 0, frame::BINARY]);
    let raw =
        (any::<u8>(), content()).prop_map(|(first, content)| [vec![frame::RAW, first], string(&content)].concat());
    let message = (whole, compressed(), vec(any::<Index>(), 0..3), any::<bool>());
    let message = message.prop_map(|(first, message, cuts, pings)| {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(message.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(message.len());
        let (mut frames, mut start) = (Vec::new(), 0);
        for (index, end) in cuts.iter().enumerate() {
            let fin = if index + 1 == cuts.len() { frame::FIN } else { 0 };
            frames.push(if index == 0 { first | fin } else { fin });
            frames.extend(string(&message[start..*end]));
            frames.extend(pings.then_some([frame::PING, 1, b'?']).into_iter().flatten());
            start = *end;
        }
        frames
    });
    prop_oneof![30 => message, 1 => raw]
}

fn run(flags: u8, wishes: [[u8; WISH]; 2], cuts: [u8; 2], rest: &[Vec<u8>]) {
    harness::deflate(&[&[flags], wishes.as_flattened(), &cuts, &rest.concat()].concat());
}

/// Cases are cheap here; `PROPTEST_CASES` overrides their number.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let is_given = std::env::var_os("PROPTEST_CASES").is_some();
    ProptestConfig { cases: if is_given { default.cases } else { 300 }, ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn sent_messages_arrive(wishes in [wish(), wish()], cuts: [u8; 2], messages in vec(sent(), 0..12)) {
        run(0, wishes, cuts, &messages);
    }

    #[test]
    fn received_bytes_have_one_outcome_however_they_are_cut(
        flags in 0..16u8, wishes in [wish(), wish()], cuts in [0..30u8, 0..30u8], messages in vec(received(), 0..6),
    ) {
        run(flags | flag::RECEIVE, wishes, cuts, &messages);
    }
}

fn server(deflate: Deflate) -> Connection {
    let (mut ws, mut output) = (Connection::server(Config::new().deflate(deflate)), Output::new());
    let mut request = request_with(OFFER);
    let Some(Event::Request(request)) = ws.receive(&mut Input::new(&mut request), &mut output) else {
        panic!("the request is not understood");
    };
    ws.accept(request, &mut output);
    assert!(ws.uses_deflate());
    ws
}

/// RFC 7692 §7.1.2.1: a peer may keep no more than the negotiated window. No reference may exceed it, at any level.
#[test]
fn a_window_is_never_exceeded() {
    // Data that repeats itself at every distance up to some thousand bytes.
    let content: Vec<u8> = (1..120u32).flat_map(|n| (0..n * 3).map(move |i| (i * i % 251 + n % 5) as u8)).collect();
    for (bits, level) in (8..=15).flat_map(|bits| (0..=9).map(move |level| (bits, level))) {
        let deflate = Deflate::new().window_bits(bits).level(level).server_max_window_bits(DeflateParameter::Require);
        let (mut ws, mut output, mut inflate) = (server(deflate), Output::new(), Inflate::new(false, bits));
        for content in content.chunks(7000) {
            ws.send_binary(content, &mut output).expect("the connection is open");
            let frame = output.copy_to_bytes(output.remaining());
            assert_eq!((frame[0], frame[1] & 0x80), (0xc2, 0), "a compressed message in a frame");
            let start = if frame[1] == 126 { 4 } else { 2 };
            let mut message = frame[start..].to_vec();
            message.extend([0, 0, 0xff, 0xff]);
            // With output of one byte at a time, zlib can refer only to its window.
            let (mut byte, mut at, mut inflated) = ([0], 0, Vec::new());
            loop {
                let (read, written) = (inflate.total_in(), inflate.total_out());
                let step = inflate.decompress(&message[at..], &mut byte, InflateFlush::NoFlush);
                assert!(step.is_ok(), "window {bits}, level {level}: {step:?}");
                at += (inflate.total_in() - read) as usize;
                if inflate.total_out() == written {
                    break;
                }
                inflated.push(byte[0]);
            }
            assert!(inflated == content, "window {bits}, level {level}");
        }
    }
}

/// Connections that share a compressor have no common context, whatever else their configuration says.
#[test]
fn a_shared_compressor_keeps_no_context() {
    let deflate = || Deflate::new().threshold(0).shared().server_no_context_takeover(DeflateParameter::Allow);
    let mut output = Output::new();
    let mut sent = Vec::new();
    for _ in 0..2 {
        let mut server = Connection::server(Config::new().deflate(deflate()));
        let mut request = request_with(OFFER);
        let mut input = Input::new(&mut request);
        while let Some(event) = server.receive(&mut input, &mut output) {
            let Event::Request(request) = event else { panic!("{event:?}") };
            server.accept(request, &mut output);
        }
        output.advance(output.len());
        assert!(server.uses_deflate());
        server.send_text("a secret of some length, a secret of some length", &mut output).unwrap();
        sent.push(output.copy_to_bytes(output.remaining()));
    }
    assert_eq!(sent[0], sent[1]);
}
