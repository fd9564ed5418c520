//! An event loop over mio: one thread for all connections.

use std::io::{self, ErrorKind};
use std::ops::ControlFlow;

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use super::socket::Socket;
use crate::error::Result;

const LISTENER: Token = Token(usize::MAX);

/// A connection, and the protocol on it.
pub trait Peer: Sized {
    fn new(socket: Socket) -> Self;

    /// `None` if the connection is over.
    fn socket(&mut self) -> Option<&mut Socket>;

    /// Reads and echoes until the socket would block. `Break` means that the connection is over. All peers share the
    /// buffer.
    fn turn(&mut self, buffer: &mut [u8]) -> ControlFlow<()>;
}

/// Serves connections until an error.
pub fn run<P: Peer>(listener: std::net::TcpListener) -> Result<()> {
    let (mut poll, mut listener) = (Poll::new()?, TcpListener::from_std(listener));
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let (mut peers, mut events, mut buffer) = (Slab::<P>::new(), Events::with_capacity(1024), vec![0; 64 << 10]);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            let Token(key) = event.token();
            if event.token() == LISTENER {
                accept(&listener, &poll, &mut peers)?;
                continue;
            }
            let Some(peer) = peers.get_mut(key) else { continue };
            if let Some(socket) = peer.socket() {
                socket.note(event);
            }
            if peer.turn(&mut buffer).is_break() {
                // Closing the socket also removes it from the poll.
                peers.remove(key);
            }
        }
    }
}

fn accept<P: Peer>(listener: &TcpListener, poll: &Poll, peers: &mut Slab<P>) -> io::Result<()> {
    loop {
        let mut tcp = match listener.accept() {
            Ok((tcp, _)) => tcp,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        tcp.set_nodelay(true)?;
        let entry = peers.vacant_entry();
        poll.registry().register(&mut tcp, Token(entry.key()), Interest::READABLE | Interest::WRITABLE)?;
        entry.insert(P::new(Socket::new(tcp)));
    }
}
