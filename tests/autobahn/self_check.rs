//! Tests of the fuzzer and the judge: they detect errors, and such cases do not pass.

use crate::shared::wired::ROLES;
use websocket_proto::{CloseCode, Connection, Event, Output, Role};

use crate::fuzzer::{Close, Delivery, Outcome, Reader, play};
use crate::judge::{Verdict, judge};
use crate::script::script;
use crate::sut::{Application, echo};
use crate::vectors::{Case, Seen, case};

#[test]
fn wrong_applications_do_not_pass() {
    // After an unexpected answer the fuzzer keeps waiting. It then ends the cases chosen here with code 1001, which
    // comes back and is not an expected code.
    let table: [(&str, Application, &str, &str, &str); 8] = [
        ("says nothing", |_, _, _| {}, "1.1.2", "FAILED", "WRONG CODE"),
        ("says nothing before a fault", |_, _, _| {}, "5.15", "NON-STRICT", "OK"),
        ("shouts", shout, "7.1.1", "FAILED", "WRONG CODE"),
        ("answers in binary", answer_in_binary, "1.1.2", "FAILED", "WRONG CODE"),
        ("answers twice", answer_twice, "1.1.2", "FAILED", "WRONG CODE"),
        ("pings", ping, "1.1.2", "FAILED", "WRONG CODE"),
        ("closes", close, "1.1.2", "FAILED", "FAILED"),
        ("closes with another code before a fault", answer_and_close, "5.15", "OK", "WRONG CODE"),
    ];
    for (does, application, id, behavior, close) in table {
        for role in ROLES {
            let (case, outcome) = play_case(id, role, application);
            let verdict = judge(&case, role, &outcome);
            assert_eq!(verdict, Verdict { behavior, close }, "{does}, {id} as {role:?}: {outcome:?}");
            assert!(!verdict.passes());
        }
    }
}

fn shout(ws: &mut Connection, event: Event<'_>, output: &mut Output) {
    if let Event::Text(text) = event {
        ws.send_text(&text.to_uppercase(), output).expect("the connection is open");
    }
}

fn answer_in_binary(ws: &mut Connection, event: Event<'_>, output: &mut Output) {
    if let Event::Text(text) = event {
        ws.send_binary(text.as_bytes(), output).expect("the connection is open");
    }
}

fn answer_twice(ws: &mut Connection, event: Event<'_>, output: &mut Output) {
    if let Event::Text(text) = event {
        ws.send_text(&text, output).expect("the connection is open");
        ws.send_text(&text, output).expect("the connection is open");
    }
}

fn ping(ws: &mut Connection, event: Event<'_>, output: &mut Output) {
    if let Event::Text(_) = event {
        ws.ping(b"", output).expect("the connection is open");
    }
    echo(ws, event, output);
}

fn close(ws: &mut Connection, _: Event<'_>, output: &mut Output) {
    ws.close(CloseCode::NORMAL_CLOSURE, "", output);
}

fn answer_and_close(ws: &mut Connection, event: Event<'_>, output: &mut Output) {
    echo(ws, event, output);
    ws.close(CloseCode::INTERNAL_ERROR, "", output);
}

#[test]
fn wrong_ends_do_not_pass() {
    type Spoil = fn(&mut Outcome);
    let table: [(&str, &str, Spoil, &str, &str); 6] = [
        ("a wrong code", "1.1.1", |end| end.close = Some(Close { code: Some(1001) }), "OK", "WRONG CODE"),
        (
            "a wrong code that is fatal",
            "7.3.3",
            |end| end.close = Some(Close { code: Some(1001) }),
            "FAILED",
            "WRONG CODE",
        ),
        ("no Close", "7.3.3", |end| end.close = None, "OK", "UNCLEAN"),
        ("closed by the wrong side", "5.1", |end| end.closed_by_fuzzer = true, "OK", "FAILED"),
        ("closed by the wrong side, fatal", "6.3.1", |end| end.closed_by_fuzzer = true, "FAILED", "FAILED"),
        ("a forbidden frame", "7.1.6", |end| end.seen.push(Seen::Illegal("frame")), "FAILED", "OK"),
    ];
    for (what, id, spoil, behavior, close) in table {
        for role in ROLES {
            let (case, mut outcome) = play_case(id, role, echo);
            assert!(judge(&case, role, &outcome).passes(), "{id} as {role:?}: {outcome:?}");
            spoil(&mut outcome);
            let verdict = judge(&case, role, &outcome);
            assert_eq!(verdict, Verdict { behavior, close }, "{what}, {id} as {role:?}: {outcome:?}");
            assert!(!verdict.passes());
        }
    }
}

