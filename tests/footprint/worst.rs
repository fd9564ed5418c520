//! How much of the bound `Config::max_memory_for` an attack can reach, with attacks designed for that.

use super::attacks::{ROLES, attack, mask, open};
use super::peer::{Backlog, Reader, absorb};
use super::*;

/// The limits of a configuration.
#[derive(Clone, Copy, Debug)]
struct Limits {
    head: usize,
    lines: usize,
    message: usize,
    /// 0 for whole messages.
    part: usize,
    pongs: usize,
    deflate: bool,
}

const DEFAULT: Limits =
    Limits { head: 16 << 10, lines: 100, message: 1 << 20, part: 0, pongs: 16 << 10, deflate: false };
const CHAT: Limits = Limits { head: 4 << 10, lines: 50, message: 16 << 10, part: 0, pongs: 1 << 10, deflate: false };
const TINY: Limits = Limits { head: 1 << 10, lines: 20, message: 1 << 10, part: 0, pongs: 0, deflate: false };

impl Limits {
    fn config(self) -> Config {
        let config = Config::new()
            .max_head_size(self.head)
            .max_headers(self.lines as u16)
            .max_message_size(self.message)
            .max_pending_pong_bytes(self.pongs);
        let config = if self.part > 0 { config.part_size(self.part) } else { config };
        #[cfg(feature = "deflate")]
        if self.deflate {
            return config.deflate(websocket_proto::Deflate::new());
        }
        config
    }

    /// The peak of the worst attack, in bytes.
    fn worst(self, role: Role) -> usize {
        let readers = [Reader::Nothing, Reader::Gulps].into_iter();
        let frames = readers.flat_map(|reader| [0, 125].map(|len| self.frames(role, reader, len))).max();
        let heads = match role {
            Role::Server => {
                // The second line makes the list grow.
                let elements = self.lists(&("e,".repeat(97) + "\r\nSec-WebSocket-Extensions: e,e"));
                [self.long_host(), elements, self.lists(&"e;p,".repeat(49)), self.many_lines()]
            }
            Role::Client => [
                self.rejection(0, false),
                self.rejection(self.lines - 2, false),
                self.rejection(0, true),
                self.answer(),
            ],
        };
        let bombs = [true, false].map(|pings_first| self.bomb(role, pings_first)).into_iter().max();
        frames.max(heads.into_iter().max()).max(bombs).unwrap_or(0)
    }

    /// Pings until the pongs fill their budget, and then a message in small pieces, up to the limit.
    fn frames(self, role: Role, reader: Reader, len: usize) -> usize {
        let config = self.config();
        let ping = frame(true, Opcode::Ping, mask(role), &vec![b'p'; len]);
        let mut pings = ping.repeat(self.pongs * 5 / 4 / (2 + len) + 10);
        let mut message = frame(true, Opcode::Binary, mask(role), &vec![b'x'; self.message.min(2 << 20)]);
        let piece = (self.message / 100).clamp(1, 1000);
        let outcome = attack(&config, role, || {
            let (mut ws, mut backlog) = (open(role, &config), Backlog::of(reader));
            absorb(&mut ws, &mut pings, 100, &mut backlog);
            absorb(&mut ws, &mut message, piece, &mut backlog);
        });
        outcome.peak
    }

