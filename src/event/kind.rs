//! [`EventKind`], and the payload of an [`Event`], for callers that treat all kinds of payload alike.

use super::Event;

/// The kind of an [`Event`], without its contents: to keep after the event is dropped, or to pass to another language.
///
/// # Examples
/// See [`Event::kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// [`Event::Request`].
    Request,
    /// [`Event::Open`].
    Open,
    /// [`Event::Rejected`].
    Rejected,
    /// [`Event::Text`].
    Text,
    /// [`Event::Binary`].
    Binary,
    /// [`Event::TextPart`].
    TextPart {
        /// Whether the message begins here.
        first: bool,
        /// Whether the message ends here.
        last: bool,
    },
    /// [`Event::BinaryPart`].
    BinaryPart {
        /// Whether the message begins here.
        first: bool,
        /// Whether the message ends here.
        last: bool,
    },
    /// [`Event::Ping`].
    Ping,
    /// [`Event::Pong`].
    Pong,
    /// [`Event::CloseReceived`].
    CloseReceived,
    /// [`Event::Closed`].
    Closed,
}

impl Event<'_> {
    /// The kind of this event.
    ///
    /// # Examples
    /// ```
    /// use websocket_proto::{Event, EventKind};
    ///
    /// let event = Event::TextPart { text: "half of ".into(), first: true, last: false };
    /// assert_eq!(event.kind(), EventKind::TextPart { first: true, last: false });
    /// ```
    #[must_use]
    pub fn kind(&self) -> EventKind {
        match *self {
            Self::Request(_) => EventKind::Request,
            Self::Open(_) => EventKind::Open,
            Self::Rejected(_) => EventKind::Rejected,
            Self::Text(_) => EventKind::Text,
            Self::Binary(_) => EventKind::Binary,
            Self::TextPart { first, last, .. } => EventKind::TextPart { first, last },
            Self::BinaryPart { first, last, .. } => EventKind::BinaryPart { first, last },
            Self::Ping(_) => EventKind::Ping,
            Self::Pong(_) => EventKind::Pong,
            Self::CloseReceived { .. } => EventKind::CloseReceived,
            Self::Closed(_) => EventKind::Closed,
        }
    }

    /// The payload of a message, a part of a message, a ping or a pong; `None` for other events. That of a text is
    /// UTF-8.
    ///
    /// [`Input::range_of`](crate::Input::range_of) returns its place in the read buffer.
    ///
    /// # Examples
    /// ```
    /// use websocket_proto::Event;
    ///
    /// assert_eq!(Event::Text("hello".into()).payload(), Some(&b"hello"[..]));
    /// ```
    #[must_use]
    pub fn payload(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) | Self::TextPart { text, .. } => Some(text.as_bytes()),
            Self::Binary(data) | Self::BinaryPart { data, .. } | Self::Ping(data) | Self::Pong(data) => Some(data),
            Self::Request(_) | Self::Open(_) | Self::Rejected(_) | Self::CloseReceived { .. } | Self::Closed(_) => None,
        }
    }
}
