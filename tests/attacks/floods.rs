//! Floods after the opening: of frames that call for answers which nobody reads, of fragments, and of nothing.

use std::thread;
use std::time::{Duration, Instant};

use crate::peer::{Peer, frame, frames, header, send_all, sum_up};
use crate::stage::{Report, Stage};

/// `Config::max_message_size` and `max_fragments`, by default.
const MAX_MESSAGE: usize = 1 << 20;
const MAX_FRAGMENTS: usize = 1 << 17;

/// What waits for one who never reads: the server's limit, beyond which it reads no more, what two reads of 64 KiB and
/// less call for, in a buffer with room for twice that.
const BACKLOG: usize = 2 * ((256 << 10) + 2 * (64 << 10));

/// The keep-alive ends them: nothing that the server sends is taken.
pub(crate) fn pings_to_one_who_never_reads(stage: &Stage) -> Report {
    let pings = [frame(0x89, &[b'p'; 125]), frame(0x89, b"")].concat().repeat(500);
    let mut peers: Vec<_> = (0..stage.scale(4, 100)).map(|_| Peer::open(stage)).collect();
    flood(stage, &mut peers, &pings);
    for peer in &peers {
        // RFC 6455 §5.5.3: the ping's own payload. The server's own ping has eight bytes.
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

/// Half of them with large messages, half with small ones.
pub(crate) fn messages_to_one_who_never_reads(stage: &Stage) -> Report {
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
    // A message that is being gathered, too.
    Report { connections: peers.len(), at_once: peers.len(), sent, each: BACKLOG + 2 * long.len(), got }
}

/// Sends the same again and again and reads nothing, until the server has ended them all; then takes what is left.
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
    // Whole, the message comes back.
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
    Report { connections: peers.len(), at_once: peers.len(), sent, each: gathered(), got }
}

/// As much of a message as may be, all but its last byte, and then nothing: until nothing is said for too long.
pub(crate) fn messages_that_stop_at_the_limit(stage: &Stage) -> Report {
    let message = &frame(0x81, &vec![b'x'; MAX_MESSAGE]);
    let mut peers: Vec<_> = (0..stage.scale(10, 200)).map(|_| Peer::open(stage)).collect();
    send_all(&mut peers, &message[..message.len() - 1]);
    timed_out(stage, &mut peers, gathered())
}

/// What a message takes while it is gathered, by the sum in `Config`'s docs.
fn gathered() -> usize {
    MAX_MESSAGE * 3 / 2
}

/// Of every message's first frame, the header: nothing is filled for what it announces. (That nothing is reserved,
/// either, is counted in `footprint`.)
pub(crate) fn announced_and_never_sent(stage: &Stage) -> Report {
    let mut peers: Vec<_> = (0..stage.scale(40, 2000)).map(|_| Peer::open(stage)).collect();
    for (at, peer) in peers.iter_mut().enumerate() {
        peer.send(&header(0x81 + (at % 2) as u8, MAX_MESSAGE as u64));
    }
    timed_out(stage, &mut peers, 0)
}

/// The registry's 3008, "Timeout".
fn timed_out(stage: &Stage, peers: &mut [Peer], each: usize) -> Report {
    stage.wait_for_the_end(peers);
    let (sent, got) = sum_up(peers);
    got.is_only(&["3008"]);
    Report { connections: peers.len(), at_once: peers.len(), sent, each, got }
}

/// One byte more than a message may have, and 2^62 of them: refused on the header, at once.
pub(crate) fn announced_too_large(stage: &Stage) -> Report {
    let mut peers: Vec<_> = (0..stage.scale(40, 500)).map(|_| Peer::open(stage)).collect();
    let start = Instant::now();
    for (peer, len) in peers.iter_mut().zip([MAX_MESSAGE as u64 + 1, 1 << 62].into_iter().cycle()) {
        peer.send(&header(0x82, len));
    }
    peers.iter_mut().for_each(Peer::read_to_end);
    let (sent, got) = sum_up(&peers);
    got.is_only(&["1009"]);
    assert!(start.elapsed() < Duration::from_secs(20), "they need not wait for anything");
    Report { connections: peers.len(), at_once: peers.len(), sent, each: 0, got }
}
