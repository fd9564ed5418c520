//! The opening handshake in the types of the `http` crate: the same decisions as from bytes and from header lists.

use bytes::Buf;
use http::{HeaderValue, Method, Request as HttpRequest, Response as HttpResponse, StatusCode, Version};
use websocket_proto::handshake::{
    AcceptErrorKind, Bootstrap, ClientHandshake, Negotiated, Request, accept_key, parse_extended_connect, parse_request,
};
use websocket_proto::{
    Accept, ClientRequest, Config, Connection, Event, HandshakeErrorKind, Input, Output, Reject, State,
};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A minimal valid request, as hyper reads it.
fn upgrade() -> HttpRequest<()> {
    let request = HttpRequest::get("/chat?a=b").header("host", "server.example.com").header("upgrade", "websocket");
    let request = request.header("connection", "keep-alive, Upgrade").header("sec-websocket-version", "13");
    request.header("sec-websocket-key", KEY).header("sec-websocket-protocol", "chat").body(()).expect("it is valid")
}

/// A minimal extended CONNECT, as hyper reads it, without its `:protocol`.
fn connect(version: Version) -> HttpRequest<()> {
    let request = HttpRequest::connect("https://server.example.com/chat?a=b").version(version);
    let request = request.header("sec-websocket-version", "13").header("sec-websocket-protocol", "chat");
    request.body(()).expect("it is valid")
}

fn client() -> ClientRequest {
    let request = ClientRequest::new("wss://server.example.com/chat?a=b").subprotocol("chat");
    request.header("X-Latin", *b"caf\xe9").expect("a valid header")
}

fn accept(request: Request) -> (HttpResponse<Vec<u8>>, Negotiated) {
    let accept = Accept::new().subprotocol("chat");
    let accept = accept.header("Set-Cookie", "a=1").and_then(|accept| accept.header("Set-Cookie", "b=2"));
    let (answer, negotiated) =
        request.accept(&accept.expect("valid headers"), &Config::new()).expect("the answer is valid");
    (answer.into_http().expect("small"), negotiated)
}

/// Asserts the status, the two Set-Cookie headers, and all other headers.
#[track_caller]
fn assert_answer(response: &HttpResponse<Vec<u8>>, status: u16, headers: &[(&str, &str)]) {
    assert_eq!((response.status().as_u16(), response.body().len()), (status, 0));
    assert!(response.headers().get_all("set-cookie").iter().eq(["a=1", "b=2"]));
    let others = response.headers().iter().filter(|(name, _)| *name != "set-cookie");
    let mut others: Vec<_> = others.map(|(name, value)| (name.as_str(), value.to_str().expect("text"))).collect();
    others.sort_unstable();
    assert_eq!(others, headers);
}

#[test]
fn an_http1_request_upgrades() {
    let request = Request::from_http(&upgrade(), None).expect("the handshake succeeds");
    let head = b"GET /chat?a=b HTTP/1.1\r\nhost: server.example.com\r\nupgrade: websocket\r\n\
        connection: keep-alive, Upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        sec-websocket-protocol: chat\r\n\r\n";
    assert_eq!(Ok(&request), parse_request(head).as_ref());
    let (response, negotiated) = accept(request);
    let expected = [
        ("connection", "Upgrade"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("sec-websocket-protocol", "chat"),
        ("upgrade", "websocket"),
    ];
    assert_answer(&response, 101, &expected);
    assert_eq!(negotiated.subprotocol(), Some("chat"));
    // An absolute target, as a proxy's client sends it, names the host.
    let (mut parts, body) = upgrade().into_parts();
    parts.uri = "http://other.example.com:80/x".parse().expect("a URI");
    let request = Request::from_http(&HttpRequest::from_parts(parts, body), None).expect("the handshake succeeds");
    assert_eq!((request.host(), request.path()), ("other.example.com:80", "/x"));
}

#[test]
fn an_extended_connect_opens() {
    for version in [Version::HTTP_2, Version::HTTP_3] {
        assert_eq!(Bootstrap::of(version), Bootstrap::ExtendedConnect);
        let request = Request::from_http(&connect(version), Some("websocket")).expect("the handshake succeeds");
        let fields = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "https"),
            (":authority", "server.example.com"),
            (":path", "/chat?a=b"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "chat"),
        ];
        assert_eq!(Ok(&request), parse_extended_connect(fields).as_ref());
        let (response, negotiated) = accept(request);
        assert_answer(&response, 200, &[("sec-websocket-protocol", "chat")]);
        assert_eq!(negotiated.subprotocol(), Some("chat"));
    }
}

