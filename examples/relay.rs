//! A relay between clients and one server: `std::net`, two threads per connection.
//!
//! `cargo run --release --example relay -- LISTEN UPSTREAM [--max-frame BYTES] [--timeout MILLISECONDS]`
//!
//! Passes the opening handshake on unchanged, then frames in both directions, in the pieces in which they arrive. A
//! frame of more than BYTES (default 1 MiB), or one that breaks the protocol, closes both sides. When a connection
//! ends, prints the number of frames of each kind for each direction. `--timeout` replaces 10 s: the time for the
//! opening handshake, which includes connecting to the server, and the longest time in which a side reads nothing; and
//! 2 minutes: the longest time in which nothing comes from either side.
//!
//! The rules of a proxy:
//! - It may split or join the fragments of a message only if it knows every extension in use (RFC 6455 §5.4). This one
//!   never does: frames, RSV bits and payloads, compressed or not, pass unchanged.
//! - Control frames pass between fragments, without waiting for the end of a message.
//! - To the server it masks each frame with its own unpredictable key (§5.3); to the client it does not mask (§5.1).
//! - It inserts its own frames, such as a Close, only between two frames.
//! - It checks limits on the header: it neither waits for the announced bytes nor reserves memory for them.
//! - A second request after a rejected one is not passed on: it could open a connection that the relay does not see.
//! - Every wait has a deadline. The two ends find out with pings, which pass, whether the other is alive; if neither
//!   side sends anything, both may be gone.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use websocket_proto::frame::{FrameHeader, FramePiece, FrameReader, Opcode};
use websocket_proto::handshake::Request;
use websocket_proto::mask::{MaskKeys, apply_mask, rotate_key};
use websocket_proto::{
    Action, CloseCode, Config, Connection, Event, Input, Output, ProtocolErrorKind, Reject, Session, SessionConfig,
    State, Timeouts,
};

const USAGE: &str = "usage: relay LISTEN UPSTREAM [--max-frame BYTES] [--timeout MILLISECONDS]";

/// The time for the opening handshake, and the longest time in which a side reads nothing.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest time in which nothing comes from either side.
const IDLE: Duration = Duration::from_secs(120);

/// How long the relay waits for the end of a stream after its own.
const CLOSING: Duration = Duration::from_secs(2);

/// The limit on a response's head, in bytes.
const MAX_HEAD: usize = 16 << 10;