    /// Pings, and a message that inflates to the limit. A server receives the message before it has answered the
    /// request.
    #[cfg(feature = "deflate")]
    fn bomb(self, role: Role, pings_first: bool) -> usize {
        let config = self.config();
        if !self.deflate {
            return 0;
        }
        let mut bomb = frame(false, Opcode::Binary, mask(role), &shared::compression::bomb(self.message.min(8 << 20)));
        bomb[0] |= 0x40;
        let pings = |count| frame(true, Opcode::Ping, mask(role), &[b'p'; 100]).repeat(count);
        let room = self.head.saturating_sub(bomb.len()) / 106;
        let (mut early, mut pings) = ([pings(room), bomb].concat(), pings(self.pongs / 80 + 10));
        let mut request = request_with(deflate::OFFER);
        let outcome = attack(&config, role, || {
            let mut backlog = Backlog::of(Reader::Nothing);
            let mut ws = match role {
                Role::Server => Connection::server(config.clone()),
                Role::Client => open_client_answered(config.clone(), deflate::ANSWER, &mut backlog.output),
            };
            if role == Role::Server {
                let asked = ws.receive(&mut Input::new(&mut request), &mut backlog.output);
                let Some(Event::Request(request)) = asked else { panic!("{asked:?}") };
                let at = self.head.min(early.len());
                let (begin, rest) = early.split_at_mut(at);
                assert_eq!(ws.receive(&mut Input::new(begin), &mut backlog.output), None);
                ws.accept(request, &mut backlog.output);
                while ws.receive(&mut Input::default(), &mut backlog.output).is_some() {}
                absorb(&mut ws, rest, 1000, &mut backlog);
            } else {
                if pings_first {
                    absorb(&mut ws, &mut pings, 1000, &mut backlog);
                }
                absorb(&mut ws, &mut early, 1000, &mut backlog);
            }
            absorb(&mut ws, &mut pings, 1000, &mut backlog);
            assert!(ws.uses_deflate());
        });
        outcome.peak
    }

    #[cfg(not(feature = "deflate"))]
    #[expect(clippy::unused_self, reason = "stands for what the feature does")]
    fn bomb(self, _: Role, _: bool) -> usize {
        0
    }

    /// A request with the longest possible host, which is stored in addition to the header.
    fn long_host(self) -> usize {
        let host = "h".repeat(self.head - REQUEST.len() + "localhost".len());
        self.request(&text(REQUEST).replace("localhost", &host))
    }

    /// A request with the maximum number of subprotocols, and these extensions.
    fn lists(self, extensions: &str) -> usize {
        let names = (0..99).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        let lists = format!("Sec-WebSocket-Protocol: {names}\r\nSec-WebSocket-Extensions: {extensions}\r\n");
        let request = request_with(&lists);
        let request = text(&request);
        let host = "h".repeat(self.head - request.len() + "localhost".len());
        self.request(&request.replace("localhost", &host))
    }

    /// A request with the maximum number of lines.
    fn many_lines(self) -> usize {
        let lines = "a:\r\n".repeat(self.lines - 5);
        let request = request_with(&lines);
        let request = text(&request);
        let host = "h".repeat((self.head - request.len()) + "localhost".len());
        self.request(&request.replace("localhost", &host))
    }

    /// A request in pieces, and the maximum number of pings before it is answered.
    fn request(self, request: &str) -> usize {
        let config = self.config();
        let mut request = request.as_bytes().to_vec();
        let mut early = frame(true, Opcode::Ping, Some(KEY), &[b'p'; 125]).repeat(self.head / 131);
        let outcome = attack(&config, Role::Server, || {
            let (mut ws, mut output) = (Connection::server(config.clone()), Output::new());
            let asked = request.chunks_mut(100).find_map(|piece| ws.receive(&mut Input::new(piece), &mut output));
            let Some(Event::Request(request)) = asked else { panic!("{asked:?}") };
            for piece in early.chunks_mut(10) {
                assert_eq!(ws.receive(&mut Input::new(piece), &mut output), None);
            }
            let _ = request.extensions();
            ws.accept(request, &mut output);
            while ws.receive(&mut Input::default(), &mut output).is_some() {}
        });
        outcome.peak
    }

    /// A rejection with a long head, of `lines` additional lines, and a long body, in one chunk or without chunks.
    fn rejection(self, lines: usize, is_chunked: bool) -> usize {
        let config = self.config();
        let coding =
            if is_chunked { "Transfer-Encoding: chunked".into() } else { format!("Content-Length: {}", self.head) };
        let start = format!("HTTP/1.1 403 \r\n{coding}\r\n{}", "a:\r\n".repeat(lines));
        let mut response = format!("{start}X: {}\r\n\r\n", "x".repeat(self.head - start.len() - 7)).into_bytes();
        assert_eq!(response.len(), self.head);
        if is_chunked {
            response.extend_from_slice(b"1000000\r\n");
        }
        response.resize(2 * self.head, b'x');
        let outcome = attack(&config, Role::Client, || {
            let mut backlog = Backlog::of(Reader::Nothing);
            let mut ws = start_client(config.clone(), &mut backlog.output);
            absorb(&mut ws, &mut response, 10, &mut backlog);
            assert!(ws.is_closed());
        });
        outcome.peak
    }