/// A request from another HTTP stack, even an equal one, does not belong to a connection that has read its own.
#[test]
fn a_request_of_another_stack_belongs_to_no_connection() {
    let (mut server, mut output) = (Connection::server(Config::new()), Output::new());
    let mut head = b"GET /chat?a=b HTTP/1.1\r\nhost: server.example.com\r\nupgrade: websocket\r\n\
        connection: keep-alive, Upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        sec-websocket-protocol: chat\r\n\r\n"
        .to_vec();
    let event = server.receive(&mut Input::new(&mut head), &mut output);
    let Some(Event::Request(own)) = event else { panic!("{event:?}") };
    for (request, protocol) in [(upgrade(), None), (connect(Version::HTTP_2), Some("websocket"))] {
        let other = Request::from_http(&request, protocol).expect("the handshake succeeds");
        assert_eq!(other == own, protocol.is_none());
        let rejected =
            server.accept_with(other, &Accept::new(), &mut output).expect_err("the request is another connection's");
        assert_eq!(rejected.kind(), AcceptErrorKind::NotDeciding);
        server.reject(rejected.into_request(), &Reject::forbidden(), &mut output);
        assert_eq!((server.state(), output.is_empty()), (State::Connecting, true));
    }
    server.accept(own, &mut output);
    assert_eq!(server.state(), State::Open);
}

/// Asserts that the request is rejected, and that the answer fits its version of HTTP.
#[track_caller]
fn assert_rejected(request: &HttpRequest<()>, protocol: Option<&str>, kind: HandshakeErrorKind, status: u16) {
    assert_eq!(Request::from_http(request, protocol).err(), Some(kind), "{request:?}");
    let response = kind.answer(Bootstrap::of(request.version()), request.method().as_str()).into_http().expect("small");
    assert_eq!(response.status().as_u16(), status);
    assert_eq!(response.headers()["sec-websocket-version"], "13");
    assert_eq!(response.headers().contains_key("upgrade"), status == 426);
    assert_eq!(response.headers().contains_key("connection"), status == 426);
}

#[test]
fn invalid_http1_requests_are_rejected() {
    use HandshakeErrorKind as Kind;

    for version in [Version::HTTP_09, Version::HTTP_10] {
        let mut old = upgrade();
        *old.version_mut() = version;
        assert_rejected(&old, None, Kind::HttpVersionTooOld, 400);
    }
    let mut post = upgrade();
    *post.method_mut() = Method::POST;
    assert_rejected(&post, None, Kind::UnsupportedMethod, 405);
    for (name, kind, status) in [
        ("host", Kind::InvalidHost, 400),
        ("upgrade", Kind::MissingUpgrade, 426),
        ("connection", Kind::MissingConnectionUpgrade, 400),
        ("sec-websocket-version", Kind::InvalidVersion, 400),
        ("sec-websocket-key", Kind::InvalidKey, 400),
    ] {
        let mut without = upgrade();
        without.headers_mut().remove(name);
        // Over HTTP/1.1 a `:protocol` has no meaning.
        assert_rejected(&without, Some("websocket"), kind, status);
    }
    let mut old = upgrade();
    old.headers_mut().insert("sec-websocket-version", HeaderValue::from_static("8"));
    assert_rejected(&old, None, Kind::UnsupportedVersion, 426);
    // A value that an HTTP stack other than an HTTP/1.1 parser may have let through.
    let mut padded = upgrade();
    padded.headers_mut().insert("x-padded", HeaderValue::from_static(" x"));
    assert_rejected(&padded, None, Kind::MalformedHttp, 400);
    for target in ["*", "server.example.com:80", "ftp://h/"] {
        let mut strange = upgrade();
        *strange.uri_mut() = target.parse().expect("a URI");
        assert_rejected(&strange, None, Kind::InvalidRequestTarget, 400);
    }
}

