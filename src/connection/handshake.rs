//! [`Handshake`]: a connection's opening handshake over HTTP/1.1, from its first byte until the connection is open or
//! has failed. The rules for heads are in the [`handshake`](crate::handshake) module.

use alloc::vec::Vec;

use crate::config::Config;
use crate::error::{ConnectionError, HandshakeError, HandshakeErrorKind};
use crate::growth::extend_up_to;
use crate::handshake::{
    Accept, AcceptError, Answer, Body, Bootstrap, HeadScanner, METHOD_LEN, Negotiated, Offer, ParsedHead, Reject,
    Request, Response, ResponseHead, ScanError, Ticket, check_request, check_response, parse_response_head,
};
use crate::input::Input;
use crate::output::Output;

#[derive(Debug)]
pub(super) struct Handshake {
    config: Config,
    scanner: HeadScanner,
    stage: Stage,
    /// An incomplete head; of an invalid one, its first bytes; in [`Stage::Deciding`], early data.
    buffer: Vec<u8>,
    /// Bytes of heads consumed.
    position: u64,
}

#[derive(Debug)]
enum Stage {
    /// Server: the request is incomplete.
    ReceivingRequest,
    /// Server: the caller has the request with this ticket, and has not answered it.
    Deciding(Ticket),
    /// Client: the response is incomplete.
    ReceivingResponse(Offer),
    /// Client: the body of a rejection is incomplete.
    ReceivingRejection(ResponseHead, Body),
}

/// The result of a step of the handshake.
#[derive(Debug)]
pub(super) enum Progress {
    /// Server: a valid request, for the caller to answer.
    Request(Request),
    /// Client: the connection is open.
    Opened(Response, Negotiated),
    /// Client: a response other than 101.
    Rejected(Rejection),
    /// The peer broke a rule.
    Invalid(HandshakeError),
}

/// A response other than 101, and the error that the connection ends with.
#[derive(Debug)]
pub(super) struct Rejection {
    pub(super) response: Response,
    pub(super) error: HandshakeError,
}

impl Handshake {
    pub(super) fn server(config: Config) -> Self {
        Self::new(config, HeadScanner::request(), Stage::ReceivingRequest)
    }

    pub(super) fn client(config: Config, offer: Offer) -> Self {
        Self::new(config, HeadScanner::response(), Stage::ReceivingResponse(offer))
    }

    fn new(config: Config, scanner: HeadScanner, stage: Stage) -> Self {
        Self { config, scanner, stage, buffer: Vec::new(), position: 0 }
    }

    /// Bytes of heads consumed.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The bytes that a client sent before its request was accepted.
    pub(super) fn into_early_data(self) -> Vec<u8> {
        self.buffer
    }

    /// Consumes input; `None` if all of it is consumed without a result.
    pub(super) fn receive(&mut self, input: &mut Input<'_>) -> Option<Progress> {
        match self.stage {
            Stage::ReceivingRequest => self.receive_request(input),
            Stage::Deciding(_) => self.buffer_early_data(input),
            Stage::ReceivingResponse(_) => self.receive_response(input),
            Stage::ReceivingRejection(..) => self.receive_rejection(input),
        }
    }
}

/// # Server
impl Handshake {
    /// Whether this request waits for an answer.
    pub(super) fn is_deciding(&self, request: &Request) -> bool {
        matches!(&self.stage, Stage::Deciding(ticket) if request.has_ticket(ticket))
    }

    /// Writes the response that accepts the request.
    pub(super) fn accept(
        &self,
        request: Request,
        accept: &Accept,
        output: &mut Output,
    ) -> Result<Negotiated, AcceptError> {
        request.accept_http1(accept, &self.config, output)
    }

