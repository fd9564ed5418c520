//! Handshakes that are slow, and handshakes that are too large.

use std::thread;
use std::time::{Duration, Instant};

use websocket_proto::Config;

use crate::peer::{Peer, send_all, sum_up};
use crate::shared::handshake::REQUEST;
use crate::stage::{Report, Stage};

/// `Config::max_head_size`, by default.
const MAX_HEAD: usize = 16 << 10;

/// Sends nothing. RFC 9110 §15.5.9: 408, "the server did not receive a complete request message within the time that it
/// was prepared to wait".
pub(crate) fn silent_handshakes(stage: &Stage) -> Report {
    let mut peers: Vec<_> = (0..stage.scale(40, 2000)).map(|_| Peer::connect(stage)).collect();
    stage.wait_for_the_end(&mut peers);
    let (sent, got) = sum_up(&peers);
    got.is_only(&["408"]);
    Report { connections: peers.len(), at_once: peers.len(), sent, each: 0, got }
}

/// Sends a byte per second; no byte extends the deadline. (At small scale ten bytes per second; the request would take
/// 19 seconds.)
pub(crate) fn trickled_handshakes(stage: &Stage) -> Report {
    let pause = stage.scale(Duration::from_millis(100), Duration::from_secs(1));
    let mut peers: Vec<_> = (0..stage.scale(40, 2000)).map(|_| Peer::connect(stage)).collect();
    for byte in REQUEST {
        let start = Instant::now();
        for peer in peers.iter_mut().filter(|peer| !peer.is_over()) {
            peer.push(&[*byte]);
            // A peer continues after it was answered, until the server closes the connection.
            peer.poll();
        }
        if peers.iter().all(Peer::is_over) {
            break;
        }
        thread::sleep(pause.saturating_sub(start.elapsed()));
    }
    stage.wait_for_the_end(&mut peers);
    let (sent, got) = sum_up(&peers);
    got.is_only(&["408"]);
    assert!(sent < REQUEST.len() * peers.len(), "no peer could send its whole request");
    // For a head, the server buffers at most twice the bytes received.
    Report { connections: peers.len(), at_once: peers.len(), sent, each: 2 * REQUEST.len(), got }
}

/// The longest head that the limit allows, without its last byte, and then silence.
pub(crate) fn handshakes_that_stop_at_the_limit(stage: &Stage) -> Report {
    let start = [&REQUEST[..REQUEST.len() - 2], b"X: "].concat();
    let head = [&start[..], &vec![b'x'; MAX_HEAD - start.len() - 4], b"\r\n\r"].concat();
    assert_eq!(head.len(), MAX_HEAD - 1);
    let mut peers: Vec<_> = (0..stage.scale(40, 2000)).map(|_| Peer::connect(stage)).collect();
    send_all(&mut peers, &head);
    stage.wait_for_the_end(&mut peers);
    let (sent, got) = sum_up(&peers);
    got.is_only(&["408"]);
    // While the buffer grows for the last time, both the old and the new buffer exist.
    Report { connections: peers.len(), at_once: peers.len(), sent, each: 3 * MAX_HEAD, got }
}

/// RFC 6585 §5: 431, "the server is unwilling to process the request because its header fields are too large"; RFC 9112
/// §3: 414, if the request line is too long.
pub(crate) fn oversized_heads(stage: &Stage) -> Report {
    let start = &REQUEST[..REQUEST.len() - 2];
    let heads = [
        [start, b"X: ", &vec![b'x'; MAX_HEAD], b"\r\n\r\n"].concat(),
        // The limit is a hundred headers, and the request has five.
        [start, &b"X: y\r\n".repeat(96), b"\r\n"].concat(),
        [start, &b"X: y\r\n".repeat(MAX_HEAD)].concat(),
        [b"GET /", &vec![b'x'; 4 * MAX_HEAD][..]].concat(),
        vec![b'x'; 1 << 20],
    ];
    let rounds = stage.scale(8, 100);
    let mut peers: Vec<_> = (0..rounds * heads.len()).map(|_| Peer::connect(stage)).collect();
    for (peer, head) in peers.iter_mut().zip(heads.iter().cycle()) {
        peer.send(head);
    }
    peers.iter_mut().for_each(Peer::read_to_end);
    let (sent, got) = sum_up(&peers);
    got.is_only(&["414", "431"]);
    let each = Config::new().max_message_size(0).max_memory();
    Report { connections: peers.len(), at_once: peers.len(), sent, each, got }
}
