//! [`Connection`]: the states of RFC 6455 and who may do what in each. No byte that comes in is looked at in this file,
//! but in those beside it: `opening` until the handshake is over, `receive` for everything after that, with `hot` for
//! the short way of most of it, `data` and `control` for the two sorts of frames. The others: `send` for what the
//! application sends, `by_reference` for what of it is not copied, `timeout` for a peer that takes too long,
//! `compression` for permessage-deflate, `ending` for the state and the last event, `held` for what is on the heap,
//! `reading` for how far a frame has come.

mod by_reference;
#[cfg(feature = "deflate")]
mod compression;
mod control;
mod data;
mod ending;
mod held;
mod hot;
mod opening;
mod reading;
mod receive;
mod send;
mod timeout;

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::close_code::CloseCode;
use crate::config::Config;
use crate::counters::{Counters, Traffic};
#[cfg(feature = "deflate")]
use crate::deflate::AgreedParameters as Agreed;
use crate::frame::Opcode;
use crate::handshake::{ClientRequest, Negotiated, RequestError};
use crate::mask::MaskKeys;
use crate::output::Output;
use crate::role::Role;

use held::Held;
use opening::Opening;
use reading::Reading;

/// A WebSocket connection, from the first byte of HTTP to the last Close frame, as server or as client.
///
/// # The contract
/// 1. Give what you read to [`receive`](Self::receive) until it returns `None`. `None` means: every byte was
///    consumed. At the end of the stream, do the same with [`receive_eof`](Self::receive_eof).
/// 2. After any call, write the [`Output`] to the transport. What is owed to the peer (101, pong, Close) is nowhere
///    else.
/// 3. [`Event::Closed`](crate::Event::Closed) is the last event and comes exactly once. Once
///    [`is_closed`](Self::is_closed) and the output is written, end the transport in order: shut its sending side down, read and drop until the peer ends or a grace
///    is over, close. (Over TCP, to close with input unread resets the connection and can destroy the last Close on its
///    way.) A read error is an end of the stream like any other.
///
/// That is all that drives it: there is no socket, clock, thread or random source inside. The same calls with the
/// same bytes, however cut, give the same events and the same output.
///
/// # Faults
/// A peer's fault is the last event, not an `Err`: what came before it is delivered, the Close frame or HTTP response
/// that tells the peer is in the output, and everything after it is ignored. `Err` is for what the caller did.
/// No input makes a connection panic.
///
/// # Closing
/// A server is closed as soon as Close frames have gone both ways (RFC 6455 §7.1.1: the server closes the transport
/// first). A client then waits for the server to do so: it is closed by [`receive_eof`](Self::receive_eof), which a
/// caller may also call when it has waited long enough. A client is told at once what the server's Close said, by
/// [`Event::CloseReceived`](crate::Event::CloseReceived); in both roles [`received_close`](Self::received_close) knows
/// it from then on. Dropping a connection sends nothing; the peer will see an abnormal end.
///
/// # Memory
/// A connection that is open and between messages holds nothing on the heap as a server, unless a subprotocol was
/// selected, whose name is kept; as a client it holds the state of its mask keys. A message that a read cut is
/// gathered in memory that grows with the bytes received.
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
    /// Whether the next byte is anything but the first of a frame between messages: what is not busy may take the
    /// hot path.
    busy: bool,
    role: Role,
    phase: Phase,
    close_sent: bool,
    browser_rules: bool,
    /// The length of the opening handshake that was received.
    opening_len: u32,
    max_pending_pong_bytes: u32,
    max_fragments: u32,
    max_frame_size: u32,
    max_output: u32,
    /// 0 if messages are delivered whole.
    part_size: u32,
    #[cfg(feature = "deflate")]
    agreed: Option<Agreed>,
    max_message_size: usize,
    /// Bytes consumed since the connection began.
    position: u64,
    reading: Reading,
    counts: Counts,
    held: Option<Box<Held>>,
}

