//! The server's side of the opening handshake (RFC 6455 §4.2): the request, its checks, and the answer.

mod accept;
mod extended_connect;
mod reject;
mod request;
mod request_headers;

pub(crate) use accept::METHOD_LEN;
pub use accept::{Accept, AcceptError, AcceptErrorKind, Answer};
pub use extended_connect::parse_extended_connect;
pub use reject::{Reject, RejectError};
#[cfg(feature = "http")]
pub(crate) use request::check_request_head;
pub use request::{Request, parse_request};
pub(crate) use request::{Ticket, check_request};
