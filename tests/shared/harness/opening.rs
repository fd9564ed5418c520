//! The opening handshake without a connection: header lists of HTTP/2, and agreement of client and server.

use websocket_proto::handshake::{
    Answer, Bootstrap, ClientHandshake, Headers, Request, parse_extended_connect, parse_request,
};
use websocket_proto::{
    Accept, ClientRequest, Config, Connection, Event, HandshakeErrorKind, Input, Output, Reject, Role,
};

use super::bytes::Bytes;
use super::wired::drain;

/// The bits of an input's first byte.
pub mod flag {
    /// HTTP/2 instead of HTTP/1.1.
    pub const CONNECT: u8 = 0x01;
    pub const SECURE: u8 = 0x02;
    /// The server selects one of the subprotocols.
    pub const SELECT: u8 = 0x04;
    pub const BROWSER_RULES: u8 = 0x08;
    /// The client offers permessage-deflate.
    pub const OFFER: u8 = 0x10;
    /// The server accepts permessage-deflate.
    pub const TAKE: u8 = 0x20;
}

/// The kind in the first byte of a part; its names and values follow, each with its length in front.
pub mod part {
    pub const SUBPROTOCOL: u8 = 0;
    pub const ORIGIN: u8 = 1;
    /// A header of the request.
    pub const HEADER: u8 = 2;
    /// A header of the answer.
    pub const ANSWER_HEADER: u8 = 3;
}

/// A minimal extended CONNECT, before other headers.
const OPENING: [(&[u8], &[u8]); 6] = [
    (b":method", b"CONNECT"),
    (b":protocol", b"websocket"),
    (b":scheme", b"https"),
    (b":authority", b"example.com"),
    (b":path", b"/"),
    (b"sec-websocket-version", b"13"),
];

type Field<'f> = (&'f [u8], &'f [u8]);

/// Each line as a header, alone and after a minimal request: an accepted list is one that RFC 9113 §8 allows.
pub fn header_lists(data: &[u8]) {
    let lines: Vec<Field<'_>> = data.split(|&byte| byte == b'\n').map(field).collect();
    for list in [lines.clone(), [&OPENING[..], &lines].concat()] {
        match parse_extended_connect(list.iter().copied()) {
            Ok(request) => check_list(&list, request),
            Err(kind) => {
                let method = list.iter().find(|(name, _)| name == b":method").map_or(&b""[..], |field| field.1);
                let answer = kind.answer(Bootstrap::ExtendedConnect, method);
                assert!(matches!(answer.status(), 400 | 405 | 501), "{kind}: {}", answer.status());
                assert_eq!(answer.body().is_empty(), method == b"HEAD", "{kind}");
                check_carried(answer.headers());
            }
        }
    }
}

/// A name and, after the first colon and space, a value.
fn field(line: &[u8]) -> Field<'_> {
    let end = line.windows(2).position(|colon| colon == b": ").unwrap_or(line.len());
    (&line[..end], line.get(end + 2..).unwrap_or_default())
}

fn check_list(list: &[Field<'_>], request: Request) {
    let pseudo = list.iter().take_while(|(name, _)| name.starts_with(b":")).count();
    let (pseudo, headers) = list.split_at(pseudo);
    for (name, value) in &OPENING[..2] {
        let values: Vec<_> = pseudo.iter().filter(|field| field.0 == *name).map(|field| field.1).collect();
        assert!(matches!(values[..], [found] if found.eq_ignore_ascii_case(value)), "{list:?}");
    }
    assert!(request.headers().iter().map(|(name, value)| (name.as_bytes(), value)).eq(headers.iter().copied()));
    check_carried(request.headers());
    let (answer, _) = request.accept(&Accept::new(), &Config::new()).expect("the answer is valid");
    assert_eq!((answer.status(), answer.headers().iter().count()), (200, 0));
    let request = parse_extended_connect(list.iter().copied()).expect("the list was valid before");
    assert_eq!(request.reject(&Reject::forbidden()).status(), 403);
}

/// RFC 9113 §8.2.1, §8.2.2.
fn check_carried(headers: &Headers) {
    for (name, value) in headers.iter() {
        assert!(!name.is_empty() && !name.bytes().any(|byte| !(0x21..0x7f).contains(&byte)), "{name:?}");
        assert!(!name.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b':'), "{name:?}");
        assert!(!["connection", "upgrade", "keep-alive", "proxy-connection", "transfer-encoding"].contains(&name));
        check_value(value);
    }
}

fn check_value(value: &[u8]) {
    assert!(!value.iter().any(|byte| b"\0\r\n".contains(byte)) && value.trim_ascii() == value, "{value:x?}");
}