    /// The answer that tells the peer about an error; a client has none.
    pub(super) fn answer(&self, kind: HandshakeErrorKind) -> Option<Answer> {
        match self.stage {
            // RFC 6455 §4.2.1: "If the server, while reading the handshake, finds that the client did not send a
            // handshake that matches the description below [...] the server MUST stop processing the client's
            // handshake and return an HTTP response with an appropriate error code (such as 400 Bad Request)."
            Stage::ReceivingRequest => Some(kind.answer(Bootstrap::Upgrade, &self.buffer)),
            // Only a GET request gets here.
            Stage::Deciding(_) => Some(kind.answer(Bootstrap::Upgrade, b"GET")),
            Stage::ReceivingResponse(_) | Stage::ReceivingRejection(..) => None,
        }
    }

    /// The answer of a server that waited too long; a client has none.
    pub(super) fn timeout_answer(&self) -> Option<Answer> {
        match self.stage {
            // RFC 9110 §15.5.9: "the server did not receive a complete request message within the time that it was
            // prepared to wait."
            Stage::ReceivingRequest => {
                Some(Reject::request_timeout().answer(Bootstrap::Upgrade).for_request(&self.buffer))
            }
            // RFC 9110 §15.6.4: "the server is currently unable to handle the request due to a temporary overload".
            Stage::Deciding(_) => Some(Reject::service_unavailable().answer(Bootstrap::Upgrade)),
            Stage::ReceivingResponse(_) | Stage::ReceivingRejection(..) => None,
        }
    }

    fn receive_request(&mut self, input: &mut Input<'_>) -> Option<Progress> {
        match self.read_head(input, check_request) {
            Ok(None) => None,
            Ok(Some(request)) => {
                self.stage = Stage::Deciding(request.ticket());
                Some(Progress::Request(request))
            }
            Err(error) => Some(Progress::Invalid(error)),
        }
    }

    /// RFC 6455 §4.1: clients wait for the response before they send data. Data that a client sends earlier is
    /// buffered, within a limit, until the request is answered.
    fn buffer_early_data(&mut self, input: &mut Input<'_>) -> Option<Progress> {
        let limit = self.limit();
        let room = limit.saturating_sub(self.buffer.len());
        // The position does not move: early data is consumed when it is delivered.
        extend_up_to(limit, &mut self.buffer, input.consume(room));
        if input.is_empty() {
            return None;
        }
        let offset = self.position.saturating_add(self.buffer.len() as u64);
        Some(Progress::Invalid(HandshakeError { kind: HandshakeErrorKind::EarlyDataTooLarge, offset }))
    }
}

/// # Client
impl Handshake {
    fn receive_response(&mut self, input: &mut Input<'_>) -> Option<Progress> {
        loop {
            let head = match self.read_head(input, parse_response_head) {
                Ok(None) => return None,
                Ok(Some(head)) => head,
                Err(error) => return Some(Progress::Invalid(error)),
            };
            match head.status {
                // RFC 9110 §15.2: "A client MUST be able to parse one or more 1xx responses received prior to a final
                // response, even if the client does not expect one."
                100 | 102..=199 => self.scanner.restart(),
                101 => return self.finish_upgrade(head),
                // RFC 6455 §4.1, 1: "If the status code received from the server is not 101, the client handles the
                // response per HTTP procedures."
                _ => return self.begin_rejection(head, input),
            }
        }
    }

    fn finish_upgrade(&self, head: ResponseHead) -> Option<Progress> {
        let Stage::ReceivingResponse(offer) = &self.stage else { return None };
        Some(match check_response(head, offer, &self.config) {
            Ok((response, negotiated)) => Progress::Opened(response, negotiated),
            Err(kind) => Progress::Invalid(self.error(kind)),
        })
    }

    fn begin_rejection(&mut self, head: ResponseHead, input: &mut Input<'_>) -> Option<Progress> {
        match Body::of(&head, self.limit()) {
            Ok(Some(body)) => {
                self.stage = Stage::ReceivingRejection(head, body);
                self.receive_rejection(input)
            }
            Ok(None) => Some(Progress::Rejected(self.rejection(head, Vec::new()))),
            Err(kind) => Some(Progress::Invalid(self.error(kind))),
        }
    }

