//! The memory of a connection that has ended: none, except for the last event until it is returned, and for the values
//! that the WebSocket API still offers.

use websocket_proto::{CloseCode, MessageKind, Timeout};

use super::attacks::mask;
use super::*;

/// The bound on the heap of the last event, and of the peer's Close after it. A message's buffer or a generator of mask
/// keys would exceed it.
const LAST_EVENT: isize = 450;

/// Puts a connection into the middle of something, and returns the bytes that complete the peer's frame.
type Begin = fn(&mut Connection) -> Vec<u8>;

/// Everything that a connection can have on the heap.
const BEGUN: [(&str, Begin); 7] = [
    ("nothing", |_| Vec::new()),
    ("a frame", |ws| in_frame(ws, Opcode::Binary, 5000)),
    ("a frame of text", |ws| in_frame(ws, Opcode::Text, 5000)),
    ("a fragmented message", |ws| {
        receive_all(ws, &mut frame(false, Opcode::Text, mask(ws.role()), &[b'x'; 5000]));
        Vec::new()
    }),
    ("a control frame", |ws| {
        receive_all(ws, &mut frame(false, Opcode::Binary, mask(ws.role()), &[1; 5000]));
        in_frame(ws, Opcode::Ping, 60)
    }),
    ("a message of its own", |ws| {
        ws.send_fragment(MessageKind::Text, b"x", false, &mut Output::new()).expect("the connection is open");
        Vec::new()
    }),
    ("a buffer that was given back", |ws| {
        ws.recycle(vec![0; 5000]);
        Vec::new()
    }),
];

/// Ends a connection: afterwards it is closed, or it is a client that has both Closes and waits for the server to
/// close.
type End = fn(&mut Connection);

const ENDS: [(&str, End); 7] = [
    ("a fault", |ws| receive_all(ws, &mut frame(true, Opcode::Close, mask(ws.role()), b"\x03"))),
    ("the peer's Close", |ws| receive_all(ws, &mut frame(true, Opcode::Close, mask(ws.role()), b"\x03\xe8bye"))),
    ("both Closes", |ws| {
        ws.close(CloseCode::NORMAL_CLOSURE, "", &mut Output::new());
        receive_all(ws, &mut frame(true, Opcode::Close, mask(ws.role()), b"\x03\xe8bye"));
    }),
    ("a timeout", |ws| ws.time_out(Timeout::KeepAlive, &mut Output::new())),
    ("a timeout after its Close", |ws| {
        ws.close(CloseCode::NORMAL_CLOSURE, "", &mut Output::new());
        ws.time_out(Timeout::Closing, &mut Output::new());
    }),
    ("the end of the stream", |_| {}),
    ("the end of the stream after its Close", |ws| ws.close_without_code(&mut Output::new())),
];

fn receive_all(ws: &mut Connection, bytes: &mut [u8]) {
    deliver(ws, bytes, usize::MAX, &mut Output::new());
}

fn in_frame(ws: &mut Connection, opcode: Opcode, len: usize) -> Vec<u8> {
    let mut frame = frame(true, opcode, mask(ws.role()), &vec![b'x'; 2 * len]);
    let rest = frame.split_off(frame.len() - len);
    receive_all(ws, &mut frame);
    rest
}

