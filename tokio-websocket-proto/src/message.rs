//! [`Message`]: a message, a control frame, or the end.

use bytes::Bytes;
use bytestring::ByteString;
use websocket_proto::{CloseCode, CloseStatus, Closed, Connection, Event, MessageKind, Output, SendError};

/// A message or a control frame, received or to send.
///
/// Cloning copies no payload.
///
/// # Examples
/// ```
/// use tokio_websocket_proto::Message;
///
/// let message = Message::from("hello");
/// assert_eq!(message.as_text(), Some("hello"));
/// assert_eq!(Message::from(vec![1, 2]), Message::Binary(vec![1, 2].into()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(ByteString),
    /// Binary data.
    Binary(Bytes),
    /// A ping, at most 125 bytes. A received one is answered already.
    Ping(Bytes),
    /// A pong, at most 125 bytes. To send one is only needed as a one-way heartbeat.
    Pong(Bytes),
    /// A part of a message: received only with [`Config::part_size`](crate::Config::part_size), instead of whole
    /// messages; sent as a fragment.
    Part(Part),
    /// Received: the peer's Close, the last message of a connection that ended in order. To send it starts the closing
    /// handshake.
    Close(Option<CloseFrame>),
}

/// A part of a message of any length, in bounded memory.
///
/// Between the parts of a message, only pings and pongs come, and may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Text or binary: the same in all parts of a message.
    pub kind: MessageKind,
    /// The bytes. Received text has complete characters.
    pub data: Bytes,
    /// Whether the message ends here.
    pub is_last: bool,
}

/// The content of a Close frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    /// The status code.
    pub code: CloseCode,
    /// The reason. At most 123 bytes of it are sent.
    pub reason: ByteString,
}

impl Message {
    /// The text of a text message.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The payload; empty for a Close.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(data) | Self::Ping(data) | Self::Pong(data) => data,
            Self::Part(part) => &part.data,
            Self::Close(_) => &[],
        }
    }

    /// Whether this is [`Text`](Self::Text) or [`Binary`](Self::Binary).
    #[must_use]
    pub fn is_data(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Binary(_))
    }

    /// The message in an event. Copies the payload only if it is in the read buffer.
    pub(crate) fn from_event(event: Event<'_>) -> Option<Self> {
        match event {
            Event::Text(text) => Some(Self::Text(text.into_owned().into())),
            Event::Binary(data) => Some(Self::Binary(data.into_owned().into())),
            Event::Ping(data) => Some(Self::Ping(data.into_owned().into())),
            Event::Pong(data) => Some(Self::Pong(data.into_owned().into())),
            Event::TextPart { text, last, .. } => Some(Self::part(MessageKind::Text, text.into_owned().into(), last)),
            Event::BinaryPart { data, last, .. } => {
                Some(Self::part(MessageKind::Binary, data.into_owned().into(), last))
            }
            _ => None,
        }
    }

    fn part(kind: MessageKind, data: Bytes, is_last: bool) -> Self {
        Self::Part(Part { kind, data, is_last })
    }

    pub(crate) fn from_clean_end(closed: &Closed) -> Self {
        Self::Close(match closed.status() {
            CloseStatus::Code(code) => Some(CloseFrame { code, reason: closed.reason().into() }),
            _ => None,
        })
    }

    pub(crate) fn send(self, ws: &mut Connection, output: &mut Output) -> Result<(), SendError> {
        match self {
            Self::Text(text) => ws.send_text(&text, output),
            Self::Binary(data) => ws.send_bytes(MessageKind::Binary, data, output),
            Self::Ping(data) => ws.ping(&data, output),
            Self::Pong(data) => ws.pong(&data, output),
            Self::Part(part) => ws.send_fragment(part.kind, &part.data, part.is_last, output),
            Self::Close(Some(frame)) => {
                ws.close(frame.code, &frame.reason, output);
                Ok(())
            }
            Self::Close(None) => {
                ws.close_without_code(output);
                Ok(())
            }
        }
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<ByteString> for Message {
    fn from(text: ByteString) -> Self {
        Self::Text(text)
    }
}

impl From<&[u8]> for Message {
    fn from(data: &[u8]) -> Self {
        Self::Binary(Bytes::copy_from_slice(data))
    }
}

impl From<Vec<u8>> for Message {
    fn from(data: Vec<u8>) -> Self {
        Self::Binary(data.into())
    }
}

impl From<Bytes> for Message {
    fn from(data: Bytes) -> Self {
        Self::Binary(data)
    }
}
