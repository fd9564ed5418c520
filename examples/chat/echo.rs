//! `/echo`: sends every message back, for experiments in a browser's console. The text `close CODE REASON` makes it
//! close with that code and reason. It needs no login, so connections are limited to [`PLACES`], and each to
//! [`LONGEST`] or `--echo`.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep, sleep_until};
use websocket_proto::{Action, CloseCode, Connection, Event, Input, Output, Session, SessionConfig, State};

/// The limit on connections; further ones are rejected.
pub(crate) const PLACES: usize = 100;

/// How long tokio needs to look at its sockets.
const LOOK: Duration = Duration::from_millis(1);
/// The longest time for a connection.
pub(crate) const LONGEST: Duration = Duration::from_secs(10 * 60);

const READ_SIZE: usize = 4 << 10;

/// Serves an open connection to its end; `early_data` are the bytes read after the request.
pub(crate) async fn serve(
    tcp: &TcpStream,
    ws: Connection,
    mut output: Output,
    mut early_data: Vec<u8>,
    longest: Duration,
) {
    let end = Instant::now() + longest;
    let (mut session, mut buffer) = (Session::new(Instant::now(), ws, SessionConfig::new()), vec![0; READ_SIZE]);
    receive(Input::new(&mut early_data), &mut session, &mut output);
    loop {
        let (read, write, deadline) = loop {
            match session.poll(Instant::now(), &mut output, |slices| tcp.try_write_vectored(slices)) {
                Action::Wait { read, write, deadline } => break (read.min(READ_SIZE), write, deadline),
                Action::Event(event) => echo(event, session.connection_mut(), &mut output),
                Action::ShutDown => drop(SockRef::from(tcp).shutdown(Shutdown::Write)),
                _ => return,
            }
        };
        consume_budget().await;
        let is_open = session.connection().state() == State::Open;
        tokio::select! {
            _ = tcp.readable(), if read > 0 => {}
            _ = tcp.writable(), if write => {}
            () = sleep_until(end), if is_open => {
                session.connection_mut().close(CloseCode::TIMEOUT, "the time is up", &mut output);
            }
            // After a pause of the process, tokio may fire an alarm before it has looked at the sockets.
            () = sleep_until(deadline.unwrap_or(end)) => sleep(LOOK).await,
        }
        // Bytes that have arrived are read before the deadlines are checked, whatever ended the wait.
        let n = if read > 0 { tcp.try_read(&mut buffer[..read]) } else { Err(ErrorKind::WouldBlock.into()) };
        match n {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // A failed read is the end of the stream.
            n => receive(Input::from_read(&mut buffer[..n.unwrap_or(0)]), &mut session, &mut output),
        }
    }
}

fn receive(mut input: Input<'_>, session: &mut Session<Instant>, output: &mut Output) {
    while let Some(event) = session.receive(&mut input, output) {
        echo(event, session.connection_mut(), output);
    }
}

fn echo(event: Event<'_>, ws: &mut Connection, output: &mut Output) {
    // While the connection is closing, a message cannot be sent and is dropped.
    match event {
        Event::Text(text) => match parse_close(&text) {
            Some((code, reason)) => ws.close(code, reason, output),
            None => drop(ws.send_text(&text, output)),
        },
        Event::Binary(data) => drop(ws.send_binary(&data, output)),
        _ => {}
    }
}

fn parse_close(text: &str) -> Option<(CloseCode, &str)> {
    let (code, reason) = text.strip_prefix("close ")?.split_once(' ')?;
    Some((CloseCode::new(code.parse().ok()?)?, reason))
}