#[test]
fn a_server_that_leaves_the_transport_open_does_not_pass() {
    let (case, mut outcome) = play_case("1.1.1", Role::Server, echo);
    outcome.sut_hung_up = false;
    assert_eq!(judge(&case, Role::Server, &outcome).close, "FAILED BY CLIENT");
}

fn play_case(id: &str, role: Role, application: Application) -> (Case, Outcome) {
    let case = case(id);
    let outcome = play(&case, &script(&case, role), role, Delivery::Whole, application);
    (case, outcome)
}

#[test]
fn illegal_frames_are_detected() {
    // The frames; the number of zeros after them; and the fault, if a server sends them.
    let table: [(&[u8], usize, &str); 14] = [
        (b"\x81\x80\0\0\0\0", 0, "masked as the other role"),
        (b"\xc1\x00", 0, "reserved bits"),
        (b"\x83\x00", 0, "reserved opcode"),
        (b"\x8b\x00", 0, "reserved opcode"),
        (b"\x82\x7e\x00\x7d", 125, "length not in the shortest form"),
        (b"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", 65_535, "length not in the shortest form"),
        (b"\x09\x00", 0, "fragmented or long control frame"),
        (b"\x89\x7e\x00\x7e", 126, "fragmented or long control frame"),
        (b"\x80\x00", 0, "frame that is out of order"),
        (b"\x01\x00\x82\x00", 0, "frame that is out of order"),
        (b"\x81\x01\xff", 0, "text that is not UTF-8"),
        (b"\x88\x01", 1, "malformed Close"),
        (b"\x88\x00\x8a\x00", 0, "frame after the Close"),
        (b"\x82\x02", 1, "half a frame"),
    ];
    for (bytes, zeros, what) in table {
        let bytes = [bytes, &vec![0; zeros]].concat();
        assert_eq!(read(Role::Server, &bytes), [Seen::Illegal(what)], "{bytes:x?}");
    }
    assert_eq!(read(Role::Client, b"\x81\x00"), [Seen::Illegal("masked as the other role")]);
}

/// RFC 6455 §5.7.
#[test]
fn legal_frames_are_decoded() {
    let hello = || Seen::Text(b"Hello".to_vec());
    assert_eq!(read(Role::Server, b"\x81\x05Hello"), [hello()]);
    assert_eq!(read(Role::Client, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), [hello()]);
    assert_eq!(read(Role::Server, b"\x01\x03Hel\x80\x02lo"), [hello()]);
    assert_eq!(read(Role::Server, b"\x89\x05Hello"), [Seen::Ping(b"Hello".to_vec())]);
    assert_eq!(read(Role::Client, b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), [Seen::Pong(b"Hello".to_vec())]);
    for (head, len) in [(&b"\x82\x7e\x01\x00"[..], 256), (b"\x82\x7f\0\0\0\0\0\x01\0\0", 65_536)] {
        assert_eq!(read(Role::Server, &[head, &vec![1; len]].concat()), [Seen::Binary(vec![1; len])]);
    }
}

fn read(role: Role, bytes: &[u8]) -> Vec<Seen> {
    let mut reader = Reader::of(role);
    for byte in bytes {
        reader.read(&[*byte]);
    }
    reader.finish().seen
}
