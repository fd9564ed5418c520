//! A relay that stands between clients and a server: `std::net`, two threads per connection.
//!
//! `cargo run --release --example relay -- LISTEN UPSTREAM [--max-frame BYTES] [--timeout MILLISECONDS]`
//!
//! Passes the opening handshake on as it is, and then frames in both directions, in the pieces in which they arrive. A
//! frame of more than BYTES (default 1 MiB), or one that breaks the protocol, closes both sides. Prints for each
//! direction of a connection, when it ends, how many frames of which kind there were. `--timeout` is the time for the
//! opening handshake, for connecting to the server in it, how long either side may not take what is written to it, and
//! how long nothing may come from both, instead of 10 s and, for the last, 2 minutes.
//!
//! What a proxy has to keep in mind:
//! - It may split or join the fragments of a message only if it knows every extension in use (RFC 6455 §5.4). This one
//!   never does: frames stay what they are, and so do the RSV bits and the payload, compressed or not.
//! - Control frames come between fragments, and pass there: it must not wait for the end of a message.
//! - Towards the server it masks each frame with a key of its own that nobody can predict (§5.3); towards the client
//!   it does not mask (§5.1).
//! - A frame of its own, such as a Close, goes only where one frame has ended and the next has not begun.
//! - Limits hold on the header: what a frame announces is never waited for, nor is memory taken for it.
//! - A second request, behind one that was refused, could open a connection past all of this: it is not passed on.
//! - Each wait has an end. Whether a side is alive, the other side finds out, with pings that pass; but if neither does,
//!   nobody may be there any more.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use websocket_proto::frame::{FrameHeader, FramePiece, FrameReader, Opcode};
use websocket_proto::mask::{MaskKeys, apply_mask, rotate_key};
use websocket_proto::{CloseCode, Config, Connection, Event, Input, Output, ProtocolErrorKind};

const USAGE: &str = "usage: relay LISTEN UPSTREAM [--max-frame BYTES] [--timeout MILLISECONDS]";

/// How long an opening handshake may take, and either side not take what is written to it.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long nothing may come from either side.
const IDLE: Duration = Duration::from_secs(120);

/// The most bytes of a response's head.
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

/// The opening handshake, and what follows from its answer.
fn serve(mut client: &TcpStream, options: &Options) -> io::Result<()> {
    let deadline = Instant::now() + options.patience;
    client.set_nodelay(true)?;
    client.set_write_timeout(Some(options.patience))?;
    let Some((request, ahead)) = read_request(client, deadline)? else { return Ok(()) };
    let refuse = || {
        (&*client).write_all(b"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")?;
        linger(client)
    };
    let Ok(mut server) = connect(&options.upstream, deadline) else { return refuse() };
    server.set_nodelay(true)?;
    server.set_write_timeout(Some(options.patience))?;
    server.write_all(&request)?;
    let mut behind = Vec::new();
    loop {
        let Ok((response, rest)) = read_response(&server, behind, deadline) else { return refuse() };
        client.write_all(&response)?;
        behind = rest;
        match response.get(9..12) {
            Some(b"101") => return relay(client, &server, [ahead, behind], options),
            // An interim response: the answer is still to come.
            Some([b'1', ..]) => {}
            _ => break,
        }
    }
    // Refused: the rest of the answer passes, and nothing more goes to the server.
    let _ = server.shutdown(Shutdown::Write);
    let (mut buffer, deadline) = ([0; 4096], Instant::now() + options.patience);
    client.write_all(&behind)?;
    while let Ok(n @ 1..) = read_before(deadline, &server, &mut buffer) {
        client.write_all(&buffer[..n])?;
    }
    linger(client)
}

/// Tries the server's addresses one after the other.
fn connect(upstream: &str, deadline: Instant) -> io::Result<TcpStream> {
    let mut connected = Err(ErrorKind::AddrNotAvailable.into());
    for address in upstream.to_socket_addrs()? {
        // A timeout of zero is refused, as an error like any other: then patience has ended.
        connected = TcpStream::connect_timeout(&address, deadline.saturating_duration_since(Instant::now()));
        if connected.is_ok() {
            break;
        }
    }
    connected
}

