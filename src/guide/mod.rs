//! The guide: six pages on topics that concern several types. It is part of the documentation only, not of the
//! compiled crate. The tests compile all of its Rust code, and run the recipes' code over TCP.
//!
//! - [`contract`]: the duties of the caller and of the crate, the order of events, protocol errors, guarantees.
//! - [`life`]: the states of a connection, from `Connecting` to `Closed`, and every transition.
//! - [`writing_a_driver`]: a session on any transport, and how to test the driver.
//! - [`recipes`]: sockets, event loops, tokio, TLS, completion, `no_std`, broadcasts, huge messages, keep-alive,
//!   reconnecting, proxies, browsers.
//! - [`memory`]: the memory of a million connections, added up.
//! - [`coming_from`]: a comparison with tungstenite, fastwebsockets and wsproto.
//!
//! The [front page](crate) has the smallest complete server; `examples/` in the repository has servers that also
//! withstand slow, dead and hostile peers.

#[doc = include_str!("contract.md")]
pub mod contract {}

#[doc = include_str!("life.md")]
pub mod life {}

#[doc = include_str!("writing_a_driver.md")]
pub mod writing_a_driver {}

pub mod recipes;

#[doc = include_str!("memory.md")]
pub mod memory {}

#[doc = include_str!("coming_from.md")]
pub mod coming_from {}
