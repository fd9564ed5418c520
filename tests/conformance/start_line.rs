//! The first line of a head: other protocols are rejected within it, and later minor versions are accepted.

use websocket_proto::handshake::{Bootstrap, parse_request};
use websocket_proto::{Config, Connection, ConnectionError, Event, HandshakeErrorKind as Kind, State};

use crate::harness::{REQUEST, connecting, every_cut};
use crate::http::{
    Head, answered, asking_for, assert_fails, assert_opens, assert_rejection, assert_request_rejected, offering,
    parsed, replace, response, some_cuts, waiting,
};
use crate::rows;

/// First bytes of other protocols, with the offset at which a server rejects them.
const OTHERS: [(&[u8], Kind, u64); 22] = [
    (b"SSH-2.0-x\r\n", Kind::MalformedHttp, 9),
    (b"220 smtp.invalid\r\n", Kind::MalformedHttp, 16),
    (b"220 smtp.invalid ESMTP\r\n", Kind::MalformedHttp, 17),
    (b"EHLO x\r\n", Kind::MalformedHttp, 6),
    (b"QUIT\r\n", Kind::MalformedHttp, 4),
    (b"* OK IMAP4rev1\r\n", Kind::MalformedHttp, 5),
    (b"a1 LOGIN b c\r\n", Kind::MalformedHttp, 9),
    // HTTP/2 with prior knowledge, and versions that HTTP/1 never had.
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Kind::UnsupportedHttpVersion, 11),
    (b"GET / HTTP/2", Kind::UnsupportedHttpVersion, 11),
    (b"GET / HTTP/0.9\r\n", Kind::UnsupportedHttpVersion, 11),
    (b"GET / HTTP/10.0\r\n", Kind::MalformedHttp, 12),
    (b"GET / HTTP/1.10\r\n", Kind::MalformedHttp, 14),
    (b"GET / HTTP/1.\r\n", Kind::MalformedHttp, 13),
    (b"GET / HTTPS/1.1\r\n", Kind::MalformedHttp, 10),
    (b"GET / RTSP/1.0\r\n", Kind::MalformedHttp, 6),
    // HTTP/0.9.
    (b"GET /\r\n", Kind::MalformedHttp, 5),
    // TLS's ClientHello, SSL 2's, a PostgreSQL StartupMessage, DNS over TCP, SOCKS 5, a masked frame.
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Kind::MalformedHttp, 0),
    (b"\x80\x2e\x01\x03\x01", Kind::MalformedHttp, 0),
    (b"\0\0\0\x08\x04\xd2\x16\x2f", Kind::MalformedHttp, 0),
    (b"\0\x1dab", Kind::MalformedHttp, 0),
    (b"\x05\x01\x00", Kind::MalformedHttp, 0),
    (b"\x81\x85\x37\xfa\x21\x3d", Kind::MalformedHttp, 0),
];

/// At every cut, before the end of a head that never comes.
#[test]
fn a_server_answers_other_protocols_at_their_first_line() {
    rows!("6455-4.2.1-0", "6455-4.2.1-15", "6455-10.7-4");
    for (bytes, kind, offset) in OTHERS {
        assert_eq!(assert_request_rejected(bytes, kind), offset, "{}", bytes.escape_ascii());
        // The bytes up to the offset are enough, and the bytes after it change nothing.
        let end = usize::try_from(offset).expect("it is short") + 1;
        assert_eq!(assert_request_rejected(&bytes[..end], kind), offset, "{}", bytes.escape_ascii());
        assert_eq!(assert_request_rejected([bytes, REQUEST.as_bytes()].concat(), kind), offset);
        // After the one empty line that is ignored.
        assert_eq!(assert_request_rejected([b"\r\n", bytes].concat(), kind), offset + 2);
        assert_eq!(every_cut(waiting, &bytes[..end - 1]).state, State::Connecting, "nothing is wrong yet");
        assert_eq!(parse_request(bytes), Err(kind));
    }
    // A second empty line fails at its first byte.
    assert_eq!(assert_request_rejected(b"\r\n\r\n", Kind::MalformedHttp), 2);
}

