//! An echo server on axum, beside ordinary routes: one handler for WebSocket over HTTP/1.1 and over HTTP/2.
//!
//! `cargo run --release --example axum_server --features http -- [ADDR] [--grace MILLISECONDS]`
//!
//! `/` is an ordinary route; `/echo` is the WebSocket. On one port, HTTP/1.1 clients use GET with `Upgrade` (RFC 6455),
//! HTTP/2 clients (with prior knowledge) extended CONNECT (RFC 8441), which `axum::serve` enables. Notes:
//! - **The route accepts any method**, because over HTTP/2 it is CONNECT. The handler rejects everything that is not a
//!   handshake, with the status that the RFCs ask for. Neither the crate nor axum and hyper send a body in answer to
//!   HEAD.
//! - **hyper provides the stream after the response is sent**, so a separate task waits for it. Bytes that hyper has
//!   read after the request are the first bytes of the stream: no `Input` is carried over.
//! - **hyper accepts whole writes**, and a few of them ahead, however small the peer's HTTP/2 window is. So the recipe
//!   writes pieces, and keeps the rest until the peer reads. `--grace` is the longest time in which the peer reads
//!   nothing; then this server drops the stream. hyper keeps the pieces that it accepted until the peer opens the
//!   window or closes the TCP connection.
//! - **The loop** is the guide's recipe for tokio.
//! - **TLS** goes between the listener and axum. Over TLS, a browser that already has an HTTP/2 connection to the
//!   server also opens its WebSocket there.

#[path = "../src/guide/recipes/tokio.rs"]
mod recipe;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use bytes::Bytes;
use futures_util::stream;
use hyper::ext::Protocol;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use websocket_proto::handshake::{self, Bootstrap};
use websocket_proto::{Accept, Config, Connection, Deflate, Event, Output, Reject, Role, SessionConfig};

const USAGE: &str = "usage: axum_server [ADDR] [--grace MILLISECONDS]";

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
    let routes = Router::new().route("/", get("The WebSocket is at /echo.\n")).route("/echo", any(upgrade));
    axum::serve(listener, routes.with_state(grace)).await
}

/// Answers a handshake, and starts a task that drives the connection on the stream after it.
async fn upgrade(State(grace): State<Duration>, mut request: Request) -> Response {
    let config = Config::new().deflate(Deflate::new());
    let protocol = request.extensions().get::<Protocol>().map(Protocol::as_str);
    let (answer, negotiated) = match handshake::Request::from_http(&request, protocol) {
        // A real server checks the Origin, a cookie and the subprotocols here.
        Ok(offer) => match offer.accept(&Accept::new(), &config) {
            Ok((answer, negotiated)) => (answer, Some(negotiated)),
            Err(error) => (error.into_request().reject(&Reject::internal_server_error()), None),
        },
        Err(kind) => (kind.answer(Bootstrap::of(request.version()), request.method().as_str()), None),
    };
    if let Some(negotiated) = negotiated {
        let stream = hyper::upgrade::on(&mut request);
        // A server masks nothing, so its seed is unused.
        let ws = Connection::upgraded(Role::Server, negotiated, config, [0; 32]);
        tokio::spawn(async move {
            // The stream is available once the response is sent, unless the peer has left.
            if let Ok(stream) = stream.await {
                let limits = SessionConfig::new().stall(grace).grace(grace);
                // No other task sends messages.
                let (_, news) = mpsc::channel(1);
                recipe::drive(TokioIo::new(stream), ws, Output::new(), limits, news, echo).await;
            }
        });
    }
    match answer.into_http() {
        // RFC 9110 §8.6: Content-Length would have to be that of the answer to GET. axum adds the length of an empty
        // body, but not of a stream.
        Ok(response) if request.method() == Method::HEAD => {
            response.map(|_| Body::from_stream(stream::empty::<io::Result<Bytes>>()))
        }
        Ok(response) => response.map(Body::from),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn echo(event: Event<'_>, ws: &mut Connection, output: &mut Output) {
    // While the connection is closing, a message cannot be sent and is dropped.
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
