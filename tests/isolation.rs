//! Connections of both roles, with own and with shared compressors, take turns at one `Output`; no connection and no
//! peer notices the others.
#![cfg(feature = "deflate")]

mod shared;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use shared::harness::isolation::operation::{
    BINARY, BYTES, CLOSE, CONTROL, EOF, FRAGMENT, LONG, MEMBER, MORE, OPEN, PEER_CONTROL, PEER_MESSAGE, PREPARED,
    RECEIVE, RECYCLE, TEXT, TIME_OUT, UNCOMPRESSED, WRITE,
};
use shared::harness::isolation::peer_message::{self, COMPRESSED, FRAME};
use shared::harness::isolation::traits::{CLIENT, DEDICATED, DIRECT, EAGER, FEW_PONGS, OTHER_WINDOW, PARTS, SHARED};
use shared::harness::isolation::{MEMBERS, isolation};

/// Most connections compress, and most of those share.
fn traits() -> impl Strategy<Value = u8> {
    let compression = select(vec![0, 0, DEDICATED, SHARED, SHARED, SHARED, OTHER_WINDOW, OTHER_WINDOW]);
    let others = vec(any::<bool>(), 5).prop_map(|has| {
        let traits = [CLIENT, FEW_PONGS, PARTS, EAGER, DIRECT].into_iter().zip(has);
        traits.filter(|(_, has)| *has).fold(0, |all, (flag, _)| all | flag)
    });
    (compression, others).prop_map(|(compression, others)| compression | others)
}

/// Strings with and without repetitions, to which a compressor may refer.
fn string() -> impl Strategy<Value = Vec<u8>> {
    let content = prop_oneof![3 => vec(0..3u8, 0..60), 1 => vec(any::<u8>(), 0..60), 1 => vec(0..3u8, 70..200)];
    content.prop_map(|content| [&[content.len() as u8], &content[..]].concat())
}

fn size() -> impl Strategy<Value = u8> {
    prop_oneof![3 => 0..20u8, 1 => any::<u8>(), 1 => Just(255)]
}

fn sending() -> impl Strategy<Value = Vec<u8>> {
    let copied = vec![TEXT, BINARY, FRAGMENT, FRAGMENT | MORE, FRAGMENT | MORE, UNCOMPRESSED, BYTES, PREPARED];
    let referred_to = vec![BYTES | LONG, BYTES | LONG | MORE, PREPARED, PREPARED | MORE, PREPARED | LONG];
    let long = select(vec![TEXT | LONG, BINARY | LONG, FRAGMENT | LONG, FRAGMENT | LONG | MORE]);
    let kind = prop_oneof![12 => select(copied), 4 => select(referred_to), 1 => long];
    (kind, string()).prop_map(|(kind, payload)| [vec![kind], payload].concat())
}

fn receiving_strategy() -> impl Strategy<Value = Vec<u8>> {
    let how = (any::<bool>(), prop::bool::weighted(0.8), prop::bool::weighted(0.2), 0..4u8);
    let how = how.prop_map(|(is_binary, is_compressed, has_ping, frames)| {
        let flags = [(is_binary, peer_message::BINARY), (is_compressed, COMPRESSED), (has_ping, peer_message::PING)];
        flags.into_iter().filter(|(has, _)| *has).fold(frames * FRAME, |all, (_, flag)| all | flag)
    });
    (how, string()).prop_map(|(how, payload)| [vec![PEER_MESSAGE, how], payload].concat())
}

/// Operations that end a connection, and one that replaces it.
fn ending() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        select(vec![1000, 1001, 4999]).prop_map(|code: u16| [vec![CLOSE], code.to_be_bytes().to_vec()].concat()),
        Just(vec![CLOSE | MORE]),
        Just(vec![PEER_CONTROL | LONG, 3, 232]),
        (0..3u8).prop_map(|fault| vec![PEER_CONTROL | LONG | MORE, fault]),
        (0..3u8).prop_map(|timeout| vec![TIME_OUT, timeout]),
        Just(vec![EOF]),
        traits().prop_map(|traits| vec![OPEN, traits]),
        traits().prop_map(|traits| vec![OPEN | MORE, traits]),
    ]
}

