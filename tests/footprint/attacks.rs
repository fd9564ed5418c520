//! Attacks on memory: each stays within the bound that `Config`'s docs state, for peers that read nothing and for peers
//! that read some bytes.

pub(super) use crate::shared::wired::ROLES;

use super::peer::{Backlog, READERS, Reader, absorb};
use super::*;

/// A different size for each limit, so that each can be the one that is reached.
pub(super) const SMALL: Config =
    Config::new().max_message_size(64 << 10).max_head_size(8 << 10).max_headers(50).max_pending_pong_bytes(2 << 10);

/// The sizes of the reads.
pub(super) const PIECES: [usize; 4] = [1, 100, 4 << 10, usize::MAX];

/// The memory of a connection and its output apart from an attack's target.
pub(super) const BESIDE: usize = 1 << 10;

/// The result of an attack.
pub(super) struct Outcome<T> {
    pub(super) result: T,
    /// The peak during the attack, and the bytes still allocated with `result`.
    pub(super) peak: usize,
    pub(super) held: usize,
}

/// Runs an attack, and asserts that it stays within the connection's bound.
pub(super) fn attack<T>(config: &Config, role: Role, attack: impl FnOnce() -> T) -> Outcome<T> {
    let (result, _, held, peak) = measure(attack);
    let (peak, most) = (peak.cast_unsigned(), config.max_memory_for(role));
    assert!(peak <= most, "{role:?}: {peak} at peak, of {most} allowed");
    Outcome { result, peak, held: held.cast_unsigned() }
}

pub(super) fn open(role: Role, config: &Config) -> Connection {
    match role {
        Role::Server => open_server(config.clone()),
        Role::Client => open_client_with(config.clone()),
    }
}

/// The mask key of the frames that a connection of this role receives.
pub(super) fn mask(role: Role) -> Option<[u8; 4]> {
    (role == Role::Server).then_some(KEY)
}

/// Pings of every length: waiting pongs stay within their budget, and memory within a multiple of the waiting bytes.
#[test]
fn waiting_pongs_stay_within_their_budget() {
    for (role, reader) in ROLES.into_iter().flat_map(|role| READERS.map(|reader| (role, reader))) {
        for (budget, len) in [0, 2 << 10, 16 << 10].into_iter().flat_map(|b| [(b, 0), (b, 1), (b, 125)]) {
            flood(role, reader, budget, len);
        }
        flood(role, reader, 1 << 20, 125);
    }
}

/// Sends more pings of this length than the budget has room for.
fn flood(role: Role, reader: Reader, budget: usize, len: usize) {
    let config = SMALL.max_pending_pong_bytes(budget);
    let ping = frame(true, Opcode::Ping, mask(role), &vec![7; len]);
    let pings = ping.repeat(1000 + budget * 5 / 4 / (2 + len));
    for piece in [20, 4 << 10] {
        let mut bytes = pings.clone();
        let outcome = attack(&config, role, || {
            let (mut ws, mut backlog) = (open(role, &config), Backlog::of(reader));
            absorb(&mut ws, &mut bytes, piece, &mut backlog);
            (ws, backlog)
        });
        // One pong beyond the budget, and one that is partly written.
        let (allowed, most) = (budget.max(131) + 141, outcome.result.1.most);
        assert!(most <= allowed, "{most} bytes of pongs waited, of {budget}");
        assert!(reader != Reader::Nothing || most > budget, "{most} bytes of pongs waited, of {budget}");
        let (peak, held) = (outcome.peak, outcome.held);
        assert!(peak <= allowed * 11 / 4 + 2 * BESIDE, "{role:?} {reader:?}: {peak} at peak, of {budget}");
        assert!(held <= allowed * 3 / 2 + BESIDE, "{role:?} {reader:?}: {held} held, of {budget}");
    }
}

/// Pings of changing lengths.
#[test]
fn pongs_of_changing_lengths_stay_within_their_budget() {
    for (role, reader) in ROLES.into_iter().flat_map(|role| READERS.map(|reader| (role, reader))) {
        let ping = |n: usize| frame(true, Opcode::Ping, mask(role), &vec![7; n * n % 126]);
        let mut pings: Vec<u8> = (0..3000).flat_map(ping).collect();
        let config = Config::new();
        let outcome = attack(&config, role, || {
            let (mut ws, mut backlog) = (open(role, &config), Backlog::of(reader));
            absorb(&mut ws, &mut pings, 500, &mut backlog);
            (ws, backlog)
        });
        let budget = (16 << 10) + 141;
        let (peak, held) = (outcome.peak, outcome.held);
        assert!(peak <= budget * 11 / 4 + 2 * BESIDE, "{role:?} {reader:?}: {peak} at peak");
        assert!(held <= budget * 3 / 2 + BESIDE, "{role:?} {reader:?}: {held} held");
    }
}

