//! A sans-IO WebSocket protocol state machine: bytes in, events and outbound bytes out.
//!
//! A [`Session`] is a WebSocket connection on a transport: it says when to read, how much, what to write, when to wake up,
//! and how to end. In it, a [`Connection`] is the protocol, from the first byte of HTTP to the last Close frame, as server
//! or as client (RFC 6455). Neither contains a socket, a clock, a thread or a random source, so anything can drive them: a
//! blocking socket, an event loop, any async runtime, a fuzzer, a test that replays bytes.
//!
//! # A session
//! A complete server connection, on a blocking socket:
//! ```
#![doc = include_str!("guide/front_page.rs")]
//! ```
//! [`SessionConfig::new`] has deadlines for the handshake, a silent peer, a peer that reads nothing, and the end. The same
//! loop drives a client on a socket that [does not block](guide::recipes::blocking): a client reads while it writes, because
//! the server may not. [Writing a driver](guide::writing_a_driver) has loops for other transports, and says how to test
//! them.
//!
//! # The contract of a connection
//! To drive a [`Connection`] without a session:
//!
//! 1. Pass the bytes that you read to [`Connection::receive`], and call it until it returns `None`. `None` means: every
//!    byte was consumed. At the end of the stream, do the same with [`Connection::receive_eof`].
//! 2. After any call, write the [`Output`] to the transport. All responses to the peer (101, pong, Close) are in it.
//! 3. [`Event::Closed`] is the last event and comes exactly once. When [`Connection::is_closed`] returns true and the
//!    output is written, close the transport in this order: shut down its sending side, read and discard until the peer
//!    closes or a grace period ends, close. (Over TCP, closing with unread input resets the connection and can destroy the
//!    last Close on its way.) Treat a read error as the end of the stream.
//!
//! ```
#![doc = include_str!("guide/bare_connection.rs")]
//! ```
//! This loop has two deadlines and no keep-alive.
//!
//! # Further reading
//! - [The contract](guide::contract) in detail: the order of events, errors, guarantees.
//! - [A connection's life](guide::life), with a diagram of its states.
//! - [Writing a driver](guide::writing_a_driver): readiness, futures, completion, `no_std`; a test suite for yours.
//! - [Recipes](guide::recipes): [blocking sockets](guide::recipes::blocking),
//!   [event loops](guide::recipes::event_loop), [tokio](guide::recipes::tokio),
//!   [TLS](guide::recipes::tls), [broadcasts](guide::recipes::broadcast),
//!   [huge messages](guide::recipes::huge_messages), [keep-alive](guide::recipes::keep_alive),
//!   [reconnecting](guide::recipes::reconnecting), [proxies](guide::recipes::proxies),
//!   [browsers' rules](guide::recipes::browser).
//! - [Memory](guide::memory), for a million connections.
//! - [Coming from](guide::coming_from) tungstenite, fastwebsockets or wsproto.
//!
//! # Overview
//! | purpose | items |
//! |---|---|
//! | a connection on a transport | [`Session`] says when to read, write, wake up and close: an [`Action`]; [`SessionConfig`] |
//! | the connection | [`Connection`] consumes [`Input`], returns [`Event`]s, fills an [`Output`]; [`Role`], [`State`] |
//! | limits and options | [`Config`], and in it `Deflate` |
//! | the handshake of a server | [`handshake::Request`]; [`Accept`] or [`Reject`] |
//! | the handshake of a client | [`ClientRequest`], [`uri::Uri`]; [`handshake::Response`] |
//! | a handshake over another HTTP stack | [`handshake`], [`Connection::upgraded`] |
//! | the end | [`Closed`], [`CloseCode`], [`CloseStatus`]; the cause, in [`ConnectionError`] |
//! | large messages, and broadcasts | [`Fragments`], [`PreparedMessage`] |
//! | time | [`Timers`] and [`Timeouts`]; for many sessions, [`Alarms`]; for clients, [`Backoff`] |
//! | statistics | [`Counters`] |
//! | the codecs, for proxies | [`frame`], [`mask`] |
//!
//! # Design
//! - **Events borrow the caller's buffer, never the connection**, so the caller can answer while it uses an event, and
//!   a message that one read brought completely costs no allocation, no copy and no atomic operation.
//! - **The caller owns both buffers.** One read buffer and one [`Output`] can serve any number of connections in an
//!   event loop; an idle server connection is a value of at most 128 bytes without heap memory, except for the name of
//!   a subprotocol.
//! - **A protocol error by the peer is the last event, not an `Err`.** The response to it is in the output before it is
//!   reported, so `?` cannot lose it. `Err` means a mistake of the caller.
//! - **A decision consumes its token**: a [`Request`](handshake::Request) can be answered once.
//! - **Chunk-invariance**: the same bytes, however split, give the same events and the same output.
//!
//! # Limits
//! Every limit is a number in [`Config`] and is checked before memory is allocated. [`Config::new`] is safe for a
//! public server.
//!
//! # Left to the caller
//! Sockets and TLS; the clock, from which [`Timers`] computes a connection's deadlines and its keep-alive;
//! reconnecting, for which [`Backoff`] computes the delay; the decision about a request's Origin
//! ([`Request::is_same_origin`](handshake::Request::is_same_origin)); a client's [seed](Connection::client).
//!
//! # Features
//! - `deflate` (default): permessage-deflate (RFC 7692), with `Config::deflate`. Needs no `std`, but, as the rest of
//!   the crate, `alloc` and a global allocator.
//! - `http`: the opening handshake in the types of the `http` crate, for hyper and axum; see
//!   [`handshake`](handshake#with-another-http-stack). Implies `std`.
//! - `std` (default): [`Output`]'s `write_to` for blocking writers, vectored writes, and dates in
//!   [`Response::retry_after`](handshake::Response::retry_after). Without it the crate is `no_std` and needs `alloc`.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
// Except in three modules, each with its reason and a safe equivalent that it is tested against.
#![deny(unsafe_code)]
// No input may make the crate panic, so only tests use functions that can panic.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable)
)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod alarms;
mod backoff;
mod close_code;
mod config;
mod connection;
mod counters;
#[cfg(feature = "deflate")]
mod deflate;
#[cfg(not(feature = "deflate"))]
#[path = "deflate/absent.rs"]
mod deflate;
mod error;
mod event;
mod fragments;
pub mod frame;
mod growth;
// Only documentation, whose examples use the default features.
#[cfg(any(doc, all(doctest, feature = "deflate", feature = "std")))]
#[cfg_attr(docsrs, doc(auto_cfg = false))]
pub mod guide;
pub mod handshake;
mod input;
mod lazy;
pub mod mask;
mod message;
mod output;
mod receiver;
mod role;
mod sender;
mod session;
mod timers;
pub mod uri;
mod utf8;

pub use alarms::Alarms;
pub use backoff::Backoff;
pub use close_code::{CloseCode, CloseStatus, ScriptCloseError};
pub use config::Config;
pub use connection::{Connection, State};
pub use counters::{Counters, Traffic};
#[cfg(feature = "deflate")]
pub use deflate::{Deflate, DeflateParameter};
pub use error::{
    ConnectionError, HandshakeError, HandshakeErrorKind, ProtocolError, ProtocolErrorKind, SendError, Timeout,
};
pub use event::{Closed, Event, EventKind};
pub use fragments::Fragments;
pub use handshake::{
    Accept, AcceptError, AcceptErrorKind, ClientRequest, HeaderError, Reject, RejectError, RequestError,
};
pub use input::Input;
pub use message::MessageKind;
pub use output::Output;
pub use role::Role;
pub use sender::PreparedMessage;
pub use session::{Action, Session, SessionConfig};
pub use timers::{Timeouts, Timers};

/// The README's examples, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
