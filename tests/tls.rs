//! `rustls_server` and the client's `wss`, as programs over loopback, against each other and against peers of this
//! test.

mod shared;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use shared::program::{Program, example, listening};
use shared::sockets;
use websocket_proto::{ClientRequest, CloseCode, Closed, Config, Connection, Event, Input, Output, State};

/// Long enough for every expected event, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// The client's output by lines, and whether it succeeded.
type ClientOutput = (Vec<String>, bool);

/// The server, its address, and its certificate.
struct Server {
    _program: Program,
    port: u16,
    cert_file: PathBuf,
}

impl Server {
    /// The test's name is in the name of its certificate file.
    fn start(test: &str) -> Self {
        let cert_file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{test}.pem"));
        let mut command = example("rustls_server");
        command.arg("127.0.0.1:0").arg("--cert-file").arg(&cert_file);
        let (program, address, _) = listening(&mut command, "wss");
        let port = address.strip_prefix("127.0.0.1:").expect("it listens there").parse().expect("a port");
        Self { _program: program, port, cert_file }
    }

    fn tcp(&self) -> TcpStream {
        sockets::connect(("127.0.0.1", self.port), PATIENCE)
    }

    /// A TLS stream that trusts the server's certificate and offers these protocols.
    fn tls(&self, alpn: &[&str]) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(&self.cert_file).expect("the server wrote its certificate"))
            .expect("a certificate");
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("localhost").expect("a name");
        StreamOwned::new(ClientConnection::new(Arc::new(config), name).expect("the configuration is valid"), self.tcp())
    }

    fn open(&self) -> Client {
        let mut client = Client::start(self.tls(&["http/1.1"]), self.port);
        let mut is_open = false;
        while !is_open {
            client.turn(|event| is_open |= matches!(event, Event::Open(_)));
        }
        client
    }

    /// Runs the example client to its end.
    fn client(&self, arguments: &[&str]) -> ClientOutput {
        run_client(&format!("wss://localhost:{}/", self.port), arguments)
    }

    fn ca(&self) -> [&str; 2] {
        ["--ca", self.cert_file.to_str().expect("text")]
    }
}

fn run_client(url: &str, arguments: &[&str]) -> ClientOutput {
    let output = example("client").arg(url).args(arguments).output().expect("cargo test builds the examples");
    let lines = String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect();
    (lines, output.status.success())
}

/// The crate's own client on TLS.
struct Client {
    tls: StreamOwned<ClientConnection, TcpStream>,
    ws: Connection,
    output: Output,
}

impl Client {
    fn start(tls: StreamOwned<ClientConnection, TcpStream>, port: u16) -> Self {
        let (request, mut output) = (ClientRequest::new(format!("wss://localhost:{port}/")), Output::new());
        let ws = Connection::client(&request, Config::new(), [7; 32], &mut output).expect("the request is valid");
        Self { tls, ws, output }
    }

