//! Sockets, event loops, tokio, TLS, broadcasts, huge messages, keep-alive, reconnecting, proxies, browsers.
//!
//! - To drive a connection: [`blocking`], [`event_loop`], [`tokio`]; with [`tls`] in between.
//! - To send and receive: [`broadcast`], [`huge_messages`].
//! - To stay connected: [`keep_alive`], [`reconnecting`], [`proxies`].
//! - To be a browser: [`browser`].
//!
//! Each of these is small enough to read, and leaves out what another one is about. Put together, with all that slow,
//! dead and hostile peers call for, they are the programs in `examples/` of the repository.
//!
//! A client's seed of `[7; 32]` stands for 32 bytes of the operating system's random source, drawn anew for each
//! connection: `getrandom::fill`, for instance. A server's `[0; 32]` is not looked at.

#[doc = include_str!("blocking.md")]
pub mod blocking {}

#[doc = include_str!("event_loop.md")]
pub mod event_loop {}

#[doc = include_str!("tokio.md")]
pub mod tokio {}

#[doc = include_str!("tls.md")]
pub mod tls {}

#[doc = include_str!("broadcast.md")]
pub mod broadcast {}

#[doc = include_str!("huge_messages.md")]
pub mod huge_messages {}

#[doc = include_str!("keep_alive.md")]
pub mod keep_alive {}

#[doc = include_str!("reconnecting.md")]
pub mod reconnecting {}

#[doc = include_str!("proxies.md")]
pub mod proxies {}

#[doc = include_str!("browser.md")]
pub mod browser {}
