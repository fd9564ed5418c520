use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::blocking::Transport;

/// TLS over TCP. `rustls::StreamOwned` would read nothing while the peer does not take what was written before, so two
/// ends that write at once could wait for each other for ever.
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
            // The next message of TLS's own handshake, say: to be flushed before anything more can come.
            let flushes = !was_owing && self.conn.wants_write();
            // A record may arrive byte by byte: the caller looks at its deadlines in between.
            let is_late = start.elapsed() > Duration::from_secs(1);
            if (flushes || is_late) && io_state.plaintext_bytes_to_read() == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
        }
    }
}

impl Write for Tls {
    /// Holds at most one record back, so that what the peer does not take waits in the `Output`.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        let record = &bytes[..bytes.len().min(16 << 10)];
        // Before TLS's own handshake is over, only a little fits.
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

    /// RFC 8446 §6.1: `close_notify`, without which the peer cannot tell the end from a cut.
    fn goodbye(&mut self) {
        self.conn.send_close_notify();
        let _ = self.flush();
    }
}
