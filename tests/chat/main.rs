//! The chat in examples/ over loopback, run as its documentation says. Tests that need other programs, or half a
//! minute, are ignored by default and run with `cargo test --test chat -- --ignored`: the page in Chromium, two nodes
//! that share a Redis and have nginx as their proxy, over TLS, and a client that reads slowly.

mod browser;
mod chromium;
mod live;
mod nodes;
mod plain_http;
#[path = "../shared/mod.rs"]
mod shared;

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use websocket_proto::{ClientRequest, Config, Event};

use live::{Chat, Client, connect, join_while_others_talk, repeat_through_another_node, texts, wait_until};

#[test]
fn messages_reach_a_room_and_later_members() {
    let chat = Chat::start(&[]);
    let (mut ada, welcome) = chat.join("Ada", "lobby");
    assert_eq!((&welcome["name"], &welcome["room"], texts(&welcome)), (&json!("Ada"), &json!("lobby"), vec![]));
    let (mut bob, _) = chat.join("Bob", "lobby");
    let (mut eve, _) = chat.join("Eve", "elsewhere");
    ada.say("  hello,\n<b>Bob</b> \u{1f600} ");
    for client in [&mut ada, &mut bob] {
        let said = client.next_broadcast();
        assert_eq!((&said["name"], &said["text"]), (&json!("Ada"), &json!("hello,\n<b>Bob</b> \u{1f600}")));
    }
    bob.say("hello, Ada");
    assert_eq!(ada.next_broadcast()["name"], "Bob");
    let (_carol, welcome) = chat.join("Carol", "lobby");
    assert_eq!(texts(&welcome), ["hello,\n<b>Bob</b> \u{1f600}", "hello, Ada"]);
    assert_eq!(welcome["missing"], false);
    // Messages stay in their room: the first message in the other room was sent there.
    eve.say("is anybody here?");
    assert_eq!(eve.next_broadcast()["name"], "Eve");
}

#[test]
fn joins_and_leaves_are_announced() {
    let chat = Chat::start(&[]);
    let (mut ada, _) = chat.join("Ada", "lobby");
    ada.until_present(&["Ada"]);
    let (mut bob, _) = chat.join("Bob", "lobby");
    ada.until_present(&["Ada", "Bob"]);
    // Leaving one room and entering another is announced to all.
    bob.join(&chat.token("Bob"), "bobs-place", None);
    ada.until_present(&["Ada"]);
    let rooms = ada.next(|message| message["type"] == "rooms");
    assert!(rooms["rooms"].as_array().expect("a list").contains(&json!(["bobs-place", 1])), "{rooms}");
    bob.until_present(&["Bob"]);
    let (bob, _) = chat.join("Bob", "lobby");
    ada.until_present(&["Ada", "Bob"]);
    drop(bob);
    ada.until_present(&["Ada"]);
}

#[test]
fn pages_of_other_origins_are_rejected() {
    let chat = Chat::start(&[]);
    let open = |chat: &Chat, origin: &str| {
        let request = ClientRequest::new(chat.url()).origin(origin).expect("a valid origin");
        Client::open(connect(&chat.address), &request).map(|_| ()).map_err(|response| response.status())
    };
    assert_eq!(open(&chat, &format!("http://{}", chat.address)), Ok(()));
    for origin in ["http://evil.example", &format!("http://{}.evil.example", chat.address), "null"] {
        assert_eq!(open(&chat, origin), Err(403), "{origin}");
    }
    // A server whose TLS proxy has another origin is configured with that origin, and accepts no other.
    let behind = Chat::start(&["--origin", "https://chat.example"]);
    assert_eq!(open(&behind, "https://chat.example"), Ok(()));
    assert_eq!(open(&behind, &format!("http://{}", behind.address)), Err(403));
    let nowhere = ClientRequest::new(format!("ws://{}/nowhere", chat.address));
    assert_eq!(Client::open(connect(&chat.address), &nowhere).map(|_| ()).expect_err("no such path").status(), 404);
}

