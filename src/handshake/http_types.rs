//! Conversions between the handshake and the types of the `http` crate, which hyper, axum and many others use.

use alloc::string::ToString;
use alloc::vec::Vec;

use ::http::{Method, Request as HttpRequest, Response as HttpResponse, Version, uri};

use crate::error::HandshakeErrorKind;
use crate::handshake::Bootstrap;
use crate::handshake::client::ClientHandshake;
use crate::handshake::client::Response;
use crate::handshake::header_list::read_header_list;
use crate::handshake::http1::RequestHead;
use crate::handshake::negotiated::Negotiated;
use crate::handshake::server::Answer;
use crate::handshake::server::parse_extended_connect;
use crate::handshake::server::{Request, check_request_head};

impl Bootstrap {
    /// The mechanism for requests of this HTTP version.
    #[must_use]
    pub fn of(version: Version) -> Self {
        if version < Version::HTTP_2 { Self::Upgrade } else { Self::ExtendedConnect }
    }
}

impl Request {
    /// Checks a request that another HTTP stack has read: an upgrade over HTTP/1.1, like
    /// [`parse_request`](super::parse_request), or an extended CONNECT over HTTP/2 and HTTP/3, like
    /// [`parse_extended_connect`].
    ///
    /// `protocol` is the `:protocol` of an extended CONNECT. Each HTTP stack keeps it in the request's extensions, in
    /// its own type: `request.extensions().get::<hyper::ext::Protocol>().map(|protocol| protocol.as_str())`.
    ///
    /// # Errors
    /// The first broken rule. Send its [`answer`](HandshakeErrorKind::answer).
    ///
    /// # Examples
    /// A handler. Its HTTP stack then sends the response and, if it returns a `Negotiated`, gives up the stream
    /// (`hyper::upgrade::on`) for [`Connection::upgraded`](crate::Connection::upgraded).
    /// ```
    /// use websocket_proto::handshake::{Answer, Bootstrap, Negotiated, Request};
    /// use websocket_proto::{Accept, Config, HandshakeErrorKind, Reject};
    ///
    /// fn handle<B>(
    ///     request: &http::Request<B>,
    ///     protocol: Option<&str>,
    ///     config: &Config,
    /// ) -> Result<(http::Response<String>, Option<Negotiated>), http::Error> {
    ///     let (answer, negotiated) = match Request::from_http(request, protocol) {
    ///         Ok(request) if request.path() != "/chat" => (request.reject(&Reject::not_found()), None),
    ///         Ok(request) => match request.accept(&Accept::new(), config) {
    ///             Ok((answer, negotiated)) => (answer, Some(negotiated)),
    ///             Err(error) => (error.into_request().reject(&Reject::internal_server_error()), None),
    ///         },
    ///         Err(kind) => (kind.answer(Bootstrap::of(request.version()), request.method().as_str()), None),
    ///     };
    ///     let response = answer.into_http()?.map(|body| String::from_utf8(body).unwrap_or_default());
    ///     Ok((response, negotiated))
    /// }
    /// # let request = http::Request::get("/chat").body(()).unwrap();
    /// # assert_eq!(handle(&request, None, &Config::new()).unwrap().0.status(), 400);
    /// ```
    pub fn from_http<B>(request: &HttpRequest<B>, protocol: Option<&str>) -> Result<Self, HandshakeErrorKind> {
        match Bootstrap::of(request.version()) {
            Bootstrap::Upgrade => from_upgrade(request),
            Bootstrap::ExtendedConnect => from_extended_connect(request, protocol),
        }
    }
}

fn from_upgrade<B>(request: &HttpRequest<B>) -> Result<Request, HandshakeErrorKind> {
    let ([], headers) = read_header_list(Bootstrap::Upgrade, request.headers(), [])?;
    let target = request.uri().to_string();
    let minor_version = u8::from(request.version() == Version::HTTP_11);
    check_request_head(RequestHead { method: request.method().as_str(), target: &target, minor_version, headers })
}

fn from_extended_connect<B>(request: &HttpRequest<B>, protocol: Option<&str>) -> Result<Request, HandshakeErrorKind> {
    let uri = request.uri();
    let pseudo = [
        (":method", Some(request.method().as_str())),
        (":protocol", protocol),
        (":scheme", uri.scheme_str()),
        (":authority", uri.authority().map(uri::Authority::as_str)),
        (":path", uri.path_and_query().map(uri::PathAndQuery::as_str)),
    ];
    let pseudo = pseudo.into_iter().filter_map(|(name, value)| Some((name.as_bytes(), value?.as_bytes())));
    let headers = request.headers().iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    parse_extended_connect(pseudo.chain(headers))
}

