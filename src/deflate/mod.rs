//! permessage-deflate (RFC 7692): the configuration, the agreed parameters, and the compressors.

mod codec;
#[expect(unsafe_code, reason = "calls zlib's C interface")]
mod zlib;

pub(crate) use codec::{Codecs, Compressor, Decompressor, SharedCodecs, Step};
pub(crate) use zlib::try_box;

/// How to compress and which parameters to negotiate, for [`Config::deflate`](crate::Config::deflate).
///
/// The defaults suit a server with many connections: level 6, a window of 12 bits, memory level 5, and context takeover
/// between messages if the peer agrees.
///
/// # Memory
/// From its first compressed message on, a connection holds this many KiB, as zlib-rs allocates them:
///
/// | window bits | compressor, memory level 1 | 5 | 8 | decompressor |
/// |---|---|---|---|---|
/// | 9 | 134 | 147 | 245 | 47 |
/// | 12 | 148 | 161 | 259 | 47 |
/// | 15 | 260 | 273 | 371 | 47 |
///
/// The compressor is allocated for the first compressed message sent, the decompressor for the first one received. The
/// numbers exceed those of zlib's formulas, because zlib-rs allocates a hash table of 128 KiB for any memory level, and
/// always decompresses with the largest window. If that is too much for many connections, let them
/// [share](Self::shared) one pair: then a connection holds nothing between messages.
///
/// # Out of memory
/// If there is no memory for the compressor or its output, a call that sends returns
/// [`SendError::OutOfMemory`](crate::SendError::OutOfMemory): nothing was written to the output, and the message can be
/// sent again, or uncompressed. If there is no memory for the decompressor or the message, the connection ends with
/// [`ConnectionError::OutOfMemory`](crate::ConnectionError::OutOfMemory), and the peer is sent a Close with code 1011.
/// Other connections continue, even if they share a compressor with it. This covers every allocation of these calls,
/// except the few bytes that the `bytes` crate allocates to refer to a prepared message.
///
/// # Stack
/// In a build with `opt-level` 2 or 3, no call uses more than 8 KiB of stack on x86-64; with `opt-level` 1 or `"s"`,
/// decompressing a connection's first message uses 17 KiB; without optimisation, 52 KiB.
///
/// # Security
/// If a message contains a secret and text from an attacker, its compressed length reveals the secret (CRIME, BREACH;
/// RFC 7692 §8): send such messages [uncompressed](crate::Connection::send_text_uncompressed).
///
/// # Examples
/// ```
/// use websocket_proto::{Config, Deflate, DeflateParameter};
///
/// let small = Deflate::new().window_bits(9).memory_level(1).server_no_context_takeover(DeflateParameter::Require);
/// let config = Config::new().deflate(small);
/// # let _ = config;
/// ```
/// For a client with much memory and a slow network:
/// ```
/// # use websocket_proto::{Deflate, DeflateParameter};
/// let thorough = Deflate::new()
///     .level(9)
///     .window_bits(15)
///     .memory_level(9)
///     .threshold(16)
///     .peer_window_bits(15)
///     .server_max_window_bits(DeflateParameter::Reject)
///     .client_no_context_takeover(DeflateParameter::Reject);
/// # let _ = thorough;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a builder: pass it to Config::deflate"]
pub struct Deflate {
    level: u8,
    memory_level: u8,
    pub(crate) window_bits: u8,
    pub(crate) peer_window_bits: u8,
    threshold: u16,
    shared: bool,
    server_no_context_takeover: DeflateParameter,
    client_no_context_takeover: DeflateParameter,
    pub(crate) server_max_window_bits: DeflateParameter,
    pub(crate) client_max_window_bits: DeflateParameter,
}

/// The preference for a parameter of permessage-deflate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeflateParameter {
    /// A server declines an offer that demands it. A client does not ask for it; where RFC 7692 lets a server impose it
    /// unasked, the client obeys.
    Reject,
    /// It is used if the peer asks for it.
    Allow,
    /// A server uses it if the offer permits it. A client asks for it, and accepts a response without it.
    Prefer,
    /// A server declines offers that do not permit it. A client fails the connection if the server agrees to
    /// compression without it. Exception: a client can give up its own context takeover without an agreement, and does
    /// so.
    Require,
}

impl Deflate {
    /// The defaults; each method below states its own.
    pub const fn new() -> Self {
        Self {
            level: 6,
            memory_level: 5,
            window_bits: 12,
            peer_window_bits: 12,
            threshold: 64,
            shared: false,
            server_no_context_takeover: DeflateParameter::Allow,
            client_no_context_takeover: DeflateParameter::Allow,
            server_max_window_bits: DeflateParameter::Allow,
            client_max_window_bits: DeflateParameter::Prefer,
        }
    }

    /// The compression level, from 0 (no compression) to 9. Default 6. A higher number counts as 9.
    pub const fn level(mut self, level: u8) -> Self {
        self.level = if level > 9 { 9 } else { level };
        self
    }