/// A million empty fragments need no more memory than one, alone and with pings in between.
#[test]
fn empty_fragments_need_no_memory() {
    let config = SMALL.max_fragments(u32::MAX).max_pending_pong_bytes(100);
    for opcode in [Opcode::Text, Opcode::Binary] {
        let start = frame(false, opcode, Some(KEY), b"");
        let next = frame(false, Opcode::Continuation, Some(KEY), b"");
        let ping = frame(true, Opcode::Ping, Some(KEY), b"");
        let pinged = [next.repeat(100), ping].concat().repeat(10_000);
        for (rest, reader) in
            [(next.repeat(1_000_000), Reader::Nothing), (pinged.clone(), Reader::Nothing), (pinged, Reader::Gulps)]
        {
            let mut flood = [start.clone(), rest].concat();
            let outcome = attack(&config, Role::Server, || {
                let (mut ws, mut backlog) = (open_server(config.clone()), Backlog::of(reader));
                absorb(&mut ws, &mut flood, 4 << 10, &mut backlog);
                (ws, backlog)
            });
            let state = outcome.result.0.state();
            assert!(state == State::Open && outcome.peak <= 2 * BESIDE, "{} at peak, {state:?}", outcome.peak);
            assert!(outcome.held <= BESIDE, "{} held", outcome.held);
        }
    }
}

/// A message up to the limit, in fragments of a byte: while the buffer grows, the old and the new one have 1.5 times
/// the limit.
#[test]
fn a_growing_message_uses_at_most_1_5_times_its_limit() {
    const LIMIT: usize = 64 << 10;
    for (role, opcode) in ROLES.into_iter().flat_map(|role| [(role, Opcode::Text), (role, Opcode::Binary)]) {
        let mut one_frame = frame(true, opcode, mask(role), &vec![b'x'; LIMIT]);
        let ping = frame(true, Opcode::Ping, mask(role), b"ping");
        let fragment = |fin, opcode| frame(fin, opcode, mask(role), b"x");
        let mut fragments = fragment(false, opcode);
        fragments.extend(fragment(false, Opcode::Continuation).repeat(LIMIT - 2));
        fragments.extend(fragment(true, Opcode::Continuation));
        let mut pinged = fragment(false, opcode);
        pinged.extend([fragment(false, Opcode::Continuation), ping].concat().repeat(LIMIT - 2));
        pinged.extend(fragment(true, Opcode::Continuation));
        for (bytes, piece, reader) in [
            (&mut one_frame, 1, Reader::Nothing),
            (&mut fragments, 7, Reader::Nothing),
            (&mut pinged, 70, Reader::Gulps),
        ] {
            let outcome = attack(&SMALL, role, || {
                let (mut ws, mut backlog) = (open(role, &SMALL), Backlog::of(reader));
                (absorb(&mut ws, bytes, piece, &mut backlog), ws, backlog)
            });
            let (received, peak, held) = (outcome.result.0, outcome.peak, outcome.held);
            let pongs = outcome.result.2.most * 3 / 2;
            assert!(received == LIMIT && peak <= LIMIT * 3 / 2 + pongs + 2 * BESIDE, "{opcode:?}: {received}, {peak}");
            assert!(held <= pongs + BESIDE, "{opcode:?}: {held} held");
        }
    }
}

/// 2^62 bytes are announced, and a few arrive: rejected on the header, or delivered in parts.
#[test]
fn an_announced_length_reserves_no_memory() {
    let unlimited = Config::new().max_message_size(usize::MAX);
    let in_parts = unlimited.clone().part_size(4 << 10);
    // A message that is reassembled as a whole must fit into memory, even without a limit.
    for (config, closes) in [(SMALL, true), (unlimited, true), (in_parts, false)] {
        for (opcode, received) in
            [Opcode::Text, Opcode::Binary].into_iter().flat_map(|o| [0, 1, 10_000].map(|n| (o, n)))
        {
            let header = FrameHeader { fin: true, rsv: 0, opcode, mask: Some([0; 4]), payload_len: 1 << 62 };
            let mut announced = header.encode().as_ref().to_vec();
            announced.resize(announced.len() + received, b'x');
            for piece in PIECES {
                let mut bytes = announced.clone();
                let outcome = attack(&config, Role::Server, || {
                    let (mut ws, mut backlog) = (open_server(config.clone()), Backlog::of(Reader::Nothing));
                    absorb(&mut ws, &mut bytes, piece, &mut backlog);
                    ws
                });
                let (ws, most) = (outcome.result, outcome.peak);
                assert_eq!(ws.is_closed(), closes, "{config:?}: {opcode:?}, {received} in pieces of {piece}");
                assert!(most <= 2 << 10, "{opcode:?}: {received} received, {most} at peak");
            }
        }
    }
}
