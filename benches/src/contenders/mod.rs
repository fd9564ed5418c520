//! All contenders.

mod actix_http;
mod always_ready;
mod batches;
mod fastwebsockets;
mod limit;
mod ours;
mod sockudo;
mod soketto;
mod tokio_websockets;
mod tungstenite;
mod websocket_sans_io;
mod wtx;
mod yawc;
mod zlib;

use crate::contender::Contender;

pub use limit::Limit;

/// The kind of a contender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ours,
    Peer,
    /// A lower limit, not an implementation of the protocol.
    Limit,
}

/// All contenders, in the order of the table.
pub fn all() -> Vec<(Kind, Box<dyn Contender>)> {
    vec![
        (Kind::Ours, Box::new(ours::Ours)),
        (Kind::Peer, Box::new(tungstenite::Tungstenite)),
        (Kind::Peer, Box::new(tokio_websockets::TokioWebsockets)),
        (Kind::Peer, Box::new(fastwebsockets::Fastwebsockets)),
        (Kind::Peer, Box::new(sockudo::Sockudo)),
        (Kind::Peer, Box::new(yawc::Yawc)),
        (Kind::Peer, Box::new(wtx::Wtx)),
        (Kind::Peer, Box::new(websocket_sans_io::WebsocketSansIo)),
        (Kind::Peer, Box::new(actix_http::ActixHttp)),
        (Kind::Peer, Box::new(soketto::Soketto)),
        (Kind::Limit, Box::new(Limit::Copy)),
        (Kind::Limit, Box::new(Limit::Xor)),
        (Kind::Limit, Box::new(Limit::Utf8)),
        (Kind::Limit, Box::new(zlib::Zlib)),
    ]
}
