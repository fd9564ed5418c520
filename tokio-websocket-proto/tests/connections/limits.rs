//! Errors have types, and the peer gets the right Close or HTTP status.

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::{join, select, spawn};
use tokio_websocket_proto::websocket_proto::{AcceptErrorKind, HandshakeErrorKind, ProtocolErrorKind};
use tokio_websocket_proto::{
    Accept, Client, ClientRequest, CloseCode, Config, ConnectionError, Error, Message, MessageKind, Part, Reject,
    SendError, Server, accept,
};

use crate::pairs::{compressed, noise, pair};

#[tokio::test]
async fn a_message_above_the_limit_is_a_typed_error_and_the_peer_gets_1009() {
    for config in [Config::new(), compressed()] {
        let (mut client, mut server) = pair(4096, config.max_message_size(1000)).await;
        let receiving = spawn(async move {
            let last = server.recv().await.expect("an error");
            assert!(server.recv().await.is_none());
            last
        });
        let sent = client.send(noise(0, 100_000)).await;
        assert!(matches!(sent, Ok(()) | Err(Error::Send(SendError::Closing))), "{sent:?}");
        let last = client.recv().await.expect("a Close").expect("in order");
        let Message::Close(Some(frame)) = last else { panic!("{last:?}") };
        assert_eq!(frame.code, CloseCode::MESSAGE_TOO_BIG);
        let Err(Error::Connection(ConnectionError::Protocol(error))) = receiving.await.expect("no panic") else {
            panic!("no protocol error")
        };
        assert_eq!(error.kind(), ProtocolErrorKind::MessageTooBig);
    }
}

#[tokio::test]
async fn the_output_has_a_limit() {
    let (mut client, _server) = pair(4096, Config::new().max_output(10_000)).await;
    client.feed(noise(0, 6000)).await.expect("there is room");
    let fed = client.feed(noise(1, 6000)).await;
    assert!(matches!(fed, Err(Error::Send(SendError::Full))), "{fed:?}");
    client.feed(noise(2, 1000)).await.expect("there is room");
}

#[tokio::test]
async fn control_frames_have_a_limit() {
    let (mut client, mut server) = pair(4096, Config::new()).await;
    let fed = client.feed(Message::Ping(noise(0, 126).into())).await;
    assert!(matches!(fed, Err(Error::Send(SendError::ControlFrameTooLong))), "{fed:?}");
    client.send(Message::Ping("there?".into())).await.expect("the connection is open");
    let received = server.recv().await.expect("a ping").expect("no error");
    assert_eq!(received, Message::Ping("there?".into()));
    let pong = select! {
        pong = client.recv() => pong,
        _ = server.recv() => unreachable!("nothing was sent"),
    };
    assert_eq!(pong.expect("a pong").expect("no error"), Message::Pong("there?".into()));
}

#[tokio::test]
async fn a_server_decides_about_the_request() {
    let request = ClientRequest::new("ws://localhost/chat?room=1").subprotocol("other").subprotocol("chat");
    let (ours, theirs) = duplex(4096);
    let (client, server) = join!(async { Client::new().handshake(&request, ours).await }, async {
        let incoming = Server::new().request(theirs).await.expect("a request");
        assert_eq!(incoming.request().resource(), "/chat?room=1");
        let answer = Accept::new().subprotocol("chat").header("X-Room", "1").expect("a header");
        incoming.accept(&answer).await.expect("it was offered")
    });
    let (client, response) = client.expect("accepted");
    assert_eq!((client.subprotocol(), server.subprotocol()), (Some("chat"), Some("chat")));
    assert_eq!(response.headers().get("x-room"), Some(&b"1"[..]));
}

#[tokio::test]
async fn a_rejection_arrives_with_its_status_and_body() {
    let (ours, theirs) = duplex(4096);
    let (client, server) = join!(async { Client::new().handshake("ws://localhost/", ours).await.map(drop) }, async {
        let incoming = Server::new().request(theirs).await.expect("a request");
        incoming.reject(&Reject::forbidden().body("members only")).await
    });
    server.expect("it was sent");
    let Err(Error::Rejected(response)) = client else { panic!("{client:?}") };
    assert_eq!((response.status(), response.body()), (403, &b"members only"[..]));
}