#[test]
fn joining_requires_a_token_of_the_server() {
    let chat = Chat::start(&[]);
    let token = chat.token("Ada");
    let (claim, signature) = token.rsplit_once('.').expect("it is signed");
    let (name, expiry) = claim.split_once('.').expect("it expires");
    let later = format!("{name}.9{expiry}.{signature}");
    let strangers = Chat::start(&[]).token("Ada");
    for forged in ["", "Ada", claim, &later, &strangers, &token[..token.len() - 1]] {
        let mut client = chat.client();
        client.send(&json!({ "type": "join", "token": forged, "room": "lobby" }));
        assert_eq!(client.end().code(), 3000, "{forged}");
    }
    let mut client = chat.client();
    client.say("I have not joined");
    assert_eq!(client.end().code(), 1008);
}

#[test]
fn names_rooms_and_messages_are_validated() {
    let chat = Chat::start(&[]);
    let log_in = |name: &str| chat.http("POST", "/login", &json!({ "name": name }).to_string()).0[9..12].to_owned();
    for name in ["Ada", "Żółw 2", "o'Neill", "한글", &"x".repeat(24)] {
        assert_eq!(log_in(name), "200", "{name}");
    }
    // U+202E reverses the writing direction; U+3164 is an invisible letter, as are the three after it.
    let unseen = ["\u{3164}", "A\u{115f}da", "A\u{1160}da", "A\u{ffa0}da"];
    for name in ["", " ", "<b>", "two\nlines", "a\u{202e}b", &"x".repeat(25)].into_iter().chain(unseen) {
        assert_eq!(log_in(name), "400", "{name:?}");
    }
    assert_eq!(log_in(&"x".repeat(2000)), "413");
    for room in ["", "Lobby", "a b", "../x", &"x".repeat(25)] {
        let mut client = chat.client();
        client.send(&json!({ "type": "join", "token": chat.token("Ada"), "room": room }));
        assert_eq!(client.end().code(), 1008, "{room:?}");
    }
    let (mut ada, _) = chat.join("Ada", "lobby");
    for text in ["", " \n ", "\u{0}", &"x".repeat(1001)] {
        ada.say(text);
        ada.next(|message| message["type"] == "refused");
    }
    for text in ["if so:\n\tindented", &"€".repeat(1000)] {
        ada.say(text);
        assert_eq!(ada.next_broadcast()["text"], text);
    }
    ada.say(&"x".repeat(20_000));
    assert_eq!(ada.end().code(), 1009);
}

#[test]
fn messages_above_the_rate_are_not_broadcast() {
    let chat = Chat::start(&[]);
    let (mut ada, _) = chat.join("Ada", "lobby");
    let began = Instant::now();
    for n in 0..30 {
        ada.say(&n.to_string());
    }
    let answers = (0..30).map(|_| ada.next(|message| message["type"] == "said" || message["type"] == "refused"));
    let heard = answers.filter(|answer| answer["type"] == "said").count();
    // One of the ten was used for joining; two more per second are allowed.
    let allowed = 9 + 2 * (began.elapsed().as_secs() as usize + 1);
    assert!((9..=allowed).contains(&heard), "{heard} of at most {allowed}");
}

#[test]
fn a_client_far_above_the_rate_is_disconnected() {
    let chat = Chat::start(&[]);
    let (mut ada, _) = chat.join("Ada", "lobby");
    // Messages within the rate are broadcast, those above it rejected, and those far above it not even rejected; valid
    // or not.
    for n in 0..200 {
        ada.say(if n % 2 == 0 { "again" } else { "" });
    }
    assert_eq!(ada.end().code(), 1008);
}

