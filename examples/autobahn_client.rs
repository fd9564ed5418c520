//! Runs every case of the Autobahn|Testsuite's fuzzing server once, as an echo client, and has it write its report.
//!
//! `cargo run --release --example autobahn_client -- URL AGENT`
//!
//! The loop is the guide's blocking recipe, on `Session`.

#[path = "../src/guide/recipes/blocking.rs"]
mod blocking;

use std::error::Error;
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;

use blocking::Peer;
use websocket_proto::uri::Uri;
use websocket_proto::{
    ClientRequest, Config, Connection, Deflate, DeflateParameter, Event, Output, SessionConfig, Timeouts,
};

/// The silence before a ping, and the wait for its pong: some cases take the suite long.
const TIMEOUT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, agent] = arguments.as_slice() else {
        eprintln!("usage: autobahn_client URL AGENT");
        return ExitCode::from(2);
    };
    match run_cases(url.trim_end_matches('/'), agent) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run_cases(url: &str, agent: &str) -> Result<(), Box<dyn Error>> {
    let count: u32 = echo(&format!("{url}/getCaseCount"))?.ok_or("no case count")?.parse()?;
    for case in 1..=count {
        println!("case {case} of {count}");
        echo(&format!("{url}/runCase?case={case}&agent={agent}"))?;
    }
    echo(&format!("{url}/updateReports?agent={agent}"))?;
    Ok(())
}

/// Sends every message back until the connection ends; returns the last text.
fn echo(url: &str) -> Result<Option<String>, Box<dyn Error>> {
    let uri = Uri::parse(url)?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let (mut output, mut last, mut rejected) = (Output::new(), None, None);
    let deflate = Deflate::new().window_bits(15).threshold(0).client_no_context_takeover(DeflateParameter::Prefer);
    let config = Config::new().max_message_size(64 << 20).deflate(deflate);
    let ws = Connection::client(&ClientRequest::new(url), config, seed, &mut output)?;
    let mut tcp = TcpStream::connect((uri.host(), uri.port()))?;
    let timeouts = Timeouts::new().keep_alive(TIMEOUT, TIMEOUT);
    let mut peer = Peer::new(&mut tcp, ws, output, SessionConfig::new().timeouts(timeouts));
    // While the connection is closing, a message cannot be sent and is dropped.
    while peer.turn(None, |event, ws, output| match event {
        Event::Text(text) => {
            let _ = ws.send_text(&text, output);
            last = Some(text.into_owned());
        }
        Event::Binary(data) => drop(ws.send_binary(&data, output)),
        Event::Rejected(response) => rejected = Some(response.status()),
        _ => {}
    }) {}
    match rejected {
        Some(status) => Err(format!("HTTP status {status}").into()),
        None => Ok(last),
    }
}
