//! [`Config`]: every limit and choice of a connection, in one const builder.

/// Limits and choices, the same for both roles. [`Config::new`] is safe for a public server.
///
/// Every limit holds before memory is taken: a frame is refused on its header, and nothing is ever reserved for bytes
/// that were only announced. One connection holds at most the bytes of [`max_message_size`](Self::max_message_size),
/// twice while its buffer grows, and before it is open a few times [`max_head_size`](Self::max_head_size).
///
/// # Examples
/// ```
/// use websocket_proto::Config;
///
/// const CONFIG: Config = Config::new().max_message_size(64 << 10).max_fragments(100);
/// # let _ = CONFIG;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a builder: pass it to a Connection"]
pub struct Config {
    pub(crate) max_message_size: usize,
    pub(crate) max_frame_size: usize,
    pub(crate) max_fragments: u32,
    pub(crate) max_pending_pongs: u32,
    pub(crate) max_head_size: u32,
    pub(crate) max_headers: u16,
    pub(crate) browser_rules: bool,
    #[cfg(feature = "deflate")]
    pub(crate) deflate: Option<crate::Deflate>,
}

impl Config {
    /// The defaults, which every method below states.
    pub const fn new() -> Self {
        Self {
            max_message_size: 1 << 20,
            max_frame_size: usize::MAX,
            max_fragments: 1 << 17,
            max_pending_pongs: 16 << 10,
            max_head_size: 16 << 10,
            max_headers: 100,
            browser_rules: false,
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }

    /// The most bytes that a received message may have, over all its fragments. Default 1 MiB. A longer one fails the
    /// connection with 1009, on the header of the frame that would exceed it; a compressed one where it exceeds it as
    /// it is decompressed, or on the header of a frame with which it would be longer even compressed: by an eighth, 1 KiB
    /// and 16 bytes a fragment.
    pub const fn max_message_size(mut self, bytes: usize) -> Self {
        // Twice this is what a buffer may grow to, and no allocation is larger than `isize::MAX`.
        const MOST: usize = isize::MAX as usize / 4;
        self.max_message_size = if bytes < MOST { bytes } else { MOST };
        self
    }

    /// The most bytes that one received frame may have. Default: as many as a message. A longer one fails the
    /// connection with 1009, on its header.
    pub const fn max_frame_size(mut self, bytes: usize) -> Self {
        self.max_frame_size = bytes;
        self
    }

    /// The most frames that one received message may have, empty ones counted. Default 131,072. One more fails the
    /// connection with 1008; a message in one frame always passes. Fragments cost no memory of their own, so this bounds
    /// work, not bytes.
    pub const fn max_fragments(mut self, frames: u32) -> Self {
        self.max_fragments = frames;
        self
    }

    /// The bytes of pongs that may wait in an [`Output`](crate::Output). Default 16 KiB. Beyond it, a further pong
    /// takes the place of the one before it, as RFC 6455 §5.5.3 allows, as long as that is the last thing in the output
    /// and none of it is written. What else is sent in between, and outputs [appended](crate::Output::append) to a
    /// backlog, are the caller's to bound, by [`Output::len`](crate::Output::len).
    pub const fn max_pending_pongs(mut self, bytes: u32) -> Self {
        self.max_pending_pongs = bytes;
        self
    }

    /// The most bytes that the HTTP head of the opening handshake may have; on a client, with all interim responses
    /// before it. Default 16 KiB. A server answers a longer one with 431. The same number bounds what is kept of a
    /// refusal's body, and of what a client sends before its request was answered.
    pub const fn max_head_size(mut self, bytes: u32) -> Self {
        self.max_head_size = bytes;
        self
    }

    /// The most header lines of the opening handshake. Default 100. A server answers more with 431.
    pub const fn max_headers(mut self, lines: u16) -> Self {
        self.max_headers = lines;
        self
    }

    /// Negotiates permessage-deflate (RFC 7692): a client offers it, a server accepts an offer that it can. Default no.
    #[cfg(feature = "deflate")]
    pub const fn deflate(mut self, deflate: crate::Deflate) -> Self {
        self.deflate = Some(deflate);
        self
    }

    /// Whether to do as a browser does where the WHATWG standard is stricter than RFC 6455. Default no.
    ///
    /// - A client that offered subprotocols fails if the server selects none.
    /// - Messages that arrive after [`close`](crate::Connection::close) was called are discarded.
    pub const fn browser_rules(mut self, yes: bool) -> Self {
        self.browser_rules = yes;
        self
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}
