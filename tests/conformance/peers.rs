//! Opening handshakes captured from real peers: every request opens a server, every response a client.

use std::fs;
use std::path::Path;

use websocket_proto::{Accept, Config, Event, HandshakeErrorKind, State};
#[cfg(feature = "deflate")]
use websocket_proto::{Connection, Deflate};

use crate::harness::{accept_for, connecting, every_cut_with, header};
#[cfg(feature = "deflate")]
use crate::harness::{every_cut, feed};
use crate::http::{Head, answered, assert_fails, offering, replace, waiting};

/// The names of the files that start with `start`, each with its heads.
fn captured(start: &str) -> Vec<(String, Vec<String>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/handshakes");
    let files = fs::read_dir(directory).expect("the captures can be read").map(|file| file.expect("it is listed"));
    let named = files.map(|file| (file.file_name().into_string().expect("a plain name"), file.path()));
    let files = named.filter(|(name, _)| name.starts_with(start));
    files
        .map(|(name, path)| {
            let heads = fs::read_to_string(path).expect("the heads are text");
            assert!(heads.ends_with("\r\n\r\n"), "{name} ends in a head");
            let heads = heads.split_terminator("\r\n\r\n").map(|head| format!("{head}\r\n\r\n"));
            (name, heads.collect())
        })
        .collect()
}

#[test]
fn every_captured_request_opens_a_server() {
    let files = captured("client-");
    assert_eq!(files.len(), 31);
    for (name, requests) in files {
        for request in requests {
            let offered: &[&str] =
                if header(&request, "Sec-WebSocket-Protocol").is_some() { &["chat", "superchat"] } else { &[] };
            let outcome = every_cut_with(waiting, request.as_bytes(), &|ws, event, output| {
                let Event::Request(request) = event else { return Some(event) };
                assert_eq!(request.subprotocols().collect::<Vec<_>>(), offered, "{name}");
                let accept = offered.first().map_or(Accept::new(), |name| Accept::new().subprotocol(*name));
                assert_eq!(ws.accept_with(request, &accept, output), Ok(()), "{name}");
                None
            });
            assert_eq!((outcome.events.len(), outcome.state), (0, State::Open), "{name}");
            let head = Head::parse(&outcome.output);
            assert_eq!(head.only("Sec-WebSocket-Accept"), accept_for(&request), "{name}");
            assert_eq!(head.all("Sec-WebSocket-Protocol").first(), offered.first(), "{name}");
        }
    }
}

#[test]
fn every_captured_response_opens_a_client() {
    let request = offering(&["chat", "superchat"]);
    let (_, sent) = connecting(&request, Config::new());
    let accept = format!("Sec-WebSocket-Accept: {}\r\n", accept_for(&sent));
    let files = captured("server-");
    assert_eq!(files.len(), 19);
    for (name, responses) in files {
        for response in responses {
            let mut response = replace(&response, "Sec-WebSocket-Accept", &accept);
            if header(&response, "Sec-WebSocket-Extensions").is_some() {
                #[cfg(feature = "deflate")]
                {
                    let config = Config::new().deflate(Deflate::new());
                    let outcome = every_cut(|| connecting(&request, config.clone()).0, response.as_bytes());
                    assert!(matches!(&outcome.events[..], [Event::Open(_)]), "{name}: {outcome:?}");
                    let mut client = connecting(&request, config).0;
                    feed(&mut client, [response.as_bytes()]);
                    assert!(client.uses_deflate(), "{name}");
                }
                // These servers answered an offer of permessage-deflate: without the offer, the client must fail.
                assert_fails(&request, &response, HandshakeErrorKind::InvalidExtensions);
                response = replace(&response, "Sec-WebSocket-Extensions", "");
            }
            let outcome = answered(&request, &response);
            let [Event::Open(opened)] = &outcome.events[..] else { panic!("{name}: {outcome:?}") };
            assert_eq!(opened.subprotocol(), header(&response, "Sec-WebSocket-Protocol"), "{name}");
            assert_eq!((outcome.state, &outcome.output[..]), (State::Open, &b""[..]), "{name}");
        }
    }
}

#[cfg(feature = "deflate")]
#[test]
fn every_captured_offer_of_deflate_is_accepted() {
    for (name, requests) in captured("client-") {
        for request in requests.iter().filter(|request| header(request, "Sec-WebSocket-Extensions").is_some()) {
            let make = || Connection::server(Config::new().deflate(Deflate::new()));
            let outcome = every_cut(make, request.as_bytes());
            let offers = header(request, "Sec-WebSocket-Extensions").unwrap();
            let answer = Head::parse(&outcome.output).only("Sec-WebSocket-Extensions").to_owned();
            assert!(offers.starts_with("permessage-deflate") && answer.starts_with("permessage-deflate"), "{name}");
            // RFC 7692 §7.1.2.2: only parameters that were offered.
            assert!(offers.contains("client_max_window_bits") || !answer.contains("client_max_window_bits"), "{name}");
            assert_eq!(
                offers.contains("server_no_context_takeover"),
                answer.contains("server_no_context_takeover"),
                "{name}"
            );
        }
    }
}
