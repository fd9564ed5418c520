//! A chat with rooms, names, presence and a feed of prices, on one port with the page that uses it.
//!
//! `cargo run --release --example chat -- [ADDR] [--redis URL] [--origin ORIGIN]… [--tick MILLISECONDS]
//! [--echo MILLISECONDS]`
//!
//! Open the address that it prints in two windows. With `--redis`, any number of these share their rooms; `nginx.conf`
//! beside this file has what a proxy in front of them needs, and does the TLS. Without it, everything is in this
//! process.
//!
//! - `http` answers what asks for no WebSocket: the page, and the login, which gives a token for a name.
//! - `session` is one connection, from its upgrade to its end: the loop over socket, clock and room that is this
//!   crate's part. `echo` is the smallest such loop.
//! - `hub` has the rooms: who is in them, what was said, and who has to be told.
//! - `redis` is what hubs share, `messages` what they say to the page, `prices` a feed, `token` the login.
//!
//! # The rules
//! - **Origin**: a browser's page has to come from this very address, or from an `--origin`, which a server behind TLS
//!   has to be given. Programs that are no browsers send no Origin and are let in: what they need is a token.
//! - **Login**: `POST /login` with a name gives a token, which is the name, signed, valid for a day. It goes into the
//!   first message: the URL would be logged, a cookie would be sent along with what other sites' pages ask for, and a
//!   handshake that is refused for a subprotocol tells a browser's script only 1006, whereas a Close says why. The
//!   price is a connection that nobody has logged in on, which is closed after 10 seconds. There are no passwords:
//!   anybody can take any name.
//! - **Without a login** there is `/echo`, for trying things out: a hundred connections at once, each closed after ten
//!   minutes, or `--echo`. A public server would leave it away.
//! - **Connections**: 10,000 at once, of any kind; the next ones wait. How many an address may open, a proxy limits.
//! - **Slow readers**: who takes nothing for 5 seconds while something waits (a few KiB: less does not show), or falls
//!   256 messages behind the room, is dropped; who is slow but steady is not. Of the prices, and of who is where, such
//!   a client misses what is old: only the last is ever kept.
//! - **Rate**: ten messages at once, then two a second for each connection. What is beyond that is refused; who is
//!   refused a hundred times, and more than ten times a second, is sent away.
//! - **Rooms**: three that are always there, and those that people make, a hundred in all: the next takes the place of
//!   one that is empty, or is refused. Redis holds the history of as many, and forgets that of the longest silent one
//!   for the next.
//! - **History**: a room holds its last 100 messages; whoever joins gets them, or those since the last that it has
//!   seen. Of its last 1000 it remembers the keys: what a page says again, because it did not hear that it was passed
//!   on, comes once.

mod echo;
mod http;
mod hub;
mod messages;
mod prices;
#[path = "../shared/printable.rs"]
mod printable;
mod redis;
mod session;
mod token;

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use websocket_proto::handshake::{Answer, Bootstrap, Negotiated, Request, parse_request};
use websocket_proto::{Accept, Config, Connection, Deflate, HandshakeErrorKind, Output, Reject, Role};

use crate::hub::Hub;
use crate::printable::Printable;
use crate::redis::Redis;
use crate::session::Session;
use crate::token::Tokens;

const USAGE: &str = "usage: chat [ADDR] [--redis URL] [--origin ORIGIN]... [--tick MILLISECONDS] [--echo MILLISECONDS]";

/// Connections at once, of any kind; the next ones wait to be accepted. For each there may wait `session::MAX_WAITING`,
/// and a welcome, which is 100 messages of up to 4 KB: half a megabyte. If all read as slowly as they may that is 5 GB,
/// so a machine with less takes fewer.
const MAX_CONNECTIONS: usize = 10_000;

/// How long a request may take to arrive, and its answer to be taken.
const PATIENCE: Duration = Duration::from_secs(10);

type Error = Box<dyn std::error::Error + Send + Sync>;

