//! The guide's pull API: messages in the buffer, cut by reads, and the end.

use websocket_proto::{Config, Connection, Role, SessionConfig, Timeouts};

use crate::driven::{App, BLOCKING, message};
use crate::peers::Peer;
use crate::pull::{Pulled, WebSocket};
use crate::shared::frames::{ZERO_KEY, encode};
use crate::{MORE_THAN_SOCKETS_HOLD, Running, alone, connected};

fn server(tcp: std::net::TcpStream) -> WebSocket {
    WebSocket::new(tcp, Connection::server(Config::new()), SessionConfig::new())
}

#[test]
fn messages_are_pulled_and_echoed() {
    alone(|| {
        let (at_client, at_server) = connected();
        let client = Running::start(move || {
            (BLOCKING.drive)(at_client, Role::Client, App::sending(MORE_THAN_SOCKETS_HOLD), Timeouts::new())
        });
        let (mut server, mut pulled, mut end) = (server(at_server), 0, None);
        while let Some(next) = server.next() {
            let data = match next {
                Pulled::Binary(data) => data.to_vec(),
                Pulled::Closed(closed) => {
                    assert!(end.replace(closed).is_none(), "the end comes once");
                    continue;
                }
                Pulled::Text(text) => panic!("{text}"),
            };
            assert!(data == message(pulled));
            pulled += 1;
            server.send_binary(&data);
        }
        assert_eq!((pulled, end.map(|closed| closed.code())), (MORE_THAN_SOCKETS_HOLD, Some(1000)));
        assert_eq!(client.received().messages, MORE_THAN_SOCKETS_HOLD);
    });
}

/// Small messages lie in the buffer, one that is cut does not; texts and binary messages keep their kind.
#[test]
fn messages_of_one_read_are_pulled_one_by_one() {
    let (at_client, at_server) = connected();
    let client = std::thread::spawn(move || {
        let mut peer = Peer::open(&BLOCKING, at_client, Role::Client);
        let (mut bytes, long) = (Vec::new(), vec![7; 100_000]);
        for (first_byte, payload) in
            [(0x81, &b"one"[..]), (0x82, &[0; 300]), (0x81, "zwölf".as_bytes()), (0x82, &long), (0x81, b"")]
        {
            bytes.extend(encode(first_byte, Some(ZERO_KEY), payload));
        }
        peer.stream.write_all(&bytes).expect("the server reads");
        drop(peer);
    });
    let mut server = server(at_server);
    let mut pulled = Vec::new();
    while let Some(next) = server.next() {
        pulled.push(match next {
            Pulled::Text(text) => format!("text {text}"),
            Pulled::Binary(data) => format!("{} bytes of {}", data.len(), data[0]),
            Pulled::Closed(closed) => closed.to_string(),
        });
    }
    let lost = "ended without a Close frame (RFC 6455 §7.1.5)";
    assert_eq!(pulled, ["text one", "300 bytes of 0", "text zwölf", "100000 bytes of 7", "text ", lost]);
    client.join().expect("no panic");
}
