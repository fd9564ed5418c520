//! [`Client`]: connects to a server.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use websocket_proto::handshake::{Negotiated, Response};
use websocket_proto::uri::Uri;
use websocket_proto::{ClientRequest, Config, Connection, ConnectionError, Event, Output, Role, SessionConfig};

use crate::driver::Driver;
use crate::error::Error;
use crate::transport::Transport;
use crate::websocket::WebSocket;

/// Connects to a `ws` URL, or to a `wss` one with the feature `rustls`, with the defaults of [`Client`].
///
/// # Errors
/// As [`Client::connect`].
///
/// # Examples
/// ```no_run
/// # async fn hello() -> Result<(), tokio_websocket_proto::Error> {
/// let (mut ws, _response) = tokio_websocket_proto::connect("ws://127.0.0.1:9001/").await?;
/// ws.send("hello").await?;
/// println!("{:?}", ws.recv().await);
/// # Ok(())
/// # }
/// ```
pub async fn connect(request: impl IntoClientRequest) -> Result<(WebSocket<Transport>, Response), Error> {
    Client::new().connect(request).await
}

/// The limits and deadlines of a client's connections.
///
/// # Examples
/// ```no_run
/// use tokio_websocket_proto::{Client, ClientRequest, Config, Deflate};
///
/// # async fn chat() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new().config(Config::new().deflate(Deflate::new()));
/// let request = ClientRequest::new("ws://127.0.0.1:9001/").subprotocol("chat").header("Authorization", "Bearer x")?;
/// let (ws, response) = client.connect(&request).await?;
/// assert_eq!(ws.subprotocol(), response.subprotocol());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
#[must_use = "a builder: call `connect`"]
pub struct Client {
    config: Config,
    session: SessionConfig<Duration>,
    connect_timeout: Option<Duration>,
    #[cfg(feature = "rustls")]
    connector: Option<tokio_rustls::TlsConnector>,
}

impl Client {
    /// The defaults of [`Config::new`] and [`SessionConfig::new`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the protocol's limits, and compression.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets the deadlines and the keep-alive.
    pub fn session(mut self, session: SessionConfig<Duration>) -> Self {
        self.session = session;
        self
    }

    /// Sets the deadline for the name, TCP and TLS. Default 10 s.
    pub fn connect_timeout(mut self, span: Duration) -> Self {
        self.connect_timeout = Some(span);
        self
    }

    /// Sets the TLS configuration of `wss`. Default: the certificate authorities of the platform, loaded once.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn tls(mut self, connector: tokio_rustls::TlsConnector) -> Self {
        self.connector = Some(connector);
        self
    }

    /// Connects to the server that the request names, over TCP or TLS.
    ///
    /// # Errors
    /// [`Error::Request`], [`Error::Connect`], [`Error::Rejected`] with the server's answer, or [`Error::Connection`] if
    /// there was no valid answer in time.
    pub async fn connect(&self, request: impl IntoClientRequest) -> Result<(WebSocket<Transport>, Response), Error> {
        let request = request.into_client_request();
        let uri = self.uri(&request)?;
        let connecting = timeout(self.connect_timeout.unwrap_or(Duration::from_secs(10)), self.transport(&uri));
        let transport = connecting.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        self.handshake(&request, transport.map_err(Error::Connect)?).await
    }

    /// Sends the request over a transport that is connected.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        request: impl IntoClientRequest,
        io: S,
    ) -> Result<(WebSocket<S>, Response), Error> {
        let mut output = Output::new();
        let request = request.into_client_request();
        let connection = Connection::client(&request, self.config.clone(), seed()?, &mut output)?;
        let mut driver = Driver::new(io, connection, output, self.session);
        match poll_fn(|cx| driver.poll_handshake(cx)).await? {
            Event::Open(response) => Ok((WebSocket::new(driver), response)),
            Event::Rejected(response) => Err(Error::Rejected(Box::new(response))),
            // A client's handshake has no other event.
            _ => Err(ConnectionError::TransportLost.into()),
        }
    }

    /// An open connection: other code did the handshake on `io`, and both sides agreed on `negotiated`.
    ///
    /// # Errors
    /// [`Error::Connect`] if the operating system has no random bytes.
    pub fn upgraded<S>(&self, io: S, negotiated: Negotiated) -> Result<WebSocket<S>, Error> {
        let connection = Connection::upgraded(Role::Client, negotiated, self.config.clone(), seed()?);
        Ok(WebSocket::new(Driver::new(io, connection, Output::new(), self.session)))
    }

    /// The URI of a valid request.
    fn uri(&self, request: &ClientRequest) -> Result<Uri, Error> {
        Ok(request.upgrade(&self.config, [0; 16])?.uri().clone())
    }

    async fn transport(&self, uri: &Uri) -> io::Result<Transport> {
        // An IPv6 address in a URI has brackets; a resolver wants none.
        let host = uri.host().trim_start_matches('[').trim_end_matches(']');
        if uri.is_secure() && cfg!(not(feature = "rustls")) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "wss needs the feature rustls"));
        }
        let tcp = TcpStream::connect((host, uri.port())).await?;
        tcp.set_nodelay(true)?;
        #[cfg(feature = "rustls")]
        if uri.is_secure() {
            return crate::tls::connect(self.connector.as_ref(), host, tcp).await;
        }
        Ok(Transport::from(tcp))
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { config, session, .. } = self;
        f.debug_struct("Client").field("config", config).field("session", session).finish_non_exhaustive()
    }
}

/// Random bytes from the operating system.
pub(crate) fn seed() -> Result<[u8; 32], Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| Error::Connect(error.into()))?;
    Ok(seed)
}

/// A URL or a [`ClientRequest`].
pub trait IntoClientRequest {
    /// The request. If the URL is invalid, connecting fails.
    fn into_client_request(self) -> ClientRequest;
}

impl IntoClientRequest for ClientRequest {
    fn into_client_request(self) -> ClientRequest {
        self
    }
}

impl IntoClientRequest for &ClientRequest {
    fn into_client_request(self) -> ClientRequest {
        self.clone()
    }
}

impl IntoClientRequest for &str {
    fn into_client_request(self) -> ClientRequest {
        ClientRequest::new(self)
    }
}

impl IntoClientRequest for String {
    fn into_client_request(self) -> ClientRequest {
        ClientRequest::new(self)
    }
}

impl IntoClientRequest for &String {
    fn into_client_request(self) -> ClientRequest {
        ClientRequest::new(self)
    }
}

impl IntoClientRequest for Uri {
    fn into_client_request(self) -> ClientRequest {
        ClientRequest::to(self)
    }
}
