//! The echo servers of the peers, and of the reference. Each has one thread.

mod echo;
mod event_loop;
mod fastwebsockets;
mod raw_tcp;
mod runtime;
mod socket;
mod sockudo;
mod tokio_tungstenite;
mod tokio_websockets;
mod tungstenite;
mod upgrade;
mod yawc;

use std::io::{self, Write};
use std::net::TcpListener;

use crate::error::Result;

/// Serves on `address` until the process is ended.
pub fn serve(name: &str, address: &str) -> Result<()> {
    let run: fn(TcpListener) -> Result<()> = match name {
        "raw-tcp" => event_loop::run::<raw_tcp::Peer>,
        "tungstenite" => event_loop::run::<tungstenite::Peer>,
        "tokio-tungstenite" => |listener| runtime::run(listener, tokio_tungstenite::echo),
        "sockudo-ws" => |listener| runtime::run(listener, sockudo::echo),
        "tokio-websockets" => |listener| runtime::run(listener, tokio_websockets::echo),
        "fastwebsockets" => |listener| runtime::run(listener, fastwebsockets::echo),
        "yawc" => |listener| runtime::run(listener, yawc::echo),
        _ => return Err(format!("{name}: no such server").into()),
    };
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    writeln!(io::stdout(), "listening on ws://{}/", listener.local_addr()?)?;
    run(listener)
}