/// What all connections share.
struct Chat {
    hub: Arc<Hub>,
    tokens: Tokens,
    config: Config,
    /// The only ones from which pages may come; if there are none, only this server's own.
    origins: Vec<String>,
    /// Places at `/echo`, and how long one may be kept.
    echoes: Semaphore,
    longest_echo: Duration,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(arguments) = Arguments::parse() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log(format_args!("{error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Error> {
    let listener = listen(&arguments.address).await?;
    let node = token::random_name()?;
    let (proposed, secret) = watch::channel(token::random_secret()?);
    let redis = match &arguments.redis {
        Some(url) => Some(Redis::connect(url, &node, proposed).await?),
        None => None,
    };
    let tokens = Tokens::new(secret);
    let hub = Hub::new(node, redis, prices::start(arguments.tick));
    Hub::start(&hub).await;
    let config = Config::new().max_message_size(session::MAX_MESSAGE).deflate(Deflate::new());
    let (echoes, longest_echo) = (Semaphore::new(echo::PLACES), arguments.longest_echo);
    let chat = Arc::new(Chat { hub: hub.clone(), tokens, config, origins: arguments.origins, echoes, longest_echo });

    let _ = writeln!(io::stdout(), "listening on http://{}/", listener.local_addr()?);
    tokio::select! {
        () = accept(listener, chat) => {}
        () = stop() => {
            // Clients come again, to whatever serves this address next, and ask for what they missed.
            hub.send_away();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    Ok(())
}

async fn listen(address: &str) -> io::Result<TcpListener> {
    let address = lookup_host(address).await?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    // Left alone, the system would take megabytes for a slow reader before it shows as one. And it says that there is
    // room only when much of this is free: whoever takes less than that in `session::STALL` shows as taking nothing.
    // Connections inherit it.
    socket.set_send_buffer_size(16 << 10)?;
    socket.bind(address)?;
    socket.listen(1024)
}

async fn accept(listener: TcpListener, chat: Arc<Chat>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(place) = places.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((tcp, _)) => {
                let chat = chat.clone();
                tokio::spawn(async move {
                    // A peer that resets, or stops reading, ends its own task and nothing else.
                    let _ = serve(tcp, &chat).await;
                    drop(place);
                });
            }
            Err(error) => {
                log(format_args!("cannot accept a connection: {error}"));
                // Out of file descriptors: some will come back.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve(mut tcp: TcpStream, chat: &Chat) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut head = Vec::new();
    let ahead = match timeout(PATIENCE, http::read_head(&mut tcp, &mut head)).await? {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return refuse(&mut tcp, HandshakeErrorKind::HeadTooLarge, &head).await;
        }
        read => read?,
    };
    match parse_request(&head) {
        Ok(request) => {
            // This may last for days, in which nobody needs the head.
            drop(head);
            serve_websocket(&mut tcp, request, ahead, chat).await?;
        }
        // A page, or a login.
        Err(HandshakeErrorKind::MissingUpgrade | HandshakeErrorKind::UnsupportedMethod) => {
            timeout(PATIENCE, http::serve(&mut tcp, &head, ahead, &chat.tokens)).await??;
        }
        Err(kind) => return refuse(&mut tcp, kind, &head).await,
    }
    linger(&mut tcp).await
}

/// Answers a request that begins so and is wrong.
async fn refuse(tcp: &mut TcpStream, kind: HandshakeErrorKind, head: &[u8]) -> io::Result<()> {
    let mut output = Output::new();
    kind.answer(Bootstrap::Upgrade, head).write_http1(&mut output);
    timeout(PATIENCE, tcp.write_all_buf(&mut output)).await??;
    linger(tcp).await
}

async fn serve_websocket(tcp: &mut TcpStream, request: Request, ahead: Vec<u8>, chat: &Chat) -> io::Result<()> {
    let is_echo = request.path() == "/echo";
    // Kept to the end.
    let place = is_echo.then(|| chat.echoes.try_acquire());
    let (answer, negotiated) = match place {
        Some(Err(_)) => (request.reject(&Reject::service_unavailable().body("too many try this out\n")), None),
        _ => chat.answer(request),
    };
    let mut output = Output::new();
    answer.write_http1(&mut output);
    let Some(negotiated) = negotiated else {
        return timeout(PATIENCE, tcp.write_all_buf(&mut output)).await?;
    };
    let ws = Connection::upgraded(Role::Server, negotiated, chat.config.clone(), [0; 32]);
    if is_echo {
        echo::serve(tcp, ws, output, ahead, chat.longest_echo).await
    } else {
        Session::new(ws, output, &chat.hub, &chat.tokens).serve(tcp, ahead).await
    }
}

impl Chat {
    /// What to answer to an opening request; with what was negotiated, if it is accepted.
    fn answer(&self, request: Request) -> (Answer, Option<Negotiated>) {
        // The version of what is in `messages`. If a page asks for another, its browser fails the connection.
        let subprotocol = match request.path() {
            "/chat" => "chat.v1",
            "/echo" => "echo",
            _ => return (request.reject(&Reject::not_found()), None),
        };
        if !self.is_welcome(&request) {
            return (request.reject(&Reject::forbidden().body("pages of other sites have no business here\n")), None);
        }
        let mut accept = Accept::new();
        if request.subprotocols().any(|offered| offered == subprotocol) {
            accept = accept.subprotocol(subprotocol);
        }
        match request.accept(&accept, &self.config) {
            Ok((answer, negotiated)) => (answer, Some(negotiated)),
            Err(error) => (error.into_request().reject(&Reject::internal_server_error()), None),
        }
    }

    fn is_welcome(&self, request: &Request) -> bool {
        match request.origin() {
            None => true,
            Some(_) if self.origins.is_empty() => request.is_same_origin(false),
            Some(origin) => self.origins.iter().any(|allowed| allowed == origin),
        }
    }
}

/// RFC 6455 §7.1.1: shut the sending side down, then read to the end. To close with input unread would reset the
/// connection, and could destroy the last bytes on their way.
async fn linger(tcp: &mut TcpStream) -> io::Result<()> {
    tcp.shutdown().await?;
    let mut ignored = [0; 1024];
    let to_the_end = async {
        while tcp.read(&mut ignored).await? > 0 {}
        io::Result::Ok(())
    };
    timeout(Duration::from_secs(2), to_the_end).await?
}

/// Tells whoever started this, in one line, though a client or Redis may have chosen the words. They may have closed its
/// error stream, for which `eprintln` would panic.
fn log(what: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{}", Printable(&what.to_string()));
}

/// Waits until this process is asked to end.
async fn stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

struct Arguments {
    address: String,
    redis: Option<String>,
    origins: Vec<String>,
    /// How often there are prices; the page takes a connection without any for dead.
    tick: Duration,
    longest_echo: Duration,
}

impl Arguments {
    fn parse() -> Option<Self> {
        let (tick, longest_echo) = (Duration::from_secs(1), echo::LONGEST);
        let mut parsed = Self { address: String::new(), redis: None, origins: Vec::new(), tick, longest_echo };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--redis" => parsed.redis = Some(arguments.next()?),
                "--origin" => parsed.origins.push(arguments.next()?),
                "--tick" => {
                    let milliseconds = arguments.next()?.parse().ok().filter(|tick| (1..=10_000).contains(tick))?;
                    parsed.tick = Duration::from_millis(milliseconds);
                }
                "--echo" => parsed.longest_echo = Duration::from_millis(arguments.next()?.parse().ok()?),
                _ if argument.starts_with('-') || !parsed.address.is_empty() => return None,
                _ => parsed.address = argument,
            }
        }
        if parsed.address.is_empty() {
            parsed.address = "127.0.0.1:9001".into();
        }
        Some(parsed)
    }
}
