use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use websocket_proto::{Config, Connection, Event, Input, Output};

fn serve(mut tcp: TcpStream) -> io::Result<()> {
    // Gives up on a peer that reads nothing for 10 s or sends nothing for a minute.
    tcp.set_write_timeout(Some(Duration::from_secs(10)))?;
    tcp.set_read_timeout(Some(Duration::from_secs(60)))?;
    let (mut buffer, mut output) = ([0; 16 << 10], Output::new());
    let mut ws = Connection::server(Config::new());
    loop {
        let mut written = Ok(0);
        while written.is_ok() && !output.is_empty() {
            written = output.write_to(&mut tcp);
        }
        if ws.is_closed() {
            break;
        }
        // Treats an error as the end of the stream.
        let n = match written.and_then(|_| tcp.read(&mut buffer)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read.unwrap_or(0),
        };
        let mut input = Input::new(&mut buffer[..n]);
        while let Some(event) = if n == 0 { ws.receive_eof() } else { ws.receive(&mut input, &mut output) } {
            match event {
                Event::Request(request) => ws.accept(request, &mut output),
                Event::Text(text) => drop(ws.send_text(&text, &mut output)),
                Event::Binary(data) => drop(ws.send_binary(&data, &mut output)),
                Event::Closed(closed) => println!("{closed}"),
                _ => {}
            }
        }
    }
    // Rule 3: an orderly end.
    tcp.shutdown(Shutdown::Write)?;
    tcp.set_read_timeout(Some(Duration::from_secs(2)))?;
    let grace = Instant::now() + Duration::from_secs(2);
    while Instant::now() < grace && tcp.read(&mut buffer)? > 0 {}
    Ok(())
}