/// Ends the connection in each way, in the middle of each thing; a fault and a Close follow the frame in progress.
#[track_caller]
fn assert_ends_free_their_memory(what: &str, open: &dyn Fn() -> Connection, begin: Begin) {
    for (how, end) in ENDS {
        let ((mut ws, was_over), _, held, _) = measure(|| {
            let mut ws = open();
            let mut rest = begin(&mut ws);
            if how != "a timeout" && !how.starts_with("the end") {
                receive_all(&mut ws, &mut rest);
            }
            end(&mut ws);
            let was_over = ws.is_closed() || how == "the peer's Close" || how == "both Closes";
            (ws, was_over)
        });
        let what = format!("{what}, {how}, {:?}, {:?}", ws.role(), ws.state());
        assert!(was_over || how.starts_with("the end"), "{what}");
        // Before the last event is returned: memory for the event, and nothing else.
        assert!(!was_over || held <= LAST_EVENT, "{what}: {held} held with the last event");
        let ((), _, freed, _) = measure(|| while ws.receive_eof().is_some() {});
        assert!(ws.is_closed());
        // The peer's Close is still available, if there was one.
        let kept = held + freed;
        assert!(if ws.received_close().is_some() { kept <= LAST_EVENT } else { kept == 0 }, "{what}: {kept} kept");
        // Bytes after the end allocate nothing.
        let mut late = frame(false, Opcode::Binary, mask(ws.role()), &[1; 500]);
        let ((), _, held, _) = measure(|| {
            receive_all(&mut ws, &mut late);
            ws.recycle(vec![0; 500]);
            ws.time_out(Timeout::KeepAlive, &mut Output::new());
            assert!(ws.send_fragment(MessageKind::Text, b"x", false, &mut Output::new()).is_err());
        });
        assert_eq!(held, 0, "{what}: allocated for bytes after the end");
    }
}

#[test]
fn an_ended_connection_has_freed_its_memory() {
    for (what, begin) in BEGUN {
        assert_ends_free_their_memory(what, &|| open_server(Config::new()), begin);
        assert_ends_free_their_memory(what, &open_client, begin);
    }
}

#[cfg(feature = "deflate")]
#[test]
fn an_ended_connection_has_freed_its_compressors() {
    use websocket_proto::Deflate;

    let begun: [(&str, Begin); 3] = [
        ("a compressor and a decompressor", |ws| {
            ws.send_text(&"x".repeat(500), &mut Output::new()).expect("the connection is open");
            receive_compressed(ws, true);
            Vec::new()
        }),
        ("a compressed message", |ws| {
            receive_compressed(ws, false);
            Vec::new()
        }),
        ("a compressed message of its own", |ws| {
            ws.send_fragment(MessageKind::Text, b"x", false, &mut Output::new()).expect("the connection is open");
            Vec::new()
        }),
    ];
    for (what, begin) in begun {
        for wish in [Deflate::new(), Deflate::new().shared()] {
            let config = || Config::new().deflate(wish.clone());
            assert_ends_free_their_memory(what, &|| deflate::open_with(config()), begin);
            assert_ends_free_their_memory(what, &|| deflate::open_with(config().part_size(100)), begin);
        }
    }
}

/// Receives "Hello", or the start of it.
#[cfg(feature = "deflate")]
fn receive_compressed(ws: &mut Connection, whole: bool) {
    let mut bytes =
        deflate::compressed(whole, Opcode::Binary, if whole { &deflate::HELLO } else { &deflate::HELLO[..4] });
    let mut input = Input::new(&mut bytes);
    while ws.receive(&mut input, &mut Output::new()).is_some() {}
}

/// Under browser rules, a full buffer ends the connection; the bytes that were never sent still count.
#[test]
fn a_connection_with_a_full_buffer_frees_its_memory() {
    let config = Config::new().browser_rules(true).max_output(100);
    for (what, begin) in BEGUN {
        for (mut ws, mut output) in
            [open_server(config.clone()), open_client_with(config.clone())].map(|ws| (ws, Output::new()))
        {
            let (mut kept, _, held, _) = measure(|| {
                begin(&mut ws);
                // A fragment of text continues every message in progress.
                assert_eq!(ws.send_fragment(MessageKind::Text, &[b'x'; 100], false, &mut output), Ok(()));
                assert!(ws.is_closed(), "{what}");
                while ws.receive_eof().is_some() {}
                ws
            });
            assert!(held <= LAST_EVENT, "{what}, {:?}: {held}", kept.role());
            assert_eq!(kept.buffered_amount(&Output::new()), 100);
            let ((), _, further, _) = measure(|| kept.recycle(vec![0; 500]));
            assert_eq!(further, 0);
        }
    }
    // Bytes that do not count as buffered need no memory.
    let mut ws = open_server(config);
    ws.receive_eof();
    let (sent, _, held, _) = measure(|| ws.send_text("", &mut Output::new()));
    assert_eq!((sent, held), (Ok(()), 0));
}

