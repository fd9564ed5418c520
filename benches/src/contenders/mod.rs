//! Everybody who takes part.

mod limit;
pub mod ours;
mod tungstenite;

use crate::contender::Contender;

pub use limit::Limit;

/// What a contender's time is compared as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ours,
    Peer,
    /// Not an implementation of the protocol: what none can go below.
    Limit,
}

/// All of them, in the order of the table.
pub fn all() -> Vec<(Kind, Box<dyn Contender>)> {
    vec![
        (Kind::Ours, Box::new(ours::Ours)),
        (Kind::Peer, Box::new(tungstenite::Tungstenite)),
        (Kind::Limit, Box::new(Limit::Copy)),
        (Kind::Limit, Box::new(Limit::Xor)),
        (Kind::Limit, Box::new(Limit::Utf8)),
    ]
}
