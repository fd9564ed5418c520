//! The guide: five short pages that a type's docs cannot be. All of it is in the documentation and nothing in the
//! compiled crate. Every piece of Rust in it is compiled by the tests, and the recipes' code runs in them over TCP.
//!
//! - [`contract`]: what you do, what the crate does, in what order, and what never happens.
//! - [`life`]: a connection from `Connecting` to `Closed`, with all the ways between them.
//! - [`recipes`]: sockets, event loops, tokio, TLS, broadcasts, huge messages, keep-alive, reconnecting, proxies,
//!   browsers.
//! - [`memory`]: what a million connections take, added up.
//! - [`coming_from`]: tungstenite, fastwebsockets and wsproto, side by side with this.
//!
//! The [front page](crate) has the smallest server that works; `examples/` in the repository has those that also stand
//! up to slow, dead and hostile peers.

#[doc = include_str!("contract.md")]
pub mod contract {}

#[doc = include_str!("life.md")]
pub mod life {}

pub mod recipes;

#[doc = include_str!("memory.md")]
pub mod memory {}

#[doc = include_str!("coming_from.md")]
pub mod coming_from {}
