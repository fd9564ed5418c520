//! The visible effects of a peer's fault: its kind, its offset, its section, and the Close sent to the peer.

use websocket_proto::{ClientRequest, Closed, Config, Connection, ConnectionError, Event, ProtocolErrorKind, Role};

use crate::harness::{
    KEY, Outcome, REQUEST, client_with, connecting, every_cut, from_peer_of, response_to, server_with,
};
use crate::shared::wired::ROLES;

/// An open connection of this role that has received no frame.
pub(crate) fn open(role: Role, config: &Config) -> Connection {
    match role {
        Role::Server => server_with(config.clone()),
        Role::Client => client_with(config.clone()),
    }
}

/// Receives the frames on an open connection of this role, at every cut.
#[track_caller]
pub(crate) fn run(role: Role, config: &Config, frames: &[(u8, &[u8])]) -> Outcome {
    every_cut(|| open(role, config), &from_peer_of(role, frames))
}

/// The length of the opening handshake's half that an open connection has received.
pub(crate) fn handshake_len(role: Role) -> usize {
    match role {
        Role::Server => REQUEST.len(),
        Role::Client => {
            let (_, request) = connecting(&ClientRequest::new("ws://server.example.com/chat"), Config::new());
            response_to(&request, "").len()
        }
    }
}

/// A frame header that no encoder would write. `unmasked` is as a server sends it; for a client the mask bit and a key
/// are added.
pub(crate) fn header_from_peer_of(role: Role, unmasked: &[u8]) -> Vec<u8> {
    let mut header = unmasked.to_vec();
    if role == Role::Server {
        header[1] |= 0x80;
        header.extend(KEY);
    }
    header
}

/// The length of a peer's frame header for a payload of at most 125 bytes.
pub(crate) fn short_header_len(role: Role) -> usize {
    header_from_peer_of(role, &[0x81, 0]).len()
}

/// The close code (RFC 6455 §7.4.1) and the section for each kind of fault in a frame.
pub(crate) fn rule(kind: ProtocolErrorKind) -> (u16, &'static str) {
    use ProtocolErrorKind::*;
    match kind {
        NotMasked | Masked => (1002, "RFC 6455 §5.1"),
        ReservedBits | ReservedOpcode(_) | LengthNotMinimal | LengthTopBitSet => (1002, "RFC 6455 §5.2"),
        UnexpectedContinuation | MissingContinuation => (1002, "RFC 6455 §5.4"),
        ControlFrameTooLong | FragmentedControlFrame => (1002, "RFC 6455 §5.5"),
        ClosePayloadTooShort => (1002, "RFC 6455 §5.5.1"),
        InvalidCloseCode(_) => (1002, "RFC 6455 §7.4"),
        InvalidUtf8 => (1007, "RFC 6455 §8.1"),
        InvalidDeflate => (1007, "RFC 7692 §7.2.2"),
        FrameTooBig | MessageTooBig => (1009, "RFC 6455 §10.4"),
        TooManyFragments => (1008, "RFC 6455 §10.4"),
        kind => panic!("{kind:?} has no rule"),
    }
}

/// Asserts that the connection failed with `kind`, `at` bytes after the opening handshake.
#[track_caller]
pub(crate) fn assert_fault(
    role: Role,
    outcome: &Outcome,
    before: &[Event<'static>],
    kind: ProtocolErrorKind,
    at: usize,
) {
    let (code, section) = rule(kind);
    outcome.assert_fails(code, before);
    let Some(ConnectionError::Protocol(error)) = outcome.closed().and_then(Closed::error) else {
        panic!("{outcome:x?}")
    };
    assert_eq!((error.kind(), error.section(), error.close_code().get()), (kind, section, code));
    assert_eq!(error.offset(), (handshake_len(role) + at) as u64, "offset of: {kind}, as {role:?}");
}

/// Asserts that both roles fail with `kind` at the header of the last of these frames, after the events `before`.
#[track_caller]
pub(crate) fn both_fail_at_last(frames: &[(u8, &[u8])], kind: ProtocolErrorKind, before: &[Event<'static>]) {
    for role in ROLES {
        let at = from_peer_of(role, &frames[..frames.len() - 1]).len();
        assert_fault(role, &run(role, &Config::new(), frames), before, kind, at);
    }
}
