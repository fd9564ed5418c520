use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::blocking::Transport;

/// TLS over TCP. `rustls::StreamOwned` would not read until the peer has read all earlier writes, so two ends that
/// write at the same time could wait for each other forever.
pub(crate) struct Tls {
    pub(crate) conn: rustls::Connection,
    pub(crate) tcp: TcpStream,
}

impl Read for Tls {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let start = Instant::now();
        loop {
            match self.conn.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
            let was_owing = self.conn.wants_write();
            self.conn.read_tls(&mut self.tcp)?;
            let processed = self.conn.process_new_packets();
            let io_state = processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            // For example the next message of TLS's handshake: the peer waits for it, so it must be flushed first.
            let flushes = !was_owing && self.conn.wants_write();
            // A record may arrive byte by byte: returns, so that the caller checks its deadlines.
            let is_late = start.elapsed() > Duration::from_secs(1);
            if (flushes || is_late) && io_state.plaintext_bytes_to_read() == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
        }
    }
}

impl Write for Tls {
    /// Buffers at most one record, so that further bytes wait in the `Output`.
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
    fn goodbye(&mut self) {
        self.conn.send_close_notify();
        let _ = self.flush();
    }
}
