//! The guide: five short pages that a type's docs cannot be. There is nothing in here but text, which is in the
//! documentation and not in the compiled crate; every piece of Rust in it runs in the tests.
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
