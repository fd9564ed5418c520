//! A socket for asynchronous peers that is always ready, so that no runtime is measured.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::socket::Socket;

/// Reads and writes at once; like a TCP socket, it has nothing to flush.
pub struct AlwaysReady(pub Socket);

impl AlwaysReady {
    /// Reads into uninitialised memory, as the kernel does, and returns the number of initialised bytes.
    pub fn read(&self, buffer: &mut [MaybeUninit<u8>]) -> usize {
        // SAFETY: the same memory, and the socket only writes to it.
        let buffer = unsafe { &mut *(&raw mut *buffer as *mut [u8]) };
        self.0.read(buffer)
    }
}

impl AsyncRead for AlwaysReady {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // SAFETY: no byte becomes uninitialized, and the socket has initialized the bytes that it reports.
        unsafe {
            let count = self.read(buffer.unfilled_mut());
            buffer.assume_init(count);
            buffer.advance(count);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for AlwaysReady {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.write_vectored(buffers);
        Poll::Ready(Ok(buffers.iter().map(|bytes| bytes.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The output of a future over such a socket.
pub fn now<F: Future>(future: F) -> F::Output {
    ready(pin!(future).poll(&mut context()))
}

/// The result of a poll over such a socket.
pub fn ready<T>(poll: Poll<T>) -> T {
    match poll {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the socket is always ready"),
    }
}

/// Wakes nothing.
pub fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
