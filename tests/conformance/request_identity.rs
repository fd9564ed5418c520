//! Which connection a request belongs to. A client chooses its Sec-WebSocket-Key, and all other bytes of its request,
//! so two identical requests must still belong to one connection each.

use std::mem;

use proptest::collection::vec;
use proptest::prelude::*;
use websocket_proto::handshake::{AcceptErrorKind, Request, parse_request};
use websocket_proto::{Accept, Config, Connection, Event, Input, Output, Reject, State, Timeout};

use crate::harness::{REQUEST, drain};
use crate::http::{Head, add, waiting};
use crate::rows;

const OFFERING: &str = "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n";

/// A server that has reported its request, and the request.
fn deciding_with(config: Config, request: &str) -> (Connection, Request) {
    let (mut server, mut output) = (Connection::server(config), Output::new());
    let mut request = request.as_bytes().to_vec();
    let event = server.receive(&mut Input::new(&mut request), &mut output);
    let Some(Event::Request(request)) = event else { panic!("{event:?}") };
    assert!(output.is_empty());
    (server, request)
}

fn deciding(request: &str) -> (Connection, Request) {
    deciding_with(Config::new(), request)
}

/// Asserts that none of the three decisions with this request affects the connection; `request` makes it.
#[track_caller]
fn assert_not_its_own(server: &mut Connection, request: impl Fn() -> Request) {
    let (state, mut output) = (server.state(), Output::new());
    server.accept(request(), &mut output);
    server.reject(request(), &Reject::forbidden().body("no"), &mut output);
    let before = request();
    let error =
        server.accept_with(request(), &Accept::new(), &mut output).expect_err("the request is another connection's");
    assert_eq!((error.kind(), error.into_request()), (AcceptErrorKind::NotDeciding, before));
    assert_eq!((server.state(), output.is_empty()), (state, true));
}

