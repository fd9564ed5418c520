//! README here
#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod close;
mod config;
mod connection;
mod error;
mod event;
pub mod frame;
pub mod handshake;
mod input;
pub mod mask;
mod message;
mod output;
pub mod uri;
mod utf8;

pub use close::{CloseCode, CloseStatus, Closed, ScriptCloseError};
pub use config::Config;
pub use connection::{Connection, Role, State};
pub use error::{Error, HandshakeError, HandshakeErrorKind, ProtocolError, ProtocolErrorKind, SendError};
pub use event::Event;
pub use handshake::{Accept, AcceptError, ClientRequest, Reject, RejectError, RequestError};
pub use input::Input;
pub use message::MessageKind;
pub use output::Output;