/// The WebSocket API's `readyState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum State {
    /// The opening handshake is not over.
    Connecting = 0,
    /// Messages can be sent.
    Open = 1,
    /// A Close was sent or received, or the connection [is over](Connection::is_closed); the last event has not been
    /// given yet.
    Closing = 2,
    /// The last event, [`Event::Closed`](crate::Event::Closed), was given.
    Closed = 3,
}

/// What the bytes coming in are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// HTTP.
    Opening,
    /// Frames, until the peer's Close.
    Frames,
    /// Nothing any more: a client has both Closes behind it and waits for the server to close the transport.
    Draining,
    /// Nothing any more: the connection is over, and the last event has not been given yet.
    Ending,
    /// Nothing any more: the last event was given.
    Ended,
}

/// What [`Counters`] does not know otherwise.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    received_messages: u64,
    received_bytes: u64,
    sent_messages: u64,
    sent_bytes: u64,
    sent_wire: u64,
    received_pings: u32,
    sent_pings: u32,
}

/// # Making one
impl Connection {
    /// A server, waiting for the HTTP/1.1 request that opens the connection.
    #[must_use]
    pub fn server(config: Config) -> Self {
        let mut server = Self::new(Role::Server, &config, None);
        server.held().opening = Some(Box::new(Opening::new(config, opening::Stage::Request)));
        server
    }

    /// A client: writes the HTTP/1.1 request that opens the connection.
    ///
    /// The seed is all the randomness there is: the handshake's nonce and every frame's mask key are drawn from it by
    /// a CSPRNG. Fill it from the operating system's random source, anew for every connection (RFC 6455 §5.3, §10.3);
    /// a fixed one makes every byte reproducible, for tests.
    ///
    /// # Errors
    /// If the request cannot be sent. Then nothing was put into the output.
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
        client.held().opening = Some(Box::new(Opening::new(config, opening::Stage::Response(handshake.into_offer()))));
        Ok(client)
    }

    /// A connection that is open: something else has spoken HTTP, over which both sides agreed on this. The
    /// [`handshake`](crate::handshake) module makes the decision; over HTTP/2 (RFC 8441) and HTTP/3 (RFC 9220) the
    /// connection is one stream.
    ///
    /// Messages can be sent at once. No [`Event::Open`](crate::Event::Open) comes, offsets count from the first byte of
    /// the first frame, and what a limit of the config bounds is bounded as ever. The seed is a client's, as for
    /// [`client`](Self::client); a server ignores it.
    ///
    /// The end of the stream is [`receive_eof`](Self::receive_eof): orderly (`END_STREAM`, a QUIC stream's FIN) or not
    /// (`RST_STREAM`, a reset). When the connection [is closed](Self::is_closed) and the output written, end the
    /// stream's sending side, then read and drop until the peer ends its side or a grace is over. After that it may be
    /// reset, with `CANCEL` or `H3_REQUEST_CANCELLED`.
    ///
    /// # Examples
    /// What the HTTP stack had read beyond its own last byte is nothing but the first input:
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
    #[expect(clippy::needless_pass_by_value, reason = "as every constructor takes it")]
    pub fn upgraded(role: Role, negotiated: Negotiated, config: Config, seed: [u8; 32]) -> Self {
        let keys = (role == Role::Client).then(|| MaskKeys::from_seed(seed));
        let mut connection = Self::new(role, &config, keys);
        connection.open(negotiated);
        connection.note_busy();
        connection
    }

    fn new(role: Role, config: &Config, keys: Option<MaskKeys>) -> Self {
        // Twice this is what a buffer may grow to, and no allocation is larger than `isize::MAX`.
        let gathered = if config.part_size == 0 { isize::MAX as usize / 4 } else { usize::MAX };
        Self {
            busy: true,
            role,
            phase: Phase::Opening,
            close_sent: false,
            browser_rules: config.browser_rules,
            opening_len: 0,
            max_pending_pong_bytes: config.max_pending_pong_bytes,
            max_fragments: config.max_fragments,
            max_frame_size: config.max_frame_size,
            max_output: config.max_output,
            part_size: config.part_size,
            #[cfg(feature = "deflate")]
            agreed: None,
            max_message_size: config.max_message_size.min(gathered),
            position: 0,
            reading: Reading::default(),
            counts: Counts::default(),
            held: keys.map(|keys| Box::new(Held { keys: Some(keys), ..Held::default() })),
        }
    }
}