    /// Writes the output, reads once, and passes the events to `tell`. An end without `close_notify` is an error:
    /// rustls's `UnexpectedEof`.
    fn turn(&mut self, mut tell: impl FnMut(Event<'_>)) {
        self.output.write_to(&mut self.tls).expect("the peer reads");
        let mut buffer = vec![0; 16 << 10];
        let n = self.tls.read(&mut buffer).expect("bytes arrive in time");
        let Self { ws, output, .. } = self;
        let mut input = Input::new(&mut buffer[..n]);
        while let Some(event) = if n == 0 { ws.receive_eof() } else { ws.receive(&mut input, output) } {
            tell(event);
        }
    }

    fn echo(&mut self, text: &str) {
        self.ws.send_text(text, &mut self.output).expect("the connection is open");
        let mut echoed = None;
        while echoed.is_none() {
            self.turn(|event| match event {
                Event::Text(text) => echoed = Some(text.into_owned()),
                event => panic!("{event:?}"),
            });
        }
        assert!(echoed.as_deref() == Some(text));
    }
}

#[test]
fn the_client_and_the_server_talk_over_tls() {
    let server = Server::start("talk");
    // Longer than a TLS record, which has at most 16 KiB (RFC 8446 §5.1).
    let long = "x".repeat(100_000);
    let arguments = [&server.ca()[..], &["--send", "hello", "--send", &long]].concat();
    let expected = ["OPEN", "MSG text 5", "MSG text 100000", "CLOSED 1000"].map(str::to_owned);
    assert_eq!(server.client(&arguments), (expected.to_vec(), true));
}

#[test]
fn large_messages_are_echoed() {
    let server = Server::start("large");
    let mut client = server.open();
    client.echo("");
    client.echo(&"€".repeat(300_000));
    client.echo("small again");
}

/// RFC 6455 §4.1, 5: "If this fails (e.g., the server's certificate could not be verified), then the client MUST _Fail
/// the WebSocket Connection_". Another server's certificate with the same names is not accepted, and the platform
/// trusts neither.
#[test]
fn the_client_rejects_an_untrusted_server() {
    let (server, other) = (Server::start("trusted"), Server::start("other"));
    for (ca, why) in [(&other.ca()[..], "BadSignature"), (&[], "UnknownIssuer")] {
        let expected = vec![format!("FAILED invalid peer certificate: {why}")];
        assert_eq!(server.client(ca), (expected, false));
    }
    // The server works on after these clients.
    assert!(server.client(&[&server.ca()[..], &["--send", "x"]].concat()).1);
}

/// RFC 8446 §6.1: "Each party MUST send a "`close_notify`" alert before closing its write side of the connection".
#[test]
fn the_server_sends_close_notify_after_its_close() {
    let server = Server::start("goodbye");
    let mut client = server.open();
    client.ws.close(CloseCode::new(4000).expect("a private code"), "bye", &mut client.output);
    let (mut received, mut last) = (None, None::<Closed>);
    while !client.ws.is_closed() {
        client.turn(|event| match event {
            Event::CloseReceived { status, .. } => received = Some(status),
            Event::Closed(closed) => last = Some(closed),
            event => panic!("{event:?}"),
        });
    }
    let closed = last.expect("Closed is the last event");
    assert_eq!(received, Some(closed.status()));
    assert_eq!((closed.code(), closed.was_clean()), (4000, true));
}

#[test]
fn an_end_without_a_close_is_handled_with_and_without_close_notify() {
    let server = Server::start("cut");
    for says_goodbye in [true, false] {
        let Client { mut tls, .. } = server.open();
        if says_goodbye {
            tls.conn.send_close_notify();
            tls.flush().expect("the peer reads");
        } else {
            tls.sock.shutdown(Shutdown::Write).expect("the socket is open");
        }
        let mut rest = Vec::new();
        tls.read_to_end(&mut rest).expect("close_notify arrives");
        assert_eq!(rest, b"", "there is nothing to answer in WebSocket's terms");
    }
}

/// RFC 8446 §6.2: a peer that cannot continue sends an alert, here of the content type 21.
#[test]
fn garbage_is_answered_with_an_alert() {
    let server = Server::start("garbage");
    let mut witness = server.open();
    for garbage in [&b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], &vec![0; 70_000], &[0xff; 5]] {
        let mut tcp = server.tcp();
        tcp.write_all(garbage).expect("the peer continues to read");
        let mut answer = Vec::new();
        tcp.read_to_end(&mut answer).expect("the stream ends without a reset");
        assert_eq!(answer.first(), Some(&21), "{answer:x?}");
    }
    // Some clients send nothing, or stop in the middle of their ClientHello.
    for beginning in [&b""[..], b"\x16\x03\x01\x02"] {
        drop(server.tcp().write_all(beginning));
    }
    witness.echo("alive");
    server.open().echo("at home");
}

/// RFC 7301 §3.2: "In the event that the server supports no protocols that the client advertises, then the server SHALL
/// respond with a fatal "`no_application_protocol`" alert."
#[test]
fn a_client_without_http1_gets_an_alert() {
    let server = Server::start("alpn");
    let error = server.tls(&["h2"]).read(&mut [0]).expect_err("an alert");
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
}

/// A client that sends an invalid frame and continues to send gets the Close, and a clean end of the stream.
#[test]
fn a_client_that_sends_on_after_its_fault_gets_the_close() {
    let server = Server::start("fault");
    let Client { mut tls, .. } = server.open();
    tls.write_all(b"\x83\x80\0\0\0\0").expect("the peer reads");
    for _ in 0..4 {
        tls.write_all(&vec![0; 512 << 10]).expect("the peer continues to read");
        thread::sleep(Duration::from_millis(50));
    }
    let mut rest = Vec::new();
    tls.read_to_end(&mut rest).expect("close_notify arrives, and no reset");
    assert_eq!(rest, b"\x88\x02\x03\xea");
}

#[test]
fn a_client_that_reads_nothing_is_dropped() {
    let server = Server::start("stall");
    let Client { mut tls, .. } = server.open();
    let start = Instant::now();
    while tls.write_all(&[&b"\x82\xfe\xff\xff\0\0\0\0"[..], &vec![0; 65_535]].concat()).is_ok() {
        assert!(start.elapsed() < 3 * PATIENCE, "the server reads without end");
    }
    server.open().echo("at home");
}

