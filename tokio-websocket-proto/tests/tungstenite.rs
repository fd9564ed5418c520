//! tokio-tungstenite as the other side, over TCP.

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::spawn;
use tokio_tungstenite::tungstenite;
use tokio_websocket_proto::{CloseCode, Message, accept, connect};

/// A text, an empty one, and a binary message longer than any buffer.
fn messages() -> [Message; 3] {
    [Message::from("hello €"), Message::from(""), Message::from(vec![7; 500_000])]
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}/", listener.local_addr().expect("an address"));
    (listener, url)
}

async fn accepted(listener: &TcpListener) -> TcpStream {
    listener.accept().await.expect("a connection").0
}

#[tokio::test]
async fn tungstenite_is_the_server() {
    let (listener, url) = listener().await;
    let server = spawn(async move {
        let mut ws = tokio_tungstenite::accept_async(accepted(&listener).await).await.expect("a handshake");
        let mut last = None;
        while let Some(message) = ws.next().await {
            match message.expect("no error") {
                message @ (tungstenite::Message::Text(_) | tungstenite::Message::Binary(_)) => {
                    ws.send(message).await.expect("the connection is open");
                }
                tungstenite::Message::Close(frame) => last = frame,
                _ => {}
            }
        }
        last
    });
    let (mut ws, response) = connect(url).await.expect("a handshake");
    assert_eq!(response.status(), 101);
    for message in messages() {
        ws.send(message.clone()).await.expect("the connection is open");
        assert_eq!(ws.recv().await.expect("an echo").expect("no error"), message);
    }
    ws.send(Message::Ping("there?".into())).await.expect("the connection is open");
    assert_eq!(ws.recv().await.expect("a pong").expect("no error"), Message::Pong("there?".into()));
    ws.close(CloseCode::NORMAL_CLOSURE, "bye").await.expect("a clean end");
    let frame = server.await.expect("no panic").expect("a frame");
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1000, "bye"));
}

#[tokio::test]
async fn tungstenite_is_the_client() {
    let (listener, url) = listener().await;
    let server = spawn(async move {
        let mut ws = accept(accepted(&listener).await).await.expect("a handshake");
        let mut last = None;
        while let Some(message) = ws.recv().await {
            let message = message.expect("no error");
            if message.is_data() {
                ws.feed(message).await.expect("the connection is open");
            } else {
                last = Some(message);
            }
        }
        last
    });
    let (mut ws, _) = tokio_tungstenite::connect_async(url).await.expect("a handshake");
    let messages = [
        tungstenite::Message::text("hello €"),
        tungstenite::Message::text(""),
        tungstenite::Message::binary(vec![7; 500_000]),
    ];
    for message in messages {
        ws.send(message.clone()).await.expect("the connection is open");
        assert_eq!(ws.next().await.expect("an echo").expect("no error"), message);
    }
    let code = tungstenite::protocol::frame::coding::CloseCode::Away;
    ws.close(Some(tungstenite::protocol::CloseFrame { code, reason: "bye".into() })).await.expect("it is sent");
    // To the end of the stream.
    while let Some(message) = ws.next().await {
        assert!(message.expect("no error").is_close());
    }
    drop(ws);
    let Some(Message::Close(Some(frame))) = server.await.expect("no panic") else { panic!("no Close") };
    assert_eq!((frame.code, &*frame.reason), (CloseCode::GOING_AWAY, "bye"));
}

/// The traits, as tokio-tungstenite's users use them: `split`, `forward`, `send_all`.
#[tokio::test]
async fn the_traits_of_futures_work() {
    let (listener, url) = listener().await;
    let server = spawn(async move {
        let (sink, stream) = accept(accepted(&listener).await).await.expect("a handshake").split();
        let data = stream.filter(|message| {
            let is_data = matches!(message, Ok(message) if message.is_data());
            async move { is_data }
        });
        // Forwards, and closes.
        data.forward(sink).await
    });
    let (ws, _) = connect(url).await.expect("a handshake");
    let (mut sink, mut stream) = StreamExt::split(ws);
    let mut all = futures_util::stream::iter(messages().map(Ok));
    sink.send_all(&mut all).await.expect("the connection is open");
    for message in messages() {
        assert_eq!(stream.next().await.expect("an echo").expect("no error"), message);
    }
    let (closed, last) = tokio::join!(SinkExt::close(&mut sink), stream.next());
    closed.expect("a clean end");
    assert!(matches!(last, Some(Ok(Message::Close(Some(frame)))) if frame.code == CloseCode::NORMAL_CLOSURE));
    assert!(stream.next().await.is_none());
    server.await.expect("no panic").expect("a clean end");
}