/// A server understands every request that the client can send, the client accepts every answer, and both negotiate the
/// same.
pub fn both_sides(data: &[u8]) {
    let mut data = Bytes::new(data);
    let flags = data.byte();
    let wishes = [data.array(), data.array()];
    let (asked, answered) = parts(flags, &mut data);
    let config = Config::new().browser_rules(flags & flag::BROWSER_RULES != 0);
    let [client_config, server_config] = configs(&config, flags, wishes);
    let handshake = match flags & flag::CONNECT {
        0 => asked.upgrade(&client_config, [7; 16]),
        _ => asked.extended_connect(&client_config),
    };
    let Ok(handshake) = handshake else { return };
    let request = arrived(&handshake);
    assert_eq!((request.host(), request.resource()), (handshake.uri().authority(), handshake.uri().resource()));
    let selected = request.subprotocols().last().filter(|_| flags & flag::SELECT != 0).map(str::to_owned);
    let accept = selected.iter().fold(answered, Accept::subprotocol);
    let is_choosy = flags & flag::BROWSER_RULES != 0 && selected.is_none() && request.subprotocols().next().is_some();
    let Ok((answer, as_server)) = request.accept(&accept, &server_config) else { return };
    assert_eq!(as_server.subprotocol(), selected.as_deref());
    check_answer(&answer, handshake.bootstrap());
    match handshake.check(answer.status(), answer.headers().iter()) {
        Ok((response, as_client)) => {
            assert_eq!((response.subprotocol(), as_client.subprotocol()), (selected.as_deref(), selected.as_deref()));
            let server = Connection::upgraded(Role::Server, as_server, server_config, [0; 32]);
            let client = Connection::upgraded(Role::Client, as_client, client_config, [7; 32]);
            assert_eq!(server.subprotocol(), client.subprotocol());
            #[cfg(feature = "deflate")]
            assert_eq!(server.uses_deflate(), client.uses_deflate());
            talk(server, client);
        }
        // A valid answer may lack a parameter that the client requires.
        Err(HandshakeErrorKind::InvalidExtensions) => assert!(flags & flag::OFFER != 0 && flags & flag::TAKE != 0),
        Err(kind) => assert!(is_choosy && kind == HandshakeErrorKind::MissingSubprotocol, "{kind}: {answer:?}"),
    }
}

/// The request and the answer, without the headers that cannot be sent.
fn parts(flags: u8, data: &mut Bytes<'_>) -> (ClientRequest, Accept) {
    let uri = if flags & flag::SECURE == 0 { "ws://example.com:81/a?b" } else { "wss://example.com/" };
    let (mut asked, mut answered) = (ClientRequest::new(uri), Accept::new());
    while let Some(part) = data.next() {
        let mut text = || String::from_utf8_lossy(data.string()).into_owned();
        match part % 4 {
            part::SUBPROTOCOL => asked = asked.subprotocol(text()),
            part::ORIGIN => asked = asked.clone().origin(text()).unwrap_or(asked),
            part::HEADER => asked = asked.clone().header(text(), text()).unwrap_or(asked),
            _ => answered = answered.clone().header(text(), text()).unwrap_or(answered),
        }
    }
    (asked, answered)
}

/// The client's and the server's configuration.
#[cfg(feature = "deflate")]
fn configs(config: &Config, flags: u8, wishes: [[u8; 6]; 2]) -> [Config; 2] {
    let with = |on: u8, wish| match flags & on {
        0 => config.clone(),
        _ => config.clone().deflate(super::deflate::wish(wish)),
    };
    [with(flag::OFFER, wishes[0]), with(flag::TAKE, wishes[1])]
}

#[cfg(not(feature = "deflate"))]
fn configs(config: &Config, _: u8, _: [[u8; 6]; 2]) -> [Config; 2] {
    [config.clone(), config.clone()]
}

/// The request as a server reads it.
fn arrived(handshake: &ClientHandshake) -> Request {
    let read = match handshake.bootstrap() {
        Bootstrap::Upgrade => {
            let mut head = format!("GET {} HTTP/1.1\r\n", handshake.uri().resource()).into_bytes();
            for (name, value) in handshake.headers().iter() {
                head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
            }
            parse_request(&[&head[..], b"\r\n"].concat())
        }
        Bootstrap::ExtendedConnect => parse_extended_connect(handshake.headers().iter()),
    };
    read.unwrap_or_else(|error| panic!("{error}: {handshake:?}"))
}

fn check_answer(answer: &Answer, bootstrap: Bootstrap) {
    assert!(answer.headers().iter().all(|(name, _)| !name.starts_with(':')) && answer.body().is_empty());
    if bootstrap == Bootstrap::ExtendedConnect {
        check_carried(answer.headers());
    }
    // One head, with a line for each header, and nothing after it.
    let mut output = Output::new();
    answer.write_http1(&mut output);
    let head = drain(&mut output);
    // It follows a 100 if the request expects one.
    let head = head.strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&head);
    let length = head.windows(4).position(|end| end == b"\r\n\r\n").map(|end| end + 4);
    let lines = head.windows(2).filter(|end| *end == b"\r\n").count();
    let own = if answer.status() == 101 { 2 } else { 4 };
    assert_eq!((length, lines), (Some(head.len()), answer.headers().iter().count() + own), "{answer:?}");
}

/// A message each way, twice: the second may refer to the first.
fn talk(mut server: Connection, mut client: Connection) {
    let (text, mut output) = ("Hello, ".repeat(40), Output::new());
    for _ in 0..2 {
        for (from, to) in [(0, 1), (1, 0)] {
            let sides = [&mut server, &mut client];
            sides[from].send_text(&text, &mut output).expect("the connection is open");
            let mut sent = drain(&mut output);
            let received = sides[to].receive(&mut Input::new(&mut sent), &mut output);
            assert_eq!(received, Some(Event::Text(text.as_str().into())));
        }
    }
}