/// # What is known
impl Connection {
    /// Server or client.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The subprotocol in use, once the connection is open.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.held.as_ref()?.subprotocol.as_deref()
    }

    /// Gives the buffer of a message that was delivered as an owned value back, to gather the next one in.
    ///
    /// Only messages that a read or fragments cut are gathered at all, and of those in parts only compressed ones.
    /// Without this, each takes a new allocation and an idle connection holds none; with it, the connection keeps the
    /// buffer, whatever its size, beside what [`Config::max_memory`](crate::Config::max_memory) allows. Ignored while a message is gathered whole.
    ///
    /// # Examples
    /// ```
    /// # use std::borrow::Cow;
    /// # use websocket_proto::{Connection, Event};
    /// fn done_with(event: Event<'_>, ws: &mut Connection) {
    ///     match event {
    ///         Event::Binary(Cow::Owned(data)) => ws.recycle(data),
    ///         Event::Text(Cow::Owned(text)) => ws.recycle(text.into_bytes()),
    ///         _ => {}
    ///     }
    /// }
    /// ```
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        let is_gathering = self.part_size == 0 && self.message().is_some();
        if !is_gathering && self.phase == Phase::Frames && buffer.capacity() > 0 {
            self.held().spare = buffer;
        }
    }

    /// What has gone over the connection since it opened.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let Counts { received_messages, received_bytes, sent_messages, sent_bytes, sent_wire, .. } = self.counts;
        // Until it is open, all that is consumed is the opening.
        let opening = if self.phase == Phase::Opening { self.position } else { self.opening_len.into() };
        Counters {
            received: Traffic {
                messages: received_messages,
                message_bytes: received_bytes,
                wire_bytes: self.position.saturating_sub(opening),
                pings: self.counts.received_pings,
            },
            sent: Traffic {
                messages: sent_messages,
                message_bytes: sent_bytes,
                wire_bytes: sent_wire,
                pings: self.counts.sent_pings,
            },
        }
    }

    /// The WebSocket API's `bufferedAmount`: the bytes of messages, without headers and before compression, that were
    /// sent and still wait in `output`, which has to be this connection's alone. Counted only under
    /// [`Config::browser_rules`]; otherwise 0, and [`Output::len`] is what to look at.
    ///
    /// As in a browser it grows with every message that is "sent" after the connection began to close, and never falls
    /// for those.
    #[must_use]
    pub fn buffered_amount(&self, output: &Output) -> u64 {
        let unsent = self.held.as_ref().map_or(0, |held| held.unsent);
        output.buffered_amount().saturating_add(unsent)
    }
}

/// # Moving on
impl Connection {
    fn open(&mut self, negotiated: Negotiated) {
        self.phase = Phase::Frames;
        self.opening_len = u32::try_from(self.position).unwrap_or(u32::MAX);
        if negotiated.subprotocol.is_some() {
            self.held().subprotocol = negotiated.subprotocol;
        }
        #[cfg(feature = "deflate")]
        {
            self.agreed = negotiated.deflate;
        }
    }

    /// Puts a Close frame, once (RFC 6455 §5.5.1), with the code and then the reason in its body.
    fn put_close(&mut self, code: Option<CloseCode>, reason: &str, output: &mut Output) {
        if self.close_sent {
            return;
        }
        self.close_sent = true;
        let mut body = [0; 125];
        let mut len = 0;
        let code = code.map(|code| code.get().to_be_bytes());
        for byte in code.iter().flatten().chain(reason.as_bytes()) {
            if let Some(place) = body.get_mut(len) {
                *place = *byte;
                len += 1;
            }
        }
        self.put_frame(true, Opcode::Close, body.get(..len).unwrap_or_default(), output);
    }
}