impl Answer {
    /// Converts the answer to a response of the `http` crate.
    ///
    /// The answer to HEAD has an empty body. hyper and axum never send a body in answer to HEAD, but they write a
    /// Content-Length for the body that they are given: axum always, hyper unless it is 0. That would have to be the
    /// length of the answer to GET (RFC 9110 §8.6). `examples/axum_server.rs` shows how to omit Content-Length.
    ///
    /// # Errors
    /// If the caller's own headers exceed that crate's limits: names of 64 KiB, tens of thousands of headers.
    pub fn into_http(self) -> Result<HttpResponse<Vec<u8>>, ::http::Error> {
        let mut response = HttpResponse::builder().status(self.status());
        for (name, value) in self.headers().iter() {
            response = response.header(name, value);
        }
        response.body(self.into_body())
    }
}

impl ClientHandshake {
    /// Converts the request to one of the `http` crate.
    ///
    /// Over HTTP/1.1 its target is a path, as hyper's `client::conn` expects; HTTP clients that connect themselves need
    /// the full [`uri`](Self::uri) instead. Over HTTP/2 and HTTP/3, add the `:protocol` to its extensions, in the HTTP
    /// stack's own type, such as `hyper::ext::Protocol::from_static("websocket")`.
    ///
    /// # Errors
    /// If the URI or the caller's own headers exceed that crate's limits: a URI or names of 64 KiB, tens of thousands
    /// of headers.
    ///
    /// # Examples
    /// ```
    /// use websocket_proto::{ClientRequest, Config};
    ///
    /// let request = ClientRequest::new("wss://example.com/chat");
    /// // The nonce must be 16 random bytes.
    /// let sent = request.upgrade(&Config::new(), [7; 16])?.to_http()?;
    /// assert_eq!((sent.method(), sent.uri().to_string()), (&http::Method::GET, "/chat".to_owned()));
    /// let sent = request.extended_connect(&Config::new())?.to_http()?;
    /// assert_eq!(sent.method(), http::Method::CONNECT);
    /// assert_eq!(sent.uri(), "https://example.com/chat");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_http(&self) -> Result<HttpRequest<()>, ::http::Error> {
        let uri = self.uri();
        let mut request = match self.bootstrap() {
            Bootstrap::Upgrade => HttpRequest::get(uri.resource()),
            Bootstrap::ExtendedConnect => {
                let scheme = if uri.is_secure() { "https" } else { "http" };
                let target = uri::Builder::new().scheme(scheme).authority(uri.authority());
                let target = target.path_and_query(uri.resource()).build()?;
                HttpRequest::builder().method(Method::CONNECT).version(Version::HTTP_2).uri(target)
            }
        };
        for (name, value) in self.headers().iter().filter(|(name, _)| !name.starts_with(':')) {
            request = request.header(name, value);
        }
        request.body(())
    }

    /// Checks a response that another HTTP stack has read.
    ///
    /// # Errors
    /// Those of [`check`](Self::check), and [`HttpVersionTooOld`](HandshakeErrorKind::HttpVersionTooOld) for a response
    /// of HTTP/1.0.
    ///
    /// # Examples
    /// ```
    /// # use websocket_proto::handshake::{ClientHandshake, Negotiated};
    /// # use websocket_proto::{Config, Connection, HandshakeErrorKind, Role};
    /// fn open<B>(
    ///     handshake: ClientHandshake,
    ///     response: &http::Response<B>,
    ///     seed: [u8; 32],
    /// ) -> Result<Connection, HandshakeErrorKind> {
    ///     let (_, negotiated) = handshake.check_http(response)?;
    ///     Ok(Connection::upgraded(Role::Client, negotiated, Config::new(), seed))
    /// }
    /// ```
    pub fn check_http<B>(self, response: &HttpResponse<B>) -> Result<(Response, Negotiated), HandshakeErrorKind> {
        if self.bootstrap() == Bootstrap::Upgrade && response.version() < Version::HTTP_11 {
            return Err(HandshakeErrorKind::HttpVersionTooOld);
        }
        self.check(response.status().as_u16(), response.headers())
    }
}