fn main() -> ExitCode {
    let Some(options) = Options::parse() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let listener = match TcpListener::bind(&options.listen) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("cannot listen on {}: {error}", options.listen);
            return ExitCode::FAILURE;
        }
    };
    if let Ok(address) = listener.local_addr() {
        report(format_args!("listening on ws://{address}/"));
    }
    loop {
        let served = listener.accept().and_then(|(client, _)| {
            let options = options.clone();
            thread::Builder::new().spawn(move || drop(serve(&client, &options)))
        });
        if let Err(error) = served {
            let _ = writeln!(io::stderr(), "cannot serve a connection: {error}");
            // Out of file descriptors or threads: wait until some are free again.
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Relays the opening handshake, and then the connection or the rest of the rejection.
fn serve(mut client: &TcpStream, options: &Options) -> io::Result<()> {
    let deadline = Instant::now() + options.timeout;
    client.set_nodelay(true)?;
    client.set_write_timeout(Some(options.timeout))?;
    let mut opening = Opening::new(client, options.timeout);
    let Some((request, early_data)) = opening.read_request()? else { return Ok(()) };
    let Ok(mut server) = connect(&options.upstream, deadline) else { return opening.bad_gateway(request) };
    server.set_nodelay(true)?;
    server.set_write_timeout(Some(options.timeout))?;
    server.write_all(&opening.request_bytes)?;
    let mut unread = Vec::new();
    loop {
        let Ok((response, rest)) = read_response(&server, unread, deadline) else {
            return opening.bad_gateway(request);
        };
        client.write_all(&response)?;
        unread = rest;
        match response.get(9..12) {
            Some(b"101") => return relay(client, &server, [early_data, unread], options),
            // An interim response: the final one follows.
            Some([b'1', ..]) => {}
            _ => break,
        }
    }
    // Rejected: passes on the rest of the response, and nothing more to the server.
    let _ = server.shutdown(Shutdown::Write);
    let (mut buffer, deadline) = ([0; 4096], Instant::now() + options.timeout);
    client.write_all(&unread)?;
    while let Ok(n @ 1..) = read_before(deadline, &server, &mut buffer) {
        client.write_all(&buffer[..n])?;
    }
    // Closing with unread input would reset the connection, and could destroy the last bytes in flight.
    client.shutdown(Shutdown::Write)?;
    drain(client)
}

/// Tries the server's addresses in order.
fn connect(upstream: &str, deadline: Instant) -> io::Result<TcpStream> {
    let mut connected = Err(ErrorKind::AddrNotAvailable.into());
    for address in upstream.to_socket_addrs()? {
        // A timeout of zero is an error: the deadline has passed.
        connected = TcpStream::connect_timeout(&address, deadline.saturating_duration_since(Instant::now()));
        if connected.is_ok() {
            break;
        }
    }
    connected
}

/// The client's opening handshake: a server's [`Session`] parses the request, enforces limits and deadlines, answers
/// what is not an opening handshake, and ends in order. The relay answers nothing else, unless it has no server.
struct Opening<'t> {
    client: &'t TcpStream,
    session: Session<Instant>,
    output: Output,
    /// The bytes of the request.
    request_bytes: Vec<u8>,
}

impl<'t> Opening<'t> {
    fn new(client: &'t TcpStream, timeout: Duration) -> Self {
        let limits = SessionConfig::new().timeouts(Timeouts::new().handshake(timeout).closing(CLOSING)).stall(timeout);
        let session = Session::new(Instant::now(), Connection::server(Config::new()), limits);
        Self { client, session, output: Output::new(), request_bytes: Vec::new() }
    }

    /// Drives the session to its request, which comes with the bytes after it, or to its end.
    fn read_request(&mut self) -> io::Result<Option<(Request, Vec<u8>)>> {
        let Self { client, session, output, request_bytes } = self;
        let (mut buffer, mut client) = ([0; 4096], *client);
        loop {
            let deadline = match session.poll_writer(Instant::now(), output, &mut client) {
                Action::Wait { deadline, .. } => deadline,
                Action::Event(_) => continue,
                Action::ShutDown => {
                    client.shutdown(Shutdown::Write)?;
                    continue;
                }
                _ => return Ok(None),
            };
            let deadline = deadline.unwrap_or_else(|| Instant::now() + CLOSING);
            let n = match read_before(deadline, client, &mut buffer) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
                // A failed read is the end of the stream.
                read => read.unwrap_or(0),
            };
            // After that, the session discards what comes.
            if session.connection().state() == State::Connecting {
                request_bytes.extend_from_slice(&buffer[..n]);
            }
            let mut input = Input::from_read(&mut buffer[..n]);
            while let Some(event) = session.receive(&mut input, output) {
                if let Event::Request(request) = event {
                    let early_data = request_bytes.split_off(request_bytes.len() - input.len());
                    return Ok(Some((request, early_data)));
                }
            }
        }
    }

    /// Answers that the server cannot be reached or does not speak HTTP/1.1 (RFC 9110 §15.6.3).
    fn bad_gateway(mut self, request: Request) -> io::Result<()> {
        let reject = Reject::new(502).map_err(io::Error::other)?;
        self.session.connection_mut().reject(request, &reject, &mut self.output);
        self.read_request().map(drop)
    }
}

/// Reads a response's head, which starts with `bytes`, and the bytes after it.
fn read_response(server: &TcpStream, mut bytes: Vec<u8>, deadline: Instant) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            let is_http = bytes.starts_with(b"HTTP/1.1 ");
            return if is_http { Ok((bytes, rest)) } else { Err(ErrorKind::InvalidData.into()) };
        }
        match read_before(deadline, server, &mut buffer)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            n if bytes.len() + n > MAX_HEAD => return Err(ErrorKind::InvalidData.into()),
            n => bytes.extend_from_slice(&buffer[..n]),
        }
    }
}

/// Relays frames in both directions until both have ended.
fn relay(client: &TcpStream, server: &TcpStream, early_data: [Vec<u8>; 2], options: &Options) -> io::Result<()> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    let to_server = Mutex::new(Direction::new(server, Some(MaskKeys::from_seed(seed)), options.max_frame));
    let to_client = Mutex::new(Direction::new(client, None, options.max_frame));
    let address = client.peer_addr()?;
    let last_input = Mutex::new(Instant::now());
    let run = |name, source, early_data, forward, backward| {
        let next = |bytes: &mut Vec<u8>| read_next(source, bytes, &last_input, options.idle);
        let ended = pass(early_data, next, forward, backward);
        if ended.is_err() {
            if lock(forward).closing.is_some() {
                let _ = drain(source);
            }
            // One side is lost, or both got a Close from the relay: neither direction continues.
            let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
        }
        let reason = ended.err().map(|error| format!(", {error}")).unwrap_or_default();
        report(format_args!("{address} {name}: {}{reason}", lock(forward).counts));
    };
    let [from_client, from_server] = early_data;
    thread::scope(|scope| {
        scope.spawn(|| run("to the server", client, from_client, &to_server, &to_client));
        run("to the client", server, from_server, &to_client, &to_server);
    });
    Ok(())
}

