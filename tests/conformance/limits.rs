//! RFC 6455 §10.4: limits on messages, frames and fragments, each at its border, and exceeded by a header alone.

use websocket_proto::{Config, Event, Output, ProtocolErrorKind, Role, State};

use crate::faults::{assert_fault, header_from_peer_of, open, run};
use crate::harness::{KEY, binary, every_cut, feed, from_peer_of, ping, text};
use crate::rows;
use crate::shared::wired::ROLES;

type Frames<'f> = &'f [(u8, &'f [u8])];

/// Asserts that both roles accept these frames within the limits.
#[track_caller]
fn assert_passes(config: &Config, frames: Frames, events: &[Event<'static>]) {
    for role in ROLES {
        let outcome = run(role, config, frames);
        assert_eq!((outcome.events.as_slice(), outcome.state), (events, State::Open), "{role:?}");
    }
}

/// Asserts that both roles reject the last of these frames at its header.
#[track_caller]
fn assert_exceeds(config: &Config, frames: Frames, events: &[Event<'static>], kind: ProtocolErrorKind) {
    let ((first_byte, payload), before) = frames.split_last().unwrap();
    for role in ROLES {
        let before = from_peer_of(role, before);
        let len = payload.len();
        assert!(len < 126, "the header is one of two bytes and perhaps a key");
        let header = header_from_peer_of(role, &[*first_byte, len as u8]);
        let outcome = every_cut(|| open(role, config), &[before.as_slice(), &header].concat());
        assert_fault(role, &outcome, events, kind, before.len());
        let whole = every_cut(
            || open(role, config),
            &[before.as_slice(), &from_peer_of(role, &[(*first_byte, payload)])].concat(),
        );
        assert!(whole == outcome, "the payload makes no difference: {whole:x?}");
    }
}

#[test]
fn the_message_limit_holds_for_one_frame() {
    rows!("6455-10.4-1");
    let config = Config::new().max_message_size(5);
    for first_byte in [0x81, 0x82] {
        let event = if first_byte == 0x81 { text("12345") } else { binary(b"12345") };
        assert_passes(&config, &[(first_byte, b"12345")], &[event]);
        assert_exceeds(&config, &[(first_byte, b"123456")], &[], ProtocolErrorKind::MessageTooBig);
    }
    let none = Config::new().max_message_size(0);
    assert_passes(&none, &[(0x81, b"")], &[text("")]);
    assert_exceeds(&none, &[(0x81, b"1")], &[], ProtocolErrorKind::MessageTooBig);
}

/// Each form of the payload length, at a limit next to its border.
#[test]
fn the_message_limit_holds_for_each_length_form() {
    rows!("6455-10.4-1", "6455-5.2-14");
    let longer_by_one: [(usize, &[u8]); 4] = [
        (125, &[126, 0, 126]),
        (126, &[126, 0, 127]),
        (65_535, &[127, 0, 0, 0, 0, 0, 1, 0, 0]),
        (65_536, &[127, 0, 0, 0, 0, 0, 1, 0, 1]),
    ];
    for (limit, form) in longer_by_one {
        let config = Config::new().max_message_size(limit);
        for role in ROLES {
            let payload = vec![b'a'; limit];
            let input = from_peer_of(role, &[(0x82, &payload)]);
            for pieces in [input.len(), 1000] {
                let outcome = feed(&mut open(role, &config), input.chunks(pieces));
                assert!(outcome.events == [binary(&payload)], "{limit} bytes in pieces of {pieces}");
            }
            let header = header_from_peer_of(role, &[&[0x82], form].concat());
            let outcome = every_cut(|| open(role, &config), &header);
            assert_fault(role, &outcome, &[], ProtocolErrorKind::MessageTooBig, 0);
        }
    }
}

#[test]
fn the_message_limit_holds_over_all_fragments() {
    rows!("6455-10.4-1");
    let config = Config::new().max_message_size(5);
    let whole = [text("12345"), ping(b"a control frame is none of it"), text("12345"), text("12345")];
    let fits: Frames = &[
        (0x01, b"12"),
        (0x00, b"345"),
        (0x80, b""),
        (0x01, b"123"),
        (0x89, b"a control frame is none of it"),
        (0x80, b"45"),
        (0x81, b"12345"),
    ];
    assert_passes(&config, fits, &whole);
    let too_big = ProtocolErrorKind::MessageTooBig;
    assert_exceeds(&config, &[(0x01, b"12345"), (0x80, b"6")], &[], too_big);
    assert_exceeds(&config, &[(0x02, b"12"), (0x00, b"34"), (0x00, b"56")], &[], too_big);
    assert_exceeds(&config, &[(0x02, b""), (0x80, b"123456")], &[], too_big);
    // The next message has the whole limit again, and no more.
    assert_exceeds(
        &config,
        &[(0x01, b"123"), (0x80, b"45"), (0x01, b"12345"), (0x80, b"6")],
        &[text("12345")],
        too_big,
    );
}

/// The bytes of an incomplete character count like all others.
#[test]
fn text_that_ends_inside_a_character_counts_exactly() {
    rows!("6455-10.4-1");
    let limit = |bytes| Config::new().max_message_size(bytes);
    let too_big = ProtocolErrorKind::MessageTooBig;
    for (head, tail) in [(&b"\xe2"[..], &b"\x82\xac"[..]), (b"\xe2\x82", b"\xac"), (b"\xe2\x82\xac", b"")] {
        assert_passes(&limit(3), &[(0x01, head), (0x80, tail)], &[text("€")]);
        assert_passes(&limit(4), &[(0x01, head), (0x80, &[tail, b"a"].concat())], &[text("€a")]);
        assert_exceeds(&limit(3), &[(0x01, head), (0x80, &[tail, b"a"].concat())], &[], too_big);
    }
    assert_exceeds(&limit(2), &[(0x01, b"\xe2\x82"), (0x80, b"\xac")], &[], too_big);
    assert_passes(&limit(4), &[(0x01, b"\xf0"), (0x00, b"\x9f"), (0x00, b"\x98"), (0x80, b"\x80")], &[text("😀")]);
    assert_exceeds(&limit(3), &[(0x01, b"\xf0"), (0x00, b"\x9f"), (0x00, b"\x98"), (0x80, b"\x80")], &[], too_big);
}

#[test]
fn the_frame_limit_holds_for_each_frame() {
    rows!("6455-10.4-1");
    let config = Config::new().max_frame_size(5).max_message_size(20);
    let too_big = ProtocolErrorKind::FrameTooBig;
    let fits: Frames = &[(0x81, b"12345"), (0x01, b"12345"), (0x00, b"12345"), (0x80, b"12345")];
    assert_passes(&config, fits, &[text("12345"), text("123451234512345")]);
    assert_exceeds(&config, &[(0x82, b"123456")], &[], too_big);
    assert_exceeds(&config, &[(0x02, b"123456")], &[], too_big);
    assert_exceeds(&config, &[(0x02, b"12345"), (0x80, b"123456")], &[], too_big);
    // RFC 6455 §5.5 limits control frames.
    assert_passes(&config, &[(0x89, b"123456")], &[ping(b"123456")]);
}

#[test]
fn the_fragment_limit_holds_for_each_message() {
    rows!("6455-10.4-1");
    let config = Config::new().max_fragments(3);
    let too_many = ProtocolErrorKind::TooManyFragments;
    let fits: Frames =
        &[(0x01, b"1"), (0x00, b"2"), (0x89, b"p"), (0x89, b"p"), (0x80, b"3"), (0x01, b""), (0x00, b""), (0x80, b"")];
    assert_passes(&config, fits, &[ping(b"p"), ping(b"p"), text("123"), text("")]);
    assert_exceeds(&config, &[(0x01, b"1"), (0x00, b"2"), (0x00, b"3"), (0x80, b"4")], &[], too_many);
    assert_exceeds(&config, &[(0x02, b""), (0x00, b""), (0x00, b""), (0x00, b"")], &[], too_many);
    let one = Config::new().max_fragments(1);
    assert_passes(&one, &[(0x81, b"1"), (0x82, b"2"), (0x81, b"3")], &[text("1"), binary(b"2"), text("3")]);
    assert_exceeds(&one, &[(0x01, b"1"), (0x80, b"2")], &[], too_many);
}

/// The limits of `Config::default`.
#[test]
fn the_default_limits_hold() {
    const MIB: usize = 1 << 20;
    rows!("6455-10.4-1", "6455-10.4-2");
    for role in ROLES {
        let input = from_peer_of(role, &[(0x82, &vec![1; MIB])]);
        let outcome = feed(&mut open(role, &Config::default()), [input.as_slice()]);
        assert!(outcome.events == [binary(&vec![1; MIB])], "1 MiB passes");
        let header = header_from_peer_of(role, &[0x82, 127, 0, 0, 0, 0, 0, 0x10, 0, 1]);
        let outcome = every_cut(|| open(role, &Config::default()), &header);
        assert_fault(role, &outcome, &[], ProtocolErrorKind::MessageTooBig, 0);

        let first = from_peer_of(role, &[(0x02, b"")]);
        let most = [first, from_peer_of(role, &vec![(0x00, b"".as_slice()); (1 << 17) - 1])].concat();
        let mut ws = open(role, &Config::default());
        assert!(feed(&mut ws, [most.as_slice()]).events.is_empty());
        assert_eq!(ws.state(), State::Open, "131,072 frames pass");
        let outcome = feed(&mut ws, [from_peer_of(role, &[(0x80, b"")]).as_slice()]);
        assert_fault(role, &outcome, &[], ProtocolErrorKind::TooManyFragments, most.len());
    }
}

#[test]
fn an_enormous_length_fails_on_the_header() {
    rows!("6455-5.2-14");
    for first_byte in [0x81, 0x82, 0x01, 0x02] {
        for length in [[0x40, 0, 0, 0, 0, 0, 0, 0], [0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]] {
            for role in ROLES {
                let header = header_from_peer_of(role, &[&[first_byte, 127][..], &length].concat());
                let outcome = every_cut(|| open(role, &Config::new()), &header);
                assert_fault(role, &outcome, &[], ProtocolErrorKind::MessageTooBig, 0);
            }
        }
    }
}

/// Without a limit, 2⁶⁰ bytes may be announced, more than any machine could reserve.
#[test]
fn no_memory_is_reserved_for_announced_bytes() {
    rows!("6455-5.2-14");
    let config = Config::new().max_message_size(usize::MAX).max_frame_size(usize::MAX);
    let announced = |first_byte: u8, len: u64| [&[first_byte, 127][..], &len.to_be_bytes()].concat();
    for first_byte in [0x81, 0x82, 0x01] {
        for role in ROLES {
            let header = header_from_peer_of(role, &announced(first_byte, 1 << (usize::BITS - 4)));
            let nuls = if role == Role::Server { KEY.repeat(25) } else { vec![0; 100] };
            let input = [header, nuls].concat();
            let outcome = every_cut(|| open(role, &config), &input);
            assert_eq!((outcome.events.len(), outcome.state), (0, State::Open), "{outcome:x?}");
            // Open at the same time, so that reservations would add up.
            let mut many: Vec<_> = (0..40).map(|_| open(role, &config)).collect();
            assert!(many.iter_mut().all(|ws| feed(ws, [&input[..]]).state == State::Open));
            // A longer message would not fit into memory, and is rejected on the header.
            for len in [1 << (usize::BITS - 2), i64::MAX as u64] {
                let outcome =
                    every_cut(|| open(role, &config), &header_from_peer_of(role, &announced(first_byte, len)));
                assert_fault(role, &outcome, &[], ProtocolErrorKind::MessageTooBig, 0);
            }
        }
    }
}

/// The caller limits sent messages.
#[test]
fn limits_do_not_apply_to_sending() {
    rows!("6455-10.4-1");
    let config = Config::new().max_message_size(1).max_frame_size(1).max_fragments(1);
    let (mut ws, mut output) = (open(Role::Server, &config), Output::new());
    assert_eq!(ws.send_text("longer than that", &mut output), Ok(()));
    assert_eq!(output.len(), 2 + 16);
}
