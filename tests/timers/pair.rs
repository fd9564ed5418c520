//! Timers on our own server and client, in simulated time.

use std::time::Duration;

use websocket_proto::{CloseCode, ConnectionError, Role, State, Timeout, Timeouts};

use crate::shared::wired::ROLES;
use crate::world::{LATENCY, World};

const OPENING: Duration = Duration::from_secs(7);
const VALIDITY: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(20);
const CLOSING: Duration = Duration::from_secs(5);
const TIMEOUTS: Timeouts<Duration> = Timeouts::none().handshake(OPENING).keep_alive(VALIDITY, PONG).closing(CLOSING);

const HOUR: Duration = Duration::from_secs(3600);
/// A time at which the connection has long been open.
const LATER: Duration = Duration::from_secs(100);

/// A pair in which only the endpoint with this role has timeouts.
fn timed(role: Role) -> World {
    match role {
        Role::Server => World::new(TIMEOUTS, Timeouts::none()),
        Role::Client => World::new(Timeouts::none(), TIMEOUTS),
    }
}

#[test]
fn an_idle_peer_is_pinged_whenever_its_validity_expires() {
    for role in ROLES {
        let mut world = timed(role);
        world.run(3 * HOUR);
        // The request takes one latency to the server, its answer another.
        let opened = if role == Role::Server { LATENCY } else { 2 * LATENCY };
        // A pong is the next sign of life, a round trip after the ping.
        let first_arrives = opened + VALIDITY + LATENCY;
        let after = (3 * HOUR).checked_sub(first_arrives).unwrap();
        let pings = after.as_nanos() / (VALIDITY + 2 * LATENCY).as_nanos() + 1;
        let (end, peer) = world.ends(role);
        assert_eq!((end.ws.state(), peer.ws.state()), (State::Open, State::Open));
        assert_eq!(peer.pings, pings);
        assert_eq!(end.round_trips.len() as u128, pings);
        assert!(end.round_trips.iter().all(|round_trip| *round_trip == 2 * LATENCY));
        assert_eq!(end.timers.round_trip(), Some(2 * LATENCY));
        // Each ping takes three turns: it leaves, it arrives, its pong arrives.
        assert!(world.turns <= 3 * pings + 6, "{} turns", world.turns);
    }
}

#[test]
fn two_endpoints_that_ping_each_other_stay_open() {
    let mut world = World::new(TIMEOUTS, TIMEOUTS);
    world.run(24 * HOUR);
    assert_eq!((world.server.ws.state(), world.client.ws.state()), (State::Open, State::Open));
    let pings = world.server.pings + world.client.pings;
    let most = (24 * HOUR).as_nanos() / VALIDITY.as_nanos() * 2;
    let least = (24 * HOUR).as_nanos() / (VALIDITY + 2 * LATENCY).as_nanos() - 1;
    assert!((least..=most).contains(&pings), "{pings} pings");
}

#[test]
fn a_peer_that_falls_silent_is_failed_after_its_validity_and_the_wait_for_a_pong() {
    for role in ROLES {
        let mut world = timed(role);
        world.run(LATER);
        let (_, peer) = world.ends(role);
        peer.ws.send_text("the last", &mut peer.output).unwrap();
        world.turn();
        let (end, peer) = world.ends(role);
        let pings = peer.pings;
        peer.is_mute = true;
        assert_eq!(end.messages, 0);
        world.run(HOUR);

        let failed = LATER + LATENCY + VALIDITY + PONG;
        let (end, peer) = world.ends(role);
        assert_eq!(end.messages, 1);
        let (at, closed) = end.last.as_ref().unwrap();
        assert_eq!((*at, closed.code(), closed.was_clean()), (failed, 1006, false));
        assert_eq!(closed.error(), Some(&ConnectionError::Timeout(Timeout::KeepAlive)));
        // Only the way back is lost: the peer receives the Close.
        assert_eq!(peer.pings, pings + 1);
        let (_, closed) = peer.last.as_ref().unwrap();
        assert_eq!((closed.code(), closed.was_clean()), (CloseCode::TIMEOUT.get(), true));
    }
}