/// The offers of one client are not negotiated with another that sent the same key.
#[test]
fn equal_keys_do_not_confuse_connections() {
    rows!("6455-4.2.2-8", "6455-4.2.2-11", "6455-4.2.2-12");
    #[cfg(feature = "deflate")]
    let config = Config::new().deflate(websocket_proto::Deflate::new());
    #[cfg(not(feature = "deflate"))]
    let config = Config::new();
    let (mut offering, its_own) = deciding_with(config.clone(), &add(REQUEST, OFFERING));
    let (mut plain, plains_own) = deciding_with(config, REQUEST);
    let (chat, mut output) = (Accept::new().subprotocol("chat"), Output::new());
    let rejected = plain.accept_with(its_own, &chat, &mut output).expect_err("the request is another connection's");
    assert_eq!((rejected.kind(), plain.state()), (AcceptErrorKind::NotDeciding, State::Connecting));
    assert!(output.is_empty());
    // The request is still valid for its own connection.
    assert_eq!(offering.accept_with(rejected.into_request(), &chat, &mut output), Ok(()));
    assert_eq!((offering.state(), offering.subprotocol()), (State::Open, Some("chat")));
    let head = Head::parse(&drain(&mut output));
    assert_eq!(head.all("Sec-WebSocket-Extensions").len(), usize::from(cfg!(feature = "deflate")));
    // The other connection still waits for a decision about its own request.
    plain.accept(plains_own, &mut output);
    let head = Head::parse(&drain(&mut output));
    assert_eq!((plain.state(), plain.subprotocol()), (State::Open, None));
    assert_eq!((head.lines.len(), head.only("Sec-WebSocket-Accept")), (3, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

/// Not even a request parsed from the same bytes.
#[test]
fn a_request_from_the_parser_belongs_to_no_connection() {
    rows!("6455-4.2.2-12");
    let (mut server, own) = deciding(REQUEST);
    assert_not_its_own(&mut server, || parse_request(REQUEST.as_bytes()).expect("the handshake succeeds"));
    assert_eq!(own, parse_request(REQUEST.as_bytes()).expect("the handshake succeeds"), "equal and another");
    server.accept(own, &mut Output::new());
    assert_eq!(server.state(), State::Open);
}

/// The token is the value, not the address.
#[test]
fn swapped_requests_keep_their_connections() {
    rows!("6455-4.2.2-12");
    let ((mut one, mut ones), (mut other, mut others)) = (deciding(REQUEST), deciding(REQUEST));
    mem::swap(&mut ones, &mut others);
    let mut output = Output::new();
    let error = one.accept_with(ones, &Accept::new(), &mut output).expect_err("the request is another connection's");
    other.accept(error.into_request(), &mut output);
    mem::swap(&mut one, &mut other);
    assert_eq!((one.state(), other.state()), (State::Open, State::Connecting));
    other.accept(others, &mut output);
    assert_eq!(other.state(), State::Open);
}

/// Dropping a request leaves its connection waiting; no later request can replace it.
#[test]
fn a_dropped_request_is_not_replaced() {
    rows!("6455-4.2.2-12");
    let (mut server, own) = deciding(REQUEST);
    drop(own);
    // An allocator that has just freed the request is likely to give the next one the same address.
    assert_not_its_own(&mut server, || deciding(REQUEST).1);
    assert_not_its_own(&mut server, || parse_request(REQUEST.as_bytes()).expect("the handshake succeeds"));
    let mut output = Output::new();
    server.time_out(Timeout::Handshake, &mut output);
    assert_eq!(Head::parse(&drain(&mut output)).first_line, "HTTP/1.1 503 Service Unavailable");
}

/// A request kept after its connection has ended, or was dropped, has no effect.
#[test]
fn a_request_outlives_its_connection_without_effect() {
    rows!("6455-4.2.2-12");
    let endings: [fn(&mut Connection); 3] = [
        |server| server.close_without_code(&mut Output::new()),
        |server| server.time_out(Timeout::Handshake, &mut Output::new()),
        |server| drop(server.receive_eof()),
    ];
    for end in endings {
        let (mut server, own) = deciding(REQUEST);
        end(&mut server);
        let mut output = Output::new();
        let error = server.accept_with(own, &Accept::new(), &mut output).expect_err("it has ended");
        assert_eq!((error.kind(), output.is_empty()), (AcceptErrorKind::NotDeciding, true));
        drop(server);
        let (mut next, nexts) = deciding(REQUEST);
        let error = next
            .accept_with(error.into_request(), &Accept::new(), &mut output)
            .expect_err("the request is an older connection's");
        assert_eq!(
            (error.kind(), output.is_empty(), next.state()),
            (AcceptErrorKind::NotDeciding, true, State::Connecting)
        );
        next.accept(nexts, &mut output);
        assert_eq!(next.state(), State::Open);
    }
}

/// The decision may be made on another thread.
#[test]
fn requests_can_be_sent_between_threads() {
    fn is_send_and_sync<T: Send + Sync>(_: &T) {}

    let (mut server, own) = deciding(REQUEST);
    is_send_and_sync(&own);
    is_send_and_sync(&server);
    let own = std::thread::spawn(move || own).join().expect("it is only moved");
    server.accept(own, &mut Output::new());
    assert_eq!(server.state(), State::Open);
}

/// One step, applied to one connection and one request.
#[derive(Clone, Copy, Debug)]
enum Step {
    Accept,
    AcceptWith,
    Reject,
    /// The connection ends, and keeps its place.
    End,
    /// The connection is dropped, and a new one takes its place.
    Replace,
    /// Two requests change places.
    Swap,
}

fn steps() -> impl Strategy<Value = Vec<(Step, usize, usize)>> {
    use Step::{Accept, AcceptWith, End, Reject, Replace, Swap};
    let step = prop::sample::select(vec![Accept, AcceptWith, AcceptWith, AcceptWith, Reject, End, Replace, Swap]);
    vec((step, any::<usize>(), any::<usize>()), 1..60)
}

proptest! {
    /// Any sequence of steps with the requests of several connections whose clients sent the same bytes: each
    /// connection is decided only by its own request, once.
    #[test]
    fn shuffled_requests_decide_about_their_own_connections(count in 2..6_usize, steps in steps()) {
        let mut served = 0;
        let mut serve = || {
            served += 1;
            let (server, request) = deciding(REQUEST);
            ((served, server), (served, request))
        };
        let (mut servers, mut requests): (Vec<_>, Vec<_>) = (0..count).map(|_| serve()).unzip();
        for (step, at, which) in steps {
            let at = at % servers.len();
            let (number, server) = &mut servers[at];
            let mut output = Output::new();
            match step {
                Step::End => server.close_without_code(&mut output),
                Step::Replace => {
                    let (next, request) = serve();
                    servers[at] = next;
                    requests.push(request);
                }
                _ if requests.is_empty() => {}
                Step::Swap => {
                    let (one, other) = (at % requests.len(), which % requests.len());
                    requests.swap(one, other);
                }
                Step::Accept | Step::AcceptWith | Step::Reject => {
                    let (whose, request) = requests.swap_remove(which % requests.len());
                    let (before, is_its_own) = (server.state(), whose == *number);
                    let decides = is_its_own && before == State::Connecting;
                    match step {
                        Step::Accept => server.accept(request, &mut output),
                        Step::Reject => server.reject(request, &Reject::forbidden(), &mut output),
                        _ => match server.accept_with(request, &Accept::new(), &mut output) {
                            Ok(()) => prop_assert!(decides),
                            Err(error) => {
                                prop_assert_eq!(error.kind(), AcceptErrorKind::NotDeciding);
                                requests.push((whose, error.into_request()));
                            }
                        },
                    }
                    prop_assert_eq!(!output.is_empty(), decides);
                    let after = match step {
                        _ if !decides => before,
                        // The end has not been reported yet.
                        Step::Reject => State::Closing,
                        _ => State::Open,
                    };
                    prop_assert_eq!(server.state(), after);
                }
            }
        }
    }
}

/// A server that still waits for its request has nothing to decide.
#[test]
fn a_request_has_no_effect_on_a_server_still_waiting_for_one() {
    rows!("6455-4.2.2-12");
    assert_not_its_own(&mut waiting(), || deciding(REQUEST).1);
}