/// Reads a request and what came behind it. A server's connection finds its end, holds it to its limits, and answers
/// one that is no opening handshake: then there is none to pass on. What is one, the server behind the relay answers.
fn read_request(client: &TcpStream, deadline: Instant) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let (mut ws, mut output) = (Connection::server(Config::new()), Output::new());
    let (mut buffer, mut request) = ([0; 4096], Vec::new());
    loop {
        let n = read_before(deadline, client, &mut buffer)?;
        request.extend_from_slice(&buffer[..n]);
        let mut input = Input::new(&mut buffer[..n]);
        match if n == 0 { ws.receive_eof() } else { ws.receive(&mut input, &mut output) } {
            None => {}
            Some(Event::Request(_)) => {
                let ahead = request.split_off(request.len() - input.len());
                return Ok(Some((request, ahead)));
            }
            Some(_) => {
                output.write_to(&mut &*client)?;
                return linger(client).map(|()| None);
            }
        }
    }
}

/// Reads a response's head, of which `bytes` are there already, and what came behind it.
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

/// Frames, both ways, until both have ended.
fn relay(client: &TcpStream, server: &TcpStream, ahead: [Vec<u8>; 2], options: &Options) -> io::Result<()> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    let to_server = Mutex::new(Direction::new(server, Some(MaskKeys::from_seed(seed)), options.max_frame));
    let to_client = Mutex::new(Direction::new(client, None, options.max_frame));
    let address = client.peer_addr()?;
    let heard = Mutex::new(Instant::now());
    let run = |name, source, ahead, there, back| {
        let next = |bytes: &mut Vec<u8>| read_on(source, bytes, &heard, options.idle);
        let ended = pass(ahead, next, there, back);
        if ended.is_err() {
            if lock(there).closing.is_some() {
                let _ = drain(source);
            }
            // One side is lost, or both were told to close: neither direction goes on.
            let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
        }
        let why = ended.err().map(|error| format!(", {error}")).unwrap_or_default();
        report(format_args!("{address} {name}: {}{why}", lock(there).counts));
    };
    let [from_client, from_server] = ahead;
    thread::scope(|scope| {
        scope.spawn(|| run("to the server", client, from_client, &to_server, &to_client));
        run("to the client", server, from_server, &to_client, &to_server);
    });
    Ok(())
}

/// Passes on what one side sends, which begins with `bytes`, and the end of its stream. Whatever is wrong with it is
/// told to both sides.
fn pass(
    mut bytes: Vec<u8>,
    next: impl Fn(&mut Vec<u8>) -> io::Result<usize>,
    there: &Mutex<Direction<'_>>,
    back: &Mutex<Direction<'_>>,
) -> io::Result<()> {
    // Never both locks at once: the other thread may want them the other way round. Back first, so that the end is
    // decided for both when the first side can know of it.
    let close = |code| {
        let _ = lock(back).close(code);
        let _ = lock(there).close(code);
    };
    loop {
        let put = lock(there).put(&mut Input::new(&mut bytes));
        if let Err(wrong) = put {
            close(wrong.close_code());
            return Err(io::Error::other(wrong));
        }
        lock(there).flush()?;
        match next(&mut bytes) {
            Ok(0) => return lock(there).sink.shutdown(Shutdown::Write),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                close(CloseCode::TIMEOUT);
                return Err(error);
            }
            read => drop(read?),
        }
    }
}

/// One direction of a connection. Locked, because the other one may have to put a Close in it.
struct Direction<'t> {
    reader: FrameReader,
    sink: &'t TcpStream,
    /// Towards the server.
    keys: Option<MaskKeys>,
    /// For the next byte of payload.
    key: Option<[u8; 4]>,
    max_frame: u64,
    /// What the frame under way is.
    under_way: Option<Opcode>,
    /// To be written.
    waiting: Vec<u8>,
    /// What this side is to be told as soon as no frame is under way.
    closing: Option<CloseCode>,
    /// A Close is on its way, and whatever comes behind it is discarded at the other end (RFC 6455 §1.4).
    closed: bool,
    counts: Counts,
}

impl<'t> Direction<'t> {
    fn new(sink: &'t TcpStream, keys: Option<MaskKeys>, max_frame: u64) -> Self {
        let (reader, waiting, counts) = (FrameReader::new(), Vec::new(), Counts::default());
        let (key, under_way, closing, closed) = (None, None, None, false);
        Self { reader, sink, keys, key, max_frame, under_way, waiting, closing, closed, counts }
    }

    /// Takes what one side sent, and gets ready what the other is to get of it.
    fn put(&mut self, input: &mut Input<'_>) -> Result<(), ProtocolErrorKind> {
        while let Some(piece) = self.reader.next(input).map_err(|error| error.kind())? {
            match piece {
                FramePiece::Header(_) if self.closed || self.closing.is_some() => {}
                FramePiece::Header(header) => {
                    self.check(&header)?;
                    self.counts.frames[header.opcode as usize] += 1;
                    self.begin(header);
                }
                FramePiece::Payload { bytes, is_last } if self.under_way.is_some() => {
                    self.counts.payload += bytes.len() as u64;
                    self.carry_on(bytes, is_last);
                }
                FramePiece::Payload { .. } => {}
            }
        }
        Ok(())
    }

