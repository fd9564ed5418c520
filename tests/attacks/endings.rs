//! Connections that end at unexpected points, and peers that never end theirs.

use crate::peer::{Peer, frame, sum_up};
use crate::shared::handshake::REQUEST;
use crate::stage::{Report, Stage, Tally};

/// A session: the request, text, a fragmented message with a ping inside, a Close.
fn session() -> Vec<Vec<u8>> {
    let gment = [frame(0x89, b"ping"), frame(0x80, b"gment")];
    let [ping, gment] = gment;
    vec![REQUEST.to_vec(), frame(0x81, b"hello"), frame(0x02, b"fra"), ping, gment, frame(0x88, b"\x03\xe8bye")]
}

/// The server's answer to each part of the session (RFC 6455 §5.5.1: the Close's code comes back).
fn answers(stage: &Stage) -> Vec<Vec<u8>> {
    let mut peer = Peer::connect(stage);
    peer.send(REQUEST);
    while !peer.received.ends_with(b"\r\n\r\n") {
        peer.read(1);
    }
    let answers: [&[u8]; 5] = [b"\x81\x05hello", b"", b"\x8a\x04ping", b"\x82\x08fragment", b"\x88\x02\x03\xe8"];
    [peer.received].into_iter().chain(answers.map(<[u8]>::to_vec)).collect()
}

/// The server's answers to the first `cut` bytes of the session.
fn answer_to(cut: usize, answers: &[Vec<u8>]) -> Vec<u8> {
    let mut end = 0;
    let ends = session().into_iter().map(move |part| {
        end += part.len();
        end
    });
    ends.zip(answers).take_while(|(end, _)| *end <= cut).flat_map(|(_, answer)| answer.clone()).collect()
}

/// A peer that closes its sending side receives every answer that is due, nothing more, and no reset.
pub(crate) fn half_closed_at_every_byte(stage: &Stage) -> Report {
    let (session, answers) = (session().concat(), answers(stage));
    let (mut connections, mut sent, mut got) = (0, 0, Tally::default());
    for cut in (0..=session.len()).cycle().take(stage.scale(1, 20) * (session.len() + 1)) {
        let mut peer = Peer::connect(stage);
        peer.send(&session[..cut]);
        peer.half_close();
        peer.read_to_end();
        let is_answered = peer.received == answer_to(cut, &answers);
        assert!(is_answered, "half closed after {cut} bytes, a peer got {}", peer.received.escape_ascii());
        got.add(peer.verdict());
        (connections, sent) = (connections + 1, sent + peer.sent);
    }
    got.is_only(&["the end", "1000"]);
    Report { connections, at_once: 1, sent, each: 0, got }
}

/// A reset at once, and one after every answer was read.
pub(crate) fn reset_at_every_byte(stage: &Stage) -> Report {
    let (session, answers) = (session().concat(), answers(stage));
    let (mut connections, mut sent, mut got) = (0, 0, Tally::default());
    for cut in (0..=session.len()).cycle().take(stage.scale(1, 20) * (session.len() + 1)) {
        for waits in [false, true] {
            let mut peer = Peer::connect(stage);
            peer.send(&session[..cut]);
            if waits {
                let due = answer_to(cut, &answers);
                peer.read(due.len());
                assert!(peer.received == due, "{cut}: {}", peer.received.escape_ascii());
            }
            got.add(if waits { "every answer" } else { "nothing" });
            (connections, sent) = (connections + 1, sent + peer.sent);
            peer.reset();
        }
    }
    Report { connections, at_once: 1, sent, each: 0, got }
}

/// After its Close, or after its fault, a peer continues to send and does not close its side: the server does not wait
/// for it.
pub(crate) fn never_closing_the_transport(stage: &Stage) -> Report {
    let ends = [frame(0x88, b"\x03\xe8"), frame(0x83, b"reserved"), frame(0x81, b"\xff"), b"\x81\x05plain".to_vec()];
    let mut peers: Vec<_> = (0..stage.scale(40, 1000)).map(|_| Peer::open(stage)).collect();
    for (peer, end) in peers.iter_mut().zip(ends.iter().cycle()) {
        peer.send(end);
    }
    stage.wait_for("they are given up", || {
        for peer in peers.iter_mut().filter(|peer| !peer.was_reset()) {
            peer.poll();
            peer.push(b"\x81\x80\0\0\0\0");
        }
        peers.iter().all(Peer::was_reset)
    });
    stage.wait_for_the_end(&mut peers);
    let (sent, got) = sum_up(&peers);
    got.is_only(&["1000", "1002", "1007"]);
    Report { connections: peers.len(), at_once: peers.len(), sent, each: 0, got }
}

/// Connections one after the other, some closed properly and some reset.
pub(crate) fn many_short_connections(stage: &Stage) -> Report {
    let (connections, mut sent, mut got) = (stage.scale(400, 20_000), 0, Tally::default());
    for round in 0..connections {
        let mut peer = if round % 4 < 2 { Peer::connect(stage) } else { Peer::open(stage) };
        if round % 4 == 3 {
            peer.send(&frame(0x88, b"\x0f\xa0"));
            peer.read_to_end();
            got.add(peer.verdict());
        }
        sent += peer.sent;
        if round % 4 == 1 {
            peer.reset();
        }
    }
    got.is_only(&["4000"]);
    Report { connections, at_once: 1, sent, each: 0, got }
}
