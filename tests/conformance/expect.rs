//! `Expect: 100-continue` in a request to upgrade (RFC 9110 §7.8, §10.1.1).

use websocket_proto::handshake::{Bootstrap, parse_extended_connect};
use websocket_proto::{Accept, Config, Event, HandshakeErrorKind, Output, Reject, State};

use crate::harness::{REQUEST, drain, every_cut, every_cut_with};
use crate::http::{Head, add, assert_opens, assert_request_rejected, parsed, replace, waiting};
use crate::rows;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Header lines with the expectation: RFC 9110 §10.1.1, "The Expect field value is case-insensitive."
const EXPECTING: [&str; 6] = [
    "Expect: 100-continue\r\n",
    "expect:100-Continue\r\n",
    "EXPECT: \t100-CONTINUE \r\n",
    "Expect: x, 100-continue\r\n",
    "Expect: ,100-continue ,y=z\r\n",
    "Expect: x\r\nExpect: 100-continue\r\n",
];

/// Header lines without it. §10.1.1: a server "MAY respond with a 417 (Expectation Failed)" to another expectation;
/// this one ignores it.
const OTHERS: [&str; 6] = [
    "",
    "Expect: \r\n",
    "Expect: x\r\n",
    "Expect: 100-continued\r\n",
    "Expect: 100-continue=1\r\n",
    "X-Expect: 100-continue\r\n",
];

/// RFC 9110 §7.8: "the server MUST send a 100 (Continue) response before sending a 101 (Switching Protocols) response."
#[test]
fn a_100_comes_before_the_101() {
    rows!("6455-4.2.2-12", "6455-4.2.1-12");
    let plain = every_cut(waiting, REQUEST.as_bytes()).output;
    for lines in EXPECTING {
        let outcome = every_cut(waiting, add(REQUEST, lines).as_bytes());
        assert_eq!((&outcome.events[..], outcome.state), (&[][..], State::Open));
        assert_eq!(outcome.output, [CONTINUE, &plain].concat(), "{lines}");
    }
    for lines in OTHERS {
        assert_opens(&add(REQUEST, lines));
        assert_eq!(every_cut(waiting, add(REQUEST, lines).as_bytes()).output, plain, "{lines}");
    }
    let accept = Accept::new().header("X", "y").expect("a valid header");
    let outcome = every_cut_with(waiting, add(REQUEST, EXPECTING[0]).as_bytes(), &|ws, event, output| {
        let Event::Request(request) = event else { return Some(event) };
        assert!(output.is_empty(), "nothing is answered before the decision");
        assert_eq!(ws.accept_with(request, &accept, output), Ok(()));
        None
    });
    let head = Head::parse(outcome.output.strip_prefix(CONTINUE).expect("100 comes first"));
    assert_eq!((head.first_line.as_str(), head.only("X")), ("HTTP/1.1 101 Switching Protocols", "y"));
}

/// A rejection is a final response, which needs no 100 before it.
#[test]
fn no_100_before_a_rejection() {
    rows!("6455-4.2.2-5");
    for lines in EXPECTING {
        let outcome = every_cut_with(waiting, add(REQUEST, lines).as_bytes(), &|ws, event, output| {
            let Event::Request(request) = event else { return Some(event) };
            ws.reject(request, &Reject::forbidden(), output);
            None
        });
        assert_eq!(Head::parse(&outcome.output).first_line, "HTTP/1.1 403 Forbidden");
        let rejection = parsed(&add(REQUEST, lines)).reject(&Reject::not_found());
        assert_eq!(Head::parse(&written(&rejection)).first_line, "HTTP/1.1 404 Not Found");
    }
}

/// A request that is rejected as malformed gets none either; §10.1.1: "A server that receives a 100-continue
/// expectation in an HTTP/1.0 request MUST ignore that expectation."
#[test]
fn no_100_for_an_invalid_request() {
    rows!("6455-4.2.1-0");
    let expecting = add(REQUEST, EXPECTING[0]);
    assert_request_rejected(expecting.replace("HTTP/1.1", "HTTP/1.0"), HandshakeErrorKind::HttpVersionTooOld);
    assert_request_rejected(replace(&expecting, "Upgrade", ""), HandshakeErrorKind::MissingUpgrade);
    assert_request_rejected(add(&expecting, "Content-Length: 5\r\n"), HandshakeErrorKind::UnexpectedBody);
}

/// For a request that the caller parsed: the answer's own bytes include the 100; its status and headers, for an HTTP
/// stack that sends them, do not.
#[test]
fn an_answer_is_written_with_its_100() {
    rows!("6455-4.2.2-12");
    let answer = |request: &str| parsed(request).accept(&Accept::new(), &Config::new()).expect("the answer is valid").0;
    let plain = answer(REQUEST);
    for lines in EXPECTING {
        let expected = answer(&add(REQUEST, lines));
        assert_eq!(written(&expected), [CONTINUE, &written(&plain)].concat());
        assert_eq!((expected.status(), expected.headers()), (101, plain.headers()));
    }
    for lines in OTHERS {
        assert_eq!(written(&answer(&add(REQUEST, lines))), written(&plain));
    }
}

/// HTTP/2 and HTTP/3 have no 101 that a 100 would precede.
#[test]
fn an_extended_connect_has_no_100() {
    rows!("6455-4.2.2-12");
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":authority", "h"),
        (":path", "/"),
        ("sec-websocket-version", "13"),
        ("expect", "100-continue"),
    ];
    let request = parse_extended_connect(fields).expect("the handshake succeeds");
    assert_eq!(request.bootstrap(), Bootstrap::ExtendedConnect);
    let (answer, _) = request.accept(&Accept::new(), &Config::new()).expect("the answer is valid");
    assert!(!written(&answer).starts_with(CONTINUE) && answer.status() == 200);
}

fn written(answer: &websocket_proto::handshake::Answer) -> Vec<u8> {
    let mut output = Output::new();
    answer.write_http1(&mut output);
    drain(&mut output)
}
