//! [`Connection`]: the state machine. It alone knows both directions, and changes only in `state.rs`.
//!
//! | file | content |
//! |---|---|
//! | `state.rs` | the states, and every transition |
//! | `receive.rs` | input to events: the handshake, then the [`Receiver`] |
//! | `send.rs` | the application's messages, pings and Close, to the [`Sender`] |
//! | `accept.rs` | the application's answer to the opening request |
//! | `handshake.rs` | the opening handshake over HTTP/1.1 |
//! | `heap.rs` | state that an idle server does not have |

mod accept;
mod handshake;
mod heap;
mod receive;
mod send;
mod state;

use alloc::boxed::Box;

use crate::close_code::CloseStatus;
use crate::config::Config;
use crate::counters::Counters;
use crate::handshake::{ClientRequest, Negotiated, RequestError};
use crate::mask::MaskKeys;
use crate::output::Output;
use crate::receiver::Receiver;
use crate::role::Role;
use crate::sender::{FastPath, Sender, SenderState};

use handshake::Handshake;
use heap::{Heap, Pending};
use state::Phase;

pub use state::State;

/// A WebSocket connection, from the first byte of HTTP to the last Close frame, as server or as client.
///
/// # The contract
/// 1. Give the bytes you read to [`receive`](Self::receive) until it returns `None`: then every byte is consumed. At
///    the end of the stream, do the same with [`receive_eof`](Self::receive_eof).
/// 2. After any call, write the [`Output`] to the transport. Everything for the peer (101, pong, Close) is there.
/// 3. [`Event::Closed`](crate::Event::Closed) is the last event and comes exactly once. When the connection
///    [is closed](Self::is_closed) and the output is written, close the transport in this order: shut down its
///    sending side, read and discard until the peer closes or a grace period ends, close. (TCP resets a connection that is closed with unread
///    input, which can destroy the last Close on its way.) A read error is an end of the stream like any other.
///
/// Nothing else drives it: a connection has no socket, clock, thread or random source. The same calls with the same
/// bytes, however they are split, give the same events and the same output.
///
/// # Protocol errors
/// A protocol error by the peer is the last event, not an `Err`. Everything before the error is delivered, the Close frame or HTTP
/// response that tells the peer is in the output, and everything after it is ignored. `Err` is for errors of the
/// caller. No input makes a connection panic.
///
/// # Closing
/// A server is closed as soon as Close frames have gone both ways (RFC 6455 §7.1.1: the server closes the transport
/// first). A client then waits for the server to do so: [`receive_eof`](Self::receive_eof) closes it, which a caller
/// may also call when it has waited long enough. Until then, [`Event::CloseReceived`](crate::Event::CloseReceived)
/// reports the server's Close; [`received_close`](Self::received_close) returns the peer's Close in both roles.
/// Dropping a connection sends nothing: the peer sees an abnormal end.
///
/// # Memory
/// A server's connection that is open and between messages has no heap memory, except for the name of a subprotocol, a
/// [recycled](Self::recycle) buffer, and its own compressor and decompressor (`Deflate`); a client's also has the state
/// of its mask keys. A message that is split over several reads is reassembled in memory that grows with the bytes
/// received.
///
/// # Examples
/// A server and a client, wired to each other in memory:
/// ```
/// use bytes::Buf;
/// use websocket_proto::{ClientRequest, CloseCode, Config, Connection, Event, Input, Output};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (mut to_server, mut to_client) = (Output::new(), Output::new());
/// let request = ClientRequest::new("ws://example.com/chat");
/// let mut client = Connection::client(&request, Config::new(), [7; 32], &mut to_server)?;
/// let mut server = Connection::server(Config::new());
///
/// let mut read = to_server.copy_to_bytes(to_server.remaining()).to_vec();
/// let mut input = Input::new(&mut read);
/// while let Some(event) = server.receive(&mut input, &mut to_client) {
///     let Event::Request(request) = event else { unreachable!() };
///     server.accept(request, &mut to_client);
/// }
/// server.send_text("hello", &mut to_client)?;
/// server.close(CloseCode::NORMAL_CLOSURE, "bye", &mut to_client);
///
/// let mut read = to_client.copy_to_bytes(to_client.remaining()).to_vec();
/// let mut input = Input::new(&mut read);
/// assert!(matches!(client.receive(&mut input, &mut to_server), Some(Event::Open(_))));
/// assert_eq!(client.receive(&mut input, &mut to_server), Some(Event::Text("hello".into())));
/// let Some(Event::CloseReceived { status, .. }) = client.receive(&mut input, &mut to_server) else { unreachable!() };
/// assert_eq!(status.code(), 1000);
/// assert_eq!(client.receive(&mut input, &mut to_server), None);
/// // The client has answered the Close and waits for the server to close the transport.
/// assert!(!client.is_closed());
/// let Some(Event::Closed(closed)) = client.receive_eof() else { unreachable!() };
/// assert_eq!((closed.code(), closed.reason(), closed.was_clean()), (1000, "bye", true));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Connection {
    /// Whether the next byte of input is the first of a message that may be delivered whole. Only then may `receive`
    /// take the fast path.
    fast_path: bool,
    /// The fast path of messages to send: only while the connection is open, without browser rules.
    sending: FastPath,
    phase: Phase,
    browser_rules: bool,
    max_pending_pong_bytes: u32,
    receiver: Receiver,
    sender: Sender,
    heap: Option<Box<Heap>>,
}

