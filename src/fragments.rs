//! [`Fragments`]: sends a large message in fragments, so that control frames can go between them.

use crate::connection::Connection;
use crate::error::SendError;
use crate::message::MessageKind;
use crate::output::Output;

/// A message that is sent in fragments of a given size, because it is so large that pings, pongs and Close would have to
/// wait until it is written.
///
/// RFC 6455 §5.4: "Control frames (see Section 5.5) MAY be injected in the middle of a fragmented message", but not in
/// the middle of a frame, and a message sent at once is one frame. Put the next fragment into the output when the output
/// is nearly written: control frames that [`receive`](Connection::receive), [`ping`](Connection::ping) and
/// [`close`](Connection::close) put there in the meantime then go out before it, and the output never holds much more
/// than a fragment.
///
/// # Sizes
/// Every fragment carries exactly the given number of bytes; the last one carries the rest, and is empty only if the
/// message is. A message that fits into one fragment is sent as one unfragmented frame. Text is cut anywhere, in the
/// middle of a character too, as RFC 6455 §5.6 allows. With permessage-deflate, a message in several fragments is always
/// compressed, and the size counts before compression (RFC 7692 §6.1). A peer may limit the number of fragments, as
/// [`Config::max_fragments`](crate::Config::max_fragments) does.
///
/// # Until it is finished
/// The connection sends no other message. RFC 6455 §5.4: "The fragments of one message MUST NOT be interleaved between
/// the fragments of another message". Dropping a `Fragments` before it is finished leaves the message unfinished: the
/// connection rejects every other message with [`MessageInProgress`](SendError::MessageInProgress) until
/// [`send_fragment`](Connection::send_fragment) finishes this one or [`close`](Connection::close) ends the connection.
///
/// # Examples
/// Between reading and writing, whenever less than a fragment waits:
/// ```
/// # use std::{error::Error, io};
/// # use websocket_proto::{Connection, Fragments, Output};
/// const FRAGMENT: usize = 16 << 10;
///
/// fn send(
///     text: &str,
///     ws: &mut Connection,
///     output: &mut Output,
///     // Waits for the socket, receives what came, and writes as much of the output as the socket takes.
///     mut exchange: impl FnMut(&mut Connection, &mut Output) -> io::Result<()>,
/// ) -> Result<(), Box<dyn Error>> {
///     let mut message = Fragments::text(text, FRAGMENT);
///     while !message.is_finished() {
///         exchange(ws, output)?;
///         // If a ping came, its pong is in the output by now.
///         if output.len() < FRAGMENT {
///             message.send_next(ws, output)?;
///         }
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "sends nothing by itself: call `send_next` until it `is_finished`"]
pub struct Fragments<'d> {
    kind: MessageKind,
    /// What has not been sent.
    rest: &'d [u8],
    size: usize,
    compress: bool,
    progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Nothing was sent.
    Waiting,
    /// At least one fragment was, and the last was not.
    UnderWay,
    Finished,
}

impl<'d> Fragments<'d> {
    /// A text message, in fragments of `size` bytes. 0 is taken for 1.
    pub fn text(text: &'d str, size: usize) -> Self {
        Self::new(MessageKind::Text, text.as_bytes(), size)
    }

    /// A binary message, in fragments of `size` bytes. 0 is taken for 1.
    pub fn binary(data: &'d [u8], size: usize) -> Self {
        Self::new(MessageKind::Binary, data, size)
    }

    /// The same message, sent uncompressed whatever was agreed, for instance because it is compressed already.
    ///
    /// # Examples
    /// ```
    /// use websocket_proto::Fragments;
    ///
    /// let photo = Fragments::binary(b"\xff\xd8\xff ...", 16 << 10).uncompressed();
    /// assert!(!photo.is_finished());
    /// ```
    pub fn uncompressed(mut self) -> Self {
        self.compress = false;
        self
    }

    /// Whether the last fragment is in the output, and the message with it.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.progress == Progress::Finished
    }

    /// Puts the next fragment into the output; does nothing if there is none any more. The connection has to be the
    /// same every time.
    ///
    /// # Errors
    /// As [`send_fragment`](Connection::send_fragment), and if another fragmented message is being sent when this one
    /// is to begin. Nothing was put into the output then, and nothing is lost: the next call sends the same fragment.
    pub fn send_next(&mut self, ws: &mut Connection, output: &mut Output) -> Result<(), SendError> {
        if self.is_finished() {
            return Ok(());
        }
        if self.progress == Progress::Waiting {
            // Otherwise this would be taken for a continuation of the message that is under way.
            ws.check_between_messages()?;
        }
        let (fragment, rest) = self.rest.split_at(self.size.min(self.rest.len()));
        let fin = rest.is_empty();
        if self.compress {
            ws.send_fragment(self.kind, fragment, fin, output)?;
        } else {
            ws.send_fragment_uncompressed(self.kind, fragment, fin, output)?;
        }
        self.rest = rest;
        self.progress = if fin { Progress::Finished } else { Progress::UnderWay };
        Ok(())
    }

    fn new(kind: MessageKind, rest: &'d [u8], size: usize) -> Self {
        Self { kind, rest, size: size.max(1), compress: true, progress: Progress::Waiting }
    }
}
