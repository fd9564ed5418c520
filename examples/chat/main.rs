//! A chat with rooms, user names, lists of present users and a feed of prices, on one port with its web page.
//!
//! `cargo run --release --example chat -- [ADDR] [--redis URL] [--origin ORIGIN]… [--tick MILLISECONDS]
//! [--echo MILLISECONDS]`
//!
//! Open the printed address in two windows. With `--redis`, any number of processes share their rooms; `nginx.conf`
//! configures a proxy for them, which does the TLS. Without it, all state is in this process.
//!
//! - `http` answers plain HTTP requests: the page, and the login, which gives a token for a name.
//! - `session` runs one connection from its upgrade to its end: the loop over socket, clock and room that uses this
//!   crate. `echo` is the smallest such loop.
//! - `hub` has the rooms: their users, their messages, and the broadcasts.
//! - `redis` has the state that hubs share, `messages` the protocol with the page, `prices` a feed, `token` the login.
//!
//! # The rules
//! - **Origin**: a browser's page must come from this address, or from an `--origin`, which is required if a proxy does
//!   the TLS. Programs other than browsers send no Origin and are accepted: they need only a token.
//! - **Login**: `POST /login` with a name gives a token, which is the signed name, valid for a day. The first message
//!   contains it: a URL would be logged, a cookie would also be sent with requests of other sites' pages, and for a
//!   handshake rejected because of its subprotocol a browser's script sees only 1006, whereas a Close has a reason. The
//!   price is that a connection is open before its login; it is closed after 10 seconds without one. There are no
//!   passwords: any user can take any name.
//! - **Without a login**, `/echo` is for experiments: a hundred connections at once, each closed after ten minutes, or
//!   `--echo`. A public server would omit it.
//! - **Connections**: 10,000 at once, of any kind; more of them wait. A proxy limits those of one address.
//! - **Slow readers**: a client is dropped if it reads nothing for 5 seconds while bytes wait (more than a few KiB,
//!   which fit into the socket), or if it has yet to receive more than 256 messages of its room. A client that is slow
//!   but steady stays; it misses older prices and lists of users, of which only the latest are kept.
//! - **Rate**: ten messages at once, then two a second for each connection. Further messages are rejected; a client
//!   with a hundred rejections, at more than ten a second, is disconnected.
//! - **Rooms**: three that always exist, and those that users create, a hundred in all: a new room replaces an empty
//!   one, or is rejected. Redis keeps the same number of histories; a new one replaces that of the room that was silent
//!   for longest.
//! - **History**: a room keeps its last 100 messages. A user that joins gets them, or those after the last message that
//!   the page has seen. A page sends a message again if it did not learn that it was broadcast; the room remembers the
//!   keys of its last 1000 messages, so that the message appears once.

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
use crate::session::Visit;
use crate::token::Tokens;

const USAGE: &str = "usage: chat [ADDR] [--redis URL] [--origin ORIGIN]... [--tick MILLISECONDS] [--echo MILLISECONDS]";

/// The limit on connections, of any kind; more of them wait to be accepted. For each, `session::MAX_WAITING` bytes may
/// wait, and a welcome, which is 100 messages of up to 4 KB: half a megabyte. If all clients read as slowly as allowed,
/// that is 5 GB, so a machine with less memory needs a lower limit.
const MAX_CONNECTIONS: usize = 10_000;

/// The time in which a request must arrive, and its answer must be read.
const PATIENCE: Duration = Duration::from_secs(10);

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The state that all connections share.
struct Chat {
    hub: Arc<Hub>,
    tokens: Tokens,
    config: Config,
    /// The origins from which pages may come; if empty, only this server's own.
    origins: Vec<String>,
    /// The places at `/echo`, and the longest time for one.
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
            // Clients reconnect, to whichever process serves this address next, and ask for missed messages.
            hub.disconnect_all();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    Ok(())
}

