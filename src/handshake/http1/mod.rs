//! HTTP/1.1 messages received in pieces of any size: heads, and the bodies of responses that reject.

mod body;
mod head;
mod obs_fold;
mod scanner;
mod start_line;

pub(crate) use body::Body;
pub(crate) use head::{ParsedHead, ResponseHead, parse_response_head};
pub(crate) use head::{RequestHead, parse_request_head};
pub(crate) use scanner::{HeadScanner, ScanError};
