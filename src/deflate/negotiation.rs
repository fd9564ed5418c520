//! Negotiating permessage-deflate (RFC 7692 §5, §7.1): reading offers, answering one, checking the answer. Nothing is
//! compressed here.

use alloc::format;
use alloc::string::String;

use super::{Deflate, Parameter};
use crate::handshake::Extension;

const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// What both sides agreed on, as this side needs it. Small, because an idle connection holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) threshold: u16,
    pub(crate) level: u8,
    pub(crate) memory_level: u8,
    /// How large a window this side's compressor uses. The peer's does not matter: zlib-rs decompresses with the
    /// largest in any case.
    pub(crate) own_bits: u8,
    /// Whether this side's messages may refer to those before them.
    pub(crate) own_takeover: bool,
    /// Whether the peer's may.
    pub(crate) peer_takeover: bool,
    pub(crate) shared: bool,
}

/// An element of Sec-WebSocket-Extensions that is a legal permessage-deflate, as an offer or as a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::option_option, reason = "absent, without a value, with one")]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// `Some(None)`: without a value, as only an offer may have it.
    client_max_window_bits: Option<Option<u8>>,
}

impl Agreed {
    /// The window that the compressor works with. zlib has no raw one of 8 bits; its 9 never reach further back than
    /// 512 - 262 bytes, which 8 can undo.
    pub(crate) fn used_bits(self) -> u8 {
        self.own_bits.max(9)
    }

    /// Answers the first offer that is acceptable (RFC 7692 §5: "the client's order of preference"); returns what was
    /// agreed, and the value of the response's header. `None` declines them all, and the connection goes on without.
    pub(crate) fn answer(offers: &[Extension], wanted: &Deflate) -> Option<(Self, String)> {
        let offers = offers.iter().filter(|offer| offer.name == NAME);
        let response = offers.filter_map(Parameters::read).find_map(|offer| respond(offer, wanted))?;
        Some((Self::as_server(response, wanted), response.element()))
    }

    /// Checks what the server answered (RFC 7692 §5.1, §7.1); `None` fails the connection.
    pub(crate) fn of_response(elements: &[Extension], wanted: &Deflate) -> Option<Self> {
        // §5: a second element would use the same reserved bit.
        let [element] = elements else { return None };
        if element.name != NAME {
            return None;
        }
        let response = Parameters::read(element)?;
        let offer = Parameters::offer(wanted, Parameter::Prefer);
        // What was required is in every offer, so that its absence corresponds to none.
        let missing = wanted.server_takes_no_context() == Parameter::Require && !response.server_no_context_takeover
            || wanted.server_max_window_bits == Parameter::Require && response.server_max_window_bits.is_none();
        // A smaller window than asked for is fine, and so is one that was not asked for, as by an offer to settle for;
        // a larger one than every offer asked for is not.
        let too_large = Parameters::offer(wanted, Parameter::Require)
            .server_max_window_bits
            .is_some_and(|asked| response.server_max_window_bits.is_some_and(|answered| answered > asked));
        // §7.1.2.2: the client's own only if it was offered, and in a response always with a value.
        let unasked = match (response.client_max_window_bits, offer.client_max_window_bits) {
            (None, _) => wanted.client_max_window_bits == Parameter::Require,
            (Some(answered), offered) => answered.is_none() || offered.is_none(),
        };
        if missing || too_large || unasked { None } else { Some(Self::as_client(response, wanted)) }
    }

    fn as_server(response: Parameters, wanted: &Deflate) -> Self {
        let (own_fresh, peer_fresh) = (response.server_no_context_takeover, response.client_no_context_takeover);
        Self::new(wanted, response.server_max_window_bits, !own_fresh, !peer_fresh)
    }

    fn as_client(response: Parameters, wanted: &Deflate) -> Self {
        // RFC 7692 §7.1.1.2: a client may start every message anew unasked.
        let own_fresh = response.client_no_context_takeover || wanted.client_takes_no_context() == Parameter::Require;
        let own_bits = response.client_max_window_bits.flatten();
        Self::new(wanted, own_bits, !own_fresh, !response.server_no_context_takeover)
    }

