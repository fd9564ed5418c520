//! Drives the fuzzing server of the Autobahn|Testsuite: every case once, echoing, then the report.
//!
//! `cargo run --release --example autobahn_client -- URL AGENT`

use std::error::Error;
use std::io::Read;
use std::net::TcpStream;
use std::process::ExitCode;

use websocket_proto::uri::Uri;
use websocket_proto::{ClientRequest, Config, Connection, Deflate, Event, Input, Output, Parameter};

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
    let (mut buffer, mut output, mut last) = (vec![0; 64 << 10], Output::new(), None);
    let deflate = Deflate::new().window_bits(15).threshold(0).client_no_context_takeover(Parameter::Prefer);
    let config = Config::new().max_message_size(64 << 20).deflate(deflate);
    let mut ws = Connection::client(&ClientRequest::new(url), config, seed, &mut output)?;
    let mut tcp = TcpStream::connect((uri.host(), uri.port()))?;
    tcp.set_nodelay(true)?;
    loop {
        // A reset, which some cases provoke, is an end like any other.
        let written = output.write_to(&mut tcp);
        if ws.is_closed() {
            return Ok(last);
        }
        let n = written.and_then(|_| tcp.read(&mut buffer)).unwrap_or(0);
        let mut input = Input::new(&mut buffer[..n]);
        while let Some(event) = if n == 0 { ws.receive_eof() } else { ws.receive(&mut input, &mut output) } {
            // A case may close the connection while there is still something to send back.
            match event {
                Event::Text(text) => {
                    let _ = ws.send_text(&text, &mut output);
                    last = Some(text.into_owned());
                }
                Event::Binary(data) => drop(ws.send_binary(&data, &mut output)),
                Event::Rejected(response) => return Err(format!("HTTP status {}", response.status()).into()),
                _ => {}
            }
        }
    }
}