    fn receive_rejection(&mut self, input: &mut Input<'_>) -> Option<Progress> {
        let Stage::ReceivingRejection(_, body) = &mut self.stage else { return None };
        // The position stays at the end of the head: the error's offset does not depend on the body.
        let bytes = input.consume(body.max_remaining());
        if body.push(bytes) { self.take_rejection().map(Progress::Rejected) } else { None }
    }

    /// The rejection whose body is incomplete, with the received part of it.
    pub(super) fn take_rejection(&mut self) -> Option<Rejection> {
        let Stage::ReceivingRejection(head, body) = &mut self.stage else { return None };
        let (head, body) = (core::mem::take(head), body.take_data());
        Some(self.rejection(head, body))
    }

    fn rejection(&self, head: ResponseHead, body: Vec<u8>) -> Rejection {
        let error = self.error(HandshakeErrorKind::Rejected(head.status));
        Rejection { response: Response::rejection(head, body), error }
    }
}

/// # Both roles
impl Handshake {
    /// The error of a stream that ends now.
    pub(super) fn end_of_stream(&self) -> ConnectionError {
        match self.stage {
            Stage::Deciding(_) => ConnectionError::TransportLost,
            Stage::ReceivingRequest if self.position == 0 => self.error(HandshakeErrorKind::MissingRequest).into(),
            Stage::ReceivingRequest | Stage::ReceivingResponse(_) | Stage::ReceivingRejection(..) => {
                self.error(HandshakeErrorKind::IncompleteHead).into()
            }
        }
    }

    /// Consumes the input up to the end of the current head, which is parsed once it is complete. Keeps the first bytes
    /// of an invalid head: the answer depends on the method.
    fn read_head<T>(
        &mut self,
        input: &mut Input<'_>,
        parse: impl Fn(&[u8], usize) -> Option<ParsedHead<T>>,
    ) -> Result<Option<T>, HandshakeError> {
        // The usual case: the head is in one read, and nothing is buffered.
        if self.buffer.is_empty()
            && let Some((len, head)) = self.scanner.parse_at_once(input.peek(), &self.config, &parse)
        {
            let bytes = self.consume(len, input);
            return head.map(Some).map_err(|kind| {
                self.keep_start(bytes);
                self.error(kind)
            });
        }
        let end = match self.scanner.scan(input.peek(), &self.config) {
            Ok(end) => end,
            Err(ScanError { kind, consumed }) => {
                let bytes = self.consume(consumed, input);
                self.keep_start(bytes);
                return Err(HandshakeError { kind, offset: self.position.saturating_sub(1) });
            }
        };
        let bytes = self.consume(end.unwrap_or(input.len()), input);
        extend_up_to(self.limit(), &mut self.buffer, bytes);
        if end.is_none() {
            return Ok(None);
        }
        self.scanner.normalize(&mut self.buffer);
        let (_, head) =
            parse(&self.buffer, self.scanner.line_count()).unwrap_or((0, Err(HandshakeErrorKind::MalformedHttp)));
        let head = head.map_err(|kind| self.error(kind))?;
        self.buffer = Vec::new();
        Ok(Some(head))
    }

    fn consume<'i>(&mut self, count: usize, input: &mut Input<'i>) -> &'i mut [u8] {
        let bytes = input.consume(count);
        self.position = self.position.saturating_add(bytes.len() as u64);
        bytes
    }

    /// Keeps these bytes if they are among the first of the head.
    fn keep_start(&mut self, bytes: &[u8]) {
        let room = METHOD_LEN.saturating_sub(self.buffer.len());
        self.buffer.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    fn error(&self, kind: HandshakeErrorKind) -> HandshakeError {
        HandshakeError { kind, offset: self.position }
    }

    fn limit(&self) -> usize {
        self.config.max_head_size as usize
    }
}