#[test]
fn messages_replace_pings_as_a_sign_of_life() {
    for role in ROLES {
        let mut world = timed(role);
        let (_, peer) = world.ends(role);
        let before = peer.pings;
        for second in (20..7200).step_by(20) {
            world.run(Duration::from_secs(second));
            let (_, peer) = world.ends(role);
            peer.ws.send_text("here", &mut peer.output).unwrap();
            world.turn();
        }
        let (end, peer) = world.ends(role);
        assert_eq!((end.ws.state(), peer.pings - before), (State::Open, 0));
    }
}

#[test]
fn a_close_that_is_not_answered_ends_at_its_deadline() {
    for role in ROLES {
        let mut world = timed(role);
        world.run(LATER);
        let (end, peer) = world.ends(role);
        peer.is_mute = true;
        end.ws.close(CloseCode::GOING_AWAY, "", &mut end.output);
        world.turn();
        let (end, _) = world.ends(role);
        let written = end.written;
        assert_eq!(end.timers.poll_timeout(), Some(LATER + CLOSING));
        world.run(HOUR);

        let (end, _) = world.ends(role);
        let (at, closed) = end.last.as_ref().unwrap();
        assert_eq!((*at, closed.code()), (LATER + CLOSING, 1006));
        assert_eq!(closed.error(), Some(&ConnectionError::Timeout(Timeout::Closing)));
        assert_eq!(end.written, written);
        assert_eq!(end.timers.poll_timeout(), None);
    }
}

#[test]
fn a_close_that_is_answered_leaves_no_deadline() {
    for role in ROLES {
        let mut world = timed(role);
        world.run(LATER);
        let (end, _) = world.ends(role);
        end.ws.close(CloseCode::NORMAL_CLOSURE, "", &mut end.output);
        world.turn();
        world.run(HOUR);
        let (end, _) = world.ends(role);
        let (_, closed) = end.last.as_ref().unwrap();
        assert_eq!((closed.code(), closed.error()), (1000, None));
        assert_eq!(end.timers.poll_timeout(), None);
    }
}

/// 6455-7.1.1-5, 6455-5.5.1-14: the client waits for the server to close the transport, but not forever, and its last
/// event still has the server's code.
#[test]
fn a_transport_that_is_never_closed_ends_cleanly_at_the_deadline() {
    let mut world = timed(Role::Client);
    world.run(LATER);
    world.server.keeps_transport = true;
    world.server.ws.close(CloseCode::GOING_AWAY, "bye", &mut world.server.output);
    world.turn();
    world.run(HOUR);
    let (at, closed) = world.client.last.unwrap();
    assert_eq!(at, LATER + LATENCY + CLOSING);
    assert_eq!((closed.code(), closed.reason(), closed.was_clean()), (1001, "bye", true));
    assert_eq!(closed.error(), None);
}

#[test]
fn an_undecided_request_is_rejected_with_503() {
    let mut world = timed(Role::Server);
    world.server.hesitates = true;
    world.run(HOUR);
    let (at, closed) = world.server.last.as_ref().unwrap();
    assert_eq!((*at, closed.error()), (OPENING, Some(&ConnectionError::Timeout(Timeout::Handshake))));
    assert_eq!(world.client.rejected, Some(503));
    // A decision after that has no effect.
    let request = world.server.request.take().unwrap();
    world.server.ws.accept(request, &mut world.server.output);
    assert!(world.server.ws.is_closed() && world.server.output.is_empty());
}

#[test]
fn a_client_ends_if_the_server_never_answers() {
    let mut world = timed(Role::Client);
    world.server.is_mute = true;
    let request = world.client.written;
    world.run(HOUR);
    let (at, closed) = world.client.last.unwrap();
    assert_eq!((at, closed.code()), (OPENING, 1006));
    assert_eq!(closed.error(), Some(&ConnectionError::Timeout(Timeout::Handshake)));
    assert_eq!(world.client.written, request);
}

#[test]
fn without_timeouts_nothing_is_ever_due() {
    let mut world = World::new(Timeouts::none(), Timeouts::none());
    world.run(24 * HOUR);
    assert_eq!((world.server.ws.state(), world.client.ws.state()), (State::Open, State::Open));
    assert_eq!((world.server.timers.poll_timeout(), world.client.timers.poll_timeout()), (None, None));
    assert_eq!(world.server.pings + world.client.pings, 0);
}
