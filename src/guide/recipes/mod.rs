//! Code to copy: sockets, event loops, tokio, TLS, completion, `no_std`, broadcasts, huge messages, keep-alive,
//! reconnecting, proxies, browsers.
//!
//! - Drive a connection: [`blocking`], [`event_loop`], [`tokio`], each also over [`tls`]; [`completion`], [`no_std`];
//!   [`pull`] messages.
//! - Send and receive: [`broadcast`], [`huge_messages`].
//! - Stay connected: [`keep_alive`], [`reconnecting`], [`proxies`].
//! - Implement the WebSocket API: [`browser`].
//!
//! Each recipe's code is a file in the repository, `src/guide/recipes/*.rs`, which you can copy unchanged.
//! `tests/recipes` runs these files over TCP: at both ends, under load, and against peers that stall, reset the
//! connection, or keep sending after a protocol error. The programs in `examples/` use them, or do the same for more
//! connections.
//!
//! All of them drive a [`Session`](crate::Session): [Writing a driver](crate::guide::writing_a_driver) says what it does
//! and what a driver must do.
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

#[doc = include_str!("completion.md")]
#[doc = "# The code\n```"]
#[doc = include_str!("completion.rs")]
#[doc = "```"]
pub mod completion {}

#[doc = include_str!("no_std.md")]
#[doc = "# The code\n```"]
#[doc = include_str!("no_std.rs")]
#[doc = "```"]
pub mod no_std {}

#[doc = include_str!("pull.md")]
#[doc = "# The code\n```"]
#[doc = include_str!("pull.rs")]
#[doc = "```"]
pub mod pull {}

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
