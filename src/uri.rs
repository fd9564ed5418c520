//! [`Uri`]: parses ws and wss URIs (RFC 6455 §3).

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

use iri_string::types::{IriStr, UriStr};

/// A parsed WebSocket URI.
///
/// The scheme may be in any case; the port defaults to 80 or 443. A fragment or user information, which a WebSocket URI
/// cannot have, is an error. Non-ASCII characters in path and query are percent-encoded as UTF-8; a non-ASCII host must
/// be given in Punycode.
///
/// # Examples
/// ```
/// use websocket_proto::uri::Uri;
///
/// let uri = Uri::parse("wss://example.com/chat?room=1")?;
/// assert!(uri.is_secure());
/// assert_eq!((uri.host(), uri.port()), ("example.com", 443));
/// assert_eq!((uri.authority(), uri.resource()), ("example.com", "/chat?room=1"));
/// # Ok::<_, websocket_proto::uri::UriError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Uri {
    secure: bool,
    host: String,
    port: u16,
    authority: String,
    resource: String,
}

impl Uri {
    /// Parses a `ws` or `wss` URI.
    ///
    /// # Errors
    /// If RFC 6455 §3 does not allow the URI.
    pub fn parse(uri: &str) -> Result<Self, UriError> {
        Self::parse_with(uri, |scheme| match scheme {
            "ws" => Some(false),
            "wss" => Some(true),
            _ => None,
        })
    }

    /// Parses a URL as a browser's `new WebSocket(url)` does (WHATWG): as [`parse`](Self::parse), but `http` and
    /// `https` mean `ws` and `wss`.
    ///
    /// # Errors
    /// Those of [`parse`](Self::parse).
    ///
    /// # Examples
    /// ```
    /// use websocket_proto::uri::Uri;
    ///
    /// assert_eq!(Uri::parse_whatwg("https://example.com/"), Uri::parse("wss://example.com/"));
    /// ```
    pub fn parse_whatwg(url: &str) -> Result<Self, UriError> {
        Self::parse_with(url, |scheme| match scheme {
            "ws" | "http" => Some(false),
            "wss" | "https" => Some(true),
            _ => None,
        })
    }

    fn parse_with(uri: &str, is_secure: impl Fn(&str) -> Option<bool>) -> Result<Self, UriError> {
        let iri = IriStr::new(uri).map_err(|_| UriError::Syntax)?;
        let secure = is_secure(&iri.scheme_str().to_ascii_lowercase()).ok_or(UriError::Scheme)?;
        // RFC 6455 §3: "Fragment identifiers are meaningless in the context of WebSocket URIs and MUST NOT be used".
        if iri.fragment_str().is_some() {
            return Err(UriError::Fragment);
        }
        let authority = iri.authority_components().ok_or(UriError::Host)?;
        if authority.userinfo().is_some() {
            return Err(UriError::UserInformation);
        }
        let host = authority.host();
        // A host name with percent-encoding cannot be resolved.
        if host.is_empty() || !host.is_ascii() || host.contains('%') {
            return Err(UriError::Host);
        }
        let default_port = if secure { 443 } else { 80 };
        let port = match authority.port() {
            None | Some("") => default_port,
            Some(port) => port.parse().ok().filter(|&port| port != 0).ok_or(UriError::Port)?,
        };
        let encoded = iri.encode_to_uri().to_string();
        Ok(Self {
            secure,
            authority: if port == default_port { host.into() } else { format!("{host}:{port}") },
            host: host.trim_start_matches('[').trim_end_matches(']').into(),
            port,
            resource: resource_name(&encoded)?,
        })
    }

    /// Whether the scheme is `wss`: the connection uses TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host to connect to, a name or an address. An IPv6 address has no brackets here.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port to connect to. If the URI has none, it is 443 if [secure](Self::is_secure), otherwise 80.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The value of the Host header: the host, with the port unless it is the default one. An IPv6 address has brackets
    /// here.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The resource name, which is the request target: the path, at least `/`, and the query if it is not empty.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.resource
    }
}

/// The resource name (RFC 6455 §3): the path, or "/" if it is empty; then "?" and the query, if that is not empty.
fn resource_name(uri: &str) -> Result<String, UriError> {
    let uri = UriStr::new(uri).map_err(|_| UriError::Syntax)?;
    let path = if uri.path_str().is_empty() { "/" } else { uri.path_str() };
    Ok(match uri.query_str() {
        None | Some("") => path.into(),
        Some(query) => format!("{path}?{query}"),
    })
}

/// The rule of RFC 6455 §3 that a URI breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UriError {
    /// The text is not an absolute URI (RFC 3986) or IRI (RFC 3987).
    Syntax,
    /// The scheme is not `ws` or `wss`.
    Scheme,
    /// The host is missing, has percent-encoding, or is not ASCII: convert it to Punycode.
    Host,
    /// The port is outside 1 to 65535.
    Port,
    /// The URI has a user name or password.
    UserInformation,
    /// The URI has a fragment. In a path or query, write `#` as `%23`.
    Fragment,
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "not an absolute URI",
            Self::Scheme => "the scheme is neither ws nor wss",
            Self::Host => "no host, or one that is not plain ASCII",
            Self::Port => "the port is not between 1 and 65535",
            Self::UserInformation => "a WebSocket URI has no user information",
            Self::Fragment => "a WebSocket URI has no fragment",
        })
    }
}

impl core::error::Error for UriError {}
