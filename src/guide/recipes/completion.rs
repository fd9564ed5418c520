use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use websocket_proto::{Action, Connection, Event, Input, Output, Session, SessionConfig};

/// How long after a deadline completions from before it may take.
const LOOK: Duration = Duration::from_millis(1);

/// A report of the kernel, or here of a thread: the bytes of a read, or the number of bytes that a write accepted.
enum Completion {
    Read(io::Result<Vec<u8>>),
    Write(io::Result<usize>),
}

/// Drives a connection to its end. A client's request is in `output`.
pub(crate) fn drive(
    tcp: TcpStream,
    ws: Connection,
    mut output: Output,
    config: SessionConfig<Duration>,
    mut handle: impl FnMut(Event<'_>, &mut Connection, &mut Output),
) {
    let (reads, writes, completions, tcp) = submission_queues(tcp);
    let mut session = Session::new(Instant::now(), ws, config);
    // At most one read and one write are in progress.
    let mut is_reading = false;
    loop {
        let (read, deadline) = loop {
            match session.poll_queued(Instant::now(), &mut output) {
                Action::Wait { read, deadline, .. } => break (read, deadline),
                Action::Event(event) => handle(event, session.connection_mut(), &mut output),
                Action::ShutDown => drop(tcp.shutdown(Shutdown::Write)),
                // Cancels what is in progress.
                _ => return drop(tcp.shutdown(Shutdown::Both)),
            }
        };
        let chunk = session.take_chunk();
        if !chunk.is_empty() {
            // The chunk stays alive in the other thread, whatever happens to the session.
            let _ = writes.send(chunk);
        }
        if read > 0 && !is_reading {
            is_reading = reads.send(read).is_ok();
        }
        let patience = deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
        let mut first = completions.recv_timeout(patience).ok();
        loop {
            // Reads that were complete before the deadline are reported before it is checked.
            let is_due = deadline.is_some_and(|at| at <= Instant::now());
            let next = || completions.recv_timeout(if is_due { LOOK } else { Duration::ZERO }).ok();
            match first.take().or_else(next) {
                Some(Completion::Read(bytes)) => {
                    is_reading = false;
                    // A failed read is the end of the stream.
                    let mut bytes = bytes.unwrap_or_default();
                    let mut input = Input::from_read(&mut bytes);
                    while let Some(event) = session.receive(&mut input, &mut output) {
                        handle(event, session.connection_mut(), &mut output);
                    }
                }
                Some(Completion::Write(Ok(count))) => session.wrote(Instant::now(), count),
                Some(Completion::Write(Err(_))) => session.write_failed(),
                None => break,
            }
        }
    }
}

/// Two threads that read and write, in the place of `io_uring` or IOCP.
fn submission_queues(tcp: TcpStream) -> (Sender<usize>, Sender<Bytes>, Receiver<Completion>, Arc<TcpStream>) {
    let (reads, read_sizes) = channel();
    let (writes, chunks) = channel::<Bytes>();
    let (completed, completions) = channel();
    let tcp = Arc::new(tcp);
    let (reader, writer, has_read) = (tcp.clone(), tcp.clone(), completed.clone());
    thread::spawn(move || {
        for size in read_sizes {
            let mut buffer = vec![0; size];
            let read = (&*reader).read(&mut buffer).map(|n| {
                buffer.truncate(n);
                buffer
            });
            let _ = has_read.send(Completion::Read(read));
        }
    });
    thread::spawn(move || {
        for mut chunk in chunks {
            while !chunk.is_empty() {
                // A blocking write ends when all of its bytes are accepted: short ones show that the peer reads.
                let written = (&*writer).write(&chunk[..chunk.len().min(256 << 10)]);
                chunk.advance(*written.as_ref().unwrap_or(&chunk.len()));
                let _ = completed.send(Completion::Write(written));
            }
        }
    });
    (reads, writes, completions, tcp)
}
