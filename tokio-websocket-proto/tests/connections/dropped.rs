//! Futures that are dropped after each number of polls: nothing is lost, nothing comes twice. In simulated time, which
//! passes only if every task waits: a waker that is lost shows.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use tokio::io::DuplexStream;
use tokio::task::yield_now;
use tokio::time::Instant;
use tokio::{join, spawn};
use tokio_websocket_proto::{CloseCode, Config, Message, WebSocket};

use crate::pairs::{compressed, noise, pair};

/// Longer than the pipe, so that each message takes many polls.
const LEN: usize = 3000;
const PIPE: usize = 512;

/// Polls a future `times` times, and then drops it. Other tasks run between two polls.
async fn poll_times<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..times {
        if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
            return Some(output);
        }
        yield_now().await;
    }
    None
}

/// Receives to the end, and returns the numbers of the messages.
async fn numbers(mut ws: WebSocket<DuplexStream>) -> Vec<u32> {
    let mut numbers = Vec::new();
    while let Some(message) = ws.recv().await {
        if let Message::Binary(data) = message.expect("a clean end") {
            let number = u32::from_be_bytes(data[..4].try_into().expect("4 bytes"));
            assert!(data == noise(number, LEN), "message {number}");
            numbers.push(number);
        }
    }
    numbers
}

async fn send_numbers(mut ws: WebSocket<DuplexStream>, count: u32) {
    for number in 0..count {
        ws.send(noise(number, LEN)).await.expect("the connection is open");
    }
    ws.close(CloseCode::NORMAL_CLOSURE, "").await.expect("a clean end");
}

/// Runs `test` with 0, 1, 2… polls until it returns `true`: then a future was complete. Each time for both roles.
macro_rules! at_every_poll {
    ($pipe:expr, |$ws:ident, $peer:ident, $polls:ident| $test:block) => {
        for config in [Config::new(), compressed()] {
            for is_client in [true, false] {
                let mut $polls = 0;
                loop {
                    let start = Instant::now();
                    let (client, server) = pair($pipe, config.clone()).await;
                    let ($ws, $peer) = if is_client { (client, server) } else { (server, client) };
                    let is_complete = $test;
                    assert!(start.elapsed().is_zero(), "a deadline had to wake it");
                    if is_complete {
                        assert!($polls > 1, "it waited for nothing");
                        break;
                    }
                    $polls += 1;
                }
            }
        }
    };
}

#[tokio::test(start_paused = true)]
async fn recv_loses_nothing() {
    at_every_poll!(PIPE, |ws, peer, polls| {
        let mut ws = ws;
        let peer = spawn(send_numbers(peer, 3));
        let dropped = poll_times(ws.recv(), polls).await;
        let is_complete = dropped.is_some();
        let mut first = 0;
        if let Some(message) = dropped {
            assert!(message.expect("a message").expect("no error") == Message::from(noise(0, LEN)));
            first = 1;
        }
        let received = numbers(ws).await;
        assert_eq!(received, (first..3).collect::<Vec<_>>());
        peer.await.expect("no panic");
        is_complete
    });
}

/// A `feed` waits while 64 KiB wait.
#[tokio::test(start_paused = true)]
async fn feed_sends_once_or_not_at_all() {
    at_every_poll!(8192, |ws, peer, polls| {
        const BEFORE: u32 = 25;
        let mut ws = ws;
        let peer = spawn(numbers(peer));
        for number in 0..BEFORE {
            ws.feed(noise(number, LEN)).await.expect("the connection is open");
        }
        let is_complete = poll_times(ws.feed(noise(BEFORE, LEN)), polls).await.is_some();
        ws.feed(noise(BEFORE + 1, LEN)).await.expect("the connection is open");
        ws.close(CloseCode::NORMAL_CLOSURE, "").await.expect("a clean end");
        let mut expected: Vec<_> = (0..BEFORE).collect();
        if is_complete {
            expected.push(BEFORE);
        }
        expected.push(BEFORE + 1);
        assert_eq!(peer.await.expect("no panic"), expected);
        is_complete
    });
}

#[tokio::test(start_paused = true)]
async fn send_sends_a_whole_message_at_most_once() {
    at_every_poll!(PIPE, |ws, peer, polls| {
        let mut ws = ws;
        let peer = spawn(numbers(peer));
        let is_complete = poll_times(ws.send(noise(0, LEN)), polls).await.is_some();
        ws.send(noise(1, LEN)).await.expect("the connection is open");
        ws.close(CloseCode::NORMAL_CLOSURE, "").await.expect("a clean end");
        // There is room, so the first poll queues it.
        let expected = if polls == 0 { vec![1] } else { vec![0, 1] };
        assert_eq!(peer.await.expect("no panic"), expected);
        is_complete
    });
}

#[tokio::test(start_paused = true)]
async fn flush_can_go_on() {
    at_every_poll!(PIPE, |ws, peer, polls| {
        let mut ws = ws;
        let peer = spawn(numbers(peer));
        ws.feed(noise(0, LEN)).await.expect("the connection is open");
        let is_complete = poll_times(ws.flush(), polls).await.is_some();
        ws.flush().await.expect("the connection is open");
        ws.close(CloseCode::NORMAL_CLOSURE, "").await.expect("a clean end");
        assert_eq!(peer.await.expect("no panic"), [0]);
        is_complete
    });
}

#[tokio::test(start_paused = true)]
async fn close_can_go_on() {
    at_every_poll!(PIPE, |ws, peer, polls| {
        let mut ws = ws;
        let peer = spawn(async move {
            let mut peer = peer;
            let mut last = None;
            while let Some(message) = peer.recv().await {
                last = Some(message.expect("a clean end"));
            }
            last
        });
        ws.feed(noise(0, LEN)).await.expect("the connection is open");
        let dropped = poll_times(ws.close(CloseCode::GOING_AWAY, "restart"), polls).await;
        let is_complete = dropped.is_some();
        if polls > 0 {
            // The first Close counts.
            ws.close(CloseCode::NORMAL_CLOSURE, "").await.expect("a clean end");
            let Some(Message::Close(Some(frame))) = peer.await.expect("no panic") else { panic!("no Close") };
            assert_eq!((frame.code, &*frame.reason), (CloseCode::GOING_AWAY, "restart"));
        }
        is_complete
    });
}

/// Both halves, each in its task, drop their futures all the time.
#[tokio::test(start_paused = true)]
async fn both_halves_lose_nothing() {
    const COUNT: u32 = 20;
    for polls in 1..12 {
        let start = Instant::now();
        let (client, server) = pair(PIPE, compressed()).await;
        let drive = |ws: WebSocket<DuplexStream>| {
            let (mut sender, mut receiver) = ws.split();
            let sending = spawn(async move {
                for number in 0..COUNT {
                    while poll_times(sender.feed(noise(number, LEN)), polls).await.is_none() {}
                    while poll_times(sender.flush(), polls).await.is_none() {}
                }
                sender
            });
            let receiving = spawn(async move {
                for number in 0..COUNT {
                    let message = loop {
                        if let Some(message) = poll_times(receiver.recv(), polls).await {
                            break message;
                        }
                    };
                    assert!(message.expect("a message").expect("no error") == Message::from(noise(number, LEN)));
                }
                receiver
            });
            async move { (sending.await.expect("no panic"), receiving.await.expect("no panic")) }
        };
        join!(drive(client), drive(server));
        assert!(start.elapsed().is_zero(), "a deadline had to wake it");
    }
}
