//! Two nodes that share a Redis, with nginx as their proxy (`examples/chat/nginx.conf`), and clients that use TLS.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use websocket_proto::{ClientRequest, Event};

use crate::live::{
    Chat, Client, connect, exchange, join_while_others_talk, repeat_through_another_node, texts, wait_until,
};
use crate::shared::program::Program;

type Tls = StreamOwned<ClientConnection, TcpStream>;

#[test]
#[ignore = "needs redis-server, nginx and openssl"]
fn nodes_share_their_rooms_and_a_killed_one_loses_nothing() {
    let redis = Redis::start("shared");
    let nginx_port = free_port();
    let origin = format!("https://localhost:{nginx_port}");
    let arguments = ["--redis", &redis.url, "--origin", &origin];
    let mut nodes = [Chat::start(&arguments), Chat::start(&arguments)];
    let nginx = Nginx::start(&redis.directory, nginx_port, &nodes);

    let token = nginx.token("Ada");
    let (mut ada, welcome) = nginx.join(&token, None);
    let ada_is_on = welcome["node"].clone();
    // nginx uses the nodes in turn.
    let token = nginx.token("Bob");
    let (mut bob, welcome) = (0..20)
        .map(|_| nginx.join(&token, None))
        .find(|(_, welcome)| welcome["node"] != ada_is_on)
        .expect("there are two nodes");
    let bob_is_on = welcome["node"].clone();
    for client in [&mut ada, &mut bob] {
        client.until_present(&["Ada", "Bob"]);
    }
    ada.say("hello over there");
    bob.say("hello yourself");
    let heard = [&mut ada, &mut bob].map(|client| [client.next_broadcast(), client.next_broadcast()]);
    assert_eq!(heard[0], heard[1], "clients differ in messages or order");
    let mut said: Vec<_> = heard[0].iter().map(|said| (said["name"].as_str(), said["text"].as_str())).collect();
    said.sort_unstable();
    assert_eq!(said, [(Some("Ada"), Some("hello over there")), (Some("Bob"), Some("hello yourself"))]);

    // Bob's node is killed. Only that node knows of Bob and Carol; Carol does not come back.
    let of_bob = nodes.iter().position(|node| node.join("Carol", "lobby").1["node"] == bob_is_on).expect("one is");
    let (_carol, _) = nodes[of_bob].join("Carol", "lobby");
    ada.until_present(&["Ada", "Bob", "Carol"]);
    nodes[of_bob].process.kill();
    assert_eq!(bob.end().code(), 1006);
    for text in ["one", "two", "three"] {
        ada.say(text);
        ada.next_broadcast();
    }
    // The same address and token lead to the other node, which has the messages sent while Bob was away.
    let (mut bob, welcome) = nginx.join(&token, Some(&heard[1][1]["id"]));
    assert_eq!((&welcome["node"], &welcome["name"], &welcome["missing"]), (&ada_is_on, &json!("Bob"), &json!(false)));
    assert_eq!(texts(&welcome), ["one", "two", "three"]);
    bob.say("back again");
    assert_eq!(ada.next_broadcast()["text"], "back again");
    // Later the node forgets Carol.
    ada.until_present(&["Ada", "Bob"]);

    // The access log contains no token.
    let log = fs::read_to_string(redis.directory.join("access.log")).expect("nginx logs");
    assert!(log.contains("GET /chat HTTP/1.1\" 101") && !log.contains(&token), "{log}");
}

#[test]
#[ignore = "needs redis-server"]
fn clients_are_disconnected_while_redis_is_down() {
    let mut redis = Redis::start("lost");
    // The node logs the loss to a closed error stream.
    let chat = Chat::start_unheard(&["--redis", &redis.url]);
    let (mut ada, _) = chat.join("Ada", "lobby");
    ada.say("before");
    ada.next_broadcast();
    redis.process.kill();
    assert_eq!(ada.end().code(), 1012);
    // The client is rejected: in a room it would receive no messages.
    let mut refused = chat.client();
    refused.send(&json!({ "type": "join", "token": chat.token("Ada"), "room": "lobby" }));
    assert_eq!(refused.end().code(), 1013);
    redis.restart();
    let mut ada = let_in(&chat);
    ada.say("after");
    assert_eq!(ada.next_broadcast()["text"], "after");
}

