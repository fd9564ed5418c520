//! permessage-deflate (RFC 7692): what is wished for, what was agreed, and the compressors that do it. Which messages
//! they are used on is the connection's business.

mod codec;
#[expect(unsafe_code, reason = "an island, for the reason that it gives")]
mod zlib;

pub(crate) use codec::{Codecs, Compressor, Decompressor, SharedCodecs, Step};
pub(crate) use zlib::try_box;

/// How to compress, and what to negotiate: for [`Config::deflate`](crate::Config::deflate).
///
/// The defaults suit a server with many connections: level 6, a window of 12 bits and memory level 5, context kept
/// between messages where the peer agrees.
///
/// # Memory
/// What a connection holds from its first compressed message on, in KiB, as zlib-rs allocates it:
///
/// | window bits | compressor, memory level 1 | 5 | 8 | decompressor |
/// |---|---|---|---|---|
/// | 9 | 134 | 147 | 245 | 47 |
/// | 12 | 148 | 161 | 259 | 47 |
/// | 15 | 260 | 273 | 371 | 47 |
///
/// Nothing is allocated before the first compressed message in its direction. These are more than the zlib formulas
/// give, because zlib-rs takes a hash table of 128 KiB for any memory level, and the largest window to decompress with.
/// Where that is too much for the number of connections, have them [share](Self::shared) one pair: such a connection
/// holds nothing between messages.
///
/// # Without memory
/// If there is no memory for the compressor or for what it writes, a call that sends returns
/// [`SendError::OutOfMemory`](crate::SendError::OutOfMemory): nothing is in the output, and the message can be sent again,
/// or uncompressed. If there is none for the decompressor or for the message, the connection ends with
/// [`ConnectionError::OutOfMemory`](crate::ConnectionError::OutOfMemory), and the peer is sent a Close with code 1011. Other connections go
/// on, those that share a compressor too. This covers every allocation of these calls, except the few bytes that the
/// `bytes` crate allocates to refer to a prepared message.
///
/// # Stack
/// In a build with `opt-level` 2 or 3, no call takes more than 8 KiB of stack on x86-64; with `opt-level` 1 or `"s"`,
/// decompressing a connection's first message takes 17 KiB; without optimisation, 52 KiB.
///
/// # Security
/// Text that an attacker chooses, compressed together with a secret, tells the secret by its length (CRIME, BREACH; RFC
/// 7692 §8): send such messages [uncompressed](crate::Connection::send_text_uncompressed).
///
/// # Examples
/// ```
/// use websocket_proto::{Config, Deflate, DeflateParameter};
///
/// let small = Deflate::new().window_bits(9).memory_level(1).server_no_context_takeover(DeflateParameter::Require);
/// let config = Config::new().deflate(small);
/// # let _ = config;
/// ```
/// A client that has memory, and a slow line:
/// ```
/// # use websocket_proto::{Deflate, DeflateParameter};
/// let thorough = Deflate::new()
///     .level(9)
///     .window_bits(15)
///     .memory_level(9)
///     .threshold(16)
///     .peer_window_bits(15)
///     .server_max_window_bits(DeflateParameter::Refuse)
///     .client_no_context_takeover(DeflateParameter::Refuse);
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

/// How much a parameter of permessage-deflate is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeflateParameter {
    /// A server declines an offer that insists on it. A client does not ask for it, but obeys a server that may say it
    /// unasked.
    Refuse,
    /// If the peer asks for it.
    Allow,
    /// A server uses it where the offer permits; a client asks for it, and takes an answer without it.
    Prefer,
    /// A server declines offers that do not permit it. A client fails the connection if the server agrees to
    /// compression without it, except that its own context takeover it can give up by itself.
    Require,
}

impl Deflate {
    /// The defaults, which every method below states.
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

    /// How hard to compress: 0, not at all, to 9. Default 6. A higher number is taken for 9.
    pub const fn level(mut self, level: u8) -> Self {
        self.level = if level > 9 { 9 } else { level };
        self
    }

    /// How much memory the compressor takes beside its window: 1 to 9, each doubling it. Default 5. What lies outside
    /// is taken for the nearest.
    pub const fn memory_level(mut self, level: u8) -> Self {
        self.memory_level = clamp(level, 1, 9);
        self
    }

    /// The most bits that this side's compressor uses for its window: 8 to 15, for 256 to 32,768 bytes. Default 12.
    /// What lies outside is taken for the nearest.
    pub const fn window_bits(mut self, bits: u8) -> Self {
        self.window_bits = clamp(bits, 8, 15);
        self
    }

    /// The most bits that the peer's compressor is asked to use, where it can be asked: 8 to 15. Default 12. What lies
    /// outside is taken for the nearest. This saves the peer memory; a decompressor takes the same for any window.
    pub const fn peer_window_bits(mut self, bits: u8) -> Self {
        self.peer_window_bits = clamp(bits, 8, 15);
        self
    }

    /// Messages of fewer bytes are sent uncompressed. Default 64, at most 65,535. A message sent in several fragments is
    /// compressed, whatever its length.
    pub const fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = if bytes < u16::MAX as usize { bytes as u16 } else { u16::MAX };
        self
    }

    /// Shares one compressor and one decompressor between all connections that are given the same
    /// [`Output`](crate::Output): they live there from the first compressed message on. Such a connection holds nothing
    /// between messages; while a compressed message is being received, or sent in fragments, it has one of its own. The
    /// pair is freed with the output. It is made anew for a connection that agreed on another window.
    ///
    /// No context is taken over then, in either direction, whatever else is said here: both parameters for that are
    /// [required](DeflateParameter::Require). Default: each connection has its own.
    pub const fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Whether the server's compressor starts every message anew. Default [`DeflateParameter::Allow`].
    pub const fn server_no_context_takeover(mut self, wanted: DeflateParameter) -> Self {
        self.server_no_context_takeover = wanted;
        self
    }

    /// Whether the client's compressor starts every message anew. Default [`DeflateParameter::Allow`].
    pub const fn client_no_context_takeover(mut self, wanted: DeflateParameter) -> Self {
        self.client_no_context_takeover = wanted;
        self
    }

    /// Whether the server's window is limited by agreement. Default [`DeflateParameter::Allow`].
    pub const fn server_max_window_bits(mut self, wanted: DeflateParameter) -> Self {
        self.server_max_window_bits = wanted;
        self
    }

    /// Whether the client's window is limited by agreement. Default [`DeflateParameter::Prefer`]: a client says that it can,
    /// a server that is told so asks for it.
    pub const fn client_max_window_bits(mut self, wanted: DeflateParameter) -> Self {
        self.client_max_window_bits = wanted;
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
