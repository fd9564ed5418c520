//! `axum_server`, as a program over loopback: its WebSocket and its ordinary route, over HTTP/1.1 to the crate's own
//! client, and over HTTP/2 with prior knowledge to a client on `h2`.

mod shared;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use bytes::{Buf, Bytes};
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream, client::SendRequest};
use http::{Method, Request, StatusCode};
use shared::program::{Program, example, listening};
use shared::sockets;
use tokio::time::timeout;
use websocket_proto::{ClientRequest, CloseCode, Config, Connection, Deflate, Event, Input, MessageKind, Output, Role};

/// Long enough for every expected event, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// The server, which ends with the test, and its address.
struct Server {
    _program: Program,
    address: String,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let (program, address, _) = listening(example("axum_server").arg("127.0.0.1:0").args(arguments), "http");
        Self { _program: program, address }
    }

    fn tcp(&self) -> TcpStream {
        sockets::connect(&self.address, PATIENCE)
    }

    fn websocket(&self, scheme: &str) -> ClientRequest {
        ClientRequest::new(format!("{scheme}://{}/echo", self.address))
    }

    /// Sends this request over HTTP/1.1, to the end of the response.
    fn answer(&self, request: &str) -> String {
        let mut tcp = self.tcp();
        let lines = "HTTP/1.1\r\nHost: localhost\r\nConnection: close";
        tcp.write_all(request.replace("HTTP/1.1", lines).as_bytes()).expect("the peer reads");
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).expect("it ends, in text");
        answer
    }

    /// A client over HTTP/2 that knows what the server allows.
    async fn http2(&self) -> SendRequest<Bytes> {
        let tcp = tokio::net::TcpStream::connect(&self.address).await.expect("the server listens");
        let (mut sender, connection) = h2::client::handshake(tcp).await.expect("it speaks HTTP/2");
        tokio::spawn(connection);
        // RFC 8441 §3: a client sends the request only after the server's SETTINGS; a response proves that they have
        // arrived.
        let (status, body) = request(&mut sender, Request::get(format!("http://{}/", self.address))).await;
        assert_eq!((status, &*body), (StatusCode::OK, &b"The WebSocket is at /echo.\n"[..]));
        assert!(sender.is_extended_connect_protocol_enabled());
        sender
    }
}

/// Sends a request without a body, to the end of the response.
async fn request(sender: &mut SendRequest<Bytes>, request: http::request::Builder) -> (StatusCode, Vec<u8>) {
    let request = request.body(()).expect("the request is valid");
    let (response, _) = sender.send_request(request, true).expect("the connection is open");
    let response = response.await.expect("an answer");
    let (status, mut stream, mut body) = (response.status(), response.into_body(), Vec::new());
    while let Some(data) = stream.data().await {
        let data = data.expect("the stream ends without an error");
        stream.flow_control().release_capacity(data.len()).expect("the capacity is released once");
        body.extend(data);
    }
    (status, body)
}

/// The events of a connection that the tests compare.
#[derive(Clone, Debug, PartialEq)]
enum Observed {
    Open,
    Message(MessageKind, Vec<u8>),
    CloseReceived(u16),
    Closed(u16, bool),
}

/// Receives the bytes; none means the end of the stream.
fn receive(ws: &mut Connection, bytes: &mut [u8], output: &mut Output, said: &mut Vec<Observed>) {
    let is_end = bytes.is_empty();
    let mut input = Input::new(bytes);
    while let Some(event) = if is_end { ws.receive_eof() } else { ws.receive(&mut input, output) } {
        said.push(match event {
            Event::Open(_) => Observed::Open,
            Event::Text(text) => Observed::Message(MessageKind::Text, text.into_owned().into_bytes()),
            Event::Binary(data) => Observed::Message(MessageKind::Binary, data.into_owned()),
            Event::CloseReceived { status, .. } => Observed::CloseReceived(status.code()),
            Event::Closed(closed) => Observed::Closed(closed.code(), closed.was_clean()),
            event => panic!("{event:?}"),
        });
    }
}

