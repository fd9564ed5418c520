//! Compressed messages (permessage-deflate) that inflate to a thousand times their size.

use std::thread;
use std::time::{Duration, Instant};

use websocket_proto::{Config, Deflate};

use crate::PATIENCE;
use crate::peer::{Peer, frame, frames, send_all, sum_up};
use crate::shared::compression::{self, sync_flushed};
use crate::shared::data::Noise;
use crate::stage::{Report, Stage, Tally};

/// `Config::max_message_size`, by default.
const MAX_MESSAGE: usize = 1 << 20;

/// The documented bound on a connection's memory: a message that grows, a decompressor, and all other buffers.
pub(crate) const HELD: usize = Config::new().deflate(Deflate::new()).max_memory();

/// The output of a peer that reads nothing: the server's limit, the echo of one more message, and the answer to one
/// read of compressed data. Its buffer may have twice that capacity.
pub(crate) const BACKLOG: usize = 2 * ((256 << 10) + 2 * MAX_MESSAGE);

/// A message of many megabytes: RFC 6455 §7.4.1, 1009, on the first byte above the limit.
pub(crate) fn bombs_beyond_the_limit(stage: &Stage) -> Report {
    let bomb = frame(0xc2, &sync_flushed(&vec![0; MAX_MESSAGE], 9).repeat(stage.scale(3, 64)));
    let mut peers: Vec<_> = (0..stage.scale(10, 500)).map(|_| Peer::open_compressed(stage)).collect();
    send_all(&mut peers, &bomb);
    peers.iter_mut().for_each(Peer::read_to_end);
    let (sent, got) = sum_up(&peers);
    got.is_only(&["1009"]);
    Report { connections: peers.len(), at_once: peers.len(), sent, each: HELD, got }
}

/// A fragment that inflates to the largest message, and then silence, until the keep-alive times out.
pub(crate) fn bombs_that_stop_at_the_limit(stage: &Stage) -> Report {
    let fragment = frame(0x42, &sync_flushed(&vec![0; MAX_MESSAGE], 9));
    let mut peers: Vec<_> = (0..stage.scale(10, 200)).map(|_| Peer::open_compressed(stage)).collect();
    send_all(&mut peers, &fragment);
    stage.wait_for_the_end(&mut peers);
    let (sent, got) = sum_up(&peers);
    got.is_only(&["3008"]);
    Report { connections: peers.len(), at_once: peers.len(), sent, each: HELD, got }
}

/// Many peers repeat a kilobyte that inflates to the largest message: each message is echoed, compressed again. (At
/// small scale, an eighth of the size.)
pub(crate) fn bombs_within_the_limit(stage: &Stage) -> Report {
    bombard(stage, &message(&vec![0; stage.scale(MAX_MESSAGE / 8, MAX_MESSAGE)]))
}

/// The same with messages that repeat themselves at a greater distance than the server's window: the echo is a hundred
/// times as long as the message.
pub(crate) fn bombs_that_do_not_compress_again(stage: &Stage) -> Report {
    let block = Noise(7).bytes(5000).repeat(stage.scale(MAX_MESSAGE / 8, MAX_MESSAGE) / 5000);
    bombard(stage, &message(&block))
}

/// Half of the peers read, half do not. At the end they leave in the middle of a message.
fn bombard(stage: &Stage, message: &[u8]) -> Report {
    let span = stage.scale(Duration::from_secs(2), Duration::from_secs(20));
    let volley = message.repeat(1 + (16 << 10) / message.len());
    let mut peers: Vec<_> = (0..stage.scale(4, 100)).map(|_| (Peer::open_compressed(stage), 0)).collect();
    let (mut echoes, start) = (0, Instant::now());
    while start.elapsed() < span || echoes == 0 {
        assert!(start.elapsed() < span + PATIENCE, "no echo arrives");
        let mut taken = 0;
        for (at, (peer, place)) in peers.iter_mut().enumerate() {
            let n = peer.push(&volley[*place..]);
            *place = (*place + n) % volley.len();
            taken += n;
            if at % 2 == 0 {
                peer.poll();
                assert!(!peer.is_over(), "the server must not close: the message is within its limit");
                let (frames, cut) = frames(&peer.received);
                echoes += frames.iter().filter(|(first, _)| *first == 0xc2).count();
                peer.received = cut.to_vec();
            }
        }
        if taken == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
    let mut got = Tally::default();
    (0..echoes).for_each(|_| got.add("an echo"));
    let sent = peers.iter().map(|(peer, _)| peer.sent).sum();
    Report { connections: peers.len(), at_once: peers.len(), sent, each: HELD + BACKLOG, got }
}

/// Each connection sends one kilobyte that inflates to the largest message, and ends: the server can never know such a
/// peer beforehand. (At small scale, an eighth of the size.)
pub(crate) fn bombs_from_new_peers(stage: &Stage) -> Report {
    let bomb = message(&vec![0; stage.scale(MAX_MESSAGE / 8, MAX_MESSAGE)]);
    let (at_once, span) = stage.scale((8, Duration::from_secs(2)), (100, Duration::from_secs(20)));
    let start = Instant::now();
    let bomber = || {
        let mut bombs = 0;
        while start.elapsed() < span {
            let mut peer = Peer::open_compressed(stage);
            peer.send(&bomb);
            peer.read(2);
            assert_eq!(peer.received[0], 0xc2, "the echo must be compressed");
            bombs += 1;
        }
        bombs
    };
    let connections = thread::scope(|scope| {
        let bombers: Vec<_> = (0..at_once).map(|_| scope.spawn(bomber)).collect();
        bombers.into_iter().map(|bomber| bomber.join().expect("the message is echoed")).sum()
    });
    let mut got = Tally::default();
    (0..connections).for_each(|_| got.add("an echo"));
    Report { connections, at_once, sent: connections * bomb.len(), each: HELD + BACKLOG, got }
}

/// With context takeover a connection keeps its compressor and decompressor, as large as the docs of `Deflate` say; the
/// limit applies to each message.
pub(crate) fn bombs_in_a_window_that_is_kept(stage: &Stage) -> Report {
    const CODECS: usize = (161 + 47) << 10;
    let zeros = vec![0; MAX_MESSAGE];
    let (message, bomb) = (message(&zeros), frame(0xc2, &sync_flushed(&zeros, 9).repeat(2)));
    let mut peers: Vec<_> = (0..stage.scale(2, 200)).map(|_| Peer::open_compressed(stage)).collect();
    for bytes in [message.repeat(3), bomb] {
        send_all(&mut peers, &bytes);
    }
    for peer in &mut peers {
        peer.read_to_end();
        let (frames, _) = frames(&peer.received);
        assert!(frames.len() == 4 && frames[..3].iter().all(|(first, _)| *first == 0xc2), "{} frames", frames.len());
    }
    let (sent, got) = sum_up(&peers);
    got.is_only(&["1009"]);
    Report { connections: peers.len(), at_once: peers.len(), sent, each: HELD + CODECS, got }
}

/// RFC 7692 §7.2.1: a message ends without the last four bytes of the empty block.
pub(crate) fn message(payload: &[u8]) -> Vec<u8> {
    frame(0xc2, &compression::message(payload, 9))
}