/// Passes on the frames of one side, which start with `bytes`, and the end of its stream. After an error, both sides
/// get a Close.
fn pass(
    mut bytes: Vec<u8>,
    next: impl Fn(&mut Vec<u8>) -> io::Result<usize>,
    forward: &Mutex<Direction<'_>>,
    backward: &Mutex<Direction<'_>>,
) -> io::Result<()> {
    // Takes one lock at a time: the other thread may take them in the opposite order. Closes towards the sender first,
    // so that both directions are closing before the other side can react.
    let close = |code| {
        let _ = lock(backward).close(code);
        let _ = lock(forward).close(code);
    };
    loop {
        let processed = lock(forward).process(&mut Input::new(&mut bytes));
        if let Err(error) = processed {
            close(error.close_code());
            return Err(io::Error::other(error));
        }
        lock(forward).flush()?;
        match next(&mut bytes) {
            Ok(0) => return lock(forward).sink.shutdown(Shutdown::Write),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                close(CloseCode::TIMEOUT);
                return Err(error);
            }
            read => drop(read?),
        }
    }
}

/// One direction of a connection. Locked, because the thread of the other direction may insert a Close.
struct Direction<'t> {
    reader: FrameReader,
    sink: &'t TcpStream,
    /// The masking keys, in the direction to the server.
    keys: Option<MaskKeys>,
    /// The masking key, rotated to the next byte of payload.
    key: Option<[u8; 4]>,
    max_frame: u64,
    /// The opcode of the frame in progress.
    in_progress: Option<Opcode>,
    /// Bytes to write.
    unwritten: Vec<u8>,
    /// The close code that the relay sends when no frame is in progress.
    closing: Option<CloseCode>,
    /// A Close was passed on; the receiver discards everything after it (RFC 6455 §1.4).
    closed: bool,
    counts: Counts,
}

impl<'t> Direction<'t> {
    fn new(sink: &'t TcpStream, keys: Option<MaskKeys>, max_frame: u64) -> Self {
        let (reader, unwritten, counts) = (FrameReader::new(), Vec::new(), Counts::default());
        let (key, in_progress, closing, closed) = (None, None, None, false);
        Self { reader, sink, keys, key, max_frame, in_progress, unwritten, closing, closed, counts }
    }

    /// Reads frames from one side, and prepares them for the other.
    fn process(&mut self, input: &mut Input<'_>) -> Result<(), ProtocolErrorKind> {
        while let Some(piece) = self.reader.next(input).map_err(|error| error.kind())? {
            match piece {
                FramePiece::Header(_) if self.closed || self.closing.is_some() => {}
                FramePiece::Header(header) => {
                    self.check(&header)?;
                    self.counts.frames[header.opcode as usize] += 1;
                    self.add_header(header);
                }
                FramePiece::Payload { bytes, is_last } if self.in_progress.is_some() => {
                    self.counts.payload += bytes.len() as u64;
                    self.add_payload(bytes, is_last);
                }
                FramePiece::Payload { .. } => {}
            }
        }
        Ok(())
    }

    /// Checks that a client masks and a server does not (RFC 6455 §5.1), and the limit on the length.
    fn check(&self, header: &FrameHeader) -> Result<(), ProtocolErrorKind> {
        match (&self.keys, header.mask) {
            (Some(_), None) => Err(ProtocolErrorKind::NotMasked),
            (None, Some(_)) => Err(ProtocolErrorKind::Masked),
            _ if header.payload_len > self.max_frame => Err(ProtocolErrorKind::FrameTooBig),
            _ => Ok(()),
        }
    }

    fn add_header(&mut self, header: FrameHeader) {
        self.in_progress = Some(header.opcode);
        self.key = self.keys.as_mut().map(MaskKeys::key);
        self.unwritten.extend_from_slice(FrameHeader { mask: self.key, ..header }.encode().as_ref());
    }

