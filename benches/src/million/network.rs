//! [`Network`]: the transports between the server and its peers. They hold no bytes: the peers' scripts have them.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use super::crowd::{Crowd, Kind};
use super::peer::Peer;
use super::script::{Act, Script};

/// How long after a ping its pong arrives.
pub const ROUND_TRIP: Duration = Duration::from_millis(50);

/// All transports. The key of a transport is that of its session.
pub struct Network {
    peers: Vec<Peer>,
    act: Act,
    scripts: [[Script; 2]; 3],
    /// The pongs under way: when each arrives, and whose it is.
    pongs: VecDeque<(Instant, usize)>,
}

impl Network {
    pub fn new(crowd: &Crowd) -> Self {
        let mut peers: Vec<_> = (0..crowd.len()).map(|_| Peer::new(Kind::Plain)).collect();
        crowd.of(Kind::Deflate).for_each(|key| peers[key].kind = Kind::Deflate);
        let scripts = [Act::Opening, Act::Broadcast, Act::Talk].map(|act| Kind::ALL.map(|kind| Script::new(act, kind)));
        // Room for one peer in ten, which suffices: the network allocates nothing while the server is measured.
        let pongs = VecDeque::with_capacity(crowd.len() / 10);
        Self { peers, act: Act::Opening, scripts, pongs }
    }

    /// Begins an act.
    pub fn begin(&mut self, act: Act) {
        self.act = act;
        for peer in &mut self.peers {
            (peer.sent, peer.received) = (0, 0);
        }
    }

    /// Checks that `keys` did and received everything that is in the act's script, and all other peers nothing.
    pub fn finish(&self, keys: impl Iterator<Item = usize>) {
        for kind in Kind::ALL {
            self.script(kind).check();
        }
        let mut took_part = vec![false; self.peers.len()];
        keys.for_each(|key| took_part[key] = true);
        for (peer, took_part) in self.peers.iter().zip(took_part) {
            let script = self.script(peer.kind);
            let whole = if took_part { (script.sent.len(), script.received.len()) } else { (0, 0) };
            assert_eq!((usize::from(peer.sent), peer.received as usize), whole, "messages sent, bytes received");
            assert!(peer.unread == 0 && !peer.has_pong, "bytes are left unread");
        }
    }

    /// The number of pings that a peer has received.
    pub fn pings(&self, key: usize) -> u32 {
        self.peers[key].pings
    }

    /// The next ping that a peer expects.
    pub fn next_ping(&self, key: usize) -> [u8; 10] {
        self.peers[key].next_ping()
    }

    /// Has a transport accept this number of bytes.
    pub fn set_room(&mut self, key: usize, room: u32) {
        self.peers[key].room = room;
    }

    /// A peer's next message arrives.
    pub fn send(&mut self, key: usize) {
        self.peers[key].unread += 1;
    }

    /// When the next pong arrives.
    pub fn next_pong(&self) -> Option<Instant> {
        self.pongs.front().map(|(at, _)| *at)
    }

    /// A pong arrives, if it is time. Returns whose it is.
    pub fn pop_pong(&mut self, now: Instant) -> Option<usize> {
        let (_, key) = self.pongs.pop_front_if(|(at, _)| *at <= now)?;
        self.peers[key].has_pong = true;
        Some(key)
    }

    fn script(&self, kind: Kind) -> &Script {
        &self.scripts[self.act as usize][kind as usize]
    }
}

/// What the server does with a transport.
impl Network {
    pub fn is_readable(&self, key: usize) -> bool {
        let peer = &self.peers[key];
        peer.has_pong || peer.unread > 0
    }

    /// Reads a pong or a message. Returns its length, or 0 if there is none.
    pub fn read(&mut self, key: usize, buffer: &mut [u8]) -> usize {
        let peer = &mut self.peers[key];
        let script = &self.scripts[self.act as usize][peer.kind as usize];
        let pong;
        let bytes = if peer.has_pong {
            peer.has_pong = false;
            pong = peer.pong();
            &pong[..]
        } else if peer.unread > 0 {
            peer.unread -= 1;
            peer.sent += 1;
            &script.sent[usize::from(peer.sent) - 1]
        } else {
            return 0;
        };
        buffer[..bytes.len()].copy_from_slice(bytes);
        bytes.len()
    }

    /// Writes as many bytes as the transport has room for.
    pub fn write(&mut self, key: usize, slices: &[IoSlice<'_>], now: Instant) -> io::Result<usize> {
        let mut written = 0;
        for slice in slices {
            let room = self.peers[key].room;
            let accepted = slice.len().min(room as usize);
            if room != Peer::EMPTY {
                self.peers[key].room -= accepted as u32;
            }
            self.receive(key, &slice[..accepted], now);
            written += accepted;
            if accepted < slice.len() {
                break;
            }
        }
        if written == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(written) }
    }

    /// A peer receives bytes: a ping, or the next bytes of its script.
    fn receive(&mut self, key: usize, bytes: &[u8], now: Instant) {
        let peer = &mut self.peers[key];
        if *bytes == peer.next_ping() {
            peer.pings += 1;
            self.pongs.push_back((now + ROUND_TRIP, key));
            return;
        }
        let script = &mut self.scripts[self.act as usize][peer.kind as usize];
        let expected = &script.received[peer.received as usize..];
        let known = bytes.len().min(expected.len());
        assert!(bytes[..known] == expected[..known], "a {:?} peer received other bytes: {bytes:x?}", peer.kind);
        assert!(bytes.len() - known <= script.received.capacity() - script.received.len(), "too many bytes");
        script.received.extend_from_slice(&bytes[known..]);
        peer.received += bytes.len() as u32;
    }
}
