//! An echo server: a task per connection, keep-alive, and an orderly end on Ctrl-C.
//!
//! `cargo run --release --example echo_server -- [ADDR] [--max-message BYTES] [--no-deflate] [--timeout MILLISECONDS]`
//!
//! Selects the subprotocol `chat` if it is offered. `feed` writes nothing: `recv` writes all echoes of a read at once.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::{select, signal, time::sleep};
use tokio_websocket_proto::{Accept, CloseCode, Config, Deflate, Error, Server, SessionConfig, Timeouts};

const USAGE: &str = "usage: echo_server [ADDR] [--max-message BYTES] [--no-deflate] [--timeout MILLISECONDS]";

#[tokio::main]
async fn main() -> ExitCode {
    let Some((address, server)) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match listen(&address, &server).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot listen on {address}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn listen(address: &str, server: &Server) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let _ = writeln!(io::stdout(), "listening on ws://{}/", listener.local_addr()?);
    let (stop, stopping) = watch::channel(());
    loop {
        let accepted = select! {
            accepted = listener.accept() => accepted,
            _ = signal::ctrl_c() => break,
        };
        match accepted {
            Ok((tcp, _)) => {
                let (server, stopping) = (server.clone(), stopping.clone());
                tokio::spawn(async move {
                    let _ = serve(tcp, &server, stopping).await;
                });
            }
            Err(error) => {
                let _ = writeln!(io::stderr(), "cannot serve a connection: {error}");
                // Out of file descriptors: wait until some are free again.
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop((listener, stopping));
    stop.send_replace(());
    // Each task has a receiver and a deadline, so this ends.
    select! {
        () = stop.closed() => {}
        _ = signal::ctrl_c() => {}
    }
    Ok(())
}

async fn serve(tcp: TcpStream, server: &Server, mut stopping: watch::Receiver<()>) -> Result<(), Error> {
    let _ = tcp.set_nodelay(true);
    let incoming = select! {
        incoming = server.request(tcp) => incoming?,
        _ = stopping.changed() => return Ok(()),
    };
    let mut accept = Accept::new();
    if incoming.request().subprotocols().any(|name| name == "chat") {
        accept = accept.subprotocol("chat");
    }
    let mut ws = incoming.accept(&accept).await?;
    loop {
        let message = select! {
            message = ws.recv() => message,
            _ = stopping.changed() => return ws.close(CloseCode::GOING_AWAY, "").await,
        };
        match message {
            Some(message) => {
                let message = message?;
                if message.is_data() {
                    ws.feed(message).await?;
                }
            }
            None => return Ok(()),
        }
    }
}

fn arguments() -> Option<(String, Server)> {
    let (mut address, mut config, mut compresses) = (None, Config::new(), true);
    let mut timeouts = Timeouts::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--no-deflate" => compresses = false,
            "--max-message" => config = config.max_message_size(arguments.next()?.parse().ok()?),
            "--timeout" => {
                let span = Duration::from_millis(arguments.next()?.parse().ok()?);
                timeouts = timeouts.handshake(span).keep_alive(span, span).closing(span);
            }
            _ if argument.starts_with('-') || address.is_some() => return None,
            _ => address = Some(argument),
        }
    }
    if compresses {
        config = config.deflate(Deflate::new().shared());
    }
    let server = Server::new().config(config).session(SessionConfig::new().timeouts(timeouts));
    Some((address.unwrap_or_else(|| "127.0.0.1:9001".into()), server))
}
