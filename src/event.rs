//! [`Event`]: messages and changes of state that a connection reports to the application.

mod closed;
mod kind;

use alloc::borrow::Cow;

use crate::close_code::CloseStatus;
use crate::handshake::{Request, Response};

pub use closed::Closed;
pub use kind::EventKind;

/// A message, a control frame or a change of the connection's state, reported in the order of the bytes received.
///
/// Events borrow the read buffer of the [`Input`](crate::Input), never the connection, so the caller can send an answer
/// while it uses an event. [`into_owned`](Self::into_owned) makes an event independent of the buffer.
///
/// # Examples
/// An answer while the event is in use, which a borrow of the connection would forbid:
/// ```
/// # use websocket_proto::{Connection, Event, Input, Output};
/// fn answer(ws: &mut Connection, read: &mut [u8], output: &mut Output) {
///     let mut input = Input::new(read);
///     while let Some(event) = ws.receive(&mut input, output) {
///         match event {
///             Event::Request(request) => ws.accept(request, output),
///             Event::Text(text) => drop(ws.send_text(&text, output)),
///             _ => {}
///         }
///     }
/// }
/// ```
/// An event cannot outlive the buffer it borrows from:
/// ```compile_fail,E0505
/// # use websocket_proto::{Connection, Input, Output};
/// fn keep(ws: &mut Connection, mut buffer: Vec<u8>, output: &mut Output) {
///     let event = ws.receive(&mut Input::new(&mut buffer), output);
///     drop(buffer);
///     drop(event);
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'i> {
    /// Server: a valid handshake request. The connection waits until the caller [accepts](crate::Connection::accept) or
    /// [rejects](crate::Connection::reject) it.
    Request(Request),
    /// Client: the connection is open.
    Open(Response),
    /// Client: the server answered with a status other than 101. Reported when the [body](Response::body) has arrived.
    /// [`Closed`](Self::Closed) follows.
    Rejected(Response),
    /// A complete text message.
    Text(Cow<'i, str>),
    /// A complete binary message.
    Binary(Cow<'i, [u8]>),
    /// A part of a text message, reported when it arrives. With [`Config::part_size`](crate::Config::part_size), every
    /// message is reported in parts; without it, none. Between the parts of a message, only pings and pongs are
    /// reported. If the connection ends inside a message, the message has no last part.
    TextPart {
        /// Complete characters. May be empty in the last part.
        text: Cow<'i, str>,
        /// Whether the message begins here.
        first: bool,
        /// Whether the message ends here.
        last: bool,
    },
    /// A part of a binary message, like [`TextPart`](Self::TextPart).
    BinaryPart {
        /// May be empty in the last part.
        data: Cow<'i, [u8]>,
        /// Whether the message begins here.
        first: bool,
        /// Whether the message ends here.
        last: bool,
    },
    /// A ping, at most 125 bytes. Its pong is already in the output.
    Ping(Cow<'i, [u8]>),
    /// A pong, solicited or not, at most 125 bytes.
    Pong(Cow<'i, [u8]>),
    /// Client: the server's Close frame has arrived: the closing handshake is started (RFC 6455 §7.1.3). The client's
    /// own Close is in the output, unless it was sent before. Only [`Closed`](Self::Closed) follows, at the end of the
    /// stream, which the server closes first (§7.1.1).
    ///
    /// A server gets `Closed` at once instead of this event. On both sides,
    /// [`Connection::received_close`](crate::Connection::received_close) returns the peer's Close.
    CloseReceived {
        /// The code, or [`NoStatus`](CloseStatus::NoStatus).
        status: CloseStatus,
        /// The reason, at most 123 bytes; empty if there is none. Text from the peer, like [`Closed::reason`].
        reason: Cow<'i, str>,
    },
    /// The connection has ended. The last event, exactly once. Write the output, then close the transport in
    /// this order: shut down its sending side, read and discard until the peer closes or a grace period ends, close.
    Closed(Closed),
}

impl Event<'_> {
    /// The same event with an owned payload, to send it over a channel or to keep it while the buffer is reused. Copies
    /// a borrowed payload.
    ///
    /// # Examples
    /// ```
    /// use std::borrow::Cow;
    /// use websocket_proto::Event;
    ///
    /// let kept: Event<'static> = {
    ///     let buffer = String::from("short-lived");
    ///     Event::Text(Cow::Borrowed(&buffer)).into_owned()
    /// };
    /// assert_eq!(kept, Event::Text("short-lived".into()));
    /// ```
    #[must_use]
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Self::Request(request) => Event::Request(request),
            Self::Open(response) => Event::Open(response),
            Self::Rejected(response) => Event::Rejected(response),
            Self::Text(text) => Event::Text(Cow::Owned(text.into_owned())),
            Self::Binary(data) => Event::Binary(Cow::Owned(data.into_owned())),
            Self::TextPart { text, first, last } => {
                Event::TextPart { text: Cow::Owned(text.into_owned()), first, last }
            }
            Self::BinaryPart { data, first, last } => {
                Event::BinaryPart { data: Cow::Owned(data.into_owned()), first, last }
            }
            Self::Ping(data) => Event::Ping(Cow::Owned(data.into_owned())),
            Self::Pong(data) => Event::Pong(Cow::Owned(data.into_owned())),
            Self::CloseReceived { status, reason } => {
                Event::CloseReceived { status, reason: Cow::Owned(reason.into_owned()) }
            }
            Self::Closed(closed) => Event::Closed(closed),
        }
    }
}
