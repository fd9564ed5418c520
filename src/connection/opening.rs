//! The opening handshake's share of a connection: HTTP heads as they arrive, the caller's decision, and the bytes
//! that came too early. What a head has to say is `handshake`'s to judge.

use alloc::vec::Vec;

use super::{Connection, Phase};
use crate::config::Config;
use crate::error::{ConnectionError, HandshakeError, HandshakeErrorKind};
use crate::event::Closed;
use crate::event::Event;
use crate::handshake::{
    Accept, AcceptError, AcceptErrorKind, Body, Bootstrap, HeadScanner, METHOD_LEN, Offer, ParsedHead, Reject, Request,
    Response, ResponseHead, ScanError, Ticket, check_request, check_response, parse_response_head,
};
use crate::input::Input;
use crate::message::extend_up_to;
use crate::output::Output;

/// What is needed until the connection is open, and then no more.
#[derive(Debug)]
pub(super) struct Opening {
    config: Config,
    scanner: HeadScanner,
    pub(super) stage: Stage,
    /// A head that is not whole yet, or the start of one that is wrong; later, what came before the decision.
    held: Vec<u8>,
    /// How much of what is held has been delivered.
    delivered: usize,
}

#[derive(Debug)]
pub(super) enum Stage {
    /// Server: the request is under way.
    Request,
    /// Server: the request with this ticket is with the caller, who decides.
    Deciding(Ticket),
    /// Client: the response is under way.
    Response(Offer),
    /// Client: the body of a refusal is under way.
    Refusal(ResponseHead, Body),
}

impl Opening {
    pub(super) fn new(config: Config, stage: Stage) -> Self {
        let is_server = matches!(stage, Stage::Request);
        let scanner = if is_server { HeadScanner::request() } else { HeadScanner::response() };
        Self { config, scanner, stage, held: Vec::new(), delivered: 0 }
    }

    fn limit(&self) -> usize {
        self.config.max_head_size as usize
    }

    /// The first bytes of the head, as far as they came: enough for the answer to know the method.
    pub(super) fn start(&self) -> &[u8] {
        &self.held
    }

    /// Keeps these bytes if they are among the first ones of a head that is wrong.
    fn keep_start(&mut self, bytes: &[u8]) {
        let room = METHOD_LEN.saturating_sub(self.held.len());
        self.held.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// Frees what has been delivered once that is more than what is `left`: so each byte moves at most once.
    fn free_delivered(&mut self, left: usize) {
        if self.delivered > left {
            self.held = self.held.split_off(self.delivered);
            self.delivered = 0;
        }
    }
}

/// # Answering the opening request
/// Each of these takes the [`Request`] that this connection's event brought. Nothing is sent if the connection has
/// ended since, or if the request is any other, even an equal one.
impl Connection {
    /// Accepts without a subprotocol: the connection is open, and messages can be sent at once.
    ///
    /// What the client sent ahead, behind its request, is delivered by the next [`receive`](Self::receive): call it
    /// after a decision that was made later, with an empty [`Input`] if nothing more was read.
    pub fn accept(&mut self, request: Request, output: &mut Output) {
        // Without a subprotocol or headers there is nothing in it to refuse.
        let _ = self.accept_with(request, &Accept::new(), output);
    }

    /// Accepts with a subprotocol or with headers of the caller's.
    ///
    /// # Errors
    /// If the client did not offer the subprotocol or a header cannot be sent; or if the connection does not wait for
    /// this decision, because it has ended meanwhile, or the request is not its own. Nothing was sent, and the request
    /// is in the error, to be answered otherwise.
    pub fn accept_with(&mut self, request: Request, accept: &Accept, output: &mut Output) -> Result<(), AcceptError> {
        let Some(opening) = self.deciding(&request) else {
            return Err(AcceptError { kind: AcceptErrorKind::NotDeciding, request });
        };
        let negotiated = request.accept_http1(accept, &opening.config, output)?;
        self.open(negotiated);
        self.held().opening.take_if(|opening| opening.held.is_empty());
        self.note_busy();
        Ok(())
    }

    /// Rejects: the connection is over once the output is written.
    pub fn reject(&mut self, request: Request, reject: &Reject, output: &mut Output) {
        if self.deciding(&request).is_some() {
            let status = reject.status();
            request.reject(reject).write_http1(output);
            self.end(Closed::failed(ConnectionError::RequestRejected(status)));
        }
    }

