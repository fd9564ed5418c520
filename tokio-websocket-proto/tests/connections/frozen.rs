//! Peers that stop, in simulated time: each deadline ends the connection, with its reason.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::spawn;
use tokio::time::{Instant, sleep};
use tokio_websocket_proto::websocket_proto::Timeout;
use tokio_websocket_proto::{
    Client, CloseCode, Config, ConnectionError, Error, Message, SendError, Server, SessionConfig, WebSocket, accept,
};

use crate::pairs::{noise, pair};

/// A server, and the other end of its transport after the handshake.
async fn frozen_client() -> (WebSocket<DuplexStream>, DuplexStream) {
    let (mut peer, io) = duplex(4096);
    let accepting = spawn(accept(io));
    peer.write_all(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )
    .await
    .expect("the server reads");
    let server = accepting.await.expect("no panic").expect("a handshake");
    let mut head = [0; 129];
    peer.read_exact(&mut head).await.expect("the answer");
    assert!(head.ends_with(b"\r\n\r\n"), "{}", String::from_utf8_lossy(&head));
    (server, peer)
}

fn has_timed_out<T>(result: &Result<T, Error>, timeout: Timeout) -> bool {
    matches!(result, Err(Error::Connection(ConnectionError::Timeout(found))) if *found == timeout)
}

