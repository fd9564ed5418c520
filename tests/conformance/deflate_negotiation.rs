//! Negotiating permessage-deflate (RFC 7692 §5, §7, §7.1).

use websocket_proto::DeflateParameter::{self, Allow, Prefer, Reject, Require};
use websocket_proto::{ClientRequest, Config, Connection, ConnectionError, Deflate, Event, HandshakeErrorKind, State};

use crate::deflate::extensions;
use crate::harness::{REQUEST, connecting, every_cut, feed, header, response_to};
use crate::http::{Head, add};
use crate::rows;

const SETTINGS: [DeflateParameter; 4] = [Reject, Allow, Prefer, Require];

/// The extensions with which a server of this configuration answers the offers; the handshake succeeds in any case.
#[track_caller]
fn answer(deflate: &Deflate, offers: &str) -> Option<String> {
    let request = add(REQUEST, &extensions(offers));
    let outcome = every_cut(|| Connection::server(Config::new().deflate(deflate.clone())), request.as_bytes());
    read_answer(&outcome, offers)
}

#[track_caller]
fn read_answer(outcome: &crate::harness::Outcome, offers: &str) -> Option<String> {
    assert_eq!((&outcome.events[..], outcome.state), (&[][..], State::Open), "{offers}");
    let head = Head::parse(&outcome.output);
    assert_eq!(head.first_line, "HTTP/1.1 101 Switching Protocols", "{offers}");
    let answers = head.all("Sec-WebSocket-Extensions");
    assert!(answers.len() <= 1, "{answers:?}");
    answers.first().map(|answer| (*answer).to_owned())
}

/// The offer of a client with this configuration.
fn offer(deflate: Deflate) -> String {
    let (_, request) = connecting(&ClientRequest::new("ws://server.example.com/chat"), Config::new().deflate(deflate));
    header(&request, "Sec-WebSocket-Extensions").expect("it offers").to_owned()
}

/// Whether a client with this configuration opens with these header lines in the response. If it opens, it uses
/// compression exactly if `lines` is not empty.
#[track_caller]
fn opens_on(deflate: &Deflate, lines: &str, every: bool) -> bool {
    let request = ClientRequest::new("ws://server.example.com/chat");
    let make = || connecting(&request, Config::new().deflate(deflate.clone())).0;
    let (_, sent) = connecting(&request, Config::new().deflate(deflate.clone()));
    let response = response_to(&sent, lines);
    let outcome = if every { every_cut(make, &response) } else { feed(&mut make(), [&response[..]]) };
    assert_eq!(outcome.output, b"", "{lines}");
    match &outcome.events[..] {
        [Event::Open(_)] => {
            let mut client = make();
            feed(&mut client, [&response[..]]);
            assert_eq!(client.uses_deflate(), !lines.is_empty(), "{lines}");
            true
        }
        [Event::Closed(closed)] => {
            let Some(ConnectionError::Handshake(error)) = closed.error() else { panic!("{closed:?}") };
            assert_eq!(error.kind(), HandshakeErrorKind::InvalidExtensions, "{lines}");
            assert_eq!((closed.code(), outcome.state), (1006, State::Closed), "{lines}");
            false
        }
        events => panic!("{lines}: {events:?}"),
    }
}

#[track_caller]
fn accepts(deflate: &Deflate, answer: &str) -> bool {
    opens_on(deflate, &extensions(answer), true)
}

/// A configuration with these four parameters, a window of 11 bits for this side and 10 for the peer.
fn configured([server_no_takeover, client_no_takeover, server_bits, client_bits]: [DeflateParameter; 4]) -> Deflate {
    Deflate::new()
        .window_bits(11)
        .peer_window_bits(10)
        .server_no_context_takeover(server_no_takeover)
        .client_no_context_takeover(client_no_takeover)
        .server_max_window_bits(server_bits)
        .client_max_window_bits(client_bits)
}

/// Every combination of settings for the four parameters.
fn all_settings() -> impl Iterator<Item = [DeflateParameter; 4]> {
    (0..256).map(|i| [SETTINGS[i / 64], SETTINGS[i / 16 % 4], SETTINGS[i / 4 % 4], SETTINGS[i % 4]])
}

/// A legal element, offered or answered: each flag, and each window with its value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(clippy::option_option, reason = "absent, without a value, with one")]
struct Element {
    server_no_takeover: bool,
    client_no_takeover: bool,
    server_bits: Option<u8>,
    client_bits: Option<Option<u8>>,
}

