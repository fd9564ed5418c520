//! [`Fault`]: an internal error while frames are received, either the peer's or a failed allocation.

use alloc::collections::TryReserveError;

use super::{ProtocolError, ProtocolErrorKind, SendError};
use crate::close_code::CloseCode;
use crate::utf8::Utf8Error;

/// An allocation that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfMemory;

impl From<TryReserveError> for OutOfMemory {
    fn from(_: TryReserveError) -> Self {
        Self
    }
}

impl From<OutOfMemory> for SendError {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

/// The cause of failing a connection while frames are received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault<P = ProtocolError> {
    /// The peer broke this rule.
    Peer(P),
    OutOfMemory,
}

impl<P> Fault<P> {
    pub(crate) fn map<Q>(self, map: impl FnOnce(P) -> Q) -> Fault<Q> {
        match self {
            Self::Peer(wrong) => Fault::Peer(map(wrong)),
            Self::OutOfMemory => Fault::OutOfMemory,
        }
    }
}

impl Fault {
    /// The close code to send.
    pub(crate) fn close_code(self) -> CloseCode {
        match self {
            Self::Peer(error) => error.close_code(),
            // RFC 6455 §7.4.1: "1011 indicates that a server is terminating the connection because it encountered an
            // unexpected condition that prevented it from fulfilling the request." By erratum 3227 a client may send
            // it, too. 1008 and 1009 would blame the message, which is within every limit.
            Self::OutOfMemory => CloseCode::INTERNAL_ERROR,
        }
    }
}

impl<P> From<OutOfMemory> for Fault<P> {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}

impl From<ProtocolError> for Fault {
    fn from(error: ProtocolError) -> Self {
        Self::Peer(error)
    }
}

impl From<ProtocolErrorKind> for Fault<ProtocolErrorKind> {
    fn from(kind: ProtocolErrorKind) -> Self {
        Self::Peer(kind)
    }
}

impl From<Utf8Error> for Fault<Utf8Error> {
    fn from(error: Utf8Error) -> Self {
        Self::Peer(error)
    }
}
