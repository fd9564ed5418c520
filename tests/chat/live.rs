//! The chat as a process, and clients that use this crate's connection over real sockets.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use websocket_proto::handshake::Response;
use websocket_proto::{ClientRequest, Closed, Config, Connection, Deflate, Event, Input, Output};

use crate::shared::program::{Program, example, listening};
use crate::shared::sockets;

/// The longest time that any step may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The example as a process.
pub(crate) struct Chat {
    pub(crate) process: Program,
    /// Its address.
    pub(crate) address: String,
}

impl Chat {
    /// Starts it on a free port.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_on("127.0.0.1:0", arguments)
    }

    pub(crate) fn start_on(address: &str, arguments: &[&str]) -> Self {
        Self::run(address, arguments, Stdio::inherit())
    }

    /// Starts it with an error stream whose other end is closed.
    pub(crate) fn start_unheard(arguments: &[&str]) -> Self {
        let mut chat = Self::run("127.0.0.1:0", arguments, Stdio::piped());
        drop(chat.process.0.stderr.take());
        chat
    }

    fn run(address: &str, arguments: &[&str], errors: Stdio) -> Self {
        let (process, address, _) = listening(example("chat").arg(address).args(arguments).stderr(errors), "http");
        Self { process, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/chat", self.address)
    }

    /// A token for this name.
    pub(crate) fn token(&self, name: &str) -> String {
        let (head, token) = self.http("POST", "/login", &json!({ "name": name }).to_string());
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        token
    }

    /// The head and the body of the answer to a request.
    pub(crate) fn http(&self, method: &str, path: &str, body: &str) -> (String, String) {
        exchange(&mut connect(&self.address), method, path, body)
    }

    /// A client in a room, and the welcome that it received.
    pub(crate) fn join(&self, name: &str, room: &str) -> (Client<TcpStream>, Value) {
        let mut client = self.client();
        let welcome = client.join(&self.token(name), room, None);
        (client, welcome)
    }

    /// Sends 108 messages to a room, more than its history keeps.
    pub(crate) fn fill(&self, room: &str, text: impl Fn(usize) -> String) {
        // Each client sends the number of messages that the rate limit allows at once.
        for speaker in 0..12 {
            let (mut client, _) = self.join("Speaker", room);
            for n in 0..9 {
                client.say(&text(speaker * 9 + n));
                client.next_broadcast();
            }
        }
    }

    /// A client that has not joined a room.
    pub(crate) fn client(&self) -> Client<TcpStream> {
        Client::open(connect(&self.address), &ClientRequest::new(self.url())).expect("the chat accepts the client")
    }
}

/// Clients join through one node while others send through another: each receives all messages, in order and once,
/// whenever it joins.
pub(crate) fn join_while_others_talk(talkers: &Chat, joiners: &Chat) {
    const TALKERS: usize = 8;
    // The number that the rate limit allows at once; together they fit in the history.
    const EACH: usize = 9;
    let heard = thread::scope(|scope| {
        for talker in 0..TALKERS {
            let (mut client, _) = talkers.join("Talker", "rust");
            scope.spawn(move || {
                for n in 0..EACH {
                    let text = format!("{talker} {n}");
                    client.say(&text);
                    client.next(|message| message["text"] == *text);
                }
            });
        }
        let joining = (0..24).map(|n| {
            let mut client = joiners.client();
            let token = joiners.token("Joiner");
            scope.spawn(move || {
                thread::sleep(Duration::from_millis(n));
                let welcome = client.join(&token, "rust", None);
                let mut heard: Vec<_> = welcome["messages"].as_array().expect("a list").clone();
                heard.extend((heard.len()..TALKERS * EACH).map(|_| client.next_broadcast()));
                heard.iter().map(|said| said["id"].to_string()).collect::<Vec<_>>()
            })
        });
        let joining: Vec<_> = joining.collect();
        joining.into_iter().map(|thread| thread.join().expect("it hears all")).collect::<Vec<_>>()
    });
    let (_, welcome) = joiners.join("Last", "rust");
    let all: Vec<_> =
        welcome["messages"].as_array().expect("a list").iter().map(|said| said["id"].to_string()).collect();
    assert_eq!(all.len(), TALKERS * EACH);
    for heard in heard {
        assert_eq!(heard, all);
    }
}

/// A user sends a message through one node, does not learn that it was broadcast, and sends it again through another;
/// meanwhile the room received more messages than its history keeps.
pub(crate) fn repeat_through_another_node(first: &Chat, then: &Chat) {
    let (mut ada, _) = first.join("Ada", "rust");
    ada.say_with("a-key", "once");
    assert_eq!(ada.next_broadcast()["key"], "a-key");
    drop(ada);
    first.fill("rust", |n| n.to_string());
    let (mut ada, welcome) = then.join("Ada", "rust");
    assert!(!texts(&welcome).contains(&"once"), "the room does not hold it");
    ada.say_with("a-key", "once");
    let answer = ada.next(|message| ["said", "known", "refused"].iter().any(|kind| message["type"] == **kind));
    assert_eq!(answer, json!({ "type": "known", "key": "a-key" }));
    ada.say_with("another-key", "once more");
    assert_eq!(ada.next_broadcast()["text"], "once more");
}