    /// A client masks, a server does not (RFC 6455 §5.1), and what is too long is refused before it is passed on.
    fn check(&self, header: &FrameHeader) -> Result<(), ProtocolErrorKind> {
        match (&self.keys, header.mask) {
            (Some(_), None) => Err(ProtocolErrorKind::NotMasked),
            (None, Some(_)) => Err(ProtocolErrorKind::Masked),
            _ if header.payload_len > self.max_frame => Err(ProtocolErrorKind::FrameTooBig),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, header: FrameHeader) {
        self.under_way = Some(header.opcode);
        self.key = self.keys.as_mut().map(MaskKeys::key);
        self.waiting.extend_from_slice(FrameHeader { mask: self.key, ..header }.encode().as_ref());
    }

    fn carry_on(&mut self, payload: &mut [u8], is_last: bool) {
        if let Some(key) = &mut self.key {
            apply_mask(*key, payload);
            *key = rotate_key(*key, payload.len());
        }
        self.waiting.extend_from_slice(payload);
        if is_last {
            self.closed |= self.under_way.take() == Some(Opcode::Close);
        }
    }

    /// Puts a Close of the relay's own, now or behind the frame that is under way.
    fn close(&mut self, code: CloseCode) -> io::Result<()> {
        self.closing = Some(code);
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        let is_due = self.under_way.is_none() && !self.closed;
        if let Some(code) = self.closing.filter(|_| is_due) {
            self.begin(FrameHeader { fin: true, rsv: 0, opcode: Opcode::Close, mask: None, payload_len: 2 });
            self.carry_on(&mut code.get().to_be_bytes(), true);
        }
        let mut written = 0;
        let result = loop {
            match self.sink.write(&self.waiting[written..]) {
                Ok(0) if written < self.waiting.len() => break Err(ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
            if written == self.waiting.len() {
                break Ok(());
            }
        };
        // After an error, too: no byte is written twice.
        self.waiting.drain(..written);
        result?;
        if self.closing.is_some() && self.closed { self.sink.shutdown(Shutdown::Write) } else { Ok(()) }
    }
}

/// What went through a direction.
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

/// What panicked is of no use any more, but does no harm either.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads what comes next from one side. `TimedOut` means that nothing came from either side for too long.
fn read_on(source: &TcpStream, bytes: &mut Vec<u8>, heard: &Mutex<Instant>, idle: Duration) -> io::Result<usize> {
    bytes.resize(16 << 10, 0);
    loop {
        let deadline = *lock(heard) + idle;
        if Instant::now() >= deadline {
            return Err(io::Error::new(ErrorKind::TimedOut, "nothing came for too long"));
        }
        match read_before(deadline, source, bytes) {
            // The other side may have been heard meanwhile.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            read => {
                *lock(heard) = Instant::now();
                bytes.truncate(*read.as_ref().unwrap_or(&0));
                return read;
            }
        }
    }
}

fn read_before(deadline: Instant, mut tcp: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        // A timeout of zero is refused, as an error like any other: then patience has ended.
        tcp.set_read_timeout(Some(deadline.saturating_duration_since(Instant::now())))?;
        match tcp.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// To close with input unread would reset the connection, and could destroy what was written last on its way.
fn linger(tcp: &TcpStream) -> io::Result<()> {
    tcp.shutdown(Shutdown::Write)?;
    drain(tcp)
}

/// Reads to the end, for so long.
fn drain(tcp: &TcpStream) -> io::Result<()> {
    let (mut buffer, deadline) = ([0; 4096], Instant::now() + Duration::from_secs(2));
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
    patience: Duration,
    idle: Duration,
}

impl Options {
    fn parse() -> Option<Self> {
        let (mut addresses, mut max_frame, mut patience, mut idle) = (Vec::new(), 1 << 20, PATIENCE, IDLE);
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--max-frame" => max_frame = arguments.next()?.parse().ok()?,
                "--timeout" => {
                    patience = Duration::from_millis(arguments.next()?.parse().ok().filter(|count| *count > 0)?);
                    idle = patience;
                }
                _ if argument.starts_with('-') => return None,
                _ => addresses.push(argument),
            }
        }
        let [listen, upstream] = addresses.try_into().ok()?;
        Some(Self { listen, upstream, max_frame, patience, idle })
    }
}
