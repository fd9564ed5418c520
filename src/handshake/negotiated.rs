//! [`Negotiated`]: what an opening handshake leaves behind, with nothing of HTTP in it.

use alloc::boxed::Box;
use alloc::string::String;

use super::header::Extension;
use super::server::Request;
use crate::config::Config;
#[cfg(feature = "deflate")]
use crate::deflate::{Agreed, offer_header};
use crate::error::HandshakeErrorKind;

/// What both sides agreed on in an opening handshake: all that an [upgraded](crate::Connection::upgraded) connection
/// has to know of it.
///
/// [`Request::accept`](super::Request::accept) makes one for a server,
/// [`ClientHandshake::check`](super::ClientHandshake::check) for a client. The default is for handshakes that something
/// else has negotiated, without a subprotocol or an extension.
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
#[must_use = "Connection::upgraded takes it"]
pub struct Negotiated {
    pub(crate) subprotocol: Option<Box<str>>,
    #[cfg(feature = "deflate")]
    pub(crate) deflate: Option<Agreed>,
}

impl Negotiated {
    /// A subprotocol and no extension, agreed on by other means than this crate's.
    pub fn with_subprotocol(name: &str) -> Self {
        Self::selecting(Some(name))
    }

    /// Extensions are agreed on apart.
    pub(super) fn selecting(subprotocol: Option<&str>) -> Self {
        Self {
            subprotocol: subprotocol.map(Into::into),
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }

    /// The subprotocol, if any.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Whether permessage-deflate is used.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn uses_deflate(&self) -> bool {
        self.deflate.is_some()
    }

    /// The value of the header with which a client offers extensions, if it does.
    #[cfg_attr(not(feature = "deflate"), expect(unused_variables, reason = "no extension is built"))]
    pub(super) fn offer_extensions(config: &Config) -> Option<String> {
        #[cfg(feature = "deflate")]
        if let Some(wanted) = &config.deflate {
            return Some(offer_header(wanted));
        }
        None
    }

    /// A server's answer to the extensions that the request offers; returns the header that says so.
    #[cfg_attr(
        not(feature = "deflate"),
        expect(unused_variables, clippy::unused_self, reason = "no extension is built")
    )]
    pub(super) fn answer_extensions(&mut self, request: &Request, config: &Config) -> Option<String> {
        #[cfg(feature = "deflate")]
        if let Some(wanted) = &config.deflate
            && let Some((agreed, header)) = Agreed::answer(request.extensions(), wanted)
        {
            self.deflate = Some(agreed);
            return Some(header);
        }
        None
    }

    /// A client's check of the extensions in the response. RFC 6455 §9.1: only what was offered may be in it, as its
    /// own specification has it.
    #[cfg_attr(not(feature = "deflate"), expect(unused_variables, clippy::unused_self, reason = "nothing was offered"))]
    pub(super) fn check_extensions(
        &mut self,
        answered: &[Extension],
        config: &Config,
    ) -> Result<(), HandshakeErrorKind> {
        if answered.is_empty() {
            return Ok(());
        }
        #[cfg(feature = "deflate")]
        if let Some(agreed) = config.deflate.as_ref().and_then(|wanted| Agreed::of_response(answered, wanted)) {
            self.deflate = Some(agreed);
            return Ok(());
        }
        Err(HandshakeErrorKind::InvalidExtensions)
    }
}