/// # Constructors
impl Connection {
    /// A server that waits for the HTTP/1.1 request of the opening handshake.
    #[must_use]
    pub fn server(config: Config) -> Self {
        let mut server = Self::new(Role::Server, &config, None);
        server.heap().pending = Pending::Handshake(Box::new(Handshake::server(config)));
        server
    }

    /// A client. Writes the HTTP/1.1 request of the opening handshake.
    ///
    /// The seed is the only randomness: a CSPRNG expands it to the handshake's nonce and the mask key of every frame.
    /// Use 32 new bytes from the operating system's random source for every connection (RFC 6455 §5.3, §10.3). With a
    /// fixed seed every byte is reproducible, for tests.
    ///
    /// # Errors
    /// If the request cannot be sent. Nothing is written then.
    pub fn client(
        request: &ClientRequest,
        config: Config,
        seed: [u8; 32],
        output: &mut Output,
    ) -> Result<Self, RequestError> {
        let mut keys = MaskKeys::from_seed(seed);
        let handshake = request.upgrade(&config, keys.nonce())?;
        handshake.write_http1(output);
        let mut client = Self::new(Role::Client, &config, Some(keys));
        client.heap().pending = Pending::Handshake(Box::new(Handshake::client(config, handshake.into_offer())));
        Ok(client)
    }

    /// An open connection: other code did the opening handshake, in which both sides agreed on `negotiated`. The
    /// [`handshake`](crate::handshake) module has the rules for that; over HTTP/2 (RFC 8441) and HTTP/3 (RFC 9220) the
    /// connection is one stream.
    ///
    /// Messages can be sent at once. [`Event::Open`](crate::Event::Open) is not reported, offsets count from the first
    /// byte of the first frame, and all limits of the config hold. The seed is for a client, as in
    /// [`client`](Self::client); a server ignores it.
    ///
    /// Call [`receive_eof`](Self::receive_eof) at the end of the stream, whether it is orderly (`END_STREAM`, a QUIC
    /// stream's FIN) or not (`RST_STREAM`, a reset). When the connection [is closed](Self::is_closed) and the output is
    /// written, end the stream's sending side, then read and drop until the peer ends its side or a grace period is
    /// over. After that it may be reset, with `CANCEL` or `H3_REQUEST_CANCELLED`.
    ///
    /// # Examples
    /// The bytes that the HTTP code read after the head are the first input:
    /// ```
    /// use websocket_proto::handshake::Negotiated;
    /// use websocket_proto::{Config, Connection, Event, Input, Output, Role};
    ///
    /// let mut server = Connection::upgraded(Role::Server, Negotiated::default(), Config::new(), [0; 32]);
    /// assert_eq!(server.role(), Role::Server);
    /// let mut output = Output::new();
    /// // As in hyper's `Parts::read_buf`.
    /// let mut read_ahead = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    /// let mut input = Input::new(&mut read_ahead);
    /// assert_eq!(server.receive(&mut input, &mut output), Some(Event::Text("Hello".into())));
    /// assert_eq!(server.receive(&mut input, &mut output), None);
    /// // … and on with what is read from the transport.
    /// ```
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "all constructors have the same signature")]
    pub fn upgraded(role: Role, negotiated: Negotiated, config: Config, seed: [u8; 32]) -> Self {
        let keys = (role == Role::Client).then(|| MaskKeys::from_seed(seed));
        let mut connection = Self::new(role, &config, keys);
        connection.on_opened(negotiated);
        connection
    }

    fn new(role: Role, config: &Config, keys: Option<MaskKeys>) -> Self {
        Self {
            fast_path: false,
            sending: FastPath::None,
            phase: Phase::Handshake,
            browser_rules: config.browser_rules,
            max_pending_pong_bytes: config.max_pending_pong_bytes,
            receiver: Receiver::new(role == Role::Server, config),
            sender: Sender::new(config),
            heap: keys.map(|keys| Box::new(Heap { sender: SenderState::with_keys(keys), ..Heap::default() })),
        }
    }
}

