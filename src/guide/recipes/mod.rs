//! Sockets, event loops, tokio, TLS, broadcasts, huge messages, keep-alive, reconnecting, proxies, browsers.
//!
//! - To drive a connection: [`blocking`], [`event_loop`], [`tokio`]; with [`tls`] in between.
//! - To send and receive: [`broadcast`], [`huge_messages`].
//! - To stay connected: [`keep_alive`], [`reconnecting`], [`proxies`].
//! - To be a browser: [`browser`].
//!
//! The code of each is a file of its own in the repository, `src/guide/recipes/*.rs`, which you can copy as it is.
//! `tests/recipes` runs these files over TCP: at both ends and under load, against peers that stall, that reset the
//! connection, and that send on after a fault. The programs in `examples/` use them, or do the same for more
//! connections.
//!
//! # Rules for a driver
//! 1. **An end that writes goes on reading.** A client reads on, whatever waits to be written. A server may stop while
//!    much waits for its client; if both ends stop, each waits for the other. A client bounds what its own answers make
//!    wait with [`Config::max_output`](crate::Config::max_output).
//! 2. **Every wait has an end.** A peer that takes none of the waiting bytes for a while is given up, whatever it
//!    sends. (`examples/mio_server.rs` leaves this to the keep-alive, which a peer that goes on sending puts off.)
//! 3. **A full socket that takes bytes again proves that the peer is alive**, and nothing else about writing does.
//! 4. **An error of the transport is an end of the stream.** After a write error, what the peer said last may still be
//!    unread. The application gets [`Event::Closed`](crate::Event::Closed) once, however the connection ended.
//! 5. **The transport is ended in order**: everything written, the sending side shut down, the rest read and dropped.
//!
//! A client's seed of `[7; 32]` stands for 32 bytes of the operating system's random source, drawn anew for each
//! connection: `getrandom::fill`, for instance. A server's `[0; 32]` is not looked at.

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