#[test]
fn a_client_fails_at_the_first_line_of_another_protocol() {
    rows!("6455-4.1-v7", "6455-7.2.1-1");
    let others: [(&[u8], Kind, u64); 19] = [
        (b"SSH-2.0-x\r\n", Kind::MalformedHttp, 0),
        (b"220 smtp.invalid\r\n", Kind::MalformedHttp, 0),
        (b"EHLO x\r\n", Kind::MalformedHttp, 0),
        (b"ICY 200 OK\r\n", Kind::MalformedHttp, 0),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Kind::MalformedHttp, 0),
        (b"HELO x\r\n", Kind::MalformedHttp, 1),
        (b"HTTP/2.0 200\r\n", Kind::UnsupportedHttpVersion, 5),
        (b"HTTP/2 200\r\n", Kind::UnsupportedHttpVersion, 5),
        (b"HTTP/11 200\r\n", Kind::MalformedHttp, 6),
        (b"http/1.1 200\r\n", Kind::MalformedHttp, 0),
        (b"HTTP/1.1\r\n", Kind::MalformedHttp, 8),
        (b"HTTP/1.1  200\r\n", Kind::MalformedHttp, 9),
        (b"HTTP/1.1 099 x\r\n", Kind::MalformedHttp, 9),
        (b"HTTP/1.1 20\r\n", Kind::MalformedHttp, 11),
        (b"HTTP/1.1 2000\r\n", Kind::MalformedHttp, 12),
        (b"\r\nHTTP/1.1 101\r\n", Kind::MalformedHttp, 0),
        // A TLS alert, the SETTINGS of HTTP/2, a frame.
        (b"\x15\x03\x03\0\x02\x02\x46", Kind::MalformedHttp, 0),
        (b"\0\0\x12\x04\0\0\0\0\0", Kind::MalformedHttp, 0),
        (b"\x81\x05Hello", Kind::MalformedHttp, 0),
    ];
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
    for (bytes, kind, offset) in others {
        let end = usize::try_from(offset).expect("it is short") + 1;
        for bytes in [bytes, &bytes[..end]] {
            assert_eq!(assert_fails(&offering(&[]), bytes, kind), offset, "{}", bytes.escape_ascii());
            let second = [interim, bytes].concat();
            assert_eq!(assert_fails(&offering(&[]), second, kind), offset + interim.len() as u64);
        }
        let before = answered(&offering(&[]), &bytes[..end - 1]);
        assert_eq!((before.events.len(), before.state), (0, State::Connecting), "nothing is wrong yet");
    }
}

/// Random bytes are rejected at the first impossible byte, no later than the first line end.
#[test]
fn random_bytes_are_rejected_within_a_line() {
    rows!("6455-4.2.1-0", "6455-4.1-v7");
    let mut state = 1_u64;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    for _ in 0..300 {
        let mut noise: Vec<u8> = (0..40).map(|_| byte()).collect();
        noise.extend(b"\r\n");
        for make in [waiting, || connecting(&offering(&[]), Config::new()).0] {
            let outcome = every_cut(make, &noise);
            let Some(ConnectionError::Handshake(error)) = outcome.closed().and_then(|closed| closed.error()) else {
                panic!("{}: {outcome:?}", noise.escape_ascii());
            };
            assert!(error.offset() < noise.len() as u64);
        }
    }
}

/// RFC 9110 §6.2: a higher minor version is "as if it were in the highest minor version within that major version to
/// which the recipient is conformant".
#[test]
fn later_minor_versions_are_read_as_1_1() {
    rows!("6455-4.2.1-1", "6455-4.1-v7");
    let request = offering(&["a"]);
    for minor in 2..=9 {
        let version = format!("HTTP/1.{minor}");
        let later = REQUEST.replace("HTTP/1.1", &version);
        assert_eq!(assert_opens(&later).first_line, "HTTP/1.1 101 Switching Protocols");
        assert_opens(&format!("\r\n{later}"));
        assert_eq!(parsed(&later), parsed(REQUEST));
        assert_eq!(parse_request(&later.as_bytes()[..later.len() - 1]), Err(Kind::MalformedHttp));
        assert_request_rejected(replace(&later, "Upgrade", ""), Kind::MissingUpgrade);
        // A target, or a header, that looks like a version is left as it is.
        let resource = format!("/{version}?x={version}");
        let looks_so = asking_for(&resource).replace(" HTTP/1.1", &format!(" {version}"));
        assert_eq!(parsed(&looks_so).resource(), resource);

        let outcome = answered(&request, response(&request).replace("HTTP/1.1", &version));
        assert!(matches!(outcome.events[..], [Event::Open(_)]) && outcome.state == State::Open, "{outcome:?}");
        let rejection = format!("{version} 103 \r\n\r\n{version} 403 HTTP/1.{minor}\r\nContent-Length: 2\r\n\r\nno");
        let outcome = answered(&request, rejection);
        let Some(Event::Rejected(rejection)) = outcome.events.first() else { panic!("{outcome:?}") };
        assert_eq!((rejection.status(), rejection.body()), (403, &b"no"[..]));
    }
    // HTTP/1.0 is not at least 1.1.
    assert_request_rejected(REQUEST.replace("HTTP/1.1", "HTTP/1.0"), Kind::HttpVersionTooOld);
    assert_fails(&request, response(&request).replace("HTTP/1.1", "HTTP/1.0"), Kind::HttpVersionTooOld);
}