#[test]
#[ignore = "needs redis-server"]
fn nodes_agree_on_a_new_secret_after_redis_was_emptied() {
    let redis = Redis::start("secret");
    let nodes = [(); 2].map(|()| Chat::start_unheard(&["--redis", &redis.url]));
    let old = nodes[0].token("Ada");
    let mut clients = nodes.each_ref().map(|node| node.join("Ada", "lobby").0);
    // Another node proposed a secret first. These nodes learn it when they subscribe again.
    let mut emptied = redis::pipe();
    emptied.cmd("FLUSHALL").set("chat:secret", &[7u8; 32]).cmd("CLIENT").arg(&["KILL", "TYPE", "pubsub"]);
    emptied.exec(&mut redis.connect()).expect("Redis does it");
    for client in &mut clients {
        assert_eq!(client.end().code(), 1012);
    }
    for node in &nodes {
        let_in(node);
    }
    // Each node accepts the other's new tokens, and neither accepts an old one.
    for (signer, node) in [(0, 1), (1, 0)] {
        nodes[node].client().join(&nodes[signer].token("Ada"), "lobby", None);
        let mut refused = nodes[node].client();
        refused.send(&json!({ "type": "join", "token": old, "room": "lobby" }));
        assert_eq!(refused.end().code(), 3000);
    }
}

/// A client that the node accepts, after some attempts if necessary.
fn let_in(node: &Chat) -> Client<TcpStream> {
    let mut attempt = None;
    wait_until("the chat lets people in", || {
        let mut client = node.client();
        client.send(&json!({ "type": "join", "token": node.token("Ada"), "room": "lobby" }));
        attempt = (!matches!(client.event(), Event::Closed(_))).then_some(client);
        attempt.is_some()
    });
    attempt.expect("it let her in")
}

#[test]
#[ignore = "needs redis-server"]
fn joining_through_another_node_loses_and_repeats_nothing() {
    let redis = Redis::start("joining");
    let arguments = ["--redis", &redis.url];
    join_while_others_talk(&Chat::start(&arguments), &Chat::start(&arguments));
}

#[test]
#[ignore = "needs redis-server"]
fn other_nodes_learn_at_once_when_a_user_leaves() {
    let redis = Redis::start("leaving");
    let arguments = ["--redis", &redis.url];
    let (here, there) = (Chat::start(&arguments), Chat::start(&arguments));
    let (mut ada, _) = here.join("Ada", "lobby");
    let rooms = (0..70).map(|n| format!("room-{n}"));
    let mut people: Vec<_> = rooms.map(|room| there.join("Bob", &room)).collect();
    let people_elsewhere = |message: &Value| {
        let rooms = message["rooms"].as_array()?;
        Some(rooms.iter().filter(|room| room[0] != "lobby" && room[1] != 0).count())
    };
    ada.next(|message| people_elsewhere(message) == Some(70));
    // For more than four seconds, because a node repeats its list of users every four: some users leave just before
    // that.
    while people.pop().is_some() {
        thread::sleep(Duration::from_millis(70));
    }
    // Without a message about a room, a node would be forgotten only after 12 s.
    let left = Instant::now();
    ada.next(|message| people_elsewhere(message) == Some(0));
    assert!(left.elapsed() < Duration::from_secs(4), "{:?}", left.elapsed());
}