/// Sends a few messages, one of which is larger than the window of an HTTP/2 stream (65,535 bytes, RFC 9113 §6.9.2),
/// and a Close; returns the expected events.
fn speak(ws: &mut Connection, output: &mut Output) -> Vec<Observed> {
    let noise: Vec<u8> = (0..300_000_u32).map(|n| (n.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
    ws.send_text("hello €", output).expect("the connection is open");
    ws.send_binary(&noise, output).expect("the connection is open");
    ws.send_text("", output).expect("the connection is open");
    ws.close(CloseCode::new(4000).expect("a private code"), "bye", output);
    vec![
        Observed::Message(MessageKind::Text, "hello €".into()),
        Observed::Message(MessageKind::Binary, noise),
        Observed::Message(MessageKind::Text, Vec::new()),
        Observed::CloseReceived(4000),
        Observed::Closed(4000, true),
    ]
}

#[test]
fn messages_are_echoed_over_http1() {
    let server = Server::start(&[]);
    for config in [Config::new(), Config::new().deflate(Deflate::new())] {
        let (mut tcp, mut output, mut said) = (server.tcp(), Output::new(), Vec::new());
        let offers_deflate = config != Config::new();
        let mut ws =
            Connection::client(&server.websocket("ws"), config, [7; 32], &mut output).expect("the request is valid");
        let mut expected = vec![Observed::Open];
        let mut buffer = vec![0; 16 << 10];
        while !ws.is_closed() {
            output.write_to(&mut tcp).expect("the peer reads");
            let n = tcp.read(&mut buffer).expect("bytes arrive in time");
            receive(&mut ws, &mut buffer[..n], &mut output, &mut said);
            if said == [Observed::Open] && expected.len() == 1 {
                assert_eq!(ws.uses_deflate(), offers_deflate);
                expected.extend(speak(&mut ws, &mut output));
            }
        }
        assert!(said == expected);
        assert_eq!(tcp.read(&mut buffer).expect("the stream ends without a reset"), 0);
    }
}

/// A client that does not wait for the response, perhaps because of a proxy: bytes that hyper read after the request
/// are not lost.
#[test]
fn frames_in_the_same_read_as_the_request_are_received() {
    let server = Server::start(&[]);
    let mut tcp = server.tcp();
    let request = "GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let frames = b"\x81\x82\0\0\0\0hi\x88\x82\0\0\0\0\x03\xe8";
    tcp.write_all(&[request.as_bytes(), frames].concat()).expect("the peer reads");
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).expect("the stream ends without a reset");
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", answer.escape_ascii());
    assert!(answer.ends_with(b"\r\n\r\n\x81\x02hi\x88\x02\x03\xe8"), "{}", answer.escape_ascii());
}

/// A client that sends an invalid frame and continues to send gets the Close, and a clean end of the stream.
#[test]
fn a_client_that_sends_on_after_its_fault_gets_the_close_over_http1() {
    let server = Server::start(&[]);
    let mut tcp = server.tcp();
    let request = "GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    tcp.write_all(&[request.as_bytes(), b"\x83\x80\0\0\0\0"].concat()).expect("the peer reads");
    for _ in 0..4 {
        tcp.write_all(&vec![0; 512 << 10]).expect("the peer continues to read");
        thread::sleep(Duration::from_millis(50));
    }
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).expect("the stream ends without a reset");
    assert!(answer.ends_with(b"\r\n\r\n\x88\x02\x03\xea"), "{}", answer.escape_ascii());
}

