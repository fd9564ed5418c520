//! The client's side of the opening handshake (RFC 6455 §4.1): the request, and the check of the response.

mod request;
mod response;

pub use request::{ClientHandshake, ClientRequest, RequestError};
pub use response::Response;
pub(crate) use response::{Offer, check_response};
