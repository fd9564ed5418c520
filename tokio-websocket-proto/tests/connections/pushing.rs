//! Both ends send more than the pipe between them takes, and neither waits for the other.

use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep, timeout};
use tokio::{join, spawn};
use tokio_websocket_proto::{CloseCode, Config, Message, Receiver, Sender, WebSocket};

use crate::pairs::{compressed, noise, pair};

const LEN: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_mins(2);

async fn send_all(mut sender: Sender<DuplexStream>, count: u32) -> Sender<DuplexStream> {
    for number in 0..count {
        sender.send(noise(number, LEN)).await.expect("the connection is open");
    }
    sender
}

async fn receive_all(mut receiver: Receiver<DuplexStream>, count: u32) -> Receiver<DuplexStream> {
    for number in 0..count {
        let message = receiver.recv().await.expect("a message").expect("no error");
        assert!(message == Message::from(noise(number, LEN)), "message {number}");
    }
    receiver
}

/// Four tasks: both halves of both ends.
async fn both_directions(config: Config) {
    const COUNT: u32 = 6;
    let (client, server) = pair(4096, config).await;
    let ((client_sender, client_receiver), (server_sender, server_receiver)) = (client.split(), server.split());
    let tasks = (
        spawn(send_all(client_sender, COUNT)),
        spawn(send_all(server_sender, COUNT)),
        spawn(receive_all(client_receiver, COUNT)),
        spawn(receive_all(server_receiver, COUNT)),
    );
    let (client_sender, server_sender, client_receiver, server_receiver) =
        timeout(PATIENCE, async { join!(tasks.0, tasks.1, tasks.2, tasks.3) }).await.expect("no deadlock");
    let mut client_sender = client_sender.expect("no panic");
    let (mut client_receiver, mut server_receiver) =
        (client_receiver.expect("no panic"), server_receiver.expect("no panic"));
    let (closed, at_client, at_server) =
        join!(client_sender.close(CloseCode::NORMAL_CLOSURE, "done"), client_receiver.recv(), server_receiver.recv());
    closed.expect("a clean end");
    // The answer to a Close has its code.
    for (last, reason) in [(at_client, ""), (at_server, "done")] {
        let Some(Ok(Message::Close(Some(frame)))) = last else { panic!("{last:?}") };
        assert_eq!((frame.code, &*frame.reason), (CloseCode::NORMAL_CLOSURE, reason));
    }
    assert!(client_receiver.recv().await.is_none() && server_receiver.recv().await.is_none());
    drop(server_sender);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_halves_push_compressed_messages_through_a_small_pipe() {
    both_directions(compressed()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_halves_push_plain_messages_through_a_small_pipe() {
    both_directions(Config::new()).await;
}

#[tokio::test(start_paused = true)]
async fn both_halves_push_on_one_thread() {
    let start = Instant::now();
    both_directions(compressed()).await;
    assert!(start.elapsed().is_zero(), "a deadline had to wake it");
}

/// One task per end, which receives only after it has sent.
#[tokio::test(start_paused = true)]
async fn each_end_sends_before_it_receives() {
    async fn send_then_receive(mut ws: WebSocket<DuplexStream>) -> WebSocket<DuplexStream> {
        for round in 0..3 {
            ws.send(noise(round, LEN)).await.expect("the connection is open");
            let message = ws.recv().await.expect("a message").expect("no error");
            assert!(message == Message::from(noise(round, LEN)));
        }
        ws
    }
    for config in [Config::new(), compressed()] {
        let start = Instant::now();
        let (client, server) = pair(4096, config).await;
        timeout(PATIENCE, async { join!(send_then_receive(client), send_then_receive(server)) })
            .await
            .expect("no deadlock");
        assert!(start.elapsed().is_zero(), "a deadline had to wake it");
    }
}

/// A full queue stops the reading of a half that waits to send; one that has room again lets it go on.
#[tokio::test(start_paused = true)]
async fn receiving_some_messages_lets_the_sender_read_on() {
    let (client, mut server) = pair(4096, Config::new()).await;
    let (sender, mut receiver) = client.split();
    let pushing = spawn(async move {
        for number in 0..5 {
            server.send(noise(number, 100_000)).await.expect("the connection is open");
        }
        for number in 0..3 {
            let message = server.recv().await.expect("a message").expect("no error");
            assert!(message == Message::from(noise(number, LEN)));
        }
    });
    // The server's queue takes one of these while it sends. (A server would not read while they wait.)
    let sending = spawn(send_all(sender, 3));
    sleep(Duration::from_secs(1)).await;
    assert!(!pushing.is_finished(), "the queue has a limit");
    for number in 0..3 {
        let message = receiver.recv().await.expect("a message").expect("no error");
        assert!(message == Message::from(noise(number, 100_000)));
    }
    // Nothing is received any more.
    let start = Instant::now();
    pushing.await.expect("no panic");
    sending.await.expect("no panic");
    assert!(start.elapsed().is_zero(), "a deadline had to wake it");
}

/// The half that receives writes the Close that the other one has queued.
#[tokio::test(start_paused = true)]
async fn a_queued_close_wakes_the_receiver() {
    let start = Instant::now();
    let (mut client, server) = pair(4096, Config::new()).await;
    let (mut sender, mut receiver) = server.split();
    let receiving = spawn(async move { receiver.recv().await });
    let answering = spawn(async move { while client.recv().await.is_some() {} });
    tokio::task::yield_now().await;
    sender.feed(Message::Close(None)).await.expect("the connection is open");
    let last = receiving.await.expect("no panic");
    assert!(matches!(last, Some(Ok(Message::Close(None)))), "{last:?}");
    answering.await.expect("no panic");
    assert!(start.elapsed().is_zero(), "a deadline had to wake it");
}