    /// A response that selects extensions which the client did not offer.
    fn answer(self) -> usize {
        let config = self.config();
        let extensions = format!("Sec-WebSocket-Extensions: {}\r\n", "e;p,".repeat(49));
        let outcome = attack(&config, Role::Client, || {
            let mut output = Output::new();
            let mut ws = start_client(config.clone(), &mut output);
            let mut response = response_to(&mut output, &extensions);
            assert!(matches!(ws.receive(&mut Input::new(&mut response), &mut output), Some(Event::Closed(_))));
        });
        outcome.peak
    }
}

fn text(request: &[u8]) -> &str {
    str::from_utf8(request).expect("text")
}

const UNLIMITED: usize = usize::MAX;

const CASES: [Limits; 9] = [
    DEFAULT,
    CHAT,
    TINY,
    Limits { message: UNLIMITED, part: 64 << 10, ..DEFAULT },
    Limits { message: UNLIMITED, part: 4 << 10, ..CHAT },
    Limits { message: 0, ..CHAT },
    // Not a power of two.
    Limits { head: 9000, message: 9000, ..CHAT },
    Limits { pongs: 100_000, ..CHAT },
    Limits { head: 64 << 10, lines: 1000, message: 1000, ..CHAT },
];

fn cases() -> impl Iterator<Item = (Limits, Role)> {
    let compressed = CASES.map(|limits| Limits { deflate: cfg!(feature = "deflate"), ..limits });
    CASES.into_iter().chain(compressed).flat_map(|limits| ROLES.map(|role| (limits, role)))
}

/// The bound is tight: in each role, attacks reach most of it.
#[test]
fn attacks_reach_most_of_the_bound() {
    for (limits, role) in cases() {
        let (worst, most) = (limits.worst(role), limits.config().max_memory_for(role));
        println!("{}% {limits:?} {role:?}: {worst} of {most}", worst * 100 / most);
        assert!(worst * 10 >= most * 7, "{limits:?} {role:?}: {worst} of {most}");
    }
}

/// `Config`'s docs state one formula, for heads that are long enough for their lines and lists.
#[test]
fn the_bound_is_the_documented_formula() {
    for (limits, role) in cases() {
        let Limits { head, lines, message, part, pongs, deflate } = limits;
        let is_server = role == Role::Server;
        let line = if lines + 1 > 64 { 48 } else { 16 };
        let handshake = if is_server { 7 * head / 2 + (12 << 10) } else { 5 * head / 2 } + line * (lines + 1);
        let early = if is_server { head } else { 0 };
        let reassembled = match part {
            0 => message,
            _ if deflate => part,
            _ => part.min(early),
        };
        let (message, pongs) = (reassembled + 3, pongs.max(131) + 141);
        let growth = (message / 2).max(pongs * 5 / 4);
        let open = early + message + pongs * 3 / 2 + growth + if deflate { 48 << 10 } else { 0 };
        let sum = handshake.max(open) + (2 << 10);
        assert_eq!(limits.config().max_memory_for(role), sum, "{limits:?} {role:?}");
    }
    let by_role = |config: &Config| ROLES.map(|role| config.max_memory_for(role));
    for limits in CASES {
        assert_eq!(Some(limits.config().max_memory()), by_role(&limits.config()).into_iter().max());
    }
    // Without a limit the bound is unlimited, and with limits of zero it is zero.
    assert_eq!(by_role(&Config::new().max_message_size(UNLIMITED)), [UNLIMITED; 2]);
    let nothing = Config::new().max_head_size(0).max_headers(0).max_message_size(0).max_pending_pong_bytes(0);
    assert!(by_role(&nothing).into_iter().all(|most| most < 3 << 10), "{:?}", by_role(&nothing));
    let everything = Config::new().max_head_size(usize::MAX).max_headers(u16::MAX).max_pending_pong_bytes(usize::MAX);
    assert!(by_role(&everything).into_iter().all(|most| most > 4 << 30), "{:?}", by_role(&everything));
}
