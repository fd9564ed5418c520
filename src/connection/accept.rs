//! The caller's answer to the opening request.

use super::Connection;
use super::handshake::Handshake;
use crate::handshake::{Accept, AcceptError, AcceptErrorKind, Reject, Request};
use crate::output::Output;

/// # Answering the request
/// Each of these methods consumes the [`Request`] that this connection reported. Nothing is sent if the connection has
/// ended since, or if the request is from another connection, even an equal one.
impl Connection {
    /// Accepts without a subprotocol: the connection is open, and messages can be sent at once.
    ///
    /// Messages that the client sent before are delivered by the next [`receive`](Self::receive): if you decide later,
    /// call it afterwards, with an empty [`Input`](crate::Input) if nothing more was read.
    pub fn accept(&mut self, request: Request, output: &mut Output) {
        // The only error is a request that does not wait for an answer.
        let _ = self.accept_with(request, &Accept::new(), output);
    }

    /// Accepts with a subprotocol, or with further headers.
    ///
    /// # Errors
    /// If the client did not offer the subprotocol, or if the connection does not wait for this answer. Nothing was
    /// sent, and the error has the request, for another answer.
    pub fn accept_with(&mut self, request: Request, accept: &Accept, output: &mut Output) -> Result<(), AcceptError> {
        let Some(handshake) = self.deciding(&request) else {
            return Err(AcceptError { kind: AcceptErrorKind::NotDeciding, request });
        };
        let negotiated = handshake.accept(request, accept, output)?;
        self.on_opened(negotiated);
        Ok(())
    }

    /// Rejects: the connection is over once the output is written.
    pub fn reject(&mut self, request: Request, reject: &Reject, output: &mut Output) {
        if self.deciding(&request).is_some() {
            request.reject(reject).write_http1(output);
            self.on_rejected_by_caller(reject.status());
        }
    }

    /// The handshake, if this request waits for an answer.
    fn deciding(&self, request: &Request) -> Option<&Handshake> {
        let handshake = self.heap.as_ref()?.handshake()?;
        handshake.is_deciding(request).then_some(handshake)
    }
}
