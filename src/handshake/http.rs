//! The opening handshake in the types of the `http` crate, which hyper, axum and many others speak. It translates, and
//! decides nothing.

use alloc::string::ToString;
use alloc::vec::Vec;

use ::http::{Method, Request as HttpRequest, Response as HttpResponse, Version, uri};

use super::Bootstrap;
use super::answer::Answer;
use super::client::ClientHandshake;
use super::extended_connect::parse_extended_connect;
use super::fields::read_fields;
use super::head::RequestHead;
use super::negotiated::Negotiated;
use super::response::Response;
use super::server::{Request, check_request_head};
use crate::error::HandshakeErrorKind;

impl Bootstrap {
    /// How a request that came in this version of HTTP has to ask.
    #[must_use]
    pub fn of(version: Version) -> Self {
        if version < Version::HTTP_2 { Self::Upgrade } else { Self::ExtendedConnect }
    }
}

impl Request {
    /// Checks a request that was read by another HTTP stack: an upgrade over HTTP/1.1, as
    /// [`parse_request`](super::parse_request) does, an extended CONNECT over HTTP/2 and HTTP/3, as
    /// [`parse_extended_connect`] does.
    ///
    /// `protocol` is the `:protocol` of an extended CONNECT, for which each stack has a type of its own among the
    /// request's extensions: `request.extensions().get::<hyper::ext::Protocol>().map(|protocol| protocol.as_str())`.
    ///
    /// # Errors
    /// The first rule that is broken, whose [`answer`](HandshakeErrorKind::answer) is what to send.
    ///
    /// # Examples
    /// A handler that leaves what is left to do to its HTTP stack: to send the response and, if there is something
    /// negotiated, to give away the stream for [`Connection::upgraded`](crate::Connection::upgraded)
    /// (`hyper::upgrade::on`).
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
    let ([], headers) = read_fields(Bootstrap::Upgrade, request.headers(), [])?;
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
    /// The response as the `http` crate has it.
    ///
    /// The answer to HEAD has an empty body. hyper and axum send no body in answer to HEAD in any case, but state the
    /// length of the one that they are given, which must be that of the answer to GET (RFC 9110 §8.6): hyper if it is
    /// not 0, axum always. `examples/axum_server.rs` shows how to have no length stated.
    ///
    /// # Errors
    /// If the caller's own headers are more than that crate takes: names of 64 KiB, tens of thousands of headers.
    pub fn into_http(self) -> Result<HttpResponse<Vec<u8>>, ::http::Error> {
        let mut response = HttpResponse::builder().status(self.status());
        for (name, value) in self.headers().iter() {
            response = response.header(name, value);
        }
        response.body(self.into_body())
    }
}

impl ClientHandshake {
    /// The request as the `http` crate has it. Over HTTP/1.1 its target is a path, as for hyper's `client::conn`; a
    /// client that connects by itself wants the whole of [`uri`](Self::uri) there. Over HTTP/2 and HTTP/3 its
    /// `:protocol` is left to be put among its extensions in the stack's own type, such as
    /// `hyper::ext::Protocol::from_static("websocket")`.
    ///
    /// # Errors
    /// If the URI or the caller's own headers are more than that crate takes: a URI or names of 64 KiB, tens of
    /// thousands of headers.
    ///
    /// # Examples
    /// ```
    /// use websocket_proto::{ClientRequest, Config};
    ///
    /// let request = ClientRequest::new("wss://example.com/chat");
    /// // Random bytes, in earnest.
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

    /// Checks a response that was read by another HTTP stack, as [`check`](Self::check) does.
    ///
    /// # Errors
    /// As there.
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