#[test]
fn a_disconnected_client_cannot_join_on_the_same_connection() {
    let chat = Chat::start(&[]);
    let token = chat.token("Ghost");
    let (mut bob, _) = chat.join("Bob", "lobby");
    bob.until_present(&["Bob"]);
    let mut ghost = chat.client();
    ghost.send_text("not a message of chat.v1");
    ghost.send(&json!({ "type": "join", "token": token, "room": "lobby" }));
    let (_carol, _) = chat.join("Carol", "lobby");
    let present = bob.next(|message| message["type"] == "present");
    assert_eq!(present["names"], json!(["Bob", "Carol"]));
}

#[test]
fn a_returning_client_gets_the_missed_messages_once() {
    let chat = Chat::start(&[]);
    let (mut ada, _) = chat.join("Ada", "lobby");
    let (mut bob, _) = chat.join("Bob", "lobby");
    ada.say("one");
    let last = bob.next_broadcast()["id"].clone();
    drop(bob);
    for text in ["two", "three"] {
        ada.say(text);
        ada.next_broadcast();
    }
    let mut bob = chat.client();
    let welcome = bob.join(&chat.token("Bob"), "lobby", Some(&last));
    assert_eq!((texts(&welcome), &welcome["missing"]), (vec!["one", "two", "three"][1..].to_vec(), &json!(false)));
    ada.say("four");
    assert_eq!(bob.next_broadcast()["text"], "four");
    // A message that the room has never had is no starting point.
    let welcome = chat.client().join(&chat.token("Bob"), "lobby", Some(&json!("1-0")));
    assert_eq!((texts(&welcome).len(), &welcome["missing"]), (4, &json!(true)));
}

#[test]
fn joining_during_messages_loses_and_repeats_nothing() {
    let chat = Chat::start(&[]);
    join_while_others_talk(&chat, &chat);
}

#[test]
fn a_room_keeps_its_last_hundred_messages() {
    let chat = Chat::start(&[]);
    chat.fill("rust", |n| n.to_string());
    let (_, welcome) = chat.join("Ada", "rust");
    let expected: Vec<_> = (8..108).map(|n| n.to_string()).collect();
    assert_eq!(texts(&welcome), expected);
}

#[test]
fn a_repeated_message_is_broadcast_once() {
    let chat = Chat::start(&[]);
    repeat_through_another_node(&chat, &chat);
}

#[test]
fn prices_are_pushed() {
    let chat = Chat::start(&["--tick", "100"]);
    let (mut ada, _) = chat.join("Ada", "markets");
    let prices: HashSet<_> = (0..10)
        .map(|_| {
            let tick = ada.next(|message| message["type"] == "prices");
            let prices = tick["prices"].as_array().expect("a list").clone();
            assert!(prices.iter().all(|price| price[0].is_string() && price[1].as_f64().is_some_and(|p| p > 0.0)));
            json!(prices).to_string()
        })
        .collect();
    assert!(prices.len() > 1, "they move");
}

#[test]
fn the_keep_alive_reports_the_latency() {
    let chat = Chat::start(&[]);
    let (mut ada, _) = chat.join("Ada", "lobby");
    let latency = ada.next(|message| message["type"] == "latency");
    let milliseconds = latency["milliseconds"].as_f64().expect("a number");
    assert!((0.0..5000.0).contains(&milliseconds), "{latency}");
}

#[test]
fn a_client_that_does_not_read_is_dropped_and_others_are_served() {
    // Messages and prices, more than a socket's buffers take in a second.
    let chat = Chat::start(&["--tick", "1"]);
    let (mut slow, _) = chat.join("Slow", "lobby");
    let (mut ada, _) = chat.join("Ada", "lobby");
    ada.until_present(&["Ada", "Slow"]);
    let began = Instant::now();
    // Prices and joins are sent while the slow client does not read; it leaves the room when it is dropped.
    ada.until_present(&["Ada"]);
    assert!(began.elapsed() > Duration::from_secs(4), "it was dropped too early");
    ada.say("still here");
    assert_eq!(ada.next_broadcast()["text"], "still here");
    // Without a Close, which would have waited after the other output.
    let closed = slow.end();
    assert_eq!(closed.code(), 1006, "{closed}");
}