/// The time counts from the TCP connection.
#[test]
fn the_tls_and_websocket_handshakes_time_out() {
    let server = Server::start("opening");
    let (mut silent, mut halfway) = (server.tcp(), server.tcp());
    halfway.write_all(b"\x16\x03\x01\x02").expect("the peer reads");
    for tcp in [&mut silent, &mut halfway] {
        tcp.read_to_end(&mut Vec::new()).expect("the stream ends without a reset");
    }
}

/// A server in this test: starts the client, which trusts its certificate, and returns the stream to it.
fn serve_client(
    test: &str,
    name: &str,
    arguments: &'static [&str],
) -> (JoinHandle<ClientOutput>, StreamOwned<ServerConnection, TcpStream>) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let ca = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{test}.pem"));
    std::fs::write(&ca, made.cert.pem()).expect("the room is open");
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder().with_no_client_auth();
    let config =
        config.with_single_cert(vec![made.cert.der().clone()], key.into()).expect("the key fits the certificate");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("wss://localhost:{}/", listener.local_addr().expect("the listener is bound").port());
    let client = thread::spawn(move || run_client(&url, &[&["--ca", ca.to_str().expect("text")], arguments].concat()));
    let (tcp, _) = listener.accept().expect("a client connects");
    tcp.set_read_timeout(Some(PATIENCE)).expect("the socket is open");
    (client, StreamOwned::new(ServerConnection::new(Arc::new(config)).expect("the configuration is valid"), tcp))
}

/// RFC 9525 §6: a certificate is valid only for the names in it, whatever its issuer.
#[test]
fn a_certificate_for_another_name_is_rejected() {
    let (client, mut tls) = serve_client("other-name", "example.org", &[]);
    // RFC 8446 §6.2: an alert, and no byte of a request.
    let error = tls.read(&mut [0]).expect_err("an alert");
    assert!(error.to_string().contains("BadCertificate"), "{error}");
    let (lines, succeeded) = client.join().expect("it ends in time");
    assert!(lines.len() == 1 && !succeeded, "{lines:?}");
    assert!(lines[0].starts_with("FAILED invalid peer certificate: certificate not valid for name \"localhost\""));
    assert!(lines[0].contains("example.org"), "{lines:?}");
}

#[test]
fn the_client_sends_close_notify_after_the_close() {
    let (client, mut tls) = serve_client("client-goodbye", "localhost", &[]);
    let (mut ws, mut output, mut buffer) = (Connection::server(Config::new()), Output::new(), [0; 4096]);
    while !ws.is_closed() {
        let n = tls.read(&mut buffer).expect("bytes arrive in time");
        let mut input = Input::new(&mut buffer[..n]);
        while let Some(event) = if n == 0 { ws.receive_eof() } else { ws.receive(&mut input, &mut output) } {
            if let Event::Request(request) = event {
                ws.accept(request, &mut output);
                ws.close(CloseCode::NORMAL_CLOSURE, "", &mut output);
            }
        }
        output.write_to(&mut tls).expect("the peer reads");
    }
    // RFC 6455 §7.1.1: the server closes first.
    tls.conn.send_close_notify();
    tls.flush().expect("the peer reads");
    // rustls would call an end without it UnexpectedEof.
    assert_eq!(tls.read(&mut buffer).expect("close_notify arrives"), 0);
    let said = client.join().expect("it ends in time");
    assert_eq!(said, (vec!["OPEN".into(), "CLOSED 1000".into()], true));
}

/// The client sends more than sockets buffer before it reads, and gets every echo.
#[test]
fn the_client_reads_while_it_writes() {
    const COUNT: usize = 45;
    let (client, mut tls) = serve_client("client-echo", "localhost", &["--echo"]);
    let (mut ws, mut output, mut buffer) = (Connection::server(Config::new()), Output::new(), vec![0; 64 << 10]);
    let (message, mut echoed, mut is_open) = (vec![7; 1_000_000], 0, false);
    while !ws.is_closed() {
        let n = tls.read(&mut buffer).expect("bytes arrive in time");
        let mut input = Input::new(&mut buffer[..n]);
        while let Some(event) = ws.receive(&mut input, &mut output) {
            match event {
                Event::Request(request) => ws.accept(request, &mut output),
                Event::Binary(data) => {
                    assert!(data == message);
                    echoed += 1;
                }
                _ => {}
            }
        }
        if !is_open && ws.state() == State::Open {
            is_open = true;
            for _ in 0..COUNT {
                ws.send_binary(&message, &mut output).expect("the connection is open");
            }
            ws.close(CloseCode::NORMAL_CLOSURE, "", &mut output);
        }
        output.write_to(&mut tls).expect("the peer continues to read");
    }
    assert_eq!(echoed, COUNT);
    drop(tls);
    let (lines, succeeded) = client.join().expect("it ends in time");
    assert_eq!((lines.len(), lines.last().map(String::as_str), succeeded), (COUNT + 2, Some("CLOSED 1000"), true));
}
