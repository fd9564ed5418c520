//! A WebSocket beside ordinary routes, on axum: one handler for HTTP/1.1 and for HTTP/2.
//!
//! `cargo run --release --example axum_server --features http -- [ADDR] [--grace MILLISECONDS]`
//!
//! `/` is an ordinary route; `/echo` is the WebSocket, which gives messages back. Over HTTP/1.1 it is asked for by GET
//! with `Upgrade` (RFC 6455), over HTTP/2 by extended CONNECT (RFC 8441), which `axum::serve` allows its clients to
//! send; both on the same port, HTTP/2 with prior knowledge. What is to be kept in mind:
//! - **The route takes any method**: over HTTP/2 it is CONNECT. What is no opening is refused by the handler, with the
//!   status that the RFCs ask for. An answer to HEAD has no body: the crate makes none, and axum and hyper would send
//!   none.
//! - **hyper gives the stream away after the response**, so whoever waits for it is a task of its own. What hyper has
//!   read beyond the request it gives back as the first bytes of the stream: there is no `Input` to carry over.
//! - **hyper takes a write whole**, however little the peer's HTTP/2 window allows, and a few of them ahead: what is
//!   written in pieces stays here until the peer takes it, and `--grace` is how long it may take nothing. Then this
//!   side lets go of the stream; what hyper has taken it keeps until the peer opens the window or ends the TCP
//!   connection.
//! - **TLS** goes between the listener and axum; over TLS a browser that has spoken HTTP/2 with a server opens a
//!   WebSocket there as well.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use bytes::{Buf, Bytes};
use futures_util::stream;
use hyper::ext::Protocol;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, sink};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout, timeout_at};
use websocket_proto::handshake::{self, Bootstrap};
use websocket_proto::{Accept, Config, Connection, Deflate, Event, Input, Output, Reject, Role, Timeouts, Timers};

const USAGE: &str = "usage: axum_server [ADDR] [--grace MILLISECONDS]";

/// The most that is given to hyper at once.
const PIECE: usize = 16 << 10;

#[tokio::main]
async fn main() -> ExitCode {
    let Some((address, grace)) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match listen(&address, grace).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot listen on {address}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn listen(address: &str, grace: Duration) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let _ = writeln!(io::stdout(), "listening on http://{}/", listener.local_addr()?);
    let routes = Router::new().route("/", get("The WebSocket is at /echo.\n")).route("/echo", any(open));
    axum::serve(listener, routes.with_state(grace)).await
}

/// Answers an opening, and hands the stream behind it to a task that drives the connection.
async fn open(State(grace): State<Duration>, mut request: Request) -> Response {
    let config = Config::new().deflate(Deflate::new());
    let protocol = request.extensions().get::<Protocol>().map(Protocol::as_str);
    let (answer, negotiated) = match handshake::Request::from_http(&request, protocol) {
        // Here is the place to look at the Origin, a cookie, the subprotocols.
        Ok(asked) => match asked.accept(&Accept::new(), &config) {
            Ok((answer, negotiated)) => (answer, Some(negotiated)),
            Err(error) => (error.into_request().reject(&Reject::internal_server_error()), None),
        },
        Err(kind) => (kind.answer(Bootstrap::of(request.version()), request.method().as_str()), None),
    };
    if let Some(negotiated) = negotiated {
        let stream = hyper::upgrade::on(&mut request);
        // A server draws no mask keys: its seed counts for nothing.
        let ws = Connection::upgraded(Role::Server, negotiated, config, [0; 32]);
        tokio::spawn(async move {
            // It comes once the response is sent, unless the peer has gone away before.
            if let Ok(stream) = stream.await {
                serve(TokioIo::new(stream), ws, grace).await;
            }
        });
    }
    match answer.into_http() {
        // RFC 9110 §8.6: Content-Length would have to be that of the answer to GET. Of an empty body axum states the
        // length, of a stream it knows none.
        Ok(response) if request.method() == Method::HEAD => {
            response.map(|_| Body::from_stream(stream::empty::<io::Result<Bytes>>()))
        }
        Ok(response) => response.map(Body::from),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Serves a connection to its end. Nothing from here on knows which HTTP is underneath. `grace` is how long the peer
/// may take nothing of what it is sent, and in the end to close its side.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, mut ws: Connection, grace: Duration) {
    let mut output = Output::new();
    let driven = drive(&mut stream, &mut ws, &mut output, grace).await;
    // However it ended, the application hears of it.
    while let Some(event) = ws.receive_eof() {
        echo(event, &mut ws, &mut output);
    }
    // RFC 6455 §7.1.1: the server closes first, and reads to the end. (Over HTTP/2 these are END_STREAM flags.)
    if driven.is_ok() && timeout(grace, stream.shutdown()).await.is_ok_and(|shut| shut.is_ok()) {
        let _ = timeout(grace, copy(&mut stream, &mut sink())).await;
    }
}

/// Reads, answers and looks at the time until the connection is over and all is written.
async fn drive(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ws: &mut Connection,
    output: &mut Output,
    grace: Duration,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    let mut timers = Timers::new(Instant::now(), Timeouts::new());
    while !ws.is_closed() {
        let due = timers.poll_timeout().unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        // A read that is given up has taken nothing.
        if let Ok(read) = timeout_at(due, stream.read(&mut buffer)).await {
            let n = read?;
            let mut input = Input::new(&mut buffer[..n]);
            while let Some(event) = if n == 0 { ws.receive_eof() } else { ws.receive(&mut input, output) } {
                echo(event, ws, output);
            }
        }
        timers.handle_timeout(Instant::now(), ws, output);
        // Until all is written nothing more is read: a peer that takes nothing is not answered without end.
        while !output.is_empty() {
            if timeout(grace, stream.write_buf(&mut output.take(PIECE))).await?? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        // Over HTTP/2 this is what waits for the peer.
        timeout(grace, stream.flush()).await??;
    }
    Ok(())
}

fn echo(event: Event<'_>, ws: &mut Connection, output: &mut Output) {
    // A message that cannot be sent, because the connection is closing, has nowhere else to go.
    match event {
        Event::Text(text) => drop(ws.send_text(&text, output)),
        Event::Binary(data) => drop(ws.send_binary(&data, output)),
        _ => {}
    }
}

fn arguments() -> Option<(String, Duration)> {
    let (mut address, mut grace) = (None, Duration::from_secs(10));
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--grace" => grace = Duration::from_millis(arguments.next()?.parse().ok()?),
            _ if argument.starts_with('-') || address.is_some() => return None,
            _ => address = Some(argument),
        }
    }
    Some((address.unwrap_or_else(|| "127.0.0.1:9001".into()), grace))
}