#[test]
#[ignore = "takes half a minute"]
fn a_slow_steady_reader_stays_connected() {
    let chat = Chat::start(&[]);
    // Messages of the maximum length, uncompressed: the welcome takes longer than the keep-alive timeout.
    chat.fill("rust", |_| "\u{1f600}".repeat(1000));
    let (mut slow, token) = (Slow::client(&chat), chat.token("Slow"));
    let began = Instant::now();
    let welcome = slow.join(&token, "rust", None);
    assert_eq!(texts(&welcome).len(), 100);
    assert!(began.elapsed() > Duration::from_secs(27), "{:?} is not slow", began.elapsed());
    slow.say("that was long");
    assert_eq!(slow.next_broadcast()["text"], "that was long");
}

#[test]
#[ignore = "takes half a minute"]
fn a_client_too_slow_for_the_room_is_dropped() {
    let chat = Chat::start(&[]);
    chat.fill("rust", |_| "\u{1f600}".repeat(1000));
    let (mut ada, _) = chat.join("Ada", "rust");
    let (mut slow, token) = (Slow::client(&chat), chat.token("Slow"));
    let reading = thread::spawn(move || {
        slow.join(&token, "rust", None);
        slow.end()
    });
    ada.next(|message| message["type"] == "present" && message["names"].to_string().contains("Slow"));
    // More than 256 messages, while the welcome is being sent.
    for _ in 0..3 {
        chat.fill("rust", |n| n.to_string());
    }
    let closed = reading.join().expect("it reads to the end");
    assert_eq!((closed.code(), closed.reason()), (1008, "too slow"));
}

/// A stream that is read at 12,000 bytes a second.
struct Slow(TcpStream);

impl Slow {
    /// Without compression.
    fn client(chat: &Chat) -> Client<Self> {
        let request = ClientRequest::new(chat.url());
        Client::open_with(Self::connect(&chat.address), &request, Config::new()).expect("the chat accepts the client")
    }

    /// With a small receive buffer: a large one would take much at once and then nothing for a long time.
    fn connect(address: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        let tcp = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.set_recv_buffer_size(8 << 10)?;
            socket.connect(address.parse().expect("an address")).await?.into_std()
        });
        let tcp = tcp.expect("the server listens");
        tcp.set_nonblocking(false).expect("the socket is open");
        Self(tcp)
    }
}

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        thread::sleep(Duration::from_millis(100));
        self.0.read(&mut buffer[..1200])
    }
}

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[test]
fn a_client_that_never_joins_is_disconnected() {
    let chat = Chat::start(&[]);
    assert_eq!(chat.client().end().code(), 3008);
}

#[test]
fn a_stopping_server_tells_clients_to_reconnect() {
    let mut chat = Chat::start(&[]);
    let (mut ada, _) = chat.join("Ada", "lobby");
    chat.process.signal("TERM");
    assert_eq!(ada.end().code(), 1012);
    assert!(chat.process.0.wait().expect("it ends in time").success());
}

#[test]
fn only_the_page_is_served() {
    let chat = Chat::start(&[]);
    for (path, media_type) in [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")] {
        let (head, body) = chat.http("GET", path, "");
        assert!(head.starts_with("HTTP/1.1 200 ") && !body.is_empty(), "{path}: {head}");
        assert!(head.contains(&format!("\r\nContent-Type: {media_type}; charset=utf-8\r\n")), "{head}");
        // The page has no inline scripts and no foreign ones: injected markup would not run.
        assert!(head.contains("default-src 'none'; script-src 'self';") && !head.contains("unsafe"), "{head}");
    }
    let status = |method: &str, path: &str| chat.http(method, path, "").0[9..12].to_owned();
    assert_eq!(status("GET", "/../Cargo.toml"), "404");
    assert_eq!(status("DELETE", "/"), "405");
    assert_eq!(status("POST", "/login"), "400");
    // After garbage instead of a request, the server answers the next one.
    for garbage in [b"\x16\x03\x01\r\n\r\n".as_slice(), b"GET / HTTP/1.1\r\n", "x".repeat(40_000).as_bytes()] {
        let _ = connect(&chat.address).write_all(garbage);
    }
    assert_eq!(status("GET", "/"), "200");
}

