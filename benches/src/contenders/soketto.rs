//! soketto 0.8: the opening handshake of its server alone, which makes its connection afterwards. Its messages are
//! copied and masked byte by byte.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::io::{AsyncRead, AsyncWrite};
use soketto::handshake::Server;
use soketto::handshake::server::Response;

use super::always_ready::now;
use crate::contender::{Contender, Go, Run};
use crate::socket::Socket;
use crate::work::{Task, Work};

pub struct Soketto;

impl Contender for Soketto {
    fn name(&self) -> &'static str {
        "soketto"
    }

    fn start(&self, work: &Work, socket: Socket) -> Option<Box<dyn Run>> {
        (work.task == Task::Handshake).then(|| Box::new(Handshake(socket)) as Box<dyn Run>)
    }
}

struct Handshake(Socket);

impl Go for Handshake {
    fn go(&mut self, messages: usize, mut seen: impl FnMut(&[u8])) -> usize {
        for _ in 0..messages {
            let mut server = Server::new(Stream(self.0.clone()));
            let request = now(server.receive_request()).expect("a browser's request");
            seen(request.path().as_bytes());
            let key = request.key();
            let accept = Response::Accept { key, protocol: None };
            now(server.send_response(&accept)).expect("an open connection");
            std::hint::black_box(server.into_builder().finish());
        }
        messages
    }
}

/// A socket for the traits of the crate `futures`, always ready.
struct Stream(Socket);

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.0.read(buffer)))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
