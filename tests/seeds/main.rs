//! The committed corpus of the fuzz targets: generated here from tests/data, compared with the committed files, and
//! run.
//!
//! `REGENERATE_CORPUS=1 cargo test --test seeds` writes it again.

mod against;
#[cfg(feature = "deflate")]
mod isolation;
#[cfg(feature = "std")]
mod session;
#[path = "../shared/mod.rs"]
mod shared;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use shared::data::hex;
use shared::harness::pair::FEW_PONGS;
use shared::harness::pair::operation::{
    BINARY, BINARY_FRAGMENT, CLOSE, CLOSE_WITHOUT_CODE, DECIDE, EOF, FLUSH, LONG, MORE, PING, PONG, RECEIVE, RECYCLE,
    SERVER, TEXT, TEXT_FRAGMENT, WRITE,
};
use shared::harness::stream::{REQUEST, flag, input, response};

/// Names and contents.
type Corpus = BTreeMap<String, Vec<u8>>;

/// A merge of corpora runs every seed; a fuzzer finds the rest.
const MAX_SEEDS: usize = 60;

/// The limit on further inputs that fuzzers found, for each target.
const MAX_FOUND: usize = 450;

#[test]
fn the_committed_corpus_is_the_generated_one_and_every_input_passes() {
    let mut properties = shared::harness::PROPERTIES.to_vec();
    for (target, made) in corpora() {
        assert!(made.len() <= MAX_SEEDS, "{target} has {} seeds", made.len());
        let directory = corpus_directory(target);
        if std::env::var_os("REGENERATE_CORPUS").is_some() {
            write(&directory, &made);
        }
        // The published package has no fuzz crate and no corpus: there, the generated corpus is run.
        let is_package = !Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").exists();
        let committed = if is_package { made.clone() } else { read(&directory) };
        let (found, named): (Corpus, Corpus) = committed.into_iter().partition(|(name, _)| is_hash(name));
        assert!(named.keys().eq(made.keys()), "{target}: {:?}", named.keys());
        for (name, seed) in &named {
            assert!(*seed == made[name], "{target}/{name} differs from the generated seed");
        }
        assert!(found.len() <= MAX_FOUND, "{target} has {} inputs from fuzzers", found.len());
        // The fuzz crate tests the comparisons with other implementations.
        let Some(index) = properties.iter().position(|(name, _)| *name == target) else { continue };
        let (_, property) = properties.remove(index);
        for (name, seed) in named.iter().chain(&found) {
            // Names the input that fails.
            println!("{target}/{name}");
            property(seed);
        }
    }
    assert!(properties.is_empty(), "without a corpus: {properties:?}");
}