/// The weights of a schedule's traits, and its operations.
type Schedule = (BoxedStrategy<u8>, BoxedStrategy<Steps>);

/// Operations that one connection executes one after the other.
type Steps = Vec<Vec<u8>>;

/// All operations, with these weights for pings and for ends.
fn all_sorts(ping: u32, end: u32) -> Schedule {
    let receiving = select(vec![WRITE, RECEIVE, RECEIVE, RECEIVE | MORE]);
    let controls = select(vec![PEER_CONTROL | MORE, CONTROL, CONTROL | MORE]);
    let operation = prop_oneof![
        60 => sending(),
        60 => receiving_strategy(),
        100 => (receiving, size()).prop_map(|(kind, size)| vec![kind, size]),
        ping => size().prop_map(|len| vec![PEER_CONTROL, len]),
        5 => (controls, size()).prop_map(|(kind, len)| vec![kind, len]),
        5 => any::<u8>().prop_map(|size| vec![RECYCLE, size]),
        end => ending(),
    ];
    (traits().boxed(), operation.prop_map(|operation| vec![operation]).boxed())
}

/// Payloads kept by reference between other frames, and writers that take few bytes.
fn references() -> Schedule {
    let traits = select(vec![0, 0, DIRECT, EAGER, DIRECT | EAGER, SHARED]);
    let operation = prop_oneof![
        4 => select(vec![BYTES | LONG, BYTES | LONG | MORE]).prop_map(|kind| vec![vec![kind, 1, 9]]),
        4 => Just(vec![[&[PREPARED, 100][..], &[3; 100]].concat()]),
        2 => sending().prop_map(|operation| vec![operation]),
        2 => any::<u8>().prop_map(|size| vec![vec![WRITE, size]]),
        1 => (0..9u8).prop_map(pinged),
    ];
    (traits.boxed(), operation.boxed())
}

/// Pongs that replace earlier ones of the same connection, also in a backlog that is partly written.
fn pongs() -> Schedule {
    let operation = prop_oneof![
        8 => (0..9u8).prop_map(pinged),
        2 => Just(vec![vec![PREPARED, 2, 7, 7]]),
        1 => sending().prop_map(|operation| vec![operation]),
        1 => Just(vec![vec![CONTROL | MORE, 9]]),
        2 => (0..50u8).prop_map(|size| vec![vec![WRITE, size]]),
    ];
    (traits().prop_map(|traits| traits | FEW_PONGS).boxed(), operation.boxed())
}

fn pinged(len: u8) -> Steps {
    vec![vec![PEER_CONTROL, len], vec![RECEIVE, 255]]
}

fn by_each((traits, steps): Schedule) -> impl Strategy<Value = Vec<u8>> {
    let steps = (steps, 0..MEMBERS as u8).prop_map(|(mut steps, member)| {
        for operation in &mut steps {
            operation[0] |= member * MEMBER;
        }
        steps.concat()
    });
    let operations = vec(steps, 0..70).prop_map(|operations| operations.concat());
    (vec(traits, MEMBERS), operations).prop_map(|(traits, operations)| [traits, operations].concat())
}

proptest! {
    #[test]
    fn messages_of_several_connections_do_not_mix(schedule in by_each(all_sorts(10, 2))) {
        isolation(&schedule);
    }

    #[test]
    fn an_end_affects_no_other_connection(schedule in by_each(all_sorts(20, 40))) {
        isolation(&schedule);
    }

    #[test]
    fn references_keep_their_order(schedule in by_each(references())) {
        isolation(&schedule);
    }

    #[test]
    fn a_pong_replaces_only_its_own_connections_pongs(schedule in by_each(pongs())) {
        isolation(&schedule);
    }
}
