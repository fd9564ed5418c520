//! Floods after the handshake: frames whose answers the peer does not read, fragments, and announced payloads that
//! never arrive.

use std::thread;
use std::time::{Duration, Instant};

use crate::peer::{Peer, frame, frames, header, send_all, sum_up};
use crate::stage::{Report, Stage};

/// `Config::max_message_size` and `max_fragments`, by default.
const MAX_MESSAGE: usize = 1 << 20;
const MAX_FRAGMENTS: usize = 1 << 17;

/// The output of a peer that never reads: the server's limit, at which it stops reading, and the answers to two reads
/// of 64 KiB. Its buffer may have twice that capacity.
const BACKLOG: usize = 2 * ((256 << 10) + 2 * (64 << 10));

/// The peers read nothing that the server sends, so the keep-alive ends them.
pub(crate) fn pings_to_a_peer_that_never_reads(stage: &Stage) -> Report {
    let pings = [frame(0x89, &[b'p'; 125]), frame(0x89, b"")].concat().repeat(500);
    let mut peers: Vec<_> = (0..stage.scale(4, 100)).map(|_| Peer::open(stage)).collect();
    flood(stage, &mut peers, &pings);
    for peer in &peers {
        // RFC 6455 §5.5.3: a pong has the ping's payload. The server's own ping has eight bytes.
        let (frames, _) = frames(&peer.received);
        let is_due = |frame: &(u8, Vec<u8>)| match frame {
            (0x8a, payload) => payload.is_empty() || *payload == [b'p'; 125],
            (first, payload) => *first == 0x89 && payload.len() == 8,
        };
        assert!(frames.len() > 1000 && frames.iter().all(is_due), "{} frames", frames.len());
    }
    let (sent, got) = sum_up(&peers);
    got.is_only(&["cut off"]);
    Report { connections: peers.len(), at_once: peers.len(), sent, each: BACKLOG, got }
}

/// Half of the peers send large messages, half send small ones.
pub(crate) fn messages_to_a_peer_that_never_reads(stage: &Stage) -> Report {
    let long = vec![b'l'; 60_000];
    let (large, small) = (frame(0x82, &long), frame(0x82, b"s").repeat(10_000));
    let mut peers: Vec<_> = (0..stage.scale(4, 100)).map(|_| Peer::open(stage)).collect();
    let half = peers.len() / 2;
    thread::scope(|scope| {
        let (one, other) = peers.split_at_mut(half);
        scope.spawn(|| flood(stage, one, &large));
        scope.spawn(|| flood(stage, other, &small));
    });
    for peer in &peers {
        let (frames, _) = frames(&peer.received);
        let is_due = |frame: &(u8, Vec<u8>)| match frame {
            (0x82, payload) => *payload == long || payload == b"s",
            (first, payload) => *first == 0x89 && payload.len() == 8,
        };
        assert!(frames.len() > 1 && frames.iter().all(is_due), "{} frames", frames.len());
    }
    let (sent, got) = sum_up(&peers);
    got.is_only(&["cut off"]);
    // Includes a message that is being reassembled.
    Report { connections: peers.len(), at_once: peers.len(), sent, each: BACKLOG + 2 * long.len(), got }
}

/// Repeats `bytes` and reads nothing, until the server has ended every peer; then reads the rest.
fn flood(stage: &Stage, peers: &mut [Peer], bytes: &[u8]) {
    let mut places = vec![0; peers.len()];
    stage.wait_for("they are given up", || {
        for (peer, place) in peers.iter_mut().zip(&mut places).filter(|(peer, _)| !peer.is_over()) {
            *place = (*place + peer.push(&bytes[*place..])) % bytes.len();
        }
        peers.iter().all(Peer::is_over)
    });
    stage.wait_for_the_end(peers);
}

/// RFC 6455 §7.4.1: 1008, "a message that violates its policy", at one more than `Config::max_fragments`.
pub(crate) fn empty_fragments(stage: &Stage) -> Report {
    fragments(stage, b"")
}

pub(crate) fn fragments_of_a_byte(stage: &Stage) -> Report {
    fragments(stage, b"x")
}