/// # Getters
impl Connection {
    /// Server or client.
    #[must_use]
    pub fn role(&self) -> Role {
        self.receiver.role()
    }

    /// The subprotocol in use, once the connection is open.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.heap.as_ref()?.subprotocol.as_deref()
    }

    /// The traffic since the connection opened.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters { received: self.receiver.traffic(), sent: self.sender.traffic() }
    }

    /// The WebSocket API's `bufferedAmount`: bytes of sent messages, without headers and before compression, that wait
    /// in `output`, which must be this connection's alone. Counted only with [`Config::browser_rules`]; otherwise 0:
    /// use [`Output::len`].
    ///
    /// As in a browser, it grows with every message that is "sent" after the connection began to close, and these bytes
    /// are never subtracted.
    #[must_use]
    pub fn buffered_amount(&self, output: &Output) -> u64 {
        let unsent = self.heap.as_ref().map_or(0, |heap| heap.unsent);
        output.buffered_amount().saturating_add(unsent)
    }

    /// The status and the reason (at most 123 bytes) of the peer's Close frame; `None` until it was received. The
    /// status is a code or [`NoStatus`](CloseStatus::NoStatus).
    ///
    /// In both roles it is known from the moment when the frame is received, and still after
    /// [`Event::Closed`](crate::Event::Closed) was reported: a connection that ended by the peer's Close keeps some 240
    /// bytes, and the reason, until it is dropped. A Close frame that breaks a rule is a protocol error and does not count.
    ///
    /// # Examples
    /// ```
    /// use websocket_proto::handshake::Negotiated;
    /// use websocket_proto::{CloseCode, CloseStatus, Config, Connection, Event, Input, Output, Role};
    ///
    /// let mut client = Connection::upgraded(Role::Client, Negotiated::default(), Config::new(), [7; 32]);
    /// assert_eq!(client.received_close(), None);
    /// let mut read = *b"\x88\x05\x03\xe9bye";
    /// let event = client.receive(&mut Input::new(&mut read), &mut Output::new());
    /// let status = CloseStatus::Code(CloseCode::GOING_AWAY);
    /// assert_eq!(event, Some(Event::CloseReceived { status, reason: "bye".into() }));
    /// assert_eq!(client.received_close(), Some((status, "bye")));
    /// ```
    #[must_use]
    pub fn received_close(&self) -> Option<(CloseStatus, &str)> {
        self.heap.as_ref()?.closed()?.received_close()
    }

    /// [`Config::max_output`].
    pub(crate) fn max_output(&self) -> u32 {
        self.sender.max_output()
    }

    /// Leaves `max_output` to the output and to bytes that are in no output any more, and not written.
    pub(crate) fn limit_output(&mut self, max_output: u32, in_flight: usize) {
        if max_output < u32::MAX {
            let in_flight = u32::try_from(in_flight).unwrap_or(u32::MAX);
            self.sender.set_max_output(max_output.saturating_sub(in_flight));
        }
    }

    /// Bytes consumed since the connection began.
    pub(crate) fn position(&self) -> u64 {
        let handshake = self.heap.as_ref().and_then(|heap| heap.handshake());
        handshake.map_or(self.receiver.position(), Handshake::position)
    }

    /// Whether permessage-deflate is in use: with [`Config::deflate`], and if the peer agreed.
    ///
    /// # Examples
    /// ```
    /// use bytes::Buf;
    /// use websocket_proto::handshake::parse_extended_connect;
    /// use websocket_proto::{Accept, ClientRequest, Config, Connection, Deflate, Output, Role};
    ///
    /// let config = Config::new().deflate(Deflate::new());
    /// let handshake = ClientRequest::new("wss://example.com/").extended_connect(&config)?;
    /// let request = parse_extended_connect(handshake.headers().iter())?;
    /// let (_, negotiated) = request.accept(&Accept::new(), &config)?;
    /// assert!(negotiated.uses_deflate());
    ///
    /// let mut server = Connection::upgraded(Role::Server, negotiated, config, [0; 32]);
    /// assert!(server.uses_deflate());
    /// let mut output = Output::new();
    /// server.send_text(&"na ".repeat(100), &mut output)?;
    /// assert_eq!(output.chunk()[0], 0xc1, "FIN, RSV1, text: compressed");
    /// assert!(output.len() < 20);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn uses_deflate(&self) -> bool {
        self.sender.uses_deflate()
    }
}
