//! WebSocket for tokio: a stream and a sink of messages.

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
    Accept, ClientRequest, CloseCode, Config, ConnectionError, PreparedMessage, Reject, SendError, SessionConfig,
    Timeouts,
};

pub use client::{Client, IntoClientRequest, connect};
pub use error::Error;
pub use message::{CloseFrame, Message};
pub use reconnect::Reconnect;
pub use server::{Incoming, Server, accept};
pub use split::{Receiver, Sender};
pub use transport::Transport;
pub use websocket::WebSocket;