impl Element {
    /// Every combination of these windows and the two flags.
    #[expect(clippy::option_option, reason = "absent, without a value, with one")]
    fn all(server_bits: &[Option<u8>], client_bits: &[Option<Option<u8>>]) -> Vec<Self> {
        let fresh = [(false, false), (false, true), (true, false), (true, true)];
        let bits = server_bits.iter().flat_map(|server| client_bits.iter().map(move |client| (*server, *client)));
        bits.flat_map(|(server_bits, client_bits)| {
            fresh.map(|(server_no_takeover, client_no_takeover)| Self {
                server_no_takeover,
                client_no_takeover,
                server_bits,
                client_bits,
            })
        })
        .collect()
    }

    fn text(self) -> String {
        let client_bits = self.client_bits.map(|bits| match bits {
            Some(bits) => format!("; client_max_window_bits={bits}"),
            None => "; client_max_window_bits".to_owned(),
        });
        [
            Some("permessage-deflate".to_owned()),
            self.server_bits.map(|bits| format!("; server_max_window_bits={bits}")),
            self.server_no_takeover.then(|| "; server_no_context_takeover".to_owned()),
            client_bits,
            self.client_no_takeover.then(|| "; client_no_context_takeover".to_owned()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    #[track_caller]
    fn parse(text: &str) -> Self {
        let mut parts = text.split("; ");
        assert_eq!(parts.next(), Some("permessage-deflate"));
        let mut element = Self::default();
        for part in parts {
            let (name, value) = part.split_once('=').map_or((part, None), |(name, value)| (name, Some(value)));
            let bits = value.map(|value| value.parse().expect("a number"));
            match name {
                "server_no_context_takeover" => element.server_no_takeover = true,
                "client_no_context_takeover" => element.client_no_takeover = true,
                "server_max_window_bits" => element.server_bits = Some(bits.expect("with a value")),
                "client_max_window_bits" => element.client_bits = Some(bits),
                _ => panic!("{part}"),
            }
        }
        element
    }
}

#[test]
fn a_server_answers_every_offer_by_its_settings() {
    rows!("7692-7.1.1.1-2", "7692-7.1.1.1-3", "7692-7.1.1.1-4", "7692-7.1.1.2-2", "7692-7.1.1.2-3", "7692-7-4");
    rows!("7692-7.1.2.1-2", "7692-7.1.2.1-3", "7692-7.1.2.1-4", "7692-7.1.2.2-2", "7692-7.1.2.2-3", "7692-5-3");
    let bits = [None, Some(None), Some(Some(9)), Some(Some(15))];
    let offers = Element::all(&[None, Some(8), Some(12)], &bits);
    for settings @ [server_no_takeover, client_no_takeover, server_bits, client_bits] in all_settings() {
        for offer in &offers {
            let (what, text) = (format!("{settings:?}, {offer:?}"), offer.text());
            let mut server = Connection::server(Config::new().deflate(configured(settings)));
            let request = add(REQUEST, &extensions(&text));
            let answer = read_answer(&feed(&mut server, [request.as_bytes()]), &text);
            let declined = server_no_takeover == Reject && offer.server_no_takeover
                || server_bits == Reject && offer.server_bits.is_some()
                || client_bits == Require && offer.client_bits.is_none();
            assert_eq!((answer.is_none(), server.uses_deflate()), (declined, !declined), "{what}");
            let Some(answer) = answer.map(|answer| Element::parse(&answer)) else { continue };
            // The answer has what the offer asks for, and what the server's configuration prefers or requires.
            assert_eq!(answer.server_no_takeover, offer.server_no_takeover || server_no_takeover >= Prefer, "{what}");
            let hinted = offer.client_no_takeover && client_no_takeover != Reject;
            assert_eq!(answer.client_no_takeover, hinted || client_no_takeover >= Prefer, "{what}");
            let unasked = (server_bits >= Prefer).then_some(11);
            assert_eq!(answer.server_bits, offer.server_bits.map(|bits| bits.min(11)).or(unasked), "{what}");
            let most = offer.client_bits.map(|bits| bits.unwrap_or(15).min(10));
            match client_bits {
                Reject => assert_eq!(answer.client_bits, None, "{what}"),
                // Without a value, the parameter only allows the server to limit the client's window.
                Allow if offer.client_bits == Some(None) => assert_eq!(answer.client_bits, None, "{what}"),
                Allow | Prefer | Require => assert_eq!(answer.client_bits, most.map(Some), "{what}"),
            }
        }
    }
}

#[test]
fn a_server_accepts_the_first_acceptable_offer() {
    rows!("7692-5-2", "7692-5-3", "7692-7.1.3-1", "7692-7.1.2.2-1", "6455-9-4");
    let deflate = Deflate::new().window_bits(15).peer_window_bits(15).client_max_window_bits(Allow);
    for (offers, expected) in [
        // Examples from the RFC.
        ("permessage-deflate", Some("")),
        ("permessage-deflate; client_max_window_bits; server_max_window_bits=10", Some("; server_max_window_bits=10")),
        (
            "permessage-deflate; client_max_window_bits; server_max_window_bits=10, \
             permessage-deflate; client_max_window_bits",
            Some("; server_max_window_bits=10"),
        ),
        ("permessage-deflate; server_max_window_bits=7, permessage-deflate", Some("")),
        ("x-foo; y=1, permessage-deflate; client_max_window_bits=9", Some("; client_max_window_bits=9")),
        ("permessage-deflate; x, permessage-deflate; server_no_context_takeover", Some("; server_no_context_takeover")),
        ("permessage-deflate; server_max_window_bits=\"9\"", Some("; server_max_window_bits=9")),
        ("permessage-deflate;server_max_window_bits=\"\\1\\0\"", Some("; server_max_window_bits=10")),
        ("x-webkit-deflate-frame, deflate-frame", None),
    ] {
        let expected = expected.map(|parameters| format!("permessage-deflate{parameters}"));
        assert_eq!(answer(&deflate, offers), expected, "{offers}");
    }
    // Offers may be in several header lines.
    let lines = [extensions("permessage-deflate; foo"), extensions("permessage-deflate; server_max_window_bits=8")];
    let request = add(REQUEST, &lines.concat());
    let outcome = every_cut(|| Connection::server(Config::new().deflate(deflate.clone())), request.as_bytes());
    let expected = Some("permessage-deflate; server_max_window_bits=8".to_owned());
    assert_eq!(read_answer(&outcome, &request), expected);
    // A server that cannot accept the first element accepts the second.
    let rejecting = Deflate::new().server_max_window_bits(Reject);
    let both = "permessage-deflate; server_max_window_bits=10, permessage-deflate";
    assert_eq!(answer(&rejecting, both).as_deref(), Some("permessage-deflate"));
    assert_eq!(answer(&rejecting, "permessage-deflate; server_max_window_bits=10"), None);
}

/// Parameters that no element may have.
const ILLEGAL: &[&str] = &[
    "foo",
    "foo=bar",
    "server_max_window_bits",
    "server_max_window_bits=7",
    "server_max_window_bits=16",
    "server_max_window_bits=010",
    "server_max_window_bits=08",
    "server_max_window_bits=\"08\"",
    "server_max_window_bits=+9",
    "server_max_window_bits=-9",
    "server_max_window_bits=0x9",
    "server_max_window_bits=9.0",
    "server_max_window_bits=265",
    "server_max_window_bits=4294967305",
    "client_max_window_bits=7",
    "client_max_window_bits=16",
    "client_max_window_bits=09",
    "client_max_window_bits=x",
    "client_max_window_bits=true",
    "server_no_context_takeover=1",
    "server_no_context_takeover=true",
    "server_no_context_takeover=\"true\"",
    "client_no_context_takeover=1",
    "Server_No_Context_Takeover",
    "SERVER_MAX_WINDOW_BITS=10",
    "server_max_window_bits=10; server_max_window_bits=11",
    "server_max_window_bits=10; server_max_window_bits=10",
    "client_max_window_bits=10; client_max_window_bits=10",
    "server_no_context_takeover; server_no_context_takeover",
    "client_no_context_takeover; server_no_context_takeover; client_no_context_takeover",
];

#[test]
fn illegal_offers_are_declined() {
    rows!("7692-7-1", "7692-7-2", "7692-7-3", "7692-7-9", "6455-9-4", "6455-9.1-4", "6455-9.1-5");
    let deflate = Deflate::new();
    let duplicate = "client_max_window_bits; client_max_window_bits=10";
    for illegal in ILLEGAL.iter().chain([&duplicate]) {
        assert_eq!(answer(&deflate, &format!("permessage-deflate; {illegal}")), None, "{illegal}");
        let fallback = format!("permessage-deflate; {illegal}, permessage-deflate");
        assert_eq!(answer(&deflate, &fallback).as_deref(), Some("permessage-deflate"), "{illegal}");
    }
    for other in ["Permessage-Deflate", "permessage-deflate2", "permessage-bzip2", "deflate"] {
        assert_eq!(answer(&deflate, other), None, "{other}");
    }
}

#[test]
fn illegal_answers_fail_the_client() {
    rows!(
        "7692-7-5",
        "7692-7-6",
        "7692-7-7",
        "7692-7-9",
        "7692-5-5",
        "7692-5-8",
        "6455-9.1-5",
        "6455-9.1-8",
        "6455-9-4"
    );
    // Parameters that an answer may have.
    let deflate = configured([Prefer; 4]).peer_window_bits(15);
    assert!(accepts(&deflate, "permessage-deflate; server_max_window_bits=10; client_max_window_bits=10"));
    assert!(accepts(&deflate, "permessage-deflate; server_max_window_bits=\"10\"; client_no_context_takeover"));
    for illegal in ILLEGAL.iter().chain([&"client_max_window_bits"]) {
        assert!(!accepts(&deflate, &format!("permessage-deflate; {illegal}")), "{illegal}");
    }
    for illegal in [
        "permessage-deflate, permessage-deflate",
        "permessage-deflate, x-foo",
        "x-foo, permessage-deflate",
        "x-foo",
        "Permessage-Deflate",
        "deflate-frame",
        "permessage-deflate; server_no_context_takeover, permessage-deflate",
    ] {
        assert!(!accepts(&deflate, illegal), "{illegal}");
    }
    assert!(!opens_on(&deflate, &extensions("permessage-deflate").repeat(2), true));
    assert!(opens_on(&deflate, "", true), "a server may decline");
}

#[test]
fn a_client_accepts_exactly_the_answers_that_its_settings_allow() {
    rows!("7692-7.1.1.1-5", "7692-7.1.2.1-5", "7692-7.1.2.2-4", "7692-7-8", "7692-5-8", "6455-9.1-8");
    let answers = Element::all(&[None, Some(8), Some(10), Some(15)], &[None, Some(Some(8)), Some(Some(15))]);
    for settings @ [server_no_takeover, _, server_bits, client_bits] in all_settings() {
        let deflate = configured(settings);
        for answer in &answers {
            // A required parameter is missing, or its window is larger than requested; or the answer limits the
            // client's window without an offer.
            let wrong = server_no_takeover == Require && !answer.server_no_takeover
                || server_bits == Require && answer.server_bits.is_none_or(|bits| bits > 10)
                || client_bits < Prefer && answer.client_bits.is_some()
                || client_bits == Require && answer.client_bits.is_none();
            // A window that is larger than the first offer requests can only answer the second one.
            assert_eq!(opens_on(&deflate, &extensions(&answer.text()), false), !wrong, "{settings:?}, {answer:?}");
        }
        assert!(opens_on(&deflate, "", false), "{settings:?}");
    }
}

#[test]
fn a_clients_offers_follow_its_settings() {
    rows!("7692-5-1", "7692-7.1.1.1-1", "7692-7.1.1.2-1", "7692-7.1.2.1-1", "7692-7.1.2.2-1", "6455-9-1", "6455-9.1-4");
    assert_eq!(Deflate::default(), Deflate::new());
    // Values out of range become the nearest one in range.
    assert_eq!(Deflate::new().level(10), Deflate::new().level(9));
    assert_ne!(Deflate::new().level(9), Deflate::new().level(8));
    assert_eq!(Deflate::new().memory_level(0).window_bits(0), Deflate::new().memory_level(1).window_bits(8));
    assert_eq!(Deflate::new().memory_level(10).window_bits(16), Deflate::new().memory_level(9).window_bits(15));
    let nothing = || configured([Reject; 4]);
    for (deflate, expected) in [
        (nothing(), "permessage-deflate"),
        (Deflate::new(), "permessage-deflate; client_max_window_bits"),
        (configured([Allow; 4]), "permessage-deflate"),
        (nothing().client_no_context_takeover(Prefer), "permessage-deflate; client_no_context_takeover"),
        (nothing().server_no_context_takeover(Require), "permessage-deflate; server_no_context_takeover"),
        (
            nothing().server_no_context_takeover(Prefer),
            "permessage-deflate; server_no_context_takeover, permessage-deflate",
        ),
        (nothing().server_max_window_bits(Require), "permessage-deflate; server_max_window_bits=10"),
        (
            nothing().server_max_window_bits(Prefer).server_no_context_takeover(Require),
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=10, \
             permessage-deflate; server_no_context_takeover",
        ),
        // Windows have 8 to 15 bits; values out of range become the nearest one.
        (nothing().server_max_window_bits(Require).peer_window_bits(7), "permessage-deflate; server_max_window_bits=8"),
        (
            nothing().server_max_window_bits(Require).peer_window_bits(16),
            "permessage-deflate; server_max_window_bits=15",
        ),
        (
            Deflate::new().shared().client_max_window_bits(Reject),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        ),
    ] {
        assert_eq!(offer(deflate), expected);
    }
    // A server accepts each of these offers.
    for settings in all_settings() {
        let offers = offer(configured(settings));
        let mut server = Connection::server(Config::new().deflate(Deflate::new()));
        let request = add(REQUEST, &extensions(&offers));
        let answer = read_answer(&feed(&mut server, [request.as_bytes()]), &offers).expect("accepted");
        assert!(opens_on(&configured(settings), &extensions(&answer), false), "{settings:?}: {offers} → {answer}");
    }
}