    /// The opening, if it is this request that waits for an answer.
    fn deciding(&self, request: &Request) -> Option<&Opening> {
        let waits = |stage: &Stage| matches!(stage, Stage::Deciding(ticket) if request.has_ticket(ticket));
        self.opening().filter(|opening| self.phase == Phase::Opening && waits(&opening.stage))
    }
}

impl Connection {
    pub(super) fn receive_opening<'i>(&mut self, input: &mut Input<'i>, output: &mut Output) -> Option<Event<'i>> {
        let mut opening = self.held.as_mut()?.opening.take()?;
        let event = match opening.stage {
            Stage::Request => self.receive_request(&mut opening, input, output),
            Stage::Deciding(_) => self.hold(&mut opening, input, output),
            Stage::Response(_) => self.receive_response(&mut opening, input),
            Stage::Refusal(..) => self.receive_refusal(&mut opening, input),
        };
        if self.phase == Phase::Opening {
            self.held().opening = Some(opening);
        }
        event
    }

    /// Delivers what was held while the request was with the caller.
    pub(super) fn receive_held(&mut self, output: &mut Output) -> Option<Event<'static>> {
        let mut opening = self.held.as_mut()?.opening.take_if(|_| self.phase == Phase::Frames)?;
        let mut input = Input::new(opening.held.get_mut(opening.delivered..).unwrap_or_default());
        let event = self.receive_frames(&mut input, output).map(Event::into_owned);
        let left = input.len();
        opening.delivered = opening.held.len().saturating_sub(left);
        if left > 0 && self.phase == Phase::Frames {
            opening.free_delivered(left);
            self.held().opening = Some(opening);
        }
        event
    }

    pub(super) fn opening_eof(&mut self) -> Option<Event<'static>> {
        let opening = self.held.as_mut()?.opening.take()?;
        let incomplete = HandshakeError { kind: HandshakeErrorKind::IncompleteHead, offset: self.position };
        match opening.stage {
            Stage::Refusal(head, mut body) => return Some(self.refuse(head, body.take_data())),
            Stage::Request if self.position == 0 => {
                self.end(Closed::failed(HandshakeError { kind: HandshakeErrorKind::MissingRequest, offset: 0 }));
            }
            Stage::Deciding(_) => self.end(Closed::failed(ConnectionError::TransportLost)),
            Stage::Request | Stage::Response(_) => self.end(Closed::failed(incomplete)),
        }
        self.report_end()
    }

    fn receive_request<'i>(
        &mut self,
        opening: &mut Opening,
        input: &mut Input<'i>,
        output: &mut Output,
    ) -> Option<Event<'i>> {
        match self.read_head(opening, input, check_request) {
            Ok(None) => None,
            Ok(Some(request)) => {
                opening.stage = Stage::Deciding(request.ticket());
                Some(Event::Request(request))
            }
            Err(error) => self.refuse_request(error, opening.start(), output),
        }
    }

    /// RFC 6455 §4.2.1: "If the server, while reading the handshake, finds that the client did not send a handshake
    /// that matches the description below [...] the server MUST stop processing the client's handshake and return an
    /// HTTP response with an appropriate error code (such as 400 Bad Request)."
    fn refuse_request(&mut self, error: HandshakeError, request: &[u8], output: &mut Output) -> Option<Event<'static>> {
        error.kind.answer(Bootstrap::Upgrade, request).write_http1(output);
        self.end(Closed::failed(error));
        self.report_end()
    }

    /// RFC 6455 §4.1 has clients wait for the response before they send. What one sends all the same is kept, within
    /// a limit, until the request is answered.
    fn hold<'i>(&mut self, opening: &mut Opening, input: &mut Input<'i>, output: &mut Output) -> Option<Event<'i>> {
        let room = opening.limit().saturating_sub(opening.held.len());
        // Not `take`: these bytes are counted when they are delivered.
        extend_up_to(opening.limit(), &mut opening.held, input.consume(room));
        if input.is_empty() {
            return None;
        }
        let offset = self.position.saturating_add(opening.held.len() as u64);
        self.refuse_request(HandshakeError { kind: HandshakeErrorKind::EarlyDataTooLarge, offset }, b"GET", output)
    }

    fn receive_response<'i>(&mut self, opening: &mut Opening, input: &mut Input<'i>) -> Option<Event<'i>> {
        loop {
            match self.read_head(opening, input, parse_response_head) {
                Ok(None) => return None,
                // RFC 9110 §15.2: "A client MUST be able to parse one or more 1xx responses received prior to a final
                // response, even if the client does not expect one."
                Ok(Some(head)) if matches!(head.status, 100 | 102..=199) => opening.scanner.restart(),
                Ok(Some(head)) if head.status == 101 => return self.finish_upgrade(opening, head),
                // RFC 6455 §4.1, 1: "If the status code received from the server is not 101, the client handles the
                // response per HTTP procedures."
                Ok(Some(head)) => match Body::of(&head, opening.limit()) {
                    Ok(Some(body)) => {
                        opening.stage = Stage::Refusal(head, body);
                        return self.receive_refusal(opening, input);
                    }
                    Ok(None) => return Some(self.refuse(head, Vec::new())),
                    Err(kind) => return self.fail_opening(HandshakeError { kind, offset: self.position }),
                },
                Err(error) => return self.fail_opening(error),
            }
        }
    }

    fn finish_upgrade(&mut self, opening: &Opening, head: ResponseHead) -> Option<Event<'static>> {
        let Stage::Response(offer) = &opening.stage else { return None };
        match check_response(head, offer, &opening.config) {
            Ok((response, negotiated)) => {
                self.open(negotiated);
                Some(Event::Open(response))
            }
            Err(kind) => self.fail_opening(HandshakeError { kind, offset: self.position }),
        }
    }

    /// Ends a client's connection.
    fn fail_opening(&mut self, error: HandshakeError) -> Option<Event<'static>> {
        self.end(Closed::failed(error));
        self.report_end()
    }

    fn receive_refusal<'i>(&mut self, opening: &mut Opening, input: &mut Input<'i>) -> Option<Event<'i>> {
        let Stage::Refusal(head, body) = &mut opening.stage else { return None };
        // Not `self.take`: a refusal is seen by its head, however much of the body came with it.
        let bytes = input.consume(body.max_remaining());
        body.push(bytes).then(|| self.refuse(core::mem::take(head), body.take_data()))
    }

    /// Reports a response that is not 101; the end follows.
    fn refuse(&mut self, head: ResponseHead, body: Vec<u8>) -> Event<'static> {
        let kind = HandshakeErrorKind::Rejected(head.status);
        self.end(Closed::failed(HandshakeError { kind, offset: self.position }));
        Event::Rejected(Response::rejection(head, body))
    }

    /// Consumes the input up to the end of the head under way, which is parsed once it is whole. If it is wrong, its
    /// [start](Opening::start) stays.
    fn read_head<T>(
        &mut self,
        opening: &mut Opening,
        input: &mut Input<'_>,
        parse: impl Fn(&[u8], usize) -> Option<ParsedHead<T>>,
    ) -> Result<Option<T>, HandshakeError> {
        // The usual case: one read brought all of it, and nothing is held.
        if opening.held.is_empty()
            && let Some((len, head)) = opening.scanner.parse_at_once(input.peek(), &opening.config, &parse)
        {
            let bytes = self.take(input, len);
            return head.map(Some).map_err(|kind| {
                opening.keep_start(bytes);
                HandshakeError { kind, offset: self.position }
            });
        }
        let end = match opening.scanner.scan(input.peek(), &opening.config) {
            Ok(end) => end,
            Err(ScanError { kind, consumed }) => {
                opening.keep_start(self.take(input, consumed));
                return Err(HandshakeError { kind, offset: self.position.saturating_sub(1) });
            }
        };
        extend_up_to(opening.limit(), &mut opening.held, self.take(input, end.unwrap_or(input.len())));
        if end.is_none() {
            return Ok(None);
        }
        opening.scanner.normalize(&mut opening.held);
        let (_, head) =
            parse(&opening.held, opening.scanner.line_count()).unwrap_or((0, Err(HandshakeErrorKind::MalformedHttp)));
        let head = head.map_err(|kind| HandshakeError { kind, offset: self.position })?;
        opening.held = Vec::new();
        Ok(Some(head))
    }
}