async fn listen(address: &str) -> io::Result<TcpListener> {
    let address = lookup_host(address).await?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    // By default the system buffers megabytes for a slow reader before writes fail. It also reports a socket as
    // writable only when much of this buffer is free, so a client that reads less than that in `session::STALL` seems
    // to read nothing. Connections inherit this size.
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
                    // A peer that resets the connection, or stops reading, ends only its own task.
                    let _ = serve(tcp, &chat).await;
                    drop(place);
                });
            }
            Err(error) => {
                log(format_args!("cannot accept a connection: {error}"));
                // Out of file descriptors: wait until some are free again.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve(mut tcp: TcpStream, chat: &Chat) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut head = Vec::new();
    let early_data = match timeout(PATIENCE, http::read_head(&mut tcp, &mut head)).await? {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return reject_request(&mut tcp, HandshakeErrorKind::HeadTooLarge, &head).await;
        }
        read => read?,
    };
    match parse_request(&head) {
        Ok(request) => {
            // The connection may last for days and no longer needs the head.
            drop(head);
            if serve_websocket(&mut tcp, request, early_data, chat).await? {
                return Ok(());
            }
        }
        // A page, or a login.
        Err(HandshakeErrorKind::MissingUpgrade | HandshakeErrorKind::UnsupportedMethod) => {
            timeout(PATIENCE, http::serve(&mut tcp, &head, early_data, &chat.tokens)).await??;
        }
        Err(kind) => return reject_request(&mut tcp, kind, &head).await,
    }
    linger(&mut tcp).await
}

/// Answers an invalid request that begins with `head`.
async fn reject_request(tcp: &mut TcpStream, kind: HandshakeErrorKind, head: &[u8]) -> io::Result<()> {
    let mut output = Output::new();
    kind.answer(Bootstrap::Upgrade, head).write_http1(&mut output);
    timeout(PATIENCE, tcp.write_all_buf(&mut output)).await??;
    linger(tcp).await
}

/// Returns whether the request was accepted; then the connection has ended in order.
async fn serve_websocket(tcp: &mut TcpStream, request: Request, early_data: Vec<u8>, chat: &Chat) -> io::Result<bool> {
    let is_echo = request.path() == "/echo";
    // Kept until the connection ends.
    let place = is_echo.then(|| chat.echoes.try_acquire());
    let (answer, negotiated) = match place {
        Some(Err(_)) => (request.reject(&Reject::service_unavailable().body("too many try this out\n")), None),
        _ => chat.answer(request),
    };
    let mut output = Output::new();
    answer.write_http1(&mut output);
    let Some(negotiated) = negotiated else {
        timeout(PATIENCE, tcp.write_all_buf(&mut output)).await??;
        return Ok(false);
    };
    let ws = Connection::upgraded(Role::Server, negotiated, chat.config.clone(), [0; 32]);
    if is_echo {
        echo::serve(tcp, ws, output, early_data, chat.longest_echo).await;
    } else {
        Visit::new(ws, output, &chat.hub, &chat.tokens).serve(tcp, early_data).await;
    }
    Ok(true)
}

impl Chat {
    /// The answer to a handshake request, with the negotiated parameters if it is accepted.
    fn answer(&self, request: Request) -> (Answer, Option<Negotiated>) {
        // The version of the protocol in `messages`. A page that asks for another one fails in its browser.
        let subprotocol = match request.path() {
            "/chat" => "chat.v1",
            "/echo" => "echo",
            _ => return (request.reject(&Reject::not_found()), None),
        };
        if !self.has_allowed_origin(&request) {
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

    fn has_allowed_origin(&self, request: &Request) -> bool {
        match request.origin() {
            None => true,
            Some(_) if self.origins.is_empty() => request.is_same_origin(false),
            Some(origin) => self.origins.iter().any(|allowed| allowed == origin),
        }
    }
}

/// RFC 6455 §7.1.1: shuts the sending side down, then reads to the end. Closing with input unread would reset the
/// connection, and could destroy the last bytes in flight.
async fn linger(tcp: &mut TcpStream) -> io::Result<()> {
    tcp.shutdown().await?;
    let mut ignored = [0; 1024];
    let to_the_end = async {
        while tcp.read(&mut ignored).await? > 0 {}
        io::Result::Ok(())
    };
    timeout(Duration::from_secs(2), to_the_end).await?
}

/// Writes one line to the error stream, even if a client or Redis chose the text. The stream may be closed, for which
/// `eprintln` would panic.
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
    /// The interval between prices; the page treats a connection without prices as dead.
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
