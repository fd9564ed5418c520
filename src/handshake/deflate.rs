//! Negotiates permessage-deflate (RFC 7692 §5, §7.1): writes and reads offers, selects one, checks the response.

use alloc::format;
use alloc::string::String;

use super::grammar::Extension;
use crate::deflate::{AgreedParameters, Deflate, DeflateParameter};

const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// The parameters of a valid permessage-deflate element of Sec-WebSocket-Extensions, in an offer or a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::option_option, reason = "absent, without a value, with a value")]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// `Some(None)` is the parameter without a value, which only an offer may have.
    client_max_window_bits: Option<Option<u8>>,
}

/// Accepts the first acceptable offer (RFC 7692 §5: "the client's order of preference"). Returns the agreed
/// parameters and the value of the response's header. `None` declines all offers; the connection then has no
/// compression.
pub(super) fn accept_offer(offers: &[Extension], config: &Deflate) -> Option<(AgreedParameters, String)> {
    let offers = offers.iter().filter(|offer| offer.name == NAME);
    let response = offers.filter_map(Parameters::read).find_map(|offer| respond(offer, config))?;
    Some((agreed_as_server(response, config), response.element()))
}

/// Checks the server's response (RFC 7692 §5.1, §7.1). On `None`, the client must fail the connection.
pub(super) fn check_response(elements: &[Extension], config: &Deflate) -> Option<AgreedParameters> {
    // §5: no second element, which would use the same reserved bit.
    let [element] = elements else { return None };
    if element.name != NAME {
        return None;
    }
    let response = Parameters::read(element)?;
    let offer = Parameters::offer(config, DeflateParameter::Prefer);
    // Every offer has the required parameters, so a response without one matches no offer.
    let missing = config.server_takes_no_context() == DeflateParameter::Require && !response.server_no_context_takeover
        || config.server_max_window_bits == DeflateParameter::Require && response.server_max_window_bits.is_none();
    // The server may choose a smaller window than we offered, or limit it unasked; it may not exceed what every
    // offer allowed.
    let too_large = Parameters::offer(config, DeflateParameter::Require)
        .server_max_window_bits
        .is_some_and(|offered| response.server_max_window_bits.is_some_and(|selected| selected > offered));
    // §7.1.2.2: a response may limit the client's window only if that was offered, and always with a value.
    let mismatched = match (response.client_max_window_bits, offer.client_max_window_bits) {
        (None, _) => config.client_max_window_bits == DeflateParameter::Require,
        (Some(selected), offered) => selected.is_none() || offered.is_none(),
    };
    if missing || too_large || mismatched { None } else { Some(agreed_as_client(response, config)) }
}

fn agreed_as_server(response: Parameters, config: &Deflate) -> AgreedParameters {
    let (own_no_takeover, peer_no_takeover) =
        (response.server_no_context_takeover, response.client_no_context_takeover);
    AgreedParameters::new(config, response.server_max_window_bits, !own_no_takeover, !peer_no_takeover)
}

fn agreed_as_client(response: Parameters, config: &Deflate) -> AgreedParameters {
    // RFC 7692 §7.1.1.2: a client may give up its own context takeover without an agreement.
    let own_no_takeover =
        response.client_no_context_takeover || config.client_takes_no_context() == DeflateParameter::Require;
    let own_bits = response.client_max_window_bits.flatten();
    AgreedParameters::new(config, own_bits, !own_no_takeover, !response.server_no_context_takeover)
}

/// The server's response to one valid offer, or `None` to decline it.
fn respond(offer: Parameters, config: &Deflate) -> Option<Parameters> {
    use DeflateParameter::{Prefer, Reject, Require};

    // RFC 7692 §7.1.1.1: "A server accepts an extension negotiation offer that includes the
    // "server_no_context_takeover" extension parameter by including" it in the response. It may include it unasked.
    let server_no_takeover = config.server_takes_no_context();
    if offer.server_no_context_takeover && server_no_takeover == Reject {
        return None;
    }
    // §7.1.1.2: an offered "client_no_context_takeover" is a hint, which a server may ignore. It may include it
    // unasked.
    let client_no_takeover = config.client_takes_no_context();
    let server_bits = match (offer.server_max_window_bits, config.server_max_window_bits) {
        (Some(_), Reject) => return None,
        // §7.1.2.1: with "the same or smaller value as the offer".
        (Some(bits), _) => Some(bits.min(config.window_bits)),
        (None, Prefer | Require) => Some(config.window_bits),
        (None, _) => None,
    };
    let client_bits = match (offer.client_max_window_bits, config.client_max_window_bits) {
        // §7.1.2.2: "a server MUST NOT include [it] if the corresponding extension negotiation offer didn't".
        (None, Require) => return None,
        (Some(bits), Prefer | Require) => Some(Some(config.peer_window_bits.min(bits.unwrap_or(15)))),
        (Some(bits), DeflateParameter::Allow) => bits.map(|bits| Some(bits.min(config.peer_window_bits))),
        (None, _) | (_, Reject) => None,
    };
    Some(Parameters {
        server_no_context_takeover: offer.server_no_context_takeover || server_no_takeover >= Prefer,
        client_no_context_takeover: client_no_takeover >= Prefer
            || offer.client_no_context_takeover && client_no_takeover != Reject,
        server_max_window_bits: server_bits,
        client_max_window_bits: client_bits,
    })
}