/// RFC 6455 §4.2.1, §4.2.2, §4.4; RFC 9110 §15.5.22: "The server MUST send an Upgrade header field in a 426 response".
#[test]
fn invalid_handshakes_are_rejected_over_http1() {
    let server = Server::start(&[]);
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    for (request, status, header) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "200 OK", "content-length: 27"),
        ("GET /echo HTTP/1.1\r\n\r\n".to_owned(), "426 Upgrade Required", "upgrade: websocket"),
        (format!("POST /echo HTTP/1.1\r\n{upgrade}{version}\r\n"), "405 Method Not Allowed", "allow: GET"),
        (format!("GET /echo HTTP/1.1\r\n{upgrade}\r\n"), "400 Bad Request", ""),
        (
            format!("GET /echo HTTP/1.1\r\n{upgrade}Sec-WebSocket-Version: 12\r\n\r\n"),
            "426 Upgrade Required",
            "sec-websocket-version: 13",
        ),
        (format!("GET /nowhere HTTP/1.1\r\n{upgrade}{version}\r\n"), "404 Not Found", ""),
    ] {
        let answer = server.answer(&request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}{answer}");
        assert!(answer.contains(header), "{request}{answer}");
    }
}

/// RFC 9110 §9.3.2: "the server MUST NOT send content in the response"; §8.6: "MUST NOT send Content-Length in such a
/// response unless its field value equals the decimal number of octets that would have been sent in the content of a
/// response if the same request had used the GET method."
#[test]
fn head_is_answered_without_content_over_http1() {
    let server = Server::start(&[]);
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\n";
    for (request, status, length) in [
        ("HEAD / HTTP/1.1\r\n\r\n".to_owned(), "200 OK", Some("content-length: 27")),
        ("HEAD /echo HTTP/1.1\r\n\r\n".to_owned(), "405 Method Not Allowed", None),
        (format!("HEAD /echo HTTP/1.1\r\n{upgrade}\r\n"), "405 Method Not Allowed", None),
        (format!("HEAD /echo HTTP/1.1\r\n{upgrade}Host: b\r\n\r\n"), "405 Method Not Allowed", None),
    ] {
        let answer = server.answer(&request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole head");
        assert_eq!(body, "", "{request}{answer}");
        assert_eq!(head.lines().find(|line| line.starts_with("content-length")), length, "{request}{answer}");
    }
}

#[tokio::test]
async fn head_is_answered_without_content_over_http2() {
    let server = Server::start(&[]);
    let mut sender = server.http2().await;
    for (path, status) in [("", StatusCode::OK), ("echo", StatusCode::METHOD_NOT_ALLOWED)] {
        // The client's `h2` reports content after HEAD as an error.
        let answered = request(&mut sender, Request::head(format!("http://{}/{path}", server.address))).await;
        assert_eq!(answered, (status, Vec::new()), "{path}");
    }
}

#[tokio::test]
async fn messages_come_back_over_http2() {
    let server = Server::start(&[]);
    let mut sender = server.http2().await;
    // All of them use the same HTTP/2 connection.
    let (plain, mut send, _) = open_http2(&server, &mut sender, Config::new()).await;
    let compressed = open_http2(&server, &mut sender, Config::new().deflate(Deflate::new())).await;
    let other = open_http2(&server, &mut sender, Config::new()).await;
    assert!(compressed.0.uses_deflate() && !plain.uses_deflate());
    // RFC 8441 §5: RST_STREAM with CANCEL replaces a reset of TCP. It ends its own stream only.
    send.send_reset(Reason::CANCEL);
    for (mut ws, send, stream) in [compressed, other] {
        let mut output = Output::new();
        let expected = speak(&mut ws, &mut output);
        let driven = drive_http2(ws, output, send, stream);
        assert!(timeout(PATIENCE, driven).await.expect("it ends in time") == expected);
    }
    // The ordinary route is served all the time.
    let (status, _) = request(&mut sender, Request::get(format!("http://{}/", server.address))).await;
    assert_eq!(status, StatusCode::OK);
}

/// RFC 8441 §5: the opening, with the pseudo-header `:protocol`.
async fn open_http2(
    server: &Server,
    sender: &mut SendRequest<Bytes>,
    config: Config,
) -> (Connection, SendStream<Bytes>, RecvStream) {
    let handshake = server.websocket("ws").extended_connect(&config).expect("the request is valid");
    let mut request = handshake.to_http().expect("it is not too large");
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    let (response, send) = sender.send_request(request, false).expect("the connection is open");
    let response = response.await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    let (_, negotiated) = handshake.check_http(&response).expect("it accepts");
    (Connection::upgraded(Role::Client, negotiated, config, [7; 32]), send, response.into_body())
}

/// Drives the connection until the server ends the stream with `END_STREAM` (RFC 8441 §5).
async fn drive_http2(
    mut ws: Connection,
    mut output: Output,
    mut send: SendStream<Bytes>,
    mut stream: RecvStream,
) -> Vec<Observed> {
    let mut said = Vec::new();
    loop {
        if !output.is_empty() {
            send.send_data(output.copy_to_bytes(output.remaining()), false).expect("the server reads");
        }
        let Some(data) = stream.data().await else { break };
        let mut data = Vec::from(data.expect("the stream ends without an error"));
        stream.flow_control().release_capacity(data.len()).expect("the capacity is released once");
        receive(&mut ws, &mut data, &mut output, &mut said);
    }
    receive(&mut ws, &mut [], &mut output, &mut said);
    send.send_data(Bytes::new(), true).expect("the server reads to the end");
    said
}

/// RFC 9113 §6.9: a client without credit receives nothing, although its stream is open. The server's patience ends:
/// when the window opens after all, the client gets the bytes that hyper had buffered, and neither the rest nor a
/// Close.
#[tokio::test]
async fn a_client_that_keeps_its_window_closed_is_dropped() {
    let server = Server::start(&["--grace", "300"]);
    let mut sender = server.http2().await;
    let (mut ws, mut send, mut stream) = open_http2(&server, &mut sender, Config::new()).await;
    let (mut output, mut said) = (Output::new(), Vec::new());
    let complete = speak(&mut ws, &mut output);
    send.send_data(output.copy_to_bytes(output.remaining()), false).expect("the server reads");
    tokio::time::sleep(Duration::from_secs(3)).await;
    while let Some(data) = timeout(PATIENCE, stream.data()).await.expect("it ends in time") {
        let mut data = Vec::from(data.expect("the stream ends without an error"));
        stream.flow_control().release_capacity(data.len()).expect("the capacity is released once");
        receive(&mut ws, &mut data, &mut output, &mut said);
    }
    receive(&mut ws, &mut [], &mut output, &mut said);
    assert!(said == [complete[0].clone(), Observed::Closed(1006, false)], "{} events", said.len());
    // Other streams are not affected.
    let (status, _) = request(&mut sender, Request::get(format!("http://{}/", server.address))).await;
    assert_eq!(status, StatusCode::OK);
}

/// RFC 8441 §4, §5.
#[tokio::test]
async fn invalid_handshakes_are_rejected_over_http2() {
    let server = Server::start(&[]);
    let mut sender = server.http2().await;
    let uri = format!("http://{}/echo", server.address);
    let connect = |protocol, version| {
        let request = Request::builder().method(Method::CONNECT).uri(&uri).header("sec-websocket-version", version);
        request.extension(Protocol::from_static(protocol))
    };
    for (asked, status) in [
        (Request::get(&uri), StatusCode::METHOD_NOT_ALLOWED),
        (connect("connect-udp", "13"), StatusCode::NOT_IMPLEMENTED),
        (connect("websocket", "12"), StatusCode::BAD_REQUEST),
        (connect("websocket", "13").uri(format!("http://{}/nowhere", server.address)), StatusCode::NOT_FOUND),
    ] {
        assert_eq!(request(&mut sender, asked).await.0, status);
    }
}