#[tokio::test]
async fn a_subprotocol_that_was_not_offered_is_an_error() {
    let (ours, theirs) = duplex(4096);
    let (client, server) = join!(async { Client::new().handshake("ws://localhost/", ours).await.map(drop) }, async {
        let incoming = Server::new().request(theirs).await.expect("a request");
        incoming.accept(&Accept::new().subprotocol("chat")).await.map(drop)
    });
    assert!(matches!(server, Err(Error::Accept(AcceptErrorKind::Subprotocol))), "{server:?}");
    assert!(matches!(client, Err(Error::Rejected(response)) if response.status() == 500));
}

#[tokio::test]
async fn an_invalid_request_is_answered() {
    let (mut peer, io) = duplex(4096);
    let accepting = spawn(accept(io));
    peer.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("the server reads");
    let mut answer = Vec::new();
    peer.read_to_end(&mut answer).await.expect("the answer");
    assert!(answer.starts_with(b"HTTP/1.1 426 "), "{}", String::from_utf8_lossy(&answer));
    drop(peer);
    let Err(Error::Connection(ConnectionError::Handshake(error))) = accepting.await.expect("no panic") else {
        panic!("no error")
    };
    assert_eq!(error.kind(), HandshakeErrorKind::MissingUpgrade);
}

#[tokio::test]
async fn an_invalid_url_is_an_error() {
    for url in ["http://localhost/", "ws://", "ws://localhost/#fragment", ""] {
        let result = Client::new().connect(url).await.map(drop);
        assert!(matches!(result, Err(Error::Request(_))), "{url}: {result:?}");
    }
    // Nothing listens there.
    let result = Client::new().connect("ws://127.0.0.1:1/").await.map(drop);
    assert!(matches!(result, Err(Error::Connect(_))), "{result:?}");
}

/// Messages that arrived before the Close are received, also while the application was sending.
#[tokio::test]
async fn messages_before_a_close_are_received() {
    let (mut client, mut server) = pair(64, Config::new()).await;
    let closing = spawn(async move {
        for number in 0..3 {
            server.feed(noise(number, 1000)).await.expect("the connection is open");
        }
        server.close(CloseCode::GOING_AWAY, "restart").await
    });
    // Sends until the Close has come.
    while client.send(noise(0, 1000)).await.is_ok() {}
    for number in 0..3 {
        let message = client.recv().await.expect("a message").expect("no error");
        assert!(message == Message::from(noise(number, 1000)));
    }
    let last = client.recv().await.expect("a Close").expect("in order");
    assert!(matches!(last, Message::Close(Some(frame)) if frame.code == CloseCode::GOING_AWAY));
    assert!(client.recv().await.is_none());
    closing.await.expect("no panic").expect("a clean end");
}

/// A message of any length, in bounded memory.
#[tokio::test]
async fn messages_may_come_in_parts() {
    let config = Config::new().part_size(1000).max_message_size(usize::MAX);
    let (mut client, mut server) = pair(4096, config).await;
    let sending = spawn(async move {
        for count in 0..10 {
            let part = Part { kind: MessageKind::Binary, data: noise(count, 10_000).into(), is_last: count == 9 };
            client.send(Message::Part(part)).await.expect("the connection is open");
        }
    });
    let (mut received, mut is_last) = (Vec::new(), false);
    while !is_last {
        let Message::Part(part) = server.recv().await.expect("a part").expect("no error") else { panic!("whole") };
        assert!(part.data.len() <= 1000 && part.kind == MessageKind::Binary);
        received.extend_from_slice(&part.data);
        is_last = part.is_last;
    }
    assert!(received == (0..10).flat_map(|count| noise(count, 10_000)).collect::<Vec<_>>());
    sending.await.expect("no panic");
}
