//! RFC 6455 §7.4 and the IANA registry: which close codes may be sent, and the code that answers each fault.

use websocket_proto::{
    CloseCode, CloseStatus, Closed, Config, Event, Output, ProtocolErrorKind, Role, ScriptCloseError,
};

use crate::faults::{assert_fault, open, rule, run, short_header_len};
use crate::harness::{client, code, drain, feed, frames, from_peer_of, hex};
use crate::rows;
use crate::shared::wired::ROLES;

/// Asserts that both roles answer a Close that has this code with the same code, and report it.
#[track_caller]
fn assert_accepted(number: u16) {
    for role in ROLES {
        let body = number.to_be_bytes();
        let outcome = run(role, &Config::new(), &[(0x88, &body)]);
        assert_eq!(outcome.close_sent(), Some(Some(number)));
        let mut ws = open(role, &Config::new());
        let mut events = feed(&mut ws, [from_peer_of(role, &[(0x88, &body)]).as_slice()]).events;
        let status = CloseStatus::Code(code(number));
        assert_eq!(ws.received_close(), Some((status, "")));
        if role == Role::Client {
            assert_eq!(events, [Event::CloseReceived { status, reason: "".into() }]);
            events.clear();
        }
        events.extend(ws.receive_eof());
        let [Event::Closed(closed)] = &events[..] else { panic!("{number}: {events:?}") };
        assert_eq!(closed.status(), status);
        assert!(closed.was_clean() && closed.error().is_none(), "{number}: {closed:?}");

        let mut output = Output::new();
        open(role, &Config::new()).close(code(number), "", &mut output);
        assert_eq!(frames(&drain(&mut output))[0].1, body);
    }
}

/// Asserts that both roles fail on a Close with this code, and do not send it.
#[track_caller]
fn assert_rejected(number: u16) {
    for role in ROLES {
        let outcome = run(role, &Config::new(), &[(0x88, &number.to_be_bytes())]);
        assert_fault(role, &outcome, &[], ProtocolErrorKind::InvalidCloseCode(number), 0);
        let mut output = Output::new();
        let rejected = open(role, &Config::new()).close_from_script(Some(number), "", &mut output);
        assert_eq!((rejected, output.len()), (Err(ScriptCloseError::InvalidAccess), 0));
    }
    assert_eq!(CloseCode::new(number), None);
}

#[test]
fn codes_of_the_rfc_are_accepted() {
    rows!("6455-7.4.1-1");
    [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011].into_iter().for_each(assert_accepted);
}

#[test]
fn reserved_codes_are_rejected() {
    rows!("6455-7.4.1-2", "6455-7.4.1-3", "6455-7.4.1-4", "6455-7.4.1-5");
    [1004, 1005, 1006, 1015].into_iter().for_each(assert_rejected);
}

#[test]
fn codes_are_accepted_or_rejected_by_range() {
    rows!("6455-7.4.2-1", "6455-7.4.2-2", "6455-7.4.2-3", "6455-7.4.2-4");
    [0, 1, 999].into_iter().for_each(assert_rejected);
    [1016, 1100, 2000, 2999].into_iter().for_each(assert_rejected);
    [3000, 3001, 3999, 4000, 4999].into_iter().for_each(assert_accepted);
    [5000, 0x7fff, 0x8000, 65_535].into_iter().for_each(assert_rejected);
}

#[test]
fn codes_registered_since_are_accepted() {
    rows!("IANA-close-1", "IANA-close-2");
    [1012, 1013, 1014, 3000, 3003, 3008].into_iter().for_each(assert_accepted);
    let named = [
        (CloseCode::SERVICE_RESTART, 1012),
        (CloseCode::TRY_AGAIN_LATER, 1013),
        (CloseCode::BAD_GATEWAY, 1014),
        (CloseCode::UNAUTHORIZED, 3000),
        (CloseCode::FORBIDDEN, 3003),
        (CloseCode::TIMEOUT, 3008),
    ];
    for (constant, number) in named {
        assert_eq!(constant.get(), number);
    }
}

/// Every 16-bit number, against the ranges of RFC 6455 §7.4 and IANA's registry.
#[test]
fn a_code_exists_if_and_only_if_it_may_be_sent() {
    rows!("6455-7.4.1-3", "6455-7.4.1-4", "6455-7.4.1-5", "6455-7.4.2-1", "6455-7.4.2-2", "6455-7.4.2-4");
    for number in 0..=u16::MAX {
        let registered = matches!(number, 1000..=1003 | 1007..=1014);
        assert_eq!(CloseCode::new(number).is_some(), registered || (3000..5000).contains(&number), "{number}");
    }
}

#[test]
fn a_body_of_one_byte_fails() {
    rows!("6455-5.5.1-2");
    for role in ROLES {
        let outcome = run(role, &Config::new(), &[(0x88, b"\x03")]);
        assert_fault(role, &outcome, &[], ProtocolErrorKind::ClosePayloadTooShort, 0);
    }
}

#[test]
fn a_reason_that_is_not_utf8_fails() {
    rows!("6455-5.5.1-3", "6455-8.1-1");
    for (body, index) in [("03 e8 ce ba ed a0 80 65 64", 5), ("03 e8 ff", 2), ("03 e8 61 e2 28", 4), ("0f a0 61 c3", 4)]
    {
        for role in ROLES {
            let outcome = run(role, &Config::new(), &[(0x88, &hex(body))]);
            assert_fault(role, &outcome, &[], ProtocolErrorKind::InvalidUtf8, short_header_len(role) + index);
        }
    }
}

/// Code 1010 is for clients. A server can fail the handshake instead, so no fault maps to 1010; but a client may send
/// it, and the peer reports it.
#[test]
fn no_fault_is_answered_with_1010() {
    use ProtocolErrorKind::*;
    rows!("6455-7.4.1-7", "6455-7.4.1-8");
    let all = [
        ReservedBits,
        ReservedOpcode(3),
        NotMasked,
        Masked,
        LengthNotMinimal,
        LengthTopBitSet,
        ControlFrameTooLong,
        FragmentedControlFrame,
        UnexpectedContinuation,
        MissingContinuation,
        InvalidUtf8,
        ClosePayloadTooShort,
        InvalidCloseCode(1005),
        InvalidDeflate,
        FrameTooBig,
        MessageTooBig,
        TooManyFragments,
    ];
    for kind in all {
        assert_eq!((kind.close_code().get(), kind.section()), rule(kind), "{kind:?}");
        assert_ne!(kind.close_code(), CloseCode::MANDATORY_EXTENSION);
    }
    let mut missing = client();
    let mut output = Output::new();
    missing.close(CloseCode::MANDATORY_EXTENSION, "permessage-deflate", &mut output);
    let outcome = feed(&mut open(Role::Server, &Config::new()), [drain(&mut output).as_slice()]);
    let heard = outcome.closed().map(|closed| (closed.code(), closed.reason()));
    assert_eq!(heard, Some((1010, "permessage-deflate")));
    assert!(outcome.closed().is_some_and(Closed::was_clean));
}