    /// The memory of the compressor besides its window, 1 to 9: each step doubles it. Default 5. A number outside this
    /// range counts as the nearest one inside.
    pub const fn memory_level(mut self, level: u8) -> Self {
        self.memory_level = clamp(level, 1, 9);
        self
    }

    /// The most bits of this side's compression window: 8 to 15, for 256 to 32,768 bytes. Default 12. A number outside
    /// this range counts as the nearest one inside.
    pub const fn window_bits(mut self, bits: u8) -> Self {
        self.window_bits = clamp(bits, 8, 15);
        self
    }

    /// The most bits of the peer's compression window, if the negotiation allows asking for it: 8 to 15. Default 12. A
    /// number outside this range counts as the nearest one inside. A smaller window saves memory only on the peer's
    /// side: our decompressor needs the same for any window.
    pub const fn peer_window_bits(mut self, bits: u8) -> Self {
        self.peer_window_bits = clamp(bits, 8, 15);
        self
    }

    /// Messages of fewer bytes are sent uncompressed. Default 64, at most 65,535. A message sent in several fragments
    /// is always compressed.
    pub const fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = if bytes < u16::MAX as usize { bytes as u16 } else { u16::MAX };
        self
    }

    /// Shares one compressor and one decompressor among all connections that use the same
    /// [`Output`](crate::Output), which owns the pair from the first compressed message on. Such a connection holds
    /// nothing between messages; while it receives a compressed message, or sends one in fragments, it holds the shared
    /// one, or another if that is in use. The pair is freed with the output. A compressor is replaced for a connection
    /// that agreed on another window.
    ///
    /// Sharing rules out context takeover in both directions: both of its parameters are
    /// [required](DeflateParameter::Require), whatever else is configured. Default: each connection has its own pair.
    pub const fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Whether the server's compressor starts every message without context. Default [`DeflateParameter::Allow`].
    pub const fn server_no_context_takeover(mut self, preference: DeflateParameter) -> Self {
        self.server_no_context_takeover = preference;
        self
    }

    /// Whether the client's compressor starts every message without context. Default [`DeflateParameter::Allow`].
    pub const fn client_no_context_takeover(mut self, preference: DeflateParameter) -> Self {
        self.client_no_context_takeover = preference;
        self
    }

    /// Whether the negotiation limits the server's window. Default [`DeflateParameter::Allow`].
    pub const fn server_max_window_bits(mut self, preference: DeflateParameter) -> Self {
        self.server_max_window_bits = preference;
        self
    }

    /// Whether the negotiation limits the client's window. Default [`DeflateParameter::Prefer`]: a client offers it,
    /// and a server then asks for it.
    pub const fn client_max_window_bits(mut self, preference: DeflateParameter) -> Self {
        self.client_max_window_bits = preference;
        self
    }
}

impl Deflate {
    /// [`shared`](Self::shared) requires both of these parameters.
    pub(crate) fn server_takes_no_context(&self) -> DeflateParameter {
        if self.shared { DeflateParameter::Require } else { self.server_no_context_takeover }
    }

    pub(crate) fn client_takes_no_context(&self) -> DeflateParameter {
        if self.shared { DeflateParameter::Require } else { self.client_no_context_takeover }
    }
}

impl Default for Deflate {
    fn default() -> Self {
        Self::new()
    }
}

/// The negotiated parameters, from this side's view. Small, because every idle connection has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AgreedParameters {
    pub(crate) threshold: u16,
    pub(crate) level: u8,
    pub(crate) memory_level: u8,
    /// The window size of this side's compressor. The peer's is not kept: zlib-rs always decompresses with the largest
    /// window.
    pub(crate) own_bits: u8,
    /// Context takeover: whether this side's messages may refer to earlier ones.
    pub(crate) own_takeover: bool,
    /// Whether the peer's messages may refer to earlier ones.
    pub(crate) peer_takeover: bool,
    pub(crate) shared: bool,
}

impl AgreedParameters {
    pub(crate) fn new(config: &Deflate, own_bits: Option<u8>, own_takeover: bool, peer_takeover: bool) -> Self {
        Self {
            threshold: config.threshold,
            level: config.level,
            memory_level: config.memory_level,
            own_bits: own_bits.unwrap_or(15).min(config.window_bits),
            own_takeover,
            peer_takeover,
            shared: config.shared,
        }
    }

    /// The window size that the compressor is set to. zlib has no raw deflate with a window of 8 bits. With 9 bits it
    /// never refers back by more than 512 - 262 bytes, so a peer with a window of 8 bits can decompress that.
    pub(crate) fn used_bits(self) -> u8 {
        self.own_bits.max(9)
    }
}

const fn clamp(number: u8, least: u8, most: u8) -> u8 {
    if number < least {
        least
    } else if number > most {
        most
    } else {
        number
    }
}
