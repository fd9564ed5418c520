//! The axum extractor, over HTTP/1.1 and HTTP/2.
#![cfg(feature = "axum")]

use axum::Router;
use axum::response::Response;
use axum::routing::{any, get};
use bytes::Bytes;
use h2::ext::Protocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::spawn;
use tokio_websocket_proto::axum::WebSocketUpgrade;
use tokio_websocket_proto::{
    Accept, Client, ClientRequest, CloseCode, Config, Deflate, Error, Message, Reject, Server, connect,
};

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    if upgrade.request().query() == Some("reject") {
        return upgrade.reject(&Reject::forbidden());
    }
    let answer = if upgrade.request().subprotocols().any(|name| name == "chat") {
        Accept::new().subprotocol("chat")
    } else {
        Accept::new()
    };
    let server = Server::new().config(Config::new().deflate(Deflate::new()));
    upgrade.server(server).answer(answer).on_upgrade(|mut ws| async move {
        while let Some(Ok(message)) = ws.recv().await {
            if message.is_data() && ws.feed(message).await.is_err() {
                return;
            }
        }
    })
}

async fn address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let app = Router::new().route("/", get("hello")).route("/echo", any(echo));
    spawn(async move { axum::serve(listener, app).await });
    address
}

#[tokio::test]
async fn messages_are_echoed_over_http1() {
    let request = ClientRequest::new(format!("ws://{}/echo", address().await)).subprotocol("chat");
    let client = Client::new().config(Config::new().deflate(Deflate::new()));
    let (mut ws, _) = client.connect(request).await.expect("a handshake");
    assert_eq!(ws.subprotocol(), Some("chat"));
    for message in [Message::from("hello"), Message::from(vec![7; 500_000])] {
        ws.send(message.clone()).await.expect("the connection is open");
        assert!(ws.recv().await.expect("an echo").expect("no error") == message);
    }
    ws.close(CloseCode::NORMAL_CLOSURE, "").await.expect("a clean end");
}

#[tokio::test]
async fn requests_are_rejected() {
    let address = address().await;
    let result = connect(format!("ws://{address}/echo?reject")).await.map(drop);
    assert!(matches!(result, Err(Error::Rejected(response)) if response.status() == 403));
    for (method, status) in [("GET", "426"), ("POST", "405"), ("HEAD", "405")] {
        let mut tcp = TcpStream::connect(&address).await.expect("it listens");
        let request = format!("{method} /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        tcp.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).await.expect("text");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{method}: {answer}");
        let has_body = !answer.ends_with("\r\n\r\n");
        assert!(!(method == "HEAD" && has_body), "{answer}");
    }
}

/// RFC 8441: extended CONNECT.
#[tokio::test]
async fn messages_are_echoed_over_http2() {
    let tcp = TcpStream::connect(address().await).await.expect("it listens");
    let (mut requests, connection) = h2::client::handshake(tcp).await.expect("a handshake");
    spawn(connection);
    requests = requests.ready().await.expect("the connection is open");
    while !requests.is_extended_connect_protocol_enabled() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let mut request = http::Request::connect("http://localhost/echo")
        .header("sec-websocket-version", "13")
        .body(())
        .expect("a request");
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    let (response, mut stream) = requests.send_request(request, false).expect("it is sent");
    let response = response.await.expect("an answer");
    assert_eq!(response.status(), 200);
    stream.send_data(Bytes::from_static(b"\x81\x82\0\0\0\0hi"), false).expect("it is sent");
    let mut body = response.into_body();
    let mut received = Vec::new();
    while received.len() < 4 {
        received.extend_from_slice(&body.data().await.expect("data").expect("no error"));
    }
    assert_eq!(received, b"\x81\x02hi");
    // A Close, answered; then both sides end the stream.
    stream.send_data(Bytes::from_static(b"\x88\x82\0\0\0\0\x03\xe8"), true).expect("it is sent");
    received.clear();
    while let Some(data) = body.data().await {
        received.extend_from_slice(&data.expect("no error"));
    }
    assert_eq!(received, b"\x88\x02\x03\xe8");
}
