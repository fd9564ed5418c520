//! [`Config`]: every limit and option of a connection, in one const builder.

use crate::role::Role;

/// The limits and options of a connection, the same for both roles. [`Config::new`] is safe for a public server.
///
/// # Memory
/// Limits are checked before memory is allocated: a frame that exceeds one is rejected on its header, and no memory is
/// reserved for announced bytes before they arrive. [`max_memory_for`](Self::max_memory_for) a role is the most heap
/// that a peer can make a connection hold, whatever it sends: 2 KiB, plus the larger of two sums.
///
/// During the opening handshake:
///
/// | memory for | bytes, server | bytes, client |
/// |---|---|---|
/// | the head, its parsed content, and a growing buffer for the bytes after it (early data, the body of a rejection) | 3.5 × [`max_head_size`](Self::max_head_size) | 2.5 × `max_head_size` |
/// | its lines; 48 bytes each if there are more than 64 | 16 × ([`max_headers`](Self::max_headers) + 1) | the same |
/// | lists of subprotocols and extensions, of at most a hundred elements each | 12 KiB | – |
///
/// Once the connection is open:
///
/// | memory for | bytes |
/// |---|---|
/// | early data that is not delivered yet, server only | `max_head_size` |
/// | the message or part that is being reassembled: *M* | [`max_message_size`](Self::max_message_size) or [`part_size`](Self::part_size), + 3 |
/// | the pongs that wait in the [`Output`](crate::Output): *P* is [`max_pending_pong_bytes`](Self::max_pending_pong_bytes) + 141, and their buffer may be half as large again | 1.5 × *P* |
/// | the growth of the message's or the pongs' buffer, while the old and the new one exist | *M* / 2 or 1.25 × *P*, the larger |
/// | the decompressor, with `deflate` | 48 KiB |
///
/// If the head is too short for these numbers, the formula uses smaller ones: a line has at least 3 bytes, and the
/// lists take up to 96 bytes of memory for each byte of the head. Without `deflate`, parts are not copied, and *M* is
/// 3; but a server copies the parts of early data, so its *M* is the smaller of `part_size` and `max_head_size`, + 3.
/// `max_pending_pong_bytes` counts as at least 131, the longest pong.
///
/// As one formula:
///
/// ```text
/// handshake = 3.5 × max_head_size + 12 KiB (server), or 2.5 × max_head_size (client), + 16 × (max_headers + 1)
/// M, P      = (max_message_size or part_size) + 3, max_pending_pong_bytes + 141
/// open      = max_head_size (server) + M + 1.5 × P + larger(M / 2, 1.25 × P), and 48 KiB with deflate
/// sum       = larger(handshake, open) + 2 KiB
/// ```
///
/// The bound is for one connection with an output of its own. It does not include memory that the application causes:
/// - the messages that it sends, the compressor for them (see the table in `Deflate`'s docs), and pongs with its
///   messages between them: [`Output`'s rule](crate::Output#backpressure) bounds these;
/// - the subprotocols and headers that it offers, and the events that it keeps;
/// - a [recycled](crate::Connection::recycle) buffer, which the connection keeps whatever its size.
///
/// The bound is tight: attacks in `tests/footprint` reach 70 to 99 % of it.
///
/// # Examples
/// ```
/// use websocket_proto::Config;
///
/// const CONFIG: Config = Config::new().max_message_size(64 << 10).max_frame_size(16 << 10).max_fragments(100);
/// # let _ = CONFIG;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a builder: pass it to a Connection"]
pub struct Config {
    pub(crate) max_message_size: usize,
    pub(crate) max_frame_size: u32,
    pub(crate) part_size: u32,
    pub(crate) max_output: u32,
    pub(crate) max_fragments: u32,
    pub(crate) max_pending_pong_bytes: u32,
    pub(crate) max_head_size: u32,
    pub(crate) max_headers: u16,
    pub(crate) browser_rules: bool,
    #[cfg(feature = "deflate")]
    pub(crate) deflate: Option<crate::Deflate>,
}