/// RFC 9110 §15.6.6: 505 is for the major version; the body "describes why that version is not supported and what other
/// protocols are supported".
#[test]
fn other_major_versions_are_answered_with_505() {
    rows!("6455-4.2.1-1", "6455-4.2.1-0");
    for version in ["HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/9.9"] {
        let request = REQUEST.replace("HTTP/1.1", version);
        assert_request_rejected(&request, Kind::UnsupportedHttpVersion);
        let body = Head::parse(&every_cut(waiting, request.as_bytes()).output).body;
        assert!(String::from_utf8_lossy(&body).contains("1.1"), "{body:?}");
        assert_eq!(parse_request(request.as_bytes()), Err(Kind::UnsupportedHttpVersion));
    }
    let kind = Kind::UnsupportedHttpVersion;
    assert_eq!((kind.status(), kind.answer(Bootstrap::Upgrade, "GET").status()), (505, 505));
}

/// RFC 9112 §3: "A server that receives a request-target longer than any URI it wishes to parse MUST respond with a 414
/// (URI Too Long) status code".
#[test]
fn a_request_line_beyond_the_limit_is_answered_with_414() {
    const LIMIT: usize = 400;
    rows!("6455-4.2.1-14");
    let make = || Connection::server(Config::new().max_head_size(LIMIT));
    // A request whose line, with its line end, has `len` bytes.
    let asking = |len: usize, target: &str| {
        let line = "GET  HTTP/1.1\r\n".len() + target.len();
        asking_for(&format!("{target}{}", "x".repeat(len - line)))
    };
    for target in ["/", "/?", "http://h/"] {
        for empty_line in ["", "\r\n"] {
            let room = LIMIT - empty_line.len();
            let line_end = |request: &str| request.find("\r\n").expect("the head has lines") + 2;
            for (len, kind) in [
                // The line fits, and the rest of the head does not.
                (room - 1, Kind::HeadTooLarge),
                (room, Kind::HeadTooLarge),
                (room + 1, Kind::RequestLineTooLong),
                (room + 2, Kind::RequestLineTooLong),
                (room + 3, Kind::RequestLineTooLong),
                (2 * room, Kind::RequestLineTooLong),
            ] {
                let request = asking(len, target);
                assert_eq!(line_end(&request), len);
                let request = format!("{empty_line}{request}");
                let offset = assert_rejection(&every_cut(make, request.as_bytes()), kind, &request);
                assert_eq!(offset, LIMIT as u64, "the first byte beyond the limit");
            }
            let fits = format!("{empty_line}{}", asking(room - (REQUEST.len() - line_end(REQUEST)), target));
            assert_eq!((fits.len(), every_cut(make, fits.as_bytes()).state), (LIMIT, State::Open));
        }
    }
    // The default limits, with an endless line: in its target, or before it.
    for endless in ["GET /".to_owned() + &"x".repeat(100 << 10), "X".repeat(100 << 10)] {
        let outcome = some_cuts(waiting, endless.as_bytes());
        assert_eq!(assert_rejection(&outcome, Kind::RequestLineTooLong, "the defaults"), 16 << 10);
    }
    let long = asking_for(&format!("/{}", "x".repeat(16 << 10)));
    assert_rejection(&some_cuts(waiting, long.as_bytes()), Kind::RequestLineTooLong, "the defaults");
    // RFC 9112 §3: "It is RECOMMENDED that all HTTP senders and recipients support, at a minimum, request-line lengths
    // of 8000 octets."
    assert_eq!(some_cuts(waiting, asking(8002, "/").as_bytes()).state, State::Open);

    let kind = Kind::RequestLineTooLong;
    for bootstrap in [Bootstrap::Upgrade, Bootstrap::ExtendedConnect] {
        assert_eq!((kind.status(), kind.answer(bootstrap, "GET").status()), (414, 414));
    }
    // A client reports every head that is too large in the same way.
    let make = || connecting(&offering(&[]), Config::new().max_head_size(LIMIT)).0;
    let outcome = every_cut(make, format!("HTTP/1.1 101 {}", "x".repeat(LIMIT)).as_bytes());
    let Some(ConnectionError::Handshake(error)) = outcome.closed().and_then(|closed| closed.error()) else { panic!() };
    assert_eq!((error.kind(), error.offset()), (Kind::HeadTooLarge, LIMIT as u64));
}