fn fragments(stage: &Stage, payload: &[u8]) -> Report {
    let allowed = [frame(0x01, payload), frame(0x00, payload).repeat(MAX_FRAGMENTS - 2)].concat();
    let mut peers: Vec<_> = (0..stage.scale(2, 32)).map(|_| Peer::open(stage)).collect();
    // Complete, the message is echoed.
    let mut whole = Peer::open(stage);
    whole.send(&[&allowed[..], &frame(0x80, payload)].concat());
    let echo = if payload.is_empty() { vec![0x81, 0] } else { vec![0x81, 127, 0, 0, 0, 0, 0, 2, 0, 0] };
    whole.read(echo.len() + payload.len() * MAX_FRAGMENTS);
    assert!(whole.received.starts_with(&echo) && !whole.is_over());
    for peer in &mut peers {
        peer.send(&allowed);
        peer.send(&[frame(0x00, payload), frame(0x00, payload)].concat());
    }
    peers.iter_mut().for_each(Peer::read_to_end);
    let (sent, got) = sum_up(&peers);
    got.is_only(&["1008"]);
    let each = 2 * MAX_FRAGMENTS * payload.len() + 256;
    Report { connections: peers.len() + 1, at_once: peers.len() + 1, sent: sent + whole.sent, each, got }
}

/// §7.4.1: 1009, "a message that is too big for it to process", on the header of the fragment that would exceed it.
pub(crate) fn messages_without_end(stage: &Stage) -> Report {
    let fragments = [frame(0x02, &[0; 10_000]), frame(0x00, &[0; 10_000]).repeat(199)].concat();
    let mut peers: Vec<_> = (0..stage.scale(10, 200)).map(|_| Peer::open(stage)).collect();
    for part in fragments.chunks(500_000) {
        send_all(&mut peers, part);
    }
    peers.iter_mut().for_each(Peer::read_to_end);
    let (sent, got) = sum_up(&peers);
    got.is_only(&["1009"]);
    Report { connections: peers.len(), at_once: peers.len(), sent, each: reassembly_memory(), got }
}

/// All of the largest message except its last byte, and then silence, until the keep-alive times out.
pub(crate) fn messages_that_stop_at_the_limit(stage: &Stage) -> Report {
    let message = &frame(0x81, &vec![b'x'; MAX_MESSAGE]);
    let mut peers: Vec<_> = (0..stage.scale(10, 200)).map(|_| Peer::open(stage)).collect();
    send_all(&mut peers, &message[..message.len() - 1]);
    timed_out(stage, &mut peers, reassembly_memory())
}

/// The memory of a message during reassembly, as `Config`'s docs state it.
fn reassembly_memory() -> usize {
    MAX_MESSAGE * 3 / 2
}

/// The header of a message's first frame: the server fills no buffer for the announced payload. (`footprint` counts
/// that it reserves none.)
pub(crate) fn announced_and_never_sent(stage: &Stage) -> Report {
    let mut peers: Vec<_> = (0..stage.scale(40, 2000)).map(|_| Peer::open(stage)).collect();
    for (at, peer) in peers.iter_mut().enumerate() {
        peer.send(&header(0x81 + (at % 2) as u8, MAX_MESSAGE as u64));
    }
    timed_out(stage, &mut peers, 0)
}

/// The registered code 3008, "Timeout".
fn timed_out(stage: &Stage, peers: &mut [Peer], each: usize) -> Report {
    stage.wait_for_the_end(peers);
    let (sent, got) = sum_up(peers);
    got.is_only(&["3008"]);
    Report { connections: peers.len(), at_once: peers.len(), sent, each, got }
}

/// Announces one byte more than the limit, and 2^62 bytes: rejected on the header, at once.
pub(crate) fn announced_too_large(stage: &Stage) -> Report {
    let mut peers: Vec<_> = (0..stage.scale(40, 500)).map(|_| Peer::open(stage)).collect();
    let start = Instant::now();
    for (peer, len) in peers.iter_mut().zip([MAX_MESSAGE as u64 + 1, 1 << 62].into_iter().cycle()) {
        peer.send(&header(0x82, len));
    }
    peers.iter_mut().for_each(Peer::read_to_end);
    let (sent, got) = sum_up(&peers);
    got.is_only(&["1009"]);
    assert!(start.elapsed() < Duration::from_secs(20), "no peer waits for a timeout");
    Report { connections: peers.len(), at_once: peers.len(), sent, each: 0, got }
}
