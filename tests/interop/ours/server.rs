//! Our server of the interoperability tests, the counterpart of the peers' servers in `tests/interop/peers`.
//!
//! `interop_server`, run by `tests/interop/run`. Echoes messages, closes with 4002 on the text `close`, and prints the
//! code and reason with which each connection ended. Selects permessage-deflate and the subprotocol `chat`.

#[path = "../../../examples/shared/printable.rs"]
mod printable;

use std::io::{self, Read};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use printable::Printable;
use websocket_proto::{Accept, CloseCode, Config, Connection, Deflate, Event, Input, Output};

/// The longest silence allowed to the client.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on ws://{}/", listener.local_addr()?);
    for tcp in listener.incoming() {
        let tcp = tcp?;
        thread::spawn(move || serve(tcp).unwrap_or_else(|error| eprintln!("{error}")));
    }
    Ok(())
}

fn serve(mut tcp: TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    tcp.set_read_timeout(Some(PATIENCE))?;
    let deflate = Deflate::new().window_bits(15).peer_window_bits(15).threshold(0);
    let (mut buffer, mut output) = (vec![0; 16 << 10], Output::new());
    let mut ws = Connection::server(Config::new().deflate(deflate));
    while !ws.is_closed() {
        let n = tcp.read(&mut buffer)?;
        let mut input = Input::new(&mut buffer[..n]);
        while let Some(event) = if n == 0 { ws.receive_eof() } else { ws.receive(&mut input, &mut output) } {
            handle(event, &mut ws, &mut output);
        }
        output.write_to(&mut tcp)?;
    }
    // RFC 6455 §7.1.1: closing with input unread would reset the connection.
    tcp.shutdown(Shutdown::Write)?;
    while tcp.read(&mut buffer)? > 0 {}
    Ok(())
}

fn handle(event: Event<'_>, ws: &mut Connection, output: &mut Output) {
    match event {
        Event::Request(request) if request.subprotocols().any(|name| name == "chat") => {
            ws.accept_with(request, &Accept::new().subprotocol("chat"), output).expect("the subprotocol was offered");
        }
        Event::Request(request) => ws.accept(request, output),
        Event::Text(text) if text == "close" => {
            ws.close(CloseCode::new(4002).expect("it is for applications"), "von drüben ✓", output);
        }
        // Messages after the Close are not echoed.
        Event::Text(text) => drop(ws.send_text(&text, output)),
        Event::Binary(data) => drop(ws.send_binary(&data, output)),
        Event::Closed(closed) => println!("closed {} {}", closed.code(), Printable(closed.reason())),
        _ => {}
    }
}
