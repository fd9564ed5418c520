//! The opening handshake as pure functions and values: requests, responses and their checks, over HTTP/1.1 (RFC 6455
//! §4), HTTP/2 (RFC 8441) and HTTP/3 (RFC 9220). [`Connection`](crate::Connection) runs it over a stream of bytes.
//!
//! # With another HTTP stack
//! Another HTTP stack can read and write the messages; the same code checks and answers them:
//!
//! - **Server**: [`parse_request`], [`parse_extended_connect`] or, with feature `http`, `Request::from_http` check the
//!   request and return a [`Request`]. [`Request::accept`] and [`Request::reject`] turn it into an [`Answer`]: send its
//!   status and headers. If the check fails, [`HandshakeErrorKind::answer`] makes the answer. If the request has
//!   `Expect: 100-continue`, send a 100 before the 101 (RFC 9110 §7.8), as [`Answer::write_http1`] does.
//! - **Client**: [`ClientRequest::upgrade`] and [`ClientRequest::extended_connect`] make a [`ClientHandshake`]: send
//!   its headers, and let it [check](ClientHandshake::check) the response.
//! - **Both**: the check and the acceptance return a [`Negotiated`], from which
//!   [`Connection::upgraded`](crate::Connection::upgraded) makes an open connection.
//!
//! # Examples
//! Both sides over HTTP/2 or HTTP/3, whose stacks exchange header lists:
//! ```
//! use websocket_proto::handshake::{Bootstrap, parse_extended_connect};
//! use websocket_proto::{Accept, ClientRequest, Config, Connection, Role};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::new();
//! let request = ClientRequest::new("wss://example.com/chat").subprotocol("chat");
//! let handshake = request.extended_connect(&config)?;
//! // … HEADERS goes to the server, in this order …
//! let request = parse_extended_connect(handshake.headers().iter())?;
//! assert_eq!((request.bootstrap(), request.path()), (Bootstrap::ExtendedConnect, "/chat"));
//! let (answer, negotiated) = request.accept(&Accept::new().subprotocol("chat"), &config)?;
//! let server = Connection::upgraded(Role::Server, negotiated, config.clone(), [0; 32]);
//! // … HEADERS comes back …
//! let (response, negotiated) = handshake.check(answer.status(), answer.headers().iter())?;
//! let client = Connection::upgraded(Role::Client, negotiated, config, [7; 32]);
//! assert_eq!((response.status(), server.subprotocol(), client.subprotocol()), (200, Some("chat"), Some("chat")));
//! # Ok(())
//! # }
//! ```

mod accept_key;
mod client;
#[cfg(feature = "deflate")]
mod deflate;
mod grammar;
mod header_checks;
mod header_list;
mod headers;
mod http1;
#[cfg(feature = "http")]
mod http_types;
mod negotiated;
mod server;

pub use accept_key::{accept_key, request_key};
pub use client::{ClientHandshake, ClientRequest, RequestError, Response};
pub use grammar::{Extension, MalformedHeader, parse_extensions};
pub use header_checks::HeaderError;
pub use headers::Headers;
pub use negotiated::Negotiated;
pub use server::{
    Accept, AcceptError, AcceptErrorKind, Answer, Reject, RejectError, Request, parse_extended_connect, parse_request,
};

pub(crate) use client::{Offer, check_response};
pub(crate) use http1::{Body, HeadScanner, ParsedHead, ResponseHead, ScanError, parse_response_head};
pub(crate) use server::{METHOD_LEN, Ticket, check_request};

#[cfg(doc)]
use crate::HandshakeErrorKind;

/// The HTTP mechanism with which a client asks for a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bootstrap {
    /// GET with `Upgrade: websocket`, over HTTP/1.1 (RFC 6455 §4). The status that opens the connection is 101.
    Upgrade,
    /// CONNECT with `:protocol` `websocket`, over HTTP/2 (RFC 8441) or HTTP/3 (RFC 9220). The status that opens the
    /// connection is 200; a client accepts any 2xx.
    ExtendedConnect,
}
