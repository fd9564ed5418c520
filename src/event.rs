//! [`Event`]: what the connection has to say to the application. It borrows from the read buffer, never from the
//! connection.

use alloc::borrow::Cow;

use crate::close::{CloseStatus, Closed};
use crate::handshake::{Request, Response};

/// What happened, in the order in which it happened.
///
/// Events borrow the read buffer behind the [`Input`](crate::Input), never the connection, so that the loop can
/// answer while it holds one. [`into_owned`](Self::into_owned) takes one beyond the buffer's life.
///
/// # Examples
/// Answering while the event is held, which a borrow of the connection would forbid:
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
    /// Server: a valid opening request. Nothing happens until it is [accepted](crate::Connection::accept) or
    /// [rejected](crate::Connection::reject).
    Request(Request),
    /// Client: the connection is open.
    Open(Response),
    /// Client: the server answered with another status than 101. [`Closed`](Self::Closed) follows.
    Rejected(Response),
    /// A whole text message.
    Text(Cow<'i, str>),
    /// A whole binary message.
    Binary(Cow<'i, [u8]>),
    /// A part of a text message, as it arrived: only with [`Config::part_size`](crate::Config::part_size), and then
    /// every message comes so. Its parts follow one another with nothing but pings and pongs in between. A message that
    /// the connection's end cuts short has no last part.
    TextPart {
        /// Whole characters. May be empty in the last part.
        text: Cow<'i, str>,
        /// Whether the message begins here.
        first: bool,
        /// Whether the message ends here.
        last: bool,
    },
    /// A part of a binary message, as [`TextPart`](Self::TextPart).
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
    /// Client: the peer's Close frame was received (RFC 6455 §7.1.3). Its answer is in the output, unless a Close was
    /// sent before. Only [`Closed`](Self::Closed) follows, at the end of the stream, which the server ends first
    /// (§7.1.1).
    ///
    /// A server is not given this event: `Closed` comes at that moment and says the same.
    /// [`Connection::received_close`](crate::Connection::received_close) has the status and the reason in both roles.
    CloseReceived {
        /// The code, or [`NoStatus`](CloseStatus::NoStatus).
        status: CloseStatus,
        /// At most 123 bytes; empty if there was none. The peer's text, as in [`Closed::reason`].
        reason: Cow<'i, str>,
    },
    /// The end. The last event, exactly once.
    Closed(Closed),
}

impl Event<'_> {
    /// The same event, owning its payload: for a channel, or to keep it while the buffer is filled again. Copies a
    /// payload that is borrowed.
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