#[test]
fn invalid_http2_requests_are_rejected() {
    use HandshakeErrorKind as Kind;

    for protocol in [None, Some("connect-udp")] {
        assert_rejected(&connect(Version::HTTP_2), protocol, Kind::UnsupportedConnectProtocol, 501);
    }
    // HTTP/2 has no upgrade.
    let mut get = upgrade();
    *get.version_mut() = Version::HTTP_2;
    assert_rejected(&get, None, Kind::MalformedHeaderList, 400);
    let mut get = connect(Version::HTTP_2);
    *get.method_mut() = Method::GET;
    assert_rejected(&get, Some("websocket"), Kind::UnsupportedMethod, 405);
    let mut plain = connect(Version::HTTP_2);
    *plain.uri_mut() = "server.example.com:443".parse().expect("a URI");
    assert_rejected(&plain, None, Kind::UnsupportedConnectProtocol, 501);
    assert_rejected(&plain, Some("websocket"), Kind::InvalidRequestTarget, 400);
    let mut old = connect(Version::HTTP_3);
    old.headers_mut().insert("sec-websocket-version", HeaderValue::from_static("8"));
    assert_rejected(&old, Some("websocket"), Kind::UnsupportedVersion, 400);
}

#[test]
fn a_rejection_becomes_a_response() {
    let reject = Reject::new(426).map(|reject| reject.body("upgrade!")).expect("the status is a rejection");
    let response = Request::from_http(&upgrade(), None)
        .expect("the handshake succeeds")
        .reject(&reject)
        .into_http()
        .expect("small");
    assert_eq!((response.status().as_u16(), &response.body()[..]), (426, b"upgrade!".as_slice()));
    assert_eq!(response.headers()["upgrade"], "websocket");
    assert_eq!(response.headers()["connection"], "Upgrade");
    let request = Request::from_http(&connect(Version::HTTP_2), Some("websocket")).expect("the handshake succeeds");
    let response = request.reject(&Reject::forbidden()).into_http().expect("small");
    assert_eq!((response.status().as_u16(), response.headers().len()), (403, 0));
}

/// The server reads the client's request, and the client accepts the server's answer.
#[test]
fn client_and_server_agree() {
    let config = Config::new();
    for (handshake, protocol, method, uri) in [
        (client().upgrade(&config, [1; 16]), None, "GET", "/chat?a=b"),
        (client().extended_connect(&config), Some("websocket"), "CONNECT", "https://server.example.com/chat?a=b"),
    ] {
        let handshake = handshake.expect("the request is valid");
        let sent = handshake.to_http().expect("small");
        assert_eq!((sent.method().as_str(), sent.uri().to_string().as_str()), (method, uri));
        let request = Request::from_http(&sent, protocol).expect("the handshake succeeds");
        assert_eq!((request.host(), request.resource()), ("server.example.com", "/chat?a=b"));
        assert_eq!(request.bootstrap(), handshake.bootstrap());
        assert_eq!(request.headers().get("x-latin"), Some(b"caf\xe9".as_slice()));
        let (response, as_server) = accept(request);
        let (opened, as_client) = handshake.check_http(&response).expect("the handshake succeeds");
        assert_eq!((opened.status(), opened.headers().get_all("Set-Cookie").count()), (response.status().as_u16(), 2));
        assert_eq!((as_server.subprotocol(), &as_server), (Some("chat"), &as_client));
    }
}

