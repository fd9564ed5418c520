//! [`WebSocketUpgrade`]: an axum extractor, for HTTP/1.1 and HTTP/2.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum_core::body::Body;
use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_core::Stream;
use http::request::Parts;
use http::{Method, StatusCode};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use websocket_proto::handshake::{Answer, Bootstrap, Request};
use websocket_proto::{Accept, HandshakeErrorKind, Reject};

use crate::server::Server;
use crate::websocket::WebSocket;

/// The largest write over HTTP/2: hyper accepts whole writes, however little the peer reads.
const PIECE: usize = 16 << 10;

/// An extractor for a handshake: [`on_upgrade`](Self::on_upgrade) accepts it, [`reject`](Self::reject) does not.
///
/// A request that is no handshake gets the status that RFC 6455 asks for. Over HTTP/2 a handshake is CONNECT, so route any
/// method.
///
/// # Examples
/// ```
/// use axum::Router;
/// use axum::response::Response;
/// use axum::routing::any;
/// use tokio_websocket_proto::Reject;
/// use tokio_websocket_proto::axum::WebSocketUpgrade;
///
/// async fn echo(upgrade: WebSocketUpgrade) -> Response {
///     if !upgrade.request().is_same_origin(false) {
///         return upgrade.reject(&Reject::forbidden());
///     }
///     upgrade.on_upgrade(|mut ws| async move {
///         while let Some(Ok(message)) = ws.recv().await {
///             if message.is_data() && ws.feed(message).await.is_err() {
///                 break;
///             }
///         }
///     })
/// }
///
/// let app: Router = Router::new().route("/echo", any(echo));
/// ```
#[must_use = "call `on_upgrade` or `reject`"]
pub struct WebSocketUpgrade {
    request: Request,
    stream: OnUpgrade,
    server: Server,
    accept: Accept,
}

impl WebSocketUpgrade {
    /// The request.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Sets the limits and deadlines. Default [`Server::new`].
    pub fn server(mut self, server: Server) -> Self {
        self.server = server;
        self
    }

    /// Sets the subprotocol and the headers of the answer. Default none.
    pub fn answer(mut self, accept: Accept) -> Self {
        self.accept = accept;
        self
    }

    /// Accepts, and runs `serve` in a task of its own as soon as the answer is sent. If the subprotocol was not offered,
    /// the answer is 500.
    pub fn on_upgrade<F>(self, serve: impl FnOnce(WebSocket<Upgraded>) -> F + Send + 'static) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Self { request, stream, server, accept } = self;
        let max_write = match request.bootstrap() {
            Bootstrap::Upgrade => usize::MAX,
            Bootstrap::ExtendedConnect => PIECE,
        };
        let (answer, negotiated) = match request.accept(&accept, &server.config) {
            Ok(accepted) => accepted,
            Err(error) => return respond(error.into_request().reject(&Reject::internal_server_error()), false),
        };
        tokio::spawn(async move {
            // The stream comes when the answer is sent, unless the peer has left.
            if let Ok(stream) = stream.await {
                serve(server.upgraded(Upgraded { stream: TokioIo::new(stream), max_write }, negotiated)).await;
            }
        });
        respond(answer, false)
    }

    /// Rejects the request.
    #[must_use]
    pub fn reject(self, reject: &Reject) -> Response {
        respond(self.request.reject(reject), false)
    }
}

impl<S: Sync> FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = NoHandshake;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NoHandshake> {
        let protocol = parts.extensions.get::<Protocol>().map(Protocol::as_str);
        let mut head = http::Request::new(());
        *head.method_mut() = parts.method.clone();
        *head.uri_mut() = parts.uri.clone();
        *head.version_mut() = parts.version;
        *head.headers_mut() = parts.headers.clone();
        let no_handshake =
            |kind| NoHandshake { kind, bootstrap: Bootstrap::of(parts.version), method: parts.method.clone() };
        let request = Request::from_http(&head, protocol).map_err(no_handshake)?;
        // Missing only below a middleware that has taken it.
        let stream =
            parts.extensions.remove::<OnUpgrade>().ok_or_else(|| no_handshake(HandshakeErrorKind::MissingUpgrade))?;
        Ok(Self { request, stream, server: Server::new(), accept: Accept::new() })
    }
}

impl fmt::Debug for WebSocketUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketUpgrade").field("request", &self.request).finish_non_exhaustive()
    }
}

/// A request that is no handshake, or an invalid one: the rejection of [`WebSocketUpgrade`].
#[derive(Clone, Debug)]
pub struct NoHandshake {
    kind: HandshakeErrorKind,
    bootstrap: Bootstrap,
    method: Method,
}

impl NoHandshake {
    /// The rule that the request breaks.
    #[must_use]
    pub fn kind(&self) -> HandshakeErrorKind {
        self.kind
    }
}

impl IntoResponse for NoHandshake {
    fn into_response(self) -> Response {
        respond(self.kind.answer(self.bootstrap, self.method.as_str()), self.method == Method::HEAD)
    }
}

fn respond(answer: Answer, is_head: bool) -> Response {
    match answer.into_http() {
        // RFC 9110 §8.6: Content-Length would have to be that of the answer to GET. axum adds the length of an empty
        // body, but not of a stream.
        Ok(response) if is_head => response.map(|_| Body::from_stream(NoBody)),
        Ok(response) => response.map(Body::from),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A body of unknown length that is empty.
struct NoBody;

impl Stream for NoBody {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(None)
    }
}

/// The stream after a handshake: a TCP or TLS connection, or a stream of HTTP/2.
#[derive(Debug)]
pub struct Upgraded {
    stream: TokioIo<hyper::upgrade::Upgraded>,
    max_write: usize,
}

impl AsyncRead for Upgraded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let len = bytes.len().min(self.max_write);
        Pin::new(&mut self.stream).poll_write(cx, &bytes[..len])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.max_write == usize::MAX {
            return Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        }
        let first = slices.iter().find(|slice| !slice.is_empty());
        self.poll_write(cx, first.map_or(&[], |slice| slice))
    }

    fn is_write_vectored(&self) -> bool {
        self.max_write == usize::MAX && self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
