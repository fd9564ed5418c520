//! WebSocket for tokio: a stream and a sink of messages, over any `AsyncRead + AsyncWrite`.
//!
//! | task | use |
//! |---|---|
//! | connect | [`connect`], or [`Client`] with limits, deadlines, TLS; a [`ClientRequest`] has subprotocols and headers |
//! | accept | [`accept`], or [`Server`] with limits and deadlines; [`Incoming`] to decide about the request |
//! | receive and send | [`WebSocket`]: a stream and a sink of [`Message`]s, with methods that need no trait |
//! | two tasks | [`WebSocket::split`] |
//! | messages of any length in bounded memory | [`Config::part_size`], [`Message::Part`] |
//! | one message to many connections | [`WebSocket::feed_prepared`] |
//! | reconnect | [`Reconnect`] |
//! | `wss` | the feature `rustls`: [`Client::connect`] |
//! | axum | the feature `axum`: its extractor, for HTTP/1.1 and HTTP/2 |
//! | compression | [`Config::deflate`] |
//! | limits and deadlines | [`Config`], [`SessionConfig`] |
//!
//! ```no_run
//! # async fn hello() -> Result<(), tokio_websocket_proto::Error> {
//! let (mut ws, _response) = tokio_websocket_proto::connect("ws://127.0.0.1:9001/").await?;
//! ws.send("hello").await?;
//! while let Some(message) = ws.recv().await {
//!     println!("{:?}", message?);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`WebSocket`] says what is written when, what a dropped future has done, and what happens while nothing is polled. The
//! protocol, its limits and its errors are [`websocket_proto`]'s.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable)]

mod alarm;
#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub mod axum;
mod client;
mod driver;
mod error;
mod message;
mod poll;
mod queue;
mod reconnect;
mod scratch;
mod server;
mod split;
#[cfg(feature = "rustls")]
mod tls;
mod transport;
mod wakers;
mod websocket;

pub use bytes::Bytes;
pub use bytestring::ByteString;
#[cfg(feature = "rustls")]
#[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
pub use tokio_rustls;
pub use websocket_proto;
#[cfg(feature = "deflate")]
pub use websocket_proto::Deflate;
pub use websocket_proto::{
    Accept, Backoff, ClientRequest, CloseCode, Config, ConnectionError, MessageKind, PreparedMessage, Reject,
    SendError, SessionConfig, Timeouts,
};

pub use client::{Client, IntoClientRequest, connect};
pub use error::Error;
pub use message::{CloseFrame, Message, Part};
pub use reconnect::Reconnect;
pub use server::{Incoming, Server, accept};
pub use split::{Receiver, Sender};
pub use transport::Transport;
pub use websocket::WebSocket;

/// The README's examples, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