    fn add_payload(&mut self, payload: &mut [u8], is_last: bool) {
        if let Some(key) = &mut self.key {
            apply_mask(*key, payload);
            *key = rotate_key(*key, payload.len());
        }
        self.unwritten.extend_from_slice(payload);
        if is_last {
            self.closed |= self.in_progress.take() == Some(Opcode::Close);
        }
    }

    /// Sends the relay's own Close, now or after the frame in progress.
    fn close(&mut self, code: CloseCode) -> io::Result<()> {
        self.closing = Some(code);
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        let is_due = self.in_progress.is_none() && !self.closed;
        if let Some(code) = self.closing.filter(|_| is_due) {
            self.add_header(FrameHeader { fin: true, rsv: 0, opcode: Opcode::Close, mask: None, payload_len: 2 });
            self.add_payload(&mut code.get().to_be_bytes(), true);
        }
        let mut written = 0;
        let result = loop {
            match self.sink.write(&self.unwritten[written..]) {
                Ok(0) if written < self.unwritten.len() => break Err(ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
            if written == self.unwritten.len() {
                break Ok(());
            }
        };
        // After an error, too, so that no byte is written twice.
        self.unwritten.drain(..written);
        result?;
        if self.closing.is_some() && self.closed { self.sink.shutdown(Shutdown::Write) } else { Ok(()) }
    }
}

/// The frames and bytes that went through a direction.
#[derive(Default)]
struct Counts {
    frames: [u64; 16],
    payload: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for opcode in (0..16).filter_map(Opcode::new).filter(|&opcode| self.frames[opcode as usize] > 0) {
            write!(f, "{opcode:?} {}, ", self.frames[opcode as usize])?;
        }
        write!(f, "{} bytes of payload", self.payload)
    }
}

/// Ignores poisoning: the state that a panicked thread leaves does no harm.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads the next bytes from one side. `TimedOut` means that nothing came from either side for `idle`.
fn read_next(
    source: &TcpStream,
    bytes: &mut Vec<u8>,
    last_input: &Mutex<Instant>,
    idle: Duration,
) -> io::Result<usize> {
    bytes.resize(16 << 10, 0);
    loop {
        let deadline = *lock(last_input) + idle;
        if Instant::now() >= deadline {
            return Err(io::Error::new(ErrorKind::TimedOut, "nothing came for too long"));
        }
        match read_before(deadline, source, bytes) {
            // Meanwhile, something may have come from the other side.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            read => {
                *lock(last_input) = Instant::now();
                bytes.truncate(*read.as_ref().unwrap_or(&0));
                return read;
            }
        }
    }
}

fn read_before(deadline: Instant, mut tcp: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut was_interrupted = false;
    loop {
        let wait = deadline.saturating_duration_since(Instant::now());
        if wait.is_zero() && !was_interrupted {
            return Err(ErrorKind::TimedOut.into());
        }
        tcp.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
        match tcp.read(buffer) {
            // The process was stopped, perhaps past the deadline: bytes that have arrived count.
            Err(error) if error.kind() == ErrorKind::Interrupted => was_interrupted = true,
            read => return read,
        }
    }
}

/// Reads to the end of the stream, for up to [`CLOSING`].
fn drain(tcp: &TcpStream) -> io::Result<()> {
    let (mut buffer, deadline) = ([0; 4096], Instant::now() + CLOSING);
    while read_before(deadline, tcp, &mut buffer)? > 0 {}
    Ok(())
}

fn report(line: fmt::Arguments<'_>) {
    let mut stdout = io::stdout().lock();
    // Standard output may be closed.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

#[derive(Clone)]
struct Options {
    listen: String,
    upstream: String,
    max_frame: u64,
    timeout: Duration,
    idle: Duration,
}

impl Options {
    fn parse() -> Option<Self> {
        let (mut addresses, mut max_frame, mut timeout, mut idle) = (Vec::new(), 1 << 20, TIMEOUT, IDLE);
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--max-frame" => max_frame = arguments.next()?.parse().ok()?,
                "--timeout" => {
                    timeout = Duration::from_millis(arguments.next()?.parse().ok().filter(|count| *count > 0)?);
                    idle = timeout;
                }
                _ if argument.starts_with('-') => return None,
                _ => addresses.push(argument),
            }
        }
        let [listen, upstream] = addresses.try_into().ok()?;
        Some(Self { listen, upstream, max_frame, timeout, idle })
    }
}
