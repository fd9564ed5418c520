//! Code to copy: sockets, event loops, tokio, TLS, broadcasts, huge messages, keep-alive, reconnecting, proxies,
//! browsers.
//!
//! - Drive a connection: [`blocking`], [`event_loop`], [`tokio`], each also over [`tls`].
//! - Send and receive: [`broadcast`], [`huge_messages`].
//! - Stay connected: [`keep_alive`], [`reconnecting`], [`proxies`].
//! - Implement the WebSocket API: [`browser`].
//!
//! Each recipe's code is a file in the repository, `src/guide/recipes/*.rs`, which you can copy unchanged.
//! `tests/recipes` runs these files over TCP: at both ends, under load, and against peers that stall, reset the
//! connection, or keep sending after a protocol error. The programs in `examples/` use them, or do the same for more
//! connections.
//!
//! # Rules for a driver
//! 1. **Keep reading while you write.** A client reads however much waits to be written. A server may stop reading
//!    while much waits for its client; if both ends stop, each waits for the other. A client bounds its own output with
//!    [`Config::max_output`](crate::Config::max_output).
//! 2. **Every wait has a deadline.** Give up on a peer that reads none of the waiting bytes for some time, even if it
//!    keeps sending. (`examples/mio_server.rs` leaves this to the keep-alive, which a peer can postpone by sending.)
//! 3. **A full socket that accepts bytes again proves that the peer is alive.** Any other write proves nothing.
//! 4. **A transport error is the end of the stream.** After a write error, the peer's last bytes may still be unread:
//!    read them first. The application gets [`Event::Closed`](crate::Event::Closed) once, however the connection ended.
//! 5. **Close the transport in order**: write everything, shut down the sending side, read and discard the rest.
//!
//! Replace a client's seed of `[7; 32]` with 32 bytes of the operating system's random source for each connection,
//! from `getrandom::fill` for instance. A server's seed, `[0; 32]`, is ignored.

#[doc = include_str!("blocking.md")]
#[doc = "# The code\n```"]
#[doc = include_str!("blocking.rs")]
#[doc = "```"]
pub mod blocking {}

#[doc = include_str!("event_loop.md")]
#[doc = "# The code\n```"]
#[doc = include_str!("event_loop.rs")]
#[doc = "```"]
pub mod event_loop {}

#[doc = include_str!("tokio.md")]
#[doc = "# The code\n```"]
#[doc = include_str!("tokio.rs")]
#[doc = "```"]
pub mod tokio {}

#[doc = include_str!("tls.md")]
#[doc = "# The code\n```"]
#[doc = "# mod blocking { include!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/src/guide/recipes/blocking.rs\")); }"]
#[doc = include_str!("tls.rs")]
#[doc = "# fn main() {}\n```"]
pub mod tls {}

#[doc = include_str!("broadcast.md")]
#[doc = "# The code\n```"]
#[doc = include_str!("broadcast.rs")]
#[doc = "```"]
pub mod broadcast {}

#[doc = include_str!("huge_messages.md")]
#[doc = "# The code\n```"]
#[doc = include_str!("huge_messages.rs")]
#[doc = "```"]
pub mod huge_messages {}

#[doc = include_str!("keep_alive.md")]
pub mod keep_alive {}

#[doc = include_str!("reconnecting.md")]
#[doc = "# The code\n```"]
#[doc = include_str!("reconnecting.rs")]
#[doc = "```"]
pub mod reconnecting {}

#[doc = include_str!("proxies.md")]
#[doc = "# The code\n```"]
#[doc = include_str!("proxies.rs")]
#[doc = "```"]
pub mod proxies {}

#[doc = include_str!("browser.md")]
pub mod browser {}