#[test]
fn a_client_rejects_invalid_responses() {
    let upgrade = || client().upgrade(&Config::new(), [1; 16]).expect("the request is valid");
    let good = || {
        let key = upgrade().headers().get("Sec-WebSocket-Key").expect("it has a key").to_vec();
        let response = HttpResponse::builder().status(101).header("upgrade", "websocket");
        let response = response.header("connection", "Upgrade").header("sec-websocket-accept", &accept_key(&key)[..]);
        response.body(()).expect("it is valid")
    };
    let check = |handshake: ClientHandshake, response| handshake.check_http(&response).map(|_| ()).err();
    assert_eq!(check(upgrade(), good()), None);
    let mut old = good();
    *old.version_mut() = Version::HTTP_10;
    assert_eq!(check(upgrade(), old), Some(HandshakeErrorKind::HttpVersionTooOld));
    for (name, kind) in [
        ("upgrade", HandshakeErrorKind::MissingUpgrade),
        ("connection", HandshakeErrorKind::MissingConnectionUpgrade),
        ("sec-websocket-accept", HandshakeErrorKind::InvalidAccept),
    ] {
        let mut without = good();
        without.headers_mut().remove(name);
        assert_eq!(check(upgrade(), without), Some(kind));
    }
    let connect = client().extended_connect(&Config::new()).expect("the request is valid");
    assert_eq!(check(connect, good()), Some(HandshakeErrorKind::Rejected(101)));
    let mut ok = good();
    *ok.status_mut() = StatusCode::OK;
    assert_eq!(check(upgrade(), ok), Some(HandshakeErrorKind::Rejected(200)));
}

/// Headers that the `http` crate cannot hold cause an error, not a panic.
#[test]
fn headers_too_large_for_the_http_crate_are_errors() {
    let long = "x".repeat(1 << 16);
    let with = |accept: Accept, name: String| accept.header(name, "").expect("a valid header");
    let many = (0..40_000).fold(Accept::new(), |accept, number| with(accept, format!("x-{number}")));
    for accept in [with(Accept::new(), long.clone()), many] {
        let request = Request::from_http(&upgrade(), None).expect("the handshake succeeds");
        let (answer, _) = request.accept(&accept, &Config::new()).expect("the answer is valid");
        assert!(answer.into_http().is_err());
    }
    let named = client().header(long.as_str(), "").expect("a valid header");
    for request in [named, ClientRequest::new(format!("ws://h/{long}"))] {
        assert!(request.upgrade(&Config::new(), [1; 16]).expect("the request is valid").to_http().is_err());
        assert!(request.extended_connect(&Config::new()).expect("the request is valid").to_http().is_err());
    }
}

/// A status line has the registered reason phrase, as the `http` crate has it, or none.
#[test]
fn status_lines_have_registered_reason_phrases() {
    let first_line = |answer: &websocket_proto::handshake::Answer| {
        let mut output = Output::new();
        answer.write_http1(&mut output);
        let head = String::from_utf8(output.copy_to_bytes(output.len()).to_vec()).expect("text");
        head.lines().next().expect("a line").to_owned()
    };
    let request = || Request::from_http(&upgrade(), None).expect("the handshake succeeds");
    let (opened, _) = request().accept(&Accept::new(), &Config::new()).expect("the answer is valid");
    assert_eq!(first_line(&opened), "HTTP/1.1 101 Switching Protocols");
    let mut named = Vec::new();
    for status in (300..600).filter(|status| *status != 304) {
        let line = first_line(&request().reject(&Reject::new(status).expect("the status is a rejection")));
        let phrase = line.strip_prefix(&format!("HTTP/1.1 {status} ")).expect("the status, and a space in any case");
        if !phrase.is_empty() {
            assert_eq!(StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()), Some(phrase));
            named.push(status);
        }
    }
    // Statuses that a WebSocket server is likely to use, and those of the crate itself.
    let likely = [
        301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 408, 410, 414, 421, 426, 429, 431, 500, 501, 502, 503, 504,
        505,
    ];
    assert_eq!(named, likely);
}
