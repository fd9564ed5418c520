//! A sans-IO WebSocket protocol state machine: bytes in, events and outbound bytes out.
//!
//! One [`Connection`] is a WebSocket connection from the first byte of HTTP to the last Close frame, as server or as
//! client (RFC 6455). It has no socket, no clock, no thread and no random source inside, so anything can drive it: a
//! blocking socket, an event loop, any async runtime, a fuzzer, a test that replays bytes.
//!
//! # The contract
//! 1. Give what you read to [`Connection::receive`] until it returns `None`. `None` means: every byte was consumed.
//!    At the end of the stream, do the same with [`Connection::receive_eof`].
//! 2. After any call, write the [`Output`] to the transport. What is owed to the peer (101, pong, Close) is nowhere
//!    else.
//! 3. [`Event::Closed`] is the last event and comes exactly once. Once [`Connection::is_closed`] and the output is
//!    written, end the transport in order: shut its sending side down, read and drop until the peer ends or a grace is
//!    over, close. (Over TCP, to close with input unread resets the connection and can destroy the last Close on its
//!    way.) A read error is an end of the stream like any other.
//!
//! A whole server's connection, on a blocking socket:
//! ```
#![doc = include_str!("guide/front_page.rs")]
//! ```
//! A client's loop is another: [it goes on reading while it writes](guide::recipes::blocking), for a server that reads
//! nothing while it writes.
//!
//! # Where to read on
//! - [The contract](guide::contract) at length: in what order, what a fault looks like, what never happens.
//! - [A connection's life](guide::life), with a diagram of its states.
//! - [Recipes](guide::recipes): [blocking sockets](guide::recipes::blocking),
//!   [event loops](guide::recipes::event_loop), [tokio](guide::recipes::tokio),
//!   [TLS](guide::recipes::tls), [broadcasts](guide::recipes::broadcast),
//!   [huge messages](guide::recipes::huge_messages), [keep-alive](guide::recipes::keep_alive),
//!   [reconnecting](guide::recipes::reconnecting), [proxies](guide::recipes::proxies),
//!   [browsers' rules](guide::recipes::browser).
//! - [Memory](guide::memory), for a million connections.
//! - [Coming from](guide::coming_from) tungstenite, fastwebsockets or wsproto.
//!
//! # What is where
//! | for | there is |
//! |---|---|
//! | the connection | [`Connection`] takes [`Input`], gives [`Event`]s, fills an [`Output`]; [`Role`], [`State`] |
//! | limits and choices | [`Config`], and in it `Deflate` |
//! | opening, as a server | [`handshake::Request`]; [`Accept`] or [`Reject`] |
//! | opening, as a client | [`ClientRequest`], [`uri::Uri`]; [`handshake::Response`] |
//! | opening, where something else speaks HTTP | [`handshake`], [`Connection::upgraded`] |
//! | the end | [`Closed`], [`CloseCode`], [`CloseStatus`]; why, in [`ConnectionError`] |
//! | sending what is large, or to many | [`Fragments`], [`PreparedMessage`] |
//! | time | [`Timers`] and [`Timeouts`]; for clients, [`Backoff`] |
//! | numbers | [`Counters`] |
//! | the parts, for proxies and codecs | [`frame`], [`mask`] |
//!
//! # What the shape gives
//! - **Events borrow the caller's buffer, never the connection**, so the loop can answer while it holds one, and a
//!   message that lies whole in what was read costs no allocation, no copy and no atomic.
//! - **The caller owns both buffers.** One read buffer and one [`Output`] can serve any number of connections in an
//!   event loop; an idle server connection is a value of at most 128 bytes that holds nothing on the heap, but for the
//!   name of a subprotocol.
//! - **A peer's fault is the last event, not an `Err`**, and its answer is in the output before it is reported, so `?`
//!   cannot lose it. `Err` is for what the caller did wrong.
//! - **A decision consumes its token**: a [`Request`](handshake::Request) can be answered once.
//! - **Chunk-invariance**: the same bytes, however cut, give the same events and the same output.
//!
//! # Limits
//! Every limit is a number in [`Config`] and holds before memory is taken. [`Config::new`] is safe for a public server.
//!
//! # What is left to the caller
//! Sockets and TLS; the clock, by which [`Timers`] keeps a connection's deadlines and its keep-alive; when to connect
//! again, for which [`Backoff`] knows the delay; the decision about a request's Origin
//! ([`Request::is_same_origin`](handshake::Request::is_same_origin)); a client's [seed](Connection::client).
//!
//! # Features
//! - `deflate` (default): permessage-deflate (RFC 7692), by `Config::deflate`. Needs no `std`, but `alloc` and a global
//!   allocator, as the crate does without it.
//! - `http`: the opening handshake in the types of the `http` crate, for hyper and axum; see
//!   [`handshake`](handshake#with-another-http-stack). Implies `std`.
//! - `std` (default): [`Output`]'s `write_to` for blocking writers, vectored writes, and dates in
//!   [`Response::retry_after`](handshake::Response::retry_after). Without it the crate is `no_std` and needs `alloc`.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
// Except in three islands, each with its reason and a safe twin that it is tested against.
#![deny(unsafe_code)]
// No input may make the crate panic: nothing that can, is used outside its tests.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable)
)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

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
// Text, and examples of what the default features have.
mod growth;
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
mod timers;
pub mod uri;
mod utf8;

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
pub use event::{Closed, Event};
pub use fragments::Fragments;
pub use handshake::{Accept, AcceptError, ClientRequest, Reject, RejectError, RequestError};
pub use input::Input;
pub use message::MessageKind;
pub use output::Output;
pub use role::Role;
pub use sender::PreparedMessage;
pub use timers::{Timeouts, Timers};

/// The README's examples, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
