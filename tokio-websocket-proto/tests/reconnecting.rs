//! A client that follows its server through restarts.

use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::spawn;
use tokio::time::Instant;
use tokio_websocket_proto::{Backoff, Client, CloseCode, Error, Message, Reconnect, Reject, Server, accept};

fn quick() -> Backoff {
    Backoff::new([7; 32]).base(Duration::from_millis(20)).cap(Duration::from_millis(50))
}

fn listen(address: &str) -> TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option");
    socket.bind(address.parse().expect("an address")).expect("the port is free");
    socket.listen(16).expect("it is bound")
}

/// Answers `answers` messages on one connection, then closes with 1012.
async fn serve(listener: TcpListener, answers: usize) {
    let (tcp, _) = listener.accept().await.expect("a connection");
    drop(listener);
    let mut ws = accept(tcp).await.expect("a handshake");
    for _ in 0..answers {
        let message = ws.recv().await.expect("a message").expect("no error");
        ws.send(message).await.expect("the connection is open");
    }
    ws.close(CloseCode::SERVICE_RESTART, "").await.expect("a clean end");
}

#[tokio::test]
async fn a_client_survives_restarts_of_its_server() {
    let listener = listen("127.0.0.1:0");
    let address = listener.local_addr().expect("an address").to_string();
    let server = spawn({
        let address = address.clone();
        async move {
            serve(listener, 2).await;
            // Gone for a while.
            tokio::time::sleep(Duration::from_millis(100)).await;
            serve(listen(&address), 2).await;
            serve(listen(&address), 1).await;
        }
    });
    let mut reconnect = Reconnect::new(Client::new(), format!("ws://{address}/")).backoff(quick());
    let (mut next, mut connections) = (0, 0);
    while next < 5 {
        let (mut ws, _) = reconnect.connect().await.expect("the server comes back");
        connections += 1;
        loop {
            // A message without an answer is sent again.
            let number = Message::from(format!("message {next}"));
            if ws.send(number.clone()).await.is_err() {
                break;
            }
            match ws.recv().await {
                Some(Ok(message)) if message == number => next += 1,
                _ => break,
            }
        }
    }
    assert_eq!(connections, 3);
    server.await.expect("no panic");
}

/// RFC 9110 §10.2.3: Retry-After.
#[tokio::test]
async fn a_rejection_is_final_or_says_when_to_come_back() {
    let listener = listen("127.0.0.1:0");
    let url = format!("ws://{}/", listener.local_addr().expect("an address"));
    spawn(async move {
        for count in 0.. {
            let (tcp, _) = listener.accept().await.expect("a connection");
            let incoming = Server::new().request(tcp).await.expect("a request");
            let reject = match count {
                0 => Reject::service_unavailable().header("Retry-After", "1").expect("a header"),
                _ => Reject::forbidden(),
            };
            incoming.reject(&reject).await.expect("it is sent");
        }
    });
    let mut reconnect = Reconnect::new(Client::new(), url).backoff(quick());
    let start = Instant::now();
    let result = reconnect.connect().await.map(drop);
    assert!(matches!(result, Err(Error::Rejected(response)) if response.status() == 403));
    assert!(start.elapsed() >= Duration::from_secs(1));
}

/// A dropped attempt loses its delay neither: the next call waits for the rest of it.
#[tokio::test(start_paused = true)]
async fn a_dropped_attempt_keeps_its_delay() {
    // Nothing listens there.
    let slow = Backoff::new([7; 32]).base(Duration::from_hours(1)).cap(Duration::from_hours(1));
    let mut reconnect = Reconnect::new(Client::new(), "ws://127.0.0.1:1/").backoff(slow);
    let start = Instant::now();
    for _ in 0..5 {
        let attempt = tokio::time::timeout(Duration::from_secs(1), reconnect.connect()).await;
        assert!(attempt.is_err(), "nothing listens");
    }
    assert!(start.elapsed() < Duration::from_secs(6));
    assert!(format!("{reconnect:?}").starts_with("Reconnect"));
}