/// A socket with a timeout, so that a test fails instead of hanging.
pub(crate) fn connect(address: &str) -> TcpStream {
    sockets::connect(address, PATIENCE)
}

/// One HTTP request, whose answer ends with the connection.
pub(crate) fn exchange(stream: &mut (impl Read + Write), method: &str, path: &str, body: &str) -> (String, String) {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    let _ = write!(request, "Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).expect("the peer reads");
    let mut answer = Vec::new();
    // TLS peers may end without a close_notify.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?} is no answer"));
    (head.to_owned(), body.to_owned())
}

/// A WebSocket client over a blocking stream.
pub(crate) struct Client<S> {
    pub(crate) stream: S,
    ws: Connection,
    output: Output,
    events: VecDeque<Event<'static>>,
}

impl<S: Read + Write> Client<S> {
    /// A client that the server accepted, or the rejection.
    pub(crate) fn open(stream: S, request: &ClientRequest) -> Result<Self, Box<Response>> {
        Self::open_with(stream, request, Config::new().max_message_size(64 << 20).deflate(Deflate::new()))
    }

    pub(crate) fn open_with(stream: S, request: &ClientRequest, config: Config) -> Result<Self, Box<Response>> {
        let mut output = Output::new();
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).expect("the system has randomness");
        let ws = Connection::client(request, config, seed, &mut output).expect("the request is valid");
        let mut client = Self { stream, ws, output, events: VecDeque::new() };
        match client.event() {
            Event::Open(_) => Ok(client),
            Event::Rejected(response) => Err(Box::new(response)),
            event => panic!("{event:?}"),
        }
    }

    /// The next event. Skips `CloseReceived`: the last event repeats the Close.
    pub(crate) fn event(&mut self) -> Event<'static> {
        let mut buffer = vec![0; 64 << 10];
        while self.events.is_empty() {
            // A write may fail after the server has closed; its answer may still be readable.
            let _ = self.output.write_to(&mut self.stream);
            let read = match self.stream.read(&mut buffer) {
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                    panic!("nothing comes")
                }
                read => read.unwrap_or(0),
            };
            let mut input = Input::new(&mut buffer[..read]);
            while let Some(event) =
                if read == 0 { self.ws.receive_eof() } else { self.ws.receive(&mut input, &mut self.output) }
            {
                if !matches!(event, Event::CloseReceived { .. }) {
                    self.events.push_back(event.into_owned());
                }
            }
        }
        // The reply to what was received: a pong, a Close.
        let _ = self.output.write_to(&mut self.stream);
        self.events.pop_front().expect("an event has arrived")
    }

    /// The last event; events before it are skipped.
    pub(crate) fn end(&mut self) -> Closed {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.event() {
                Event::Closed(closed) => return closed,
                event => assert!(Instant::now() < deadline, "{event:?} and no end"),
            }
        }
    }

    pub(crate) fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string());
    }

    pub(crate) fn send_text(&mut self, text: &str) {
        self.ws.send_text(text, &mut self.output).expect("the connection is open");
        self.output.write_to(&mut self.stream).expect("the server reads");
    }

    /// The next message for which `is_it` is true; others are skipped.
    pub(crate) fn next(&mut self, mut is_it: impl FnMut(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.event() {
                Event::Text(text) => {
                    let message: Value = serde_json::from_str(&text).expect("JSON");
                    if is_it(&message) {
                        return message;
                    }
                }
                Event::Closed(closed) => panic!("{closed}"),
                _ => {}
            }
            assert!(Instant::now() < deadline, "no such message arrives");
        }
    }

    /// Enters a room; returns the welcome.
    pub(crate) fn join(&mut self, token: &str, room: &str, last: Option<&Value>) -> Value {
        self.send(&json!({ "type": "join", "token": token, "room": room, "last": last }));
        self.next(|message| message["type"] == "welcome")
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.say_with("", text);
    }

    /// Sends a message with a key, by which it is recognised again.
    pub(crate) fn say_with(&mut self, key: &str, text: &str) {
        self.send(&json!({ "type": "say", "key": key, "text": text }));
    }

    /// The next message that is broadcast in the room.
    pub(crate) fn next_broadcast(&mut self) -> Value {
        self.next(|message| message["type"] == "said")
    }

    /// Waits until exactly these users are in the room.
    pub(crate) fn until_present(&mut self, names: &[&str]) {
        self.next(|message| message["type"] == "present" && message["names"] == json!(names));
    }
}

/// The texts of the messages, in order.
pub(crate) fn texts(welcome: &Value) -> Vec<&str> {
    let messages = welcome["messages"].as_array().expect("a welcome has messages");
    messages.iter().map(|said| said["text"].as_str().expect("a text")).collect()
}

/// Polls until `is_it` is true.
pub(crate) fn wait_until(what: &str, mut is_it: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_it() {
        assert!(Instant::now() < deadline, "it never happens: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}
