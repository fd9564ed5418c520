use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::blocking::Transport;

/// TLS over TCP. `rustls::StreamOwned` would not read until the peer has read all earlier writes, so two ends that
/// write at the same time could wait for each other forever.
pub(crate) struct Tls {
    conn: rustls::Connection,
    tcp: TcpStream,
    has_failed: bool,
}

impl Tls {
    pub(crate) fn new(conn: impl Into<rustls::Connection>, tcp: TcpStream) -> Self {
        Self { conn: conn.into(), tcp, has_failed: false }
    }
}

impl Read for Tls {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let start = Instant::now();
        while !self.has_failed {
            match self.conn.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
            let was_owing = self.conn.wants_write();
            self.conn.read_tls(&mut self.tcp)?;
            let processed = self.conn.process_new_packets();
            self.has_failed = processed.is_err();
            let io_state = processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            // For example the next message of TLS's handshake: the peer waits for it, so it must be flushed first.
            let flushes = !was_owing && self.conn.wants_write();
            // A record may arrive byte by byte: returns, so that the caller checks its deadlines.
            let is_late = start.elapsed() > Duration::from_secs(1);
            if (flushes || is_late) && io_state.plaintext_bytes_to_read() == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
        }
        self.tcp.read(buffer)
    }
}

impl Write for Tls {
    /// Buffers at most one record, so that further bytes wait in the session's backlog.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        let record = &bytes[..bytes.len().min(16 << 10)];
        // Before TLS's handshake is complete, rustls accepts a limited number of bytes.
        let written = self.conn.writer().write(record)?;
        if written == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(written) }
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.conn.wants_write() {
            self.conn.write_tls(&mut self.tcp)?;
        }
        Ok(())
    }
}

impl Transport for Tls {
    fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// RFC 8446 §6.1: without `close_notify`, the peer cannot tell the end of the stream from a truncation.
    fn shut_down(&mut self) {
        // The session has written everything, but the socket may be full.
        let wait = self.tcp.set_write_timeout(Some(Duration::from_secs(2)));
        let _ = wait.and_then(|()| self.tcp.set_nonblocking(false));
        self.conn.send_close_notify();
        let _ = self.flush();
        let _ = self.tcp.shutdown(Shutdown::Write);
    }
}