/// A fuzzer names its findings by their SHA-1.
fn is_hash(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn corpus_directory(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// Writes the generated files, and keeps a fuzzer's findings.
fn write(directory: &Path, corpus: &Corpus) {
    fs::create_dir_all(directory).expect("the directory can be made");
    for name in read(directory).into_keys().filter(|name| !is_hash(name)) {
        fs::remove_file(directory.join(name)).expect("an old seed can be removed");
    }
    for (name, seed) in corpus {
        fs::write(directory.join(name), seed).expect("a seed can be written");
    }
}

/// The files in a directory.
fn read(directory: &Path) -> Corpus {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let paths = entries.map(|entry| entry.expect("the directory can be read").path());
    let name = |path: &Path| path.file_name().expect("it has a name").to_string_lossy().into_owned();
    paths.map(|path| (name(&path), fs::read(&path).expect("a file can be read"))).collect()
}

/// The corpora, under the names of their targets.
fn corpora() -> Vec<(&'static str, Corpus)> {
    vec![
        ("server", server()),
        ("client", client()),
        ("operations", operations()),
        ("handshake", handshake()),
        ("frame", frame()),
        #[cfg(feature = "std")]
        ("session", session::session()),
        #[cfg(feature = "deflate")]
        ("deflate", deflate()),
        #[cfg(feature = "deflate")]
        ("isolation", isolation::isolation()),
        ("against_tungstenite", against::tungstenite()),
        #[cfg(feature = "deflate")]
        ("against_sockudo", against::sockudo()),
    ]
}

fn server() -> Corpus {
    let seed = |stream: &[u8]| input(flag::OPEN | flag::ECHO, &[3, 1, 5], stream);
    let mut corpus: Corpus = vectors().into_iter().map(|(name, stream)| (name, seed(&stream))).collect();
    let hello = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    let ahead = [REQUEST, hello].concat();
    for (name, flags) in [("ahead", flag::ECHO), ("ahead-deferred", flag::DEFER), ("rejected", flag::REJECT)] {
        corpus.insert(format!("request-{name}"), input(flags, &[40], &ahead));
    }
    corpus.insert("request-too-long".into(), input(flag::SMALL_HEADS, &[], &handshakes("client-chromium")[0].1));
    corpus.insert("request-old".into(), input(0, &[], &[b"GET / HTTP/1.0\r\n", &REQUEST[20..]].concat()));
    corpus.insert("request-later".into(), input(0, &[], &[b"GET / HTTP/1.2\r\n", &REQUEST[20..]].concat()));
    corpus.insert("request-http2".into(), input(0, &[5], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    let head = b"HEAD /chat HTTP/1.1\r\nHost: a\r\n\r\n";
    corpus.insert("request-head".into(), input(flag::DEFER, &[40], head));
    corpus.insert("request-head-invalid".into(), input(flag::DEFER, &[40], b"HEAD/chat HTTP/1.1\r\n\r\n"));
    corpus.insert("request-expecting".into(), input(0, &[40], &with_header(REQUEST, "Expect: 100-continue\r\n")));
    // Two fragments that reach the limit, the second with half a character; the third exceeds it by one byte.
    let fragment = |first: u8, payload: &[u8]| [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat();
    let over = [fragment(1, &[b'a'; 40]), fragment(0, &[&[b'a'; 23][..], b"\xc3"].concat()), fragment(0x80, b"\xa9")];
    corpus.insert("fragments-too-long".into(), input(flag::OPEN | flag::SMALL_MESSAGES, &[], &over.concat()));
    corpus.insert("message-while-closing".into(), input(flag::OPEN | flag::CLOSE, &[2], hello));
    corpus.insert("message-discarded".into(), input(flag::OPEN | flag::CLOSE | flag::BROWSER_RULES, &[2], hello));
    corpus.insert(
        "pings-piling-up".into(),
        input(flag::OPEN | flag::SMALL_MESSAGES, &[], &b"\x89\x84\0\0\0\0ping".repeat(9)),
    );
    corpus.insert(
        "fragments-too-many".into(),
        input(
            flag::OPEN | flag::SMALL_MESSAGES,
            &[],
            &[b"\x01\x80\0\0\0\0", &b"\0\x80\0\0\0\0".repeat(3)[..]].concat(),
        ),
    );
    corpus
}

fn client() -> Corpus {
    let mut corpus = Corpus::new();
    for (name, stream) in vectors() {
        if let Some(stream) = unmask(&stream) {
            corpus.insert(name, input(flag::OPEN | flag::ECHO, &[3, 1, 5], &stream));
        }
    }
    let accepted = response();
    let selected = |name: &str| with_header(&accepted, &format!("Sec-WebSocket-Protocol: {name}\r\n"));
    let streams: [(&str, u8, Vec<u8>); 10] = [
        ("refusal-folded", 0, b"HTTP/1.2 401 No\r\nWWW-Authenticate: Basic\r\n realm=a\r\n\r\nlogin".to_vec()),
        ("response", flag::ECHO, [&accepted, &b"\x81\x05Hello"[..]].concat()),
        ("response-selected", flag::BROWSER_RULES, selected("chat")),
        ("response-unselected", flag::BROWSER_RULES, accepted.clone()),
        ("response-selected-other", 0, selected("other")),
        ("response-extension", 0, with_header(&accepted, "Sec-WebSocket-Extensions: permessage-deflate\r\n")),
        ("response-after-hints", 0, [b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n", &accepted[..]].concat()),
        ("refusal-length", 0, b"HTTP/1.1 401 No\r\nContent-Length: 5\r\n\r\nlogin".to_vec()),
        ("refusal-chunked", 0, b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbusy\r\n0\r\n\r\n".to_vec()),
        ("refusal-unended", 0, b"HTTP/1.1 302 No\r\nLocation: /\r\n\r\nmoved".to_vec()),
    ];
    corpus.extend(streams.map(|(name, flags, stream)| (name.into(), input(flags, &[30, 1], &stream))));
    let accept = line(&accepted, "Sec-WebSocket-Accept:").to_owned();
    // Responses that differ in form from ours.
    let usual = b"http/1.1 101 switching protocols\r\nupgrade: websocket\r\n";
    let is_unusual = |head: &[u8]| !head.to_ascii_lowercase().starts_with(usual);
    for (name, head) in handshakes("server-").into_iter().filter(|(_, head)| is_unusual(head)) {
        let theirs = line(&head, "Sec-WebSocket-Accept:");
        let head = String::from_utf8_lossy(&head).replace(theirs, &accept);
        corpus.insert(name, input(0, &[60], head.as_bytes()));
    }
    corpus
}

/// The line of the head that starts with `name`.
fn line<'h>(head: &'h [u8], name: &str) -> &'h str {
    let head = std::str::from_utf8(head).expect("a head is text");
    let is_named = |line: &&str| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    head.lines().find(is_named).expect("the head has it")
}

fn operations() -> Corpus {
    const OPEN: &[u8] = &[FLUSH, FLUSH, DECIDE, 2, FLUSH];
    let from_request: [(&str, &[u8]); 5] = [
        ("untouched", &[]),
        ("rejected", &[FLUSH, FLUSH, DECIDE, 0, FLUSH]),
        ("closed-while-connecting", &[CLOSE_WITHOUT_CODE, FLUSH]),
        ("closed-while-deciding", &[FLUSH, SERVER | CLOSE_WITHOUT_CODE, DECIDE, 1, FLUSH]),
        ("cut-in-request", &[WRITE, 40, SERVER | RECEIVE, 40, SERVER | EOF]),
    ];
    #[rustfmt::skip]
    let from_open: [(&str, &[u8]); 9] = [
        ("text", &[TEXT, 5, b'H', b'e', b'l', b'l', b'o', SERVER | BINARY, 2, 0, 0xff, FLUSH]),
        ("long", &[TEXT | LONG, 1, b'x', SERVER | BINARY | LONG, 255, 1, 2, 3, FLUSH]),
        ("byte-by-byte", &[
            TEXT, 2, 0xc3, 0xa9, WRITE, 9, SERVER | RECEIVE, 1, SERVER | RECEIVE, 7, SERVER | RECEIVE, 1,
        ]),
        ("fragments", &[TEXT_FRAGMENT | MORE, 1, 0xc3, PING, 0, TEXT_FRAGMENT, 1, 0xa9, BINARY_FRAGMENT, 1, 0]),
        ("fragments-wrong", &[
            TEXT_FRAGMENT | MORE, 1, 0xc3, TEXT_FRAGMENT, 0, BINARY_FRAGMENT, 0, TEXT, 0, TEXT_FRAGMENT, 1, 0x80,
        ]),
        ("pings", &[PING, 123, PONG, 0, PING, 124, FLUSH, SERVER | PING, 9, SERVER | PONG, 3, FLUSH]),
        ("close-race", &[
            CLOSE, 0x0f, 0xa0, 3, b'b', b'y', b'e', SERVER | TEXT, 1, b'x', SERVER | CLOSE_WITHOUT_CODE, FLUSH,
        ]),
        ("close-and-ping", &[CLOSE, 0x03, 0xe8, 0, PING, 1, TEXT, 0, SERVER | PING, 1, FLUSH, PONG, 0]),
        ("recycled", &[
            RECYCLE, 9, SERVER | TEXT, 3, b'a', b'b', b'c', SERVER | WRITE, 4, RECEIVE, 4, RECYCLE, 9, FLUSH, EOF,
        ]),
    ];
    let schedules = from_request.map(|(name, schedule)| (name, schedule.to_vec())).into_iter();
    let schedules = schedules.chain(from_open.map(|(name, schedule)| (name, [OPEN, schedule].concat())));
    // Each with other traits, the same on both sides.
    let traits = (0..8u8).map(|bits| bits | bits << 4).cycle();
    let seeds =
        schedules.zip(traits).map(|((name, schedule), traits)| (name.into(), [&[traits], &schedule[..]].concat()));
    // A partly written pong cannot be replaced by the next.
    let pings = [PING, 100, FLUSH, SERVER | WRITE, 10, PING, 100, WRITE, 255, SERVER | RECEIVE, 255];
    seeds.chain([("pong-half-written".into(), [&[FEW_PONGS], OPEN, &pings].concat())]).collect()
}

fn handshake() -> Corpus {
    let mut corpus: Corpus = handshakes("client-").into_iter().collect();
    let values: [(&str, &str); 10] = [
        ("extensions", "permessage-deflate; client_max_window_bits; server_max_window_bits=10, x; y=\"a\\b\""),
        ("extensions-lines", "foo\nbar; baz=2\n,,\n"),
        ("extensions-malformed", "permessage-deflate;;=\""),
        ("uri", "wss://example.com:8443/chat?room=1"),
        ("uri-other-port", "wss://example.com:80"),
        ("uri-ipv6", "WS://[2001:db8::1]:80"),
        ("uri-iri", "ws://example.com/\u{e9}?\u{1f600}=%20"),
        ("uri-fragment", "ws://example.com/#top"),
        ("uri-user", "ws://me@example.com:0/"),
        (
            "absolute",
            "GET http://example.com?x HTTP/1.1\r\nHost: h\r\nUpgrade: h2c, websocket\r\nConnection: x\r\n\
            Connection: upgrade\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        ),
    ];
    corpus.extend(values.map(|(name, value)| (name.into(), value.into())));
    corpus.extend(openings());
    corpus.insert("subprotocol-repeated".into(), with_header(REQUEST, "Sec-WebSocket-Protocol: chat, chat\r\n"));
    corpus
}

/// Header lists of HTTP/2, and handshakes between both sides.
fn openings() -> Corpus {
    use shared::harness::opening::flag::{BROWSER_RULES, CONNECT, OFFER, SECURE, SELECT, TAKE};
    use shared::harness::opening::part::{ANSWER_HEADER, HEADER, ORIGIN, SUBPROTOCOL};

    let rfc = ":method: CONNECT\n:protocol: websocket\n:scheme: https\n:path: /chat\n:authority: server.example.com\n\
        sec-websocket-protocol: chat, superchat\nsec-websocket-extensions: permessage-deflate\n\
        sec-websocket-version: 13\norigin: http://www.example.com";
    let part = |kind: u8, strings: &[&str]| {
        let strings = strings.iter().flat_map(|text| [&[text.len() as u8], text.as_bytes()].concat());
        [kind].into_iter().chain(strings).collect::<Vec<_>>()
    };
    let everything = [
        part(SUBPROTOCOL, &["chat"]),
        part(SUBPROTOCOL, &["superchat"]),
        part(ORIGIN, &["http://www.example.com"]),
        part(HEADER, &["Cookie", "a=b"]),
        part(ANSWER_HEADER, &["Set-Cookie", "c=d"]),
    ];
    let opening = |flags: u8| [&[flags], &[6, 4, 7, 7, 0, 0].repeat(2)[..], &everything.concat()].concat();
    let seeds = [
        ("connect-rfc", rfc.into()),
        ("connect-plain", b":method: CONNECT\n:authority: internal.example:22".to_vec()),
        ("connect-headers", b"host: example.com:443\ncookie: a=b\ncookie: c=d\nte: trailers".to_vec()),
        ("opening-upgrade", opening(SELECT | OFFER | TAKE)),
        ("opening-connect", opening(CONNECT | SECURE | SELECT | OFFER | TAKE)),
        ("opening-unselected", opening(CONNECT | BROWSER_RULES | OFFER)),
    ];
    seeds.map(|(name, seed)| (name.into(), seed)).into()
}

/// The first frame's header of each vector, each header once; and some streams.
fn frame() -> Corpus {
    let mut corpus = Corpus::new();
    for (name, stream) in vectors() {
        let header = stream[..stream.len().min(14)].to_vec();
        if !corpus.values().any(|known: &Vec<u8>| known.starts_with(&header[..2])) {
            corpus.insert(name, header);
        }
    }
    // The borders between the forms of a length.
    corpus.insert("length-125-in-16-bits".into(), hex("827e007d"));
    corpus.insert("length-126-in-16-bits".into(), hex("827e007e"));
    corpus.insert("length-65535-in-64-bits".into(), hex("827f000000000000ffff"));
    corpus.insert("length-65536-in-64-bits".into(), hex("827f0000000000010000"));
    // Streams after the sizes of their pieces.
    let hello = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    let frames = [&hello[..], b"\x8a\0\x41\x02Hi\x89\x80\x01\x02\x03\x04\x80\x7e\0\x7e", &[b'x'; 126]].concat();
    corpus.insert("stream".into(), [&[3, 1, 5], &frames[..]].concat());
    corpus.insert(
        "stream-cut-short".into(),
        [&[1, 0, 7], &hello[..], b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff01234"].concat(),
    );
    corpus.insert("stream-faulty".into(), [&[2, 9, 1], &hello[..], b"\x82\xff\0\0\0\0\0\0\0\x010123"].concat());
    corpus
}

/// The compressed messages of the vectors, to both roles, and messages through our own compressor.
#[cfg(feature = "deflate")]
fn deflate() -> Corpus {
    use shared::harness::deflate::operation::{BINARY, FRAGMENTS, LONG, OTHER, PING, SERVER, UNCOMPRESSED};
    use shared::harness::deflate::{WISH, flag, frame};

    const USUAL: [u8; WISH] = [6, 4, 7, 7, 0, 0];
    const SHARED: [u8; WISH] = [9, 8, 1, 1, 1, 0];
    const CUTS: [u8; 2] = [3, 7];
    let string = |bytes: &[u8]| [&[bytes.len() as u8], bytes].concat();
    let input = |flags: u8, wish: [u8; WISH], rest: &[u8]| [&[flags], &wish[..], &wish, &CUTS, rest].concat();
    let hello = hex("f248cdc9c90700");
    // RFC 7692 §7.2.3, and invalid messages.
    let messages: [(&str, u8, Vec<u8>); 9] = [
        ("one-block", 0, hello.clone()),
        ("window-shared", 0, hex("f200110000")),
        ("stored", 0, hex("000500faff48656c6c6f00")),
        ("final", 0, hex("f348cdc9c9070000")),
        ("two-blocks", 0, hex("f24805000000ffffcac9c90700")),
        ("empty", 0, vec![0]),
        ("cut-short", 0, hex("f248cd")),
        ("junk", 0, vec![0xff; 9]),
        ("border-missing", 0, hex("f248cdc9c907")),
    ];
    let mut corpus = Corpus::new();
    for (index, (name, kind, payload)) in messages.into_iter().enumerate() {
        let whole = [vec![frame::COMPRESSED | frame::FIN | kind], string(&payload)].concat();
        let (start, end) = payload.split_at(payload.len() / 2);
        let fragments =
            [vec![frame::COMPRESSED | kind], string(start), vec![frame::PING, 0, frame::FIN], string(end)].concat();
        // The following message shows whether the context is right.
        let stream = [&[frame::COMPRESSED | frame::FIN], &string(&hello)[..], &whole, &fragments].concat();
        let flags = flag::RECEIVE | [0, flag::CLIENT, flag::ECHO, flag::SMALL][index % 4];
        corpus.insert(format!("received-{name}"), input(flags, USUAL, &stream));
        corpus.insert(format!("received-{name}-shared"), input(flags, SHARED, &stream));
    }
    let bomb = hex(
        "ecc13101000000c2a0f54f6d0d0fa000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000be0c",
    );
    let stream = [&[frame::COMPRESSED | frame::FIN | frame::BINARY], &string(&bomb)[..]].concat();
    corpus.insert("received-bomb".into(), input(flag::RECEIVE | flag::SMALL, USUAL, &stream));
    let message = |operation: u8, text: &str| [vec![operation], string(text.as_bytes())].concat();
    let sent = [
        ("whole", [message(0, "Hello"), message(SERVER, "Hello"), message(BINARY, "Hello")].concat()),
        ("fragments", [vec![FRAGMENTS | PING, 3], string("Hello, Hello, €".as_bytes()), message(0, "")].concat()),
        ("opted-out", [message(0, "Hello"), message(UNCOMPRESSED, "secret"), message(0, "Hello")].concat()),
        ("long", [message(LONG, "Hello, Hello! "), message(LONG | SERVER | BINARY, "0123456789")].concat()),
        ("two-pairs", [message(0, "Hello"), message(OTHER, "Hello"), message(0, "Hello")].concat()),
    ];
    for (name, operations) in sent {
        corpus.insert(format!("sent-{name}"), input(0, USUAL, &operations));
        corpus.insert(format!("sent-{name}-shared"), input(0, SHARED, &operations));
    }
    corpus
}

/// The masked streams of the conformance vectors without extensions, under file names.
fn vectors() -> Vec<(String, Vec<u8>)> {
    streams(false)
}

/// The vectors that need permessage-deflate, or those that do not.
fn streams(deflate: bool) -> Vec<(String, Vec<u8>)> {
    let vectors: Value = serde_json::from_slice(&data("conformance.json")).expect("it is JSON");
    let frames = vectors["server_frames"].as_array().expect("a list").iter();
    let chosen = frames.filter(|vector| vector["deflate"] == deflate && vector["in"].is_string());
    chosen.map(|vector| (file_name(text(&vector["name"])), hex(text(&vector["in"])))).collect()
}

/// The same frames as a server sends them, if all of them are whole and masked.
fn unmask(mut stream: &[u8]) -> Option<Vec<u8>> {
    let mut unmasked = Vec::new();
    while let [first, second @ (0x80..), ..] = *stream {
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let (head, rest) = stream.split_at_checked(2 + extended)?;
        let len = if extended == 0 {
            (second & 0x7f).into()
        } else {
            head[2..].iter().fold(0, |n, b| n << 8 | usize::from(*b))
        };
        let (key, rest) = rest.split_at_checked(4)?;
        let (payload, rest) = rest.split_at_checked(len.min(rest.len()))?;
        unmasked.extend([first, second & 0x7f]);
        unmasked.extend(&head[2..]);
        unmasked.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        stream = rest;
    }
    stream.is_empty().then_some(unmasked)
}

/// The heads in the files whose names begin so.
fn handshakes(prefix: &str) -> Vec<(String, Vec<u8>)> {
    let files = read(&data_path("handshakes")).into_iter().filter(|(name, _)| name.starts_with(prefix));
    files
        .filter_map(|(name, heads)| {
            let name = name.trim_end_matches(".txt").to_owned();
            let text = String::from_utf8(heads).expect("a head is text");
            // The last of a file offers the most.
            let heads: Vec<_> = text.split_inclusive("\r\n\r\n").map(|head| head.as_bytes().to_vec()).collect();
            heads.into_iter().max_by_key(Vec::len).map(|head| (name, head))
        })
        .collect()
}

fn with_header(head: &[u8], line: &str) -> Vec<u8> {
    [&head[..head.len() - 2], line.as_bytes(), b"\r\n"].concat()
}

fn data(name: &str) -> Vec<u8> {
    fs::read(data_path(name)).expect("it is in the repository")
}

fn data_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn file_name(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}