impl Config {
    /// The defaults; each method below states its own.
    pub const fn new() -> Self {
        Self {
            max_message_size: 1 << 20,
            max_frame_size: u32::MAX,
            part_size: 0,
            max_output: u32::MAX,
            max_fragments: 1 << 17,
            max_pending_pong_bytes: 16 << 10,
            max_head_size: 16 << 10,
            max_headers: 100,
            browser_rules: false,
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }

    /// The most bytes in a received message, over all its fragments. Default 1 MiB. `usize::MAX` means no limit for
    /// messages that are delivered [in parts](Self::part_size); a whole message must also fit into the address space.
    ///
    /// A longer message fails the connection with 1009, on the header of the frame that would exceed the limit. A
    /// compressed message fails it when the decompressed bytes exceed the limit, or on the header of a frame that makes
    /// the compressed bytes exceed it by more than an eighth, 1 KiB and 16 bytes per fragment.
    pub const fn max_message_size(mut self, bytes: usize) -> Self {
        self.max_message_size = bytes;
        self
    }

    /// The most bytes of payload in one received frame. By default, and from 4 GiB on, only
    /// [`max_message_size`](Self::max_message_size) limits a frame. A longer one fails the connection with 1009, on its
    /// header.
    pub const fn max_frame_size(mut self, bytes: usize) -> Self {
        self.max_frame_size = clamp_to_u32(bytes);
        self
    }

    /// Delivers messages in parts of at most `bytes` bytes, as they arrive, with
    /// [`Event::TextPart`](crate::Event::TextPart) and [`Event::BinaryPart`](crate::Event::BinaryPart) instead of
    /// [`Event::Text`](crate::Event::Text) and [`Event::Binary`](crate::Event::Binary). Then a message of any length,
    /// compressed or not, needs only bounded memory: at most one part is buffered. Default: whole messages.
    ///
    /// A part is payload bytes of one frame from one read, up to this size. Text is split between
    /// characters; a character that a read or a frame boundary splits is a part of its own. A size below 4, the bytes
    /// of the longest character, counts as 4, and one above 1 GiB as 1 GiB.
    ///
    /// # Examples
    /// ```
    /// # use std::io::{self, Write};
    /// use websocket_proto::{Config, Event};
    ///
    /// let config = Config::new().max_message_size(usize::MAX).part_size(64 << 10);
    ///
    /// fn store(event: &Event<'_>, file: &mut impl Write) -> io::Result<()> {
    ///     if let Event::BinaryPart { data, last, .. } = event {
    ///         file.write_all(data)?;
    ///         if *last {
    ///             file.flush()?;
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// # let _ = config;
    /// ```
    pub const fn part_size(mut self, bytes: usize) -> Self {
        let bytes = clamp_to_u32(bytes);
        self.part_size = if bytes < 4 {
            4
        } else if bytes > 1 << 30 {
            1 << 30
        } else {
            bytes
        };
        self
    }

    /// The most frames in one received message, including empty ones. Default 131,072. One more fails the connection
    /// with 1008; a message in one frame is always allowed. Fragments cost no memory of their own, so this bounds work,
    /// not bytes.
    pub const fn max_fragments(mut self, frames: u32) -> Self {
        self.max_fragments = frames;
        self
    }

    /// The bytes of pongs that may wait in an [`Output`](crate::Output). Default 16 KiB. While more wait, a new pong
    /// replaces the last one, as RFC 6455 §5.5.3 allows, unless part of the last one has been written or other bytes
    /// follow it.
    ///
    /// Every unwritten byte of a pong counts, also between messages, and in a backlog to which its output was
    /// [appended](crate::Output::append). Written bytes do not count. If messages divide the waiting pongs into more
    /// than 65 groups, up to 1/31 of the bytes may be left out of the count. A pong with a message after it cannot be
    /// replaced, so the budget may be exceeded by one pong for each message: limit
    /// [`Output::len`](crate::Output::len), too.
    pub const fn max_pending_pong_bytes(mut self, bytes: usize) -> Self {
        self.max_pending_pong_bytes = clamp_to_u32(bytes);
        self
    }

    /// The most bytes that may wait in an [`Output`](crate::Output) after the caller has sent a message, a fragment, a
    /// ping or a pong. By default, and from 4 GiB on, no limit. A call that would exceed it sends nothing and returns
    /// [`SendError::Full`](crate::SendError::Full); a message counts before compression and with the longest header,
    /// 14 bytes. The limit does not apply to responses that the protocol requires, nor to the pings of
    /// [`Timers`](crate::Timers).
    pub const fn max_output(mut self, bytes: usize) -> Self {
        self.max_output = clamp_to_u32(bytes);
        self
    }

    /// The most bytes in the HTTP head of the opening handshake; on a client, including all interim responses. Default
    /// 16 KiB. A server answers a longer one with 431, or with 414 if the request line alone is longer. The same number
    /// limits how much of a rejection's body is kept, and how much a client may send before its request is answered.
    pub const fn max_head_size(mut self, bytes: usize) -> Self {
        self.max_head_size = clamp_to_u32(bytes);
        self
    }

    /// The most header lines of the opening handshake. Default 100. A server answers more with 431. In a response, each
    /// line of a folded header (RFC 9112 §5.2) counts.
    pub const fn max_headers(mut self, lines: u16) -> Self {
        self.max_headers = lines;
        self
    }

    /// Negotiates permessage-deflate (RFC 7692): a client offers it, a server accepts an acceptable offer. Default: no
    /// compression.
    #[cfg(feature = "deflate")]
    pub const fn deflate(mut self, deflate: crate::Deflate) -> Self {
        self.deflate = Some(deflate);
        self
    }

    /// Whether to follow the WHATWG standard, as a browser does, where it differs from RFC 6455. Default no.
    ///
    /// - A client that offered subprotocols fails if the server selects none.
    /// - Messages that arrive after [`close`](crate::Connection::close) was called are discarded.
    /// - Sending a message when the connection is closing or closed is not an error: nothing is sent, and
    ///   [`buffered_amount`](crate::Connection::buffered_amount), which is counted only with these rules, grows.
    /// - A message that exceeds [`max_output`](Self::max_output) is not an error either: it ends the connection, with
    ///   [`ConnectionError::Full`](crate::ConnectionError::Full).
    ///
    /// Where the two agree, this changes nothing: `close_without_code` sends an empty Close in any case, and text that
    /// is not UTF-8 fails with 1007, although Chromium sends 1002.
    pub const fn browser_rules(mut self, yes: bool) -> Self {
        self.browser_rules = yes;
        self
    }

    /// The most bytes of heap that a peer can make a connection hold: the larger of
    /// [`max_memory_for`](Self::max_memory_for) a server and a client.
    ///
    /// # Examples
    /// ```
    /// use websocket_proto::Config;
    ///
    /// const SMALL: Config =
    ///     Config::new().max_message_size(64 << 10).max_head_size(4 << 10).max_pending_pong_bytes(1 << 10);
    /// // 10,000 connections, each under attack, in less than 1.1 GB.
    /// const { assert!(10_000 * SMALL.max_memory() < 1_100_000_000) };
    /// ```
    #[must_use]
    pub const fn max_memory(&self) -> usize {
        larger(self.max_memory_for(Role::Server), self.max_memory_for(Role::Client))
    }

    /// The most bytes of heap that a peer can make a connection in this role hold: the [formula](Self#memory), with its
    /// exclusions. `usize::MAX` if [`max_message_size`](Self::max_message_size) is `usize::MAX` and messages are
    /// delivered whole.
    ///
    /// # Examples
    /// ```
    /// use websocket_proto::{Config, Role};
    ///
    /// const SMALL: Config =
    ///     Config::new().max_message_size(1 << 10).max_head_size(1 << 10).max_headers(20).max_pending_pong_bytes(0);
    /// const { assert!(SMALL.max_memory_for(Role::Client) < 5_000) };
    /// const { assert!(SMALL.max_memory_for(Role::Server) < 19_000) };
    /// ```
    #[must_use]
    pub const fn max_memory_for(&self, role: Role) -> usize {
        larger(self.handshake_memory(role), self.open_memory(role)).saturating_add(2 << 10)
    }

    /// During the opening handshake: the head, its parsed content, and a growing buffer for the bytes after it.
    const fn handshake_memory(&self, role: Role) -> usize {
        let head = self.max_head_size as usize;
        // The request line or status line is a line, too. The shortest line that is not rejected at once has 3 bytes.
        let line_count = smaller(self.max_headers as usize, head / 3) + 1;
        // Up to 64 lines are parsed without an allocation.
        let parsing = if line_count > 64 { 32 * line_count } else { 0 };
        let lines = 16 * line_count + parsing;
        let kept = match role {
            Role::Server => {
                // Up to a hundred subprotocols in 24 bytes each and extensions in 48, in lists that grow by doubling.
                // The shortest element has two bytes.
                let lists = smaller(12 << 10, head.saturating_mul(96));
                head.saturating_mul(3).saturating_add(lists)
            }
            Role::Client => head.saturating_mul(2),
        };
        kept.saturating_add(head / 2).saturating_add(lines)
    }

    /// Once the connection is open: early data, the message, the pongs, the growth of the message's or the pongs'
    /// buffer, and the decompressor.
    const fn open_memory(&self, role: Role) -> usize {
        let early_data = match role {
            Role::Server => self.max_head_size as usize,
            Role::Client => 0,
        };
        let message = match self.part_size as usize {
            0 => self.max_message_size.saturating_add(3),
            part if self.inflates() => part + 3,
            // Only the parts of early data are copied.
            part => smaller(part, early_data) + 3,
        };
        // One pong of up to 131 bytes may exceed the budget: a partly written pong is not replaced. The buffer has room
        // for 10 bytes more.
        let pongs = larger(self.max_pending_pong_bytes as usize, 131).saturating_add(141);
        let kept = early_data.saturating_add(message).saturating_add(pongs).saturating_add(pongs / 2);
        let growth = larger(message / 2, pongs.saturating_add(pongs / 4));
        let inflating = if self.inflates() { 48 << 10 } else { 0 };
        kept.saturating_add(growth).saturating_add(inflating)
    }

    #[cfg(feature = "deflate")]
    const fn inflates(&self) -> bool {
        self.deflate.is_some()
    }

    #[cfg(not(feature = "deflate"))]
    #[expect(clippy::unused_self, reason = "the same signature as with the feature")]
    const fn inflates(&self) -> bool {
        false
    }
}

const fn larger(one: usize, other: usize) -> usize {
    if one > other { one } else { other }
}

const fn smaller(one: usize, other: usize) -> usize {
    if one < other { one } else { other }
}

/// At most `u32::MAX`, which is the largest limit.
pub(crate) const fn clamp_to_u32(number: usize) -> u32 {
    if number < u32::MAX as usize { number as u32 } else { u32::MAX }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}
