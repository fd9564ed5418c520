//! [`Fragments`]: sends a large message in fragments, so that control frames can go between them.

use crate::connection::Connection;
use crate::error::SendError;
use crate::message::MessageKind;
use crate::output::Output;

/// A message that is sent in fragments of a given size. Use it for a message so large that pings, pongs and Close would
/// wait too long until it is written.
///
/// RFC 6455 §5.4: "Control frames (see Section 5.5) MAY be injected in the middle of a fragmented message", but not in
/// the middle of a frame, and a message sent at once is one frame. Put the next fragment into the output when most of
/// the output is written. Then control frames that [`receive`](Connection::receive), [`ping`](Connection::ping) and
/// [`close`](Connection::close) add meanwhile are sent before it, and the output never has much more than one fragment.
///
/// # Sizes
/// Every fragment has exactly the given number of bytes; the last one has the rest, and is empty only if the message
/// is. A message that fits into one fragment is sent as one unfragmented frame. Text is split anywhere, even inside a
/// character, as RFC 6455 §5.6 allows. With permessage-deflate, a message in several fragments is always compressed,
/// and the size is that before compression (RFC 7692 §6.1). A peer may limit the number of fragments, as
/// [`Config::max_fragments`](crate::Config::max_fragments) does.
///
/// # Other messages
/// The connection sends no other message until this one is finished. RFC 6455 §5.4: "The fragments of one message MUST
/// NOT be interleaved between the fragments of another message". Dropping a `Fragments` early leaves the message
/// unfinished: the connection rejects every other message with [`MessageInProgress`](SendError::MessageInProgress)
/// until [`send_fragment`](Connection::send_fragment) finishes this one or [`close`](Connection::close) ends the
/// connection.
///
/// # Examples
/// Adds a fragment whenever the output has less than one:
/// ```
/// # use std::{error::Error, io};
/// # use websocket_proto::{Connection, Fragments, Output};
/// const FRAGMENT: usize = 16 << 10;
///
/// fn send(
///     text: &str,
///     ws: &mut Connection,
///     output: &mut Output,
///     // Waits for the socket, receives its bytes, and writes as much of the output as the socket accepts.
///     mut exchange: impl FnMut(&mut Connection, &mut Output) -> io::Result<()>,
/// ) -> Result<(), Box<dyn Error>> {
///     let mut message = Fragments::text(text, FRAGMENT);
///     while !message.is_finished() {
///         exchange(ws, output)?;
///         // If a ping has arrived, its pong is already in the output.
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
    /// The unsent rest of the payload.
    rest: &'d [u8],
    size: usize,
    compress: bool,
    progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// No fragment was sent.
    NotStarted,
    /// The first fragment was sent, but not the last.
    Started,
    Finished,
}

impl<'d> Fragments<'d> {
    /// A text message, in fragments of `size` bytes. A size of 0 means 1.
    pub fn text(text: &'d str, size: usize) -> Self {
        Self::new(MessageKind::Text, text.as_bytes(), size)
    }

    /// A binary message, in fragments of `size` bytes. A size of 0 means 1.
    pub fn binary(data: &'d [u8], size: usize) -> Self {
        Self::new(MessageKind::Binary, data, size)
    }

    /// Sends the message uncompressed even with permessage-deflate, for instance because it is compressed already.
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

    /// Whether the last fragment, and so the whole message, was put into the output.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.progress == Progress::Finished
    }

    /// Puts the next fragment into the output; does nothing if the message is finished. `ws` must be the same
    /// connection in every call.
    ///
    /// # Errors
    /// Those of [`send_fragment`](Connection::send_fragment), and [`MessageInProgress`](SendError::MessageInProgress)
    /// if the message has not started while another fragmented message is being sent. Then nothing was put into the
    /// output, and the next call tries the same fragment again.
    pub fn send_next(&mut self, ws: &mut Connection, output: &mut Output) -> Result<(), SendError> {
        if self.is_finished() {
            return Ok(());
        }
        if self.progress == Progress::NotStarted {
            // Otherwise this fragment would continue the other message.
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
        self.progress = if fin { Progress::Finished } else { Progress::Started };
        Ok(())
    }

    fn new(kind: MessageKind, rest: &'d [u8], size: usize) -> Self {
        Self { kind, rest, size: size.max(1), compress: true, progress: Progress::NotStarted }
    }
}