/// Before it is open, a connection may have a head, early data, or the body of a rejection.
#[test]
fn a_failed_handshake_frees_its_memory() {
    let mut padded = REQUEST[..REQUEST.len() - 2].to_vec();
    padded.extend([&b"X-Filler: "[..], &[b'x'; 5000], b"\r\n\r\n"].concat());
    let early = [&padded[..], &frame(true, Opcode::Binary, Some(KEY), &[1; 5000])].concat();
    let ends: [End; 3] = [
        |_| {},
        |ws| ws.time_out(Timeout::Handshake, &mut Output::new()),
        |ws| ws.close(CloseCode::GOING_AWAY, "", &mut Output::new()),
    ];
    // No bytes, half a head, and a whole head with more, which is no request any more after the decision.
    for (part, is_decided) in [(0, false), (3000, false), (early.len(), false), (early.len(), true)] {
        for end in ends {
            let mut bytes = early[..part].to_vec();
            let (mut ws, _, held, _) = measure(|| {
                let (mut ws, mut output) = (Connection::server(Config::new()), Output::new());
                let mut input = Input::new(&mut bytes);
                let mut events = Vec::new();
                while let Some(event) = ws.receive(&mut input, &mut output) {
                    events.push(event.into_owned());
                }
                for event in events {
                    let Event::Request(request) = event else { panic!("{event:?}") };
                    if is_decided {
                        ws.reject(request, &Reject::forbidden(), &mut output);
                    }
                }
                end(&mut ws);
                ws
            });
            assert!(!ws.is_closed() || held <= LAST_EVENT, "{part} bytes, {is_decided}: {held} with the last event");
            let ((), _, freed, _) = measure(|| while ws.receive_eof().is_some() {});
            assert_eq!((ws.state(), held + freed), (State::Closed, 0), "{part} bytes, {is_decided}");
        }
    }
    let rejection =
        [b"HTTP/1.1 403 No\r\nContent-Length: 9000\r\nX: ", &[b'x'; 5000][..], b"\r\n\r\n", &[b'x'; 4000]].concat();
    for part in [0, 3000, rejection.len()] {
        for end in ends {
            let mut bytes = rejection[..part].to_vec();
            let (ws, _, held, _) = measure(|| {
                let mut output = Output::new();
                let request = ClientRequest::new("ws://localhost/");
                let mut ws = Connection::client(&request, Config::new(), [0; 32], &mut output).expect("valid");
                receive_all(&mut ws, &mut bytes);
                end(&mut ws);
                while ws.receive_eof().is_some() {}
                ws
            });
            assert_eq!((ws.state(), held), (State::Closed, 0), "{part} bytes of a rejection");
        }
    }
}

/// A buffer that is recycled while another message is being reassembled is freed, because the connection has no use for
/// it yet.
#[test]
fn a_buffer_recycled_during_reassembly_is_freed() {
    let under_way = &BEGUN[1..5];
    for (what, begin) in under_way {
        for mut ws in [open_server(Config::new()), open_client()] {
            begin(&mut ws);
            let buffer = vec![0; 100_000];
            let ((), _, freed, _) = measure(|| ws.recycle(buffer));
            assert_eq!(freed, -100_000, "{what}, {:?}", ws.role());
        }
    }
    // In the middle of a frame that is not reassembled, the buffer is kept for the next message: an own message, a
    // ping, a message in parts.
    let in_parts = Config::new().part_size(100);
    let others: [(Config, Begin); 4] = [
        (Config::new(), BEGUN[0].1),
        (Config::new(), BEGUN[5].1),
        (Config::new(), |ws| in_frame(ws, Opcode::Ping, 60)),
        (in_parts, |ws| in_frame(ws, Opcode::Text, 500)),
    ];
    for (config, begin) in others {
        let mut ws = open_server(config);
        begin(&mut ws);
        let buffer = vec![0; 100_000];
        let ((), _, held, _) = measure(|| ws.recycle(buffer));
        assert!((0..LAST_EVENT).contains(&held), "{held}");
        // Only one recycled buffer is kept.
        let buffer = vec![0; 50_000];
        let ((), _, freed, _) = measure(|| ws.recycle(buffer));
        assert_eq!(freed, -100_000);
    }
}