/// The value of Sec-WebSocket-Extensions in a request: the preferred offer, then, if it differs, the fallback.
pub(super) fn offer_header(config: &Deflate) -> String {
    let offer = Parameters::offer(config, DeflateParameter::Prefer);
    let fallback = Parameters::offer(config, DeflateParameter::Require);
    let asks_of_server = |offer: Parameters| (offer.server_no_context_takeover, offer.server_max_window_bits);
    if asks_of_server(offer) == asks_of_server(fallback) {
        return offer.element();
    }
    // The client's own parameters are the same in both.
    let second = Parameters {
        server_no_context_takeover: fallback.server_no_context_takeover,
        server_max_window_bits: fallback.server_max_window_bits,
        ..offer
    };
    format!("{}, {}", offer.element(), second.element())
}

impl Parameters {
    /// A client's offer with every parameter that the config sets to `least` or more.
    fn offer(config: &Deflate, least: DeflateParameter) -> Self {
        Self {
            server_no_context_takeover: config.server_takes_no_context() >= least,
            client_no_context_takeover: config.client_takes_no_context() >= least,
            server_max_window_bits: (config.server_max_window_bits >= least).then_some(config.peer_window_bits),
            client_max_window_bits: (config.client_max_window_bits >= least).then_some(None),
        }
    }

    /// Parses an element's parameters. RFC 7692 §7: unknown or repeated parameters and invalid values make an element
    /// unacceptable.
    fn read(element: &Extension) -> Option<Self> {
        let mut parameters = Self::default();
        for (name, value) in &element.parameters {
            let value = value.as_deref();
            let repeated = match name.as_str() {
                SERVER_NO_CONTEXT_TAKEOVER if value.is_none() => {
                    core::mem::replace(&mut parameters.server_no_context_takeover, true)
                }
                CLIENT_NO_CONTEXT_TAKEOVER if value.is_none() => {
                    core::mem::replace(&mut parameters.client_no_context_takeover, true)
                }
                SERVER_MAX_WINDOW_BITS => parameters.server_max_window_bits.replace(window_bits(value?)?).is_some(),
                CLIENT_MAX_WINDOW_BITS => {
                    let bits = match value {
                        Some(value) => Some(window_bits(value)?),
                        None => None,
                    };
                    parameters.client_max_window_bits.replace(bits).is_some()
                }
                _ => return None,
            };
            if repeated {
                return None;
            }
        }
        Some(parameters)
    }

    /// The element for Sec-WebSocket-Extensions.
    fn element(self) -> String {
        let mut element = String::from(NAME);
        let mut put = |parameter: &str| {
            element.push_str("; ");
            element.push_str(parameter);
        };
        if self.server_no_context_takeover {
            put(SERVER_NO_CONTEXT_TAKEOVER);
        }
        if self.client_no_context_takeover {
            put(CLIENT_NO_CONTEXT_TAKEOVER);
        }
        if let Some(bits) = self.server_max_window_bits {
            put(&format!("{SERVER_MAX_WINDOW_BITS}={bits}"));
        }
        match self.client_max_window_bits {
            Some(Some(bits)) => put(&format!("{CLIENT_MAX_WINDOW_BITS}={bits}")),
            Some(None) => put(CLIENT_MAX_WINDOW_BITS),
            None => {}
        }
        element
    }
}

/// Parses a window size. RFC 7692 §7.1.2: "a decimal integer value without leading zeroes between 8 to 15, inclusive".
fn window_bits(value: &str) -> Option<u8> {
    let bits = value.parse().ok().filter(|bits| (8..=15).contains(bits))?;
    (!value.starts_with(['0', '+'])).then_some(bits)
}
