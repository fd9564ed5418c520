//! [`Negotiated`]: the result of an opening handshake.

use alloc::boxed::Box;
use alloc::string::String;

use crate::config::Config;
#[cfg(feature = "deflate")]
use crate::deflate::AgreedParameters;
use crate::error::HandshakeErrorKind;
#[cfg(feature = "deflate")]
use crate::handshake::deflate;
use crate::handshake::grammar::Extension;
use crate::handshake::server::Request;

/// The subprotocol and extensions that both sides agreed on, for [`Connection::upgraded`](crate::Connection::upgraded).
///
/// A server gets it from [`Request::accept`](super::Request::accept), a client from
/// [`ClientHandshake::check`](super::ClientHandshake::check). If other code did the handshake, use the default, which
/// has no subprotocol and no extension, or [`with_subprotocol`](Self::with_subprotocol).
///
/// # Examples
/// ```
/// use websocket_proto::handshake::Negotiated;
///
/// let negotiated = Negotiated::with_subprotocol("chat");
/// assert_eq!(negotiated.subprotocol(), Some("chat"));
/// assert_eq!(Negotiated::default().subprotocol(), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "pass it to Connection::upgraded"]
pub struct Negotiated {
    pub(crate) subprotocol: Option<Box<str>>,
    #[cfg(feature = "deflate")]
    pub(crate) deflate: Option<AgreedParameters>,
}

impl Negotiated {
    /// A subprotocol and no extension, for a handshake that other code did.
    pub fn with_subprotocol(name: &str) -> Self {
        Self::new(Some(name))
    }

    /// A subprotocol or none; [`answer_extensions`](Self::answer_extensions) or
    /// [`check_extensions`](Self::check_extensions) adds extensions.
    pub(crate) fn new(subprotocol: Option<&str>) -> Self {
        Self {
            subprotocol: subprotocol.map(Into::into),
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }

    /// The agreed parameters of permessage-deflate, if it was agreed on.
    #[cfg(feature = "deflate")]
    pub(crate) fn agreed(&self) -> Option<AgreedParameters> {
        self.deflate
    }

    /// Without the feature `deflate`, no extension is agreed on.
    #[cfg(not(feature = "deflate"))]
    #[expect(clippy::unused_self, reason = "stands for what the feature does")]
    pub(crate) fn agreed(&self) -> Option<crate::deflate::AgreedParameters> {
        None
    }

    /// The subprotocol, if any.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Whether permessage-deflate was agreed on.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn uses_deflate(&self) -> bool {
        self.deflate.is_some()
    }

    /// The value of Sec-WebSocket-Extensions in a request; `None` if the client offers no extension.
    #[cfg_attr(not(feature = "deflate"), expect(unused_variables, reason = "no extension is built"))]
    pub(crate) fn offer_extensions(config: &Config) -> Option<String> {
        #[cfg(feature = "deflate")]
        if let Some(config) = &config.deflate {
            return Some(deflate::offer_header(config));
        }
        None
    }

    /// Selects extensions that the request offers. Returns the value of Sec-WebSocket-Extensions in the response;
    /// `None` declines them all.
    #[cfg_attr(
        not(feature = "deflate"),
        expect(unused_variables, clippy::unused_self, reason = "no extension is built")
    )]
    pub(crate) fn answer_extensions(&mut self, request: &Request, config: &Config) -> Option<String> {
        #[cfg(feature = "deflate")]
        if let Some(config) = &config.deflate
            && let Some((agreed, header)) = deflate::accept_offer(request.extensions(), config)
        {
            self.deflate = Some(agreed);
            return Some(header);
        }
        None
    }

    /// Checks the extensions in the response. RFC 6455 §9.1: a server may select only offered extensions, and must
    /// follow the specification of each.
    #[cfg_attr(not(feature = "deflate"), expect(unused_variables, clippy::unused_self, reason = "nothing was offered"))]
    pub(crate) fn check_extensions(
        &mut self,
        selected: &[Extension],
        config: &Config,
    ) -> Result<(), HandshakeErrorKind> {
        if selected.is_empty() {
            return Ok(());
        }
        #[cfg(feature = "deflate")]
        if let Some(agreed) = config.deflate.as_ref().and_then(|config| deflate::check_response(selected, config)) {
            self.deflate = Some(agreed);
            return Ok(());
        }
        Err(HandshakeErrorKind::InvalidExtensions)
    }
}