#[test]
#[ignore = "needs redis-server"]
fn redis_keeps_no_more_rooms_than_a_node() {
    let redis = Redis::start("rooms");
    let chat = Chat::start(&["--redis", &redis.url]);
    let token = chat.token("Ada");
    let (mut ada, _) = chat.join("Ada", "lobby");
    ada.say_with("first", "first of all");
    ada.next_broadcast();
    // Each client opens the maximum number of rooms at once: 120 in all, more than a node's hundred.
    for maker in 0..24 {
        let mut client = chat.client();
        for room in 0..5 {
            client.join(&token, &format!("room-{maker}-{room}"), None);
            client.say_with(&room.to_string(), "here");
            client.next_broadcast();
        }
    }
    // A history and a set of keys for each room, the list of rooms, and the nodes' secret.
    assert_eq!((redis.count("chat:history:*:keys"), redis.count("chat:*")), (100, 202));
    // The lobby always stays; of the others, the latest.
    for (room, kept) in [("lobby", vec!["first of all"]), ("room-0-0", vec![]), ("room-23-4", vec!["here"])] {
        assert_eq!(texts(&chat.join("Ada", room).1), kept, "{room}");
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_message_repeated_through_another_node_is_broadcast_once() {
    let redis = Redis::start("again");
    let arguments = ["--redis", &redis.url];
    repeat_through_another_node(&Chat::start(&arguments), &Chat::start(&arguments));
}

/// A Redis of the test's own, on a socket in a directory of the test's own.
struct Redis {
    process: Program,
    directory: PathBuf,
    url: String,
}

impl Redis {
    fn start(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("chat-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("a temporary directory");
        let url = format!("redis+unix://{}", directory.join("redis").display());
        Self { process: Self::run(&directory), directory, url }
    }

    fn restart(&mut self) {
        self.process = Self::run(&self.directory);
    }

    /// The number of keys that match.
    fn count(&self, pattern: &str) -> usize {
        let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query(&mut self.connect()).expect("Redis answers");
        keys.len()
    }

    fn connect(&self) -> redis::Connection {
        let client = redis::Client::open(self.url.as_str()).expect("a URL");
        client.get_connection().expect("Redis listens")
    }

    fn run(directory: &Path) -> Program {
        let socket = directory.join("redis");
        let _ = fs::remove_file(&socket);
        let mut redis = Command::new("redis-server");
        redis.args(["--port", "0", "--save", "", "--unixsocket"]).arg(&socket).arg("--dir").arg(directory);
        let process = Program(redis.stdout(Stdio::null()).spawn().expect("redis-server is installed"));
        wait_until("Redis listens", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
        process
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// nginx, which terminates TLS for the nodes.
struct Nginx {
    _process: Program,
    address: String,
    tls: Arc<ClientConfig>,
}

impl Nginx {
    fn start(directory: &Path, port: u16, nodes: &[Chat; 2]) -> Self {
        let certificate = directory.join("chat.pem");
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
        openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]).arg("-out").arg(&certificate);
        openssl.arg("-keyout").arg(directory.join("chat.key")).stderr(Stdio::null());
        assert!(openssl.status().expect("openssl is installed").success());

        let directory = directory.to_str().expect("text");
        let configuration = include_str!("../../examples/chat/nginx.conf")
            .replace("127.0.0.1:9001", &nodes[0].address)
            .replace("127.0.0.1:9002", &nodes[1].address)
            .replace("listen 443 ssl", &format!("listen 127.0.0.1:{port} ssl"))
            .replace("/etc/ssl", directory)
            .replace("http {", &format!("http {{ access_log {directory}/access.log;"));
        let file = format!("{directory}/nginx.conf");
        fs::write(&file, configuration).expect("a directory");
        let mut nginx = Command::new("nginx");
        nginx.args([
            "-p",
            directory,
            "-c",
            &file,
            "-e",
            "stderr",
            "-g",
            "daemon off; master_process off; pid nginx.pid;",
        ]);
        let process = Program(nginx.spawn().expect("nginx is installed"));
        let address = format!("127.0.0.1:{port}");
        wait_until("nginx listens", || TcpStream::connect(&address).is_ok());

        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(certificate).expect("a certificate")).expect("one that can be trusted");
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Self { _process: process, address, tls: Arc::new(tls) }
    }

    fn token(&self, name: &str) -> String {
        let login = json!({ "name": name }).to_string();
        let (head, token) = exchange(&mut self.connect(), "POST", "/login", &login);
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        token
    }

    /// A client in the lobby that has seen messages up to `last`.
    fn join(&self, token: &str, last: Option<&Value>) -> (Client<Tls>, Value) {
        let host = format!("localhost:{}", self.address.rsplit_once(':').expect("a port").1);
        let request = ClientRequest::new(format!("wss://{host}/chat")).origin(format!("https://{host}"));
        let request = request.expect("a valid origin");
        let mut client = Client::open(self.connect(), &request).expect("the chat accepts the client");
        let welcome = client.join(token, "lobby", last);
        (client, welcome)
    }

    fn connect(&self) -> Tls {
        let name = ServerName::try_from("localhost").expect("a name");
        let tls = ClientConnection::new(self.tls.clone(), name).expect("a configuration");
        StreamOwned::new(tls, connect(&self.address))
    }
}

/// A free port; nginx could not report one that it chose.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("the listener is bound").port()
}