    fn new(wanted: &Deflate, own_bits: Option<u8>, own_takeover: bool, peer_takeover: bool) -> Self {
        Self {
            threshold: wanted.threshold,
            level: wanted.level,
            memory_level: wanted.memory_level,
            own_bits: own_bits.unwrap_or(15).min(wanted.window_bits),
            own_takeover,
            peer_takeover,
            shared: wanted.shared,
        }
    }
}

/// The server's answer to one legal offer, or `None` to decline it.
fn respond(offer: Parameters, wanted: &Deflate) -> Option<Parameters> {
    use Parameter::{Prefer, Refuse, Require};

    // RFC 7692 §7.1.1.1: "A server accepts an extension negotiation offer that includes the
    // "server_no_context_takeover" extension parameter by including" it in the response; it may include it unasked.
    let server_fresh = wanted.server_takes_no_context();
    if offer.server_no_context_takeover && server_fresh == Refuse {
        return None;
    }
    // §7.1.1.2: for the client's own it is a hint, which a server may ignore; it may include it unasked.
    let client_fresh = wanted.client_takes_no_context();
    let server_bits = match (offer.server_max_window_bits, wanted.server_max_window_bits) {
        (Some(_), Refuse) => return None,
        // §7.1.2.1: with "the same or smaller value as the offer".
        (Some(bits), _) => Some(bits.min(wanted.window_bits)),
        (None, Prefer | Require) => Some(wanted.window_bits),
        (None, _) => None,
    };
    let client_bits = match (offer.client_max_window_bits, wanted.client_max_window_bits) {
        // §7.1.2.2: "a server MUST NOT include [it] if the corresponding extension negotiation offer didn't".
        (None, Require) => return None,
        (Some(bits), Prefer | Require) => Some(Some(wanted.peer_window_bits.min(bits.unwrap_or(15)))),
        (Some(bits), Parameter::Allow) => bits.map(|bits| Some(bits.min(wanted.peer_window_bits))),
        (None, _) | (_, Refuse) => None,
    };
    Some(Parameters {
        server_no_context_takeover: offer.server_no_context_takeover || server_fresh >= Prefer,
        client_no_context_takeover: client_fresh >= Prefer
            || offer.client_no_context_takeover && client_fresh != Refuse,
        server_max_window_bits: server_bits,
        client_max_window_bits: client_bits,
    })
}

/// The value of the header with which a client offers: what it prefers first, then what it settles for.
pub(crate) fn offer_header(wanted: &Deflate) -> String {
    let offer = Parameters::offer(wanted, Parameter::Prefer);
    let settled = Parameters::offer(wanted, Parameter::Require);
    let asks_of_server = |offer: Parameters| (offer.server_no_context_takeover, offer.server_max_window_bits);
    if asks_of_server(offer) == asks_of_server(settled) {
        return offer.element();
    }
    // What the client says of itself, it says in both.
    let second = Parameters {
        server_no_context_takeover: settled.server_no_context_takeover,
        server_max_window_bits: settled.server_max_window_bits,
        ..offer
    };
    format!("{}, {}", offer.element(), second.element())
}

impl Parameters {
    /// A client's offer with everything that is wanted at least so much.
    fn offer(wanted: &Deflate, least: Parameter) -> Self {
        Self {
            server_no_context_takeover: wanted.server_takes_no_context() >= least,
            client_no_context_takeover: wanted.client_takes_no_context() >= least,
            server_max_window_bits: (wanted.server_max_window_bits >= least).then_some(wanted.peer_window_bits),
            client_max_window_bits: (wanted.client_max_window_bits >= least).then_some(None),
        }
    }

    /// RFC 7692 §7: unknown or repeated parameters and invalid values make an element unacceptable.
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

/// RFC 7692 §7.1.2: "a decimal integer value without leading zeroes between 8 to 15, inclusive".
fn window_bits(value: &str) -> Option<u8> {
    let bits = value.parse().ok().filter(|bits| (8..=15).contains(bits))?;
    (!value.starts_with(['0', '+'])).then_some(bits)
}
