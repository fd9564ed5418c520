//! Two endpoints over random schedules: sends, partial writes and reads, decisions, close races, lost transports.

mod shared;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use shared::harness;
use shared::harness::opening::part::{ORIGIN, SUBPROTOCOL};
use shared::harness::pair::FEW_PONGS;
use shared::harness::pair::operation::{
    BINARY, BINARY_FRAGMENT, CLOSE, CLOSE_WITHOUT_CODE, DECIDE, EOF, FLUSH, LONG, MORE, PING, PONG, RECEIVE, RECYCLE,
    SERVER, SHARED, TEXT, TEXT_FRAGMENT, TIME_OUT, WRITE,
};

/// An operation's argument, with its length in front.
fn string() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![3 => ".{0,20}".prop_map(String::into_bytes), 1 => vec(any::<u8>(), 0..130)];
    text.prop_map(|text| [&[text.len() as u8], &text[..]].concat())
}

fn transport() -> impl Strategy<Value = Vec<u8>> {
    let size = prop_oneof![2 => 0..20u8, 1 => any::<u8>(), 1 => Just(255)];
    prop_oneof![
        6 => (select(vec![WRITE, RECEIVE]), size).prop_map(|(kind, size)| vec![kind, size]),
        1 => Just(vec![FLUSH]),
    ]
}

fn sending() -> impl Strategy<Value = Vec<u8>> {
    let fragment = (select(vec![TEXT_FRAGMENT, BINARY_FRAGMENT]), select(vec![0, MORE, MORE]));
    let length = prop_oneof![20 => Just(0), 1 => Just(LONG)];
    let kind =
        prop_oneof![select(vec![TEXT, BINARY, SHARED, SHARED | MORE]), fragment.prop_map(|(kind, more)| kind | more)];
    prop_oneof![
        4 => (kind, length, string()).prop_map(|(kind, length, payload)| [vec![kind | length], payload].concat()),
        1 => any::<u8>().prop_map(|len| vec![PONG, len]),
        1 => any::<u8>().prop_map(|size| vec![RECYCLE, size]),
    ]
}

fn closing() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (select(vec![1000, 1001, 1011, 3000, 4999]), string()).prop_map(|(code, reason): (u16, _)| [
            vec![CLOSE],
            code.to_be_bytes().to_vec(),
            reason
        ]
        .concat()),
        Just(vec![CLOSE_WITHOUT_CODE]),
    ]
}

/// Operations of both sides, with these weights for pinging, for closing and for losing the transport.
fn schedule(ping: u32, close: u32, eof: u32) -> impl Strategy<Value = Vec<u8>> {
    let operation = prop_oneof![
        200 => transport(),
        150 => sending(),
        ping => any::<u8>().prop_map(|len| vec![PING, len]),
        close => closing(),
        eof => Just(vec![EOF]),
        eof => any::<u8>().prop_map(|timeout| vec![TIME_OUT, timeout]),
        4 => (0..8u8).prop_map(|choice| vec![DECIDE, choice]),
    ];
    let operation = (operation, any::<bool>()).prop_map(|(mut operation, is_server)| {
        operation[0] |= if is_server { SERVER } else { 0 };
        operation
    });
    vec(operation, 0..100).prop_map(|operations| operations.concat())
}

/// Most schedules begin with the server's answer in flight or delivered.
fn opening() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => Just(vec![]),
        2 => Just(vec![FLUSH, FLUSH, DECIDE, 1]),
        4 => Just(vec![FLUSH, FLUSH, DECIDE, 2, FLUSH]),
    ]
}

fn run(traits: u8, opening: &[u8], schedule: &[u8]) {
    harness::operations(&[&[traits], opening, schedule].concat());
}

/// Parts of a request and of its answer, most of them valid.
fn parts() -> impl Strategy<Value = Vec<u8>> {
    let string = prop_oneof![
        4 => "[a-z]{1,4}".prop_map(String::into_bytes),
        1 => "(Keep-Alive|TE|Cookie|Origin|Upgrade)".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..4),
    ];
    let string = string.prop_map(|text| [&[text.len() as u8], &text[..]].concat());
    let part = (any::<u8>(), string.clone(), string).prop_map(|(kind, name, value)| match kind % 4 {
        SUBPROTOCOL | ORIGIN => [&[kind], &name[..]].concat(),
        _ => [&[kind], &name[..], &value].concat(),
    });
    vec(part, 0..5).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn client_and_server_agree_on_a_handshake(flags in any::<u8>(), wishes in any::<[u8; 12]>(), parts in parts()) {
        harness::opening::both_sides(&[&[flags], &wishes[..], &parts].concat());
    }

    #[test]
    fn messages_arrive(traits in any::<u8>(), opening in opening(), schedule in schedule(20, 1, 1)) {
        run(traits, &opening, &schedule);
    }

    #[test]
    fn messages_arrive_despite_pongs(traits in any::<u8>(), opening in opening(), schedule in schedule(1000, 1, 1)) {
        run(traits | FEW_PONGS, &opening, &schedule);
    }

    #[test]
    fn racing_closes_end_both_sides(traits in any::<u8>(), opening in opening(), schedule in schedule(20, 30, 1)) {
        run(traits, &opening, &schedule);
    }

    #[test]
    fn broken_transports_end_both_sides(traits in any::<u8>(), opening in opening(), schedule in schedule(20, 10, 10)) {
        run(traits, &opening, &schedule);
    }
}