/// The application does nothing for longer than the keep-alive's deadline and the stall, and then sends more than the
/// transport buffers.
#[tokio::test(start_paused = true)]
async fn a_connection_that_was_left_alone_can_send() {
    let (mut server, mut peer) = frozen_client().await;
    sleep(Duration::from_mins(1)).await;
    let reading = spawn(async move {
        let (mut count, mut buffer) = (0, [0; 4096]);
        while count < 1 << 20 {
            count += peer.read(&mut buffer).await.expect("the stream is whole");
            sleep(Duration::from_millis(1)).await;
        }
        peer
    });
    server.send(noise(0, 1 << 20)).await.expect("the peer reads");
    reading.await.expect("everything arrives");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_is_given_up() {
    let (mut server, peer) = frozen_client().await;
    let start = Instant::now();
    let sent = server.send(noise(0, 1 << 20)).await;
    assert!(matches!(sent, Err(Error::Connection(ConnectionError::TransportLost))), "{sent:?}");
    // The stall, and the grace period in which the peer does not close.
    assert_eq!(start.elapsed().as_secs(), 12);
    assert!(matches!(server.feed("x").await, Err(Error::Send(SendError::Closing))));
    let last = server.recv().await.expect("the reason");
    assert!(matches!(last, Err(Error::Connection(ConnectionError::TransportLost))), "{last:?}");
    assert!(server.recv().await.is_none());
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_no_ping_is_given_up() {
    let (mut server, mut peer) = frozen_client().await;
    let start = Instant::now();
    let last = server.recv().await.expect("the reason");
    assert!(has_timed_out(&last, Timeout::KeepAlive));
    // The keep-alive, the pong, and the grace period.
    assert_eq!(start.elapsed().as_secs(), 30 + 20 + 2);
    let mut received = Vec::new();
    peer.read_to_end(&mut received).await.expect("the end");
    // A ping, then a Close with 3008.
    assert_eq!((&received[..2], received[10], &received[12..14]), (&b"\x89\x08"[..], 0x88, &b"\x0b\xc0"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_no_close_is_given_up() {
    let (mut server, peer) = frozen_client().await;
    let start = Instant::now();
    assert!(has_timed_out(&server.close(CloseCode::NORMAL_CLOSURE, "").await, Timeout::Closing));
    assert_eq!(start.elapsed().as_secs(), 12);
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn the_halves_notice_deadlines_without_each_other() {
    for polls_sender in [true, false] {
        let (server, peer) = frozen_client().await;
        let (mut sender, mut receiver) = server.split();
        let start = Instant::now();
        if polls_sender {
            assert!(sender.send(noise(0, 1 << 20)).await.is_err());
            assert_eq!(start.elapsed().as_secs(), 12);
        } else {
            assert!(has_timed_out(&receiver.recv().await.expect("the reason"), Timeout::KeepAlive));
            assert_eq!(start.elapsed().as_secs(), 52);
        }
        drop(peer);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_has_a_deadline() {
    let (peer, io) = duplex(4096);
    let start = Instant::now();
    assert!(has_timed_out(&accept(io).await, Timeout::Handshake));
    assert_eq!(start.elapsed().as_secs(), 12);
    drop(peer);

    let (peer, io) = duplex(4096);
    let start = Instant::now();
    assert!(has_timed_out(&Client::new().handshake("ws://localhost/", io).await, Timeout::Handshake));
    assert!((10..=12).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    drop(peer);
}

/// The keep-alive's pongs come back while the application does nothing but wait.
#[tokio::test(start_paused = true)]
async fn idle_connections_live_on() {
    let (mut client, mut server) = pair(4096, Config::new()).await;
    let idle = spawn(async move {
        let mut pings = 0;
        while let Some(Ok(message)) = client.recv().await {
            pings += u32::from(matches!(message, Message::Ping(_)));
        }
        pings
    });
    let waiting = async {
        while let Some(message) = server.recv().await {
            assert!(matches!(message.expect("no error"), Message::Ping(_) | Message::Pong(_)));
        }
    };
    let ended = tokio::time::timeout(Duration::from_hours(1), waiting).await;
    assert!(ended.is_err(), "it is open after an hour");
    assert!(server.round_trip().is_some());
    server.close(CloseCode::NORMAL_CLOSURE, "").await.expect("a clean end");
    assert!(idle.await.expect("no panic") > 50);
}

/// The application sends and never receives, and the peer sends more than is queued for it: no deadline counts that time
/// against the peer, the memory is bounded, and afterwards everything is received.
#[tokio::test(start_paused = true)]
async fn a_receiver_that_rests_costs_no_connection() {
    const COUNT: u32 = 40;
    let patient = SessionConfig::none();
    let (io, theirs) = duplex(4096);
    let (client, server) = (Client::new().session(patient), Server::new());
    let (client, server) = tokio::join!(client.handshake("ws://localhost/", io), server.accept(theirs));
    let (mut client_sender, mut client_receiver) = client.expect("a handshake").0.split();
    let (mut sender, mut receiver) = server.expect("a handshake").split();
    let pushing = spawn(async move {
        for number in 0..COUNT {
            client_sender.send(noise(number, 100_000)).await.expect("the connection is open");
        }
        client_sender
    });
    let counting = spawn(async move {
        let mut ticks = 0;
        while let Some(Ok(message)) = client_receiver.recv().await {
            ticks += u32::from(message.is_data());
        }
        ticks
    });
    // Each reads a piece, as long as the queue has room: all of them could read 12 MB.
    for _ in 0..3000 {
        sender.send("tick").await.expect("the connection is open");
        sleep(Duration::from_millis(200)).await;
    }
    assert!(!pushing.is_finished(), "4 MB were read, and none received");
    for number in 0..COUNT {
        let message = receiver.recv().await.expect("a message").expect("no error");
        assert!(message == Message::from(noise(number, 100_000)));
    }
    pushing.await.expect("no panic");
    let (closed, last) = tokio::join!(sender.close(CloseCode::NORMAL_CLOSURE, ""), async {
        let mut last = None;
        while let Some(message) = receiver.recv().await {
            last = Some(message);
        }
        last
    });
    closed.expect("a clean end");
    assert!(matches!(last, Some(Ok(Message::Close(Some(_))))), "{last:?}");
    assert_eq!(counting.await.expect("no panic"), 3000);
}

/// Without a receiving half, messages are dropped, and the peer's pings are answered.
#[tokio::test(start_paused = true)]
async fn without_a_receiver_messages_are_dropped() {
    let (client, server) = pair(4096, Config::new()).await;
    let (mut sender, receiver) = server.split();
    drop(receiver);
    let (mut client_sender, mut client_receiver) = client.split();
    let pushing = spawn(async move {
        for number in 0..40 {
            client_sender.send(noise(number, 100_000)).await.expect("the connection is open");
        }
        client_sender.send(Message::Ping("are you there?".into())).await.expect("the connection is open");
    });
    let counting = spawn(async move {
        let (mut ticks, mut pongs) = (0, 0);
        while let Some(Ok(message)) = client_receiver.recv().await {
            ticks += u32::from(message.is_data());
            pongs += u32::from(message == Message::Pong("are you there?".into()));
        }
        (ticks, pongs)
    });
    while !pushing.is_finished() {
        sender.send("tick").await.expect("the connection is open");
        sleep(Duration::from_millis(1)).await;
    }
    for _ in 0..100 {
        sender.send("tick").await.expect("the connection is open");
        sleep(Duration::from_secs(1)).await;
    }
    sender.close(CloseCode::NORMAL_CLOSURE, "").await.expect("a clean end");
    let (ticks, pongs) = counting.await.expect("no panic");
    assert!(ticks >= 100 && pongs == 1, "{ticks} ticks, {pongs} pongs");
}