#[test]
fn the_echo_echoes_and_closes_on_request() {
    let chat = Chat::start(&[]);
    let request = ClientRequest::new(format!("ws://{}/echo", chat.address));
    let mut client = Client::open(connect(&chat.address), &request).expect("the chat accepts the client");
    for text in ["hello", "", "close", "close 1005 not a code to send", &"x".repeat(10_000)] {
        client.send_text(text);
        assert_eq!(client.event(), Event::Text(text.into()));
    }
    client.send_text("close 4321 for a reason");
    let closed = client.end();
    assert_eq!((closed.code(), closed.reason()), (4321, "for a reason"));
}

#[test]
fn the_echo_serves_at_most_a_hundred() {
    let chat = Chat::start(&[]);
    let request = ClientRequest::new(format!("ws://{}/echo", chat.address));
    let open = || Client::open(connect(&chat.address), &request);
    let mut clients: Vec<_> = (0..100).map(|_| open().expect("the echo has room")).collect();
    assert_eq!(open().map(|_| ()).expect_err("the echo is full").status(), 503);
    // The chat has room of its own.
    chat.join("Ada", "lobby");
    clients.pop();
    wait_until("the echo has room again", || open().is_ok());
}

/// An invalid frame is answered with a Close, which arrives even if the client continues to send.
#[test]
fn a_client_that_sends_on_after_its_fault_gets_the_close() {
    let chat = Chat::start(&[]);
    let request = ClientRequest::new(format!("ws://{}/echo", chat.address));
    let at_echo = Client::open(connect(&chat.address), &request).expect("the chat accepts the client");
    for mut client in [at_echo, chat.client()] {
        client.stream.write_all(b"\x83\x80\0\0\0\0").expect("the peer reads");
        for _ in 0..4 {
            client.stream.write_all(&vec![0; 512 << 10]).expect("the peer continues to read");
            thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(client.end().code(), 1002);
    }
}

#[test]
fn the_echo_limits_the_duration_of_a_connection() {
    let (chat, began) = (Chat::start(&["--echo", "1000"]), Instant::now());
    let request = ClientRequest::new(format!("ws://{}/echo", chat.address));
    let mut client = Client::open(connect(&chat.address), &request).expect("the chat accepts the client");
    let mut talking = client.stream.try_clone().expect("a descriptor");
    thread::spawn(move || {
        while talking.write_all(b"\x81\x82\0\0\0\0hi").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let closed = client.end();
    assert_eq!(closed.code(), 3008);
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn at_most_a_hundred_rooms_are_occupied() {
    let chat = Chat::start(&[]);
    let token = chat.token("Ada");
    let enter = |room: &str| {
        let mut client = chat.client();
        client.send(&json!({ "type": "join", "token": token, "room": room }));
        (!matches!(client.event(), Event::Closed(_))).then_some(client)
    };
    // In addition to the three permanent rooms.
    let mut people: Vec<_> = (0..97).map(|n| enter(&format!("room-{n}")).expect("the room is open")).collect();
    let mut refused = chat.client();
    refused.send(&json!({ "type": "join", "token": token, "room": "one-more" }));
    assert_eq!(refused.end().code(), 1013);
    // The existing rooms are still open to new users.
    for room in ["lobby", "room-0"] {
        chat.join("Bob", room);
    }
    people.pop();
    wait_until("one takes the place of the empty one", || enter("one-more").is_some());
}
