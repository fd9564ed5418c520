//! Reconnect delays: their bounds, their distribution, and Retry-After.

use std::time::Duration;

use bytes::Buf;
use proptest::collection::vec;
use proptest::prelude::*;
use websocket_proto::handshake::Response;
use websocket_proto::{Backoff, ClientRequest, Config, Connection, Event, Input, Output};

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// The rejection that a client reports for this status and these headers.
fn rejection(status: u16, headers: &[(&str, &[u8])]) -> Response {
    let mut output = Output::new();
    let request = ClientRequest::new("ws://example.com/");
    let mut client = Connection::client(&request, Config::new(), [7; 32], &mut output).unwrap();
    output.advance(output.remaining());
    let mut head = format!("HTTP/1.1 {status} \r\nContent-Length: 0\r\n").into_bytes();
    for (name, value) in headers {
        head.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    head.extend_from_slice(b"\r\n");
    match client.receive(&mut Input::new(&mut head), &mut output) {
        Some(Event::Rejected(response)) => response,
        event => panic!("{event:?}"),
    }
}

fn retry_after(value: &str) -> Option<Duration> {
    rejection(503, &[("Retry-After", value.as_bytes())]).retry_after()
}

/// 6455-7.2.3-1, 6455-7.2.3-2: each delay is random, from zero up to a ceiling that doubles; delays come close to the
/// ceiling, not only to half of it.
#[test]
fn ceilings_double_up_to_the_cap() {
    for attempt in 0..12_u32 {
        let ceiling = seconds(60).min(seconds(1) * 2_u32.pow(attempt));
        let delays = (0..=255).map(|seed| {
            let mut backoff = Backoff::new([seed; 32]);
            for _ in 0..attempt {
                backoff.next_delay();
            }
            backoff.next_delay()
        });
        let delays: Vec<Duration> = delays.collect();
        assert!(delays.iter().all(|delay| *delay <= ceiling), "attempt {attempt}");
        // The chance that none of 256 even draws is in a given tenth is 2e-12.
        assert!(delays.iter().any(|delay| *delay > ceiling * 9 / 10), "attempt {attempt}");
        assert!(delays.iter().any(|delay| *delay < ceiling / 10), "attempt {attempt}");
    }
}

#[test]
fn delays_are_distributed_evenly() {
    const DRAWS: u32 = 10_000;
    let mut backoff = Backoff::new([1; 32]).base(seconds(60));
    let (mut sum, mut tenths) = (Duration::ZERO, [0_u32; 10]);
    for _ in 0..DRAWS {
        let delay = backoff.next_delay();
        sum += delay;
        tenths[(delay.as_nanos() / seconds(6).as_nanos()).min(9) as usize] += 1;
    }
    // The standard deviation of the mean is a 346th of half the ceiling; that of a tenth is 30 draws.
    let mean = sum / DRAWS;
    assert!(mean.abs_diff(seconds(30)) < seconds(30) / 70, "{mean:?}");
    assert!(tenths.iter().all(|count| count.abs_diff(DRAWS / 10) < 150), "{tenths:?}");
}

/// Delays range from zero to the ceiling, both included.
#[test]
fn a_delay_can_be_the_ceiling_itself() {
    let nanosecond = Duration::from_nanos(1);
    let mut backoff = Backoff::new([1; 32]).base(nanosecond).cap(nanosecond);
    let ones = (0..1000).filter(|_| backoff.next_delay() == nanosecond).count();
    // The standard deviation is 16.
    assert!(ones.abs_diff(500) < 100, "{ones}");
}

#[test]
fn the_seed_determines_the_delays() {
    let draw = |seed| {
        let mut backoff = Backoff::new([seed; 32]);
        (0..50).map(|_| backoff.next_delay()).collect::<Vec<_>>()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

#[test]
fn many_attempts_do_not_overflow() {
    // The longest ceiling is some 584 years.
    for (base, cap) in [(1, 60), (u64::MAX, 60), (u64::MAX, u64::MAX), (0, 60), (1, 0)] {
        let mut backoff = Backoff::new([1; 32]).base(seconds(base)).cap(seconds(cap));
        let longest = (0..200).map(|_| backoff.next_delay()).max().unwrap();
        let ceiling = if base == 0 { Duration::ZERO } else { seconds(cap).min(Duration::from_nanos(u64::MAX)) };
        assert!((ceiling * 9 / 10..=ceiling).contains(&longest), "{longest:?}");
    }
    // The shortest base reaches the cap, too, and stays there.
    let mut backoff = Backoff::new([1; 32]).base(Duration::from_nanos(1)).cap(seconds(1));
    let longest = (0..1000).map(|_| backoff.next_delay()).skip(500).max();
    assert!(longest.is_some_and(|longest| longest > Duration::from_millis(900) && longest <= seconds(1)));
}

#[test]
fn only_a_lasting_connection_resets_the_count() {
    // The delay after a connection of this length, with the same draws each time.
    let after = |lasted: Option<Duration>| {
        let mut backoff = Backoff::new([3; 32]).cap(seconds(1 << 20)).reset_after(seconds(5));
        for _ in 0..15 {
            backoff.next_delay();
        }
        lasted.inspect(|lasted| backoff.opened_for(*lasted));
        backoff.next_delay()
    };
    let grown = after(None);
    assert!(grown > seconds(1), "{grown:?}");
    for dropped in [Duration::ZERO, Duration::from_nanos(4_999_999_999)] {
        assert_eq!(after(Some(dropped)), grown);
    }
    for lasted in [seconds(5), seconds(3600), Duration::MAX] {
        assert!(after(Some(lasted)) <= seconds(1));
    }
}

#[test]
fn retry_after_may_be_in_seconds() {
    assert_eq!(retry_after("120"), Some(seconds(120)));
    assert_eq!(retry_after("0"), Some(Duration::ZERO));
    assert_eq!(retry_after("007"), Some(seconds(7)));
    // A number too large for a `u64` becomes the longest delay.
    assert_eq!(retry_after("99999999999999999999999999"), Some(seconds(u64::MAX)));
    for garbage in ["", "-1", "+1", "1.5", "1e3", "0x10", "1 2", "soon", "\u{661}", "120;", "120, 3"] {
        assert_eq!(retry_after(garbage), None, "{garbage:?}");
    }
}

/// RFC 9110 §10.2.3 allows it in any response; 503 and 3xx are its cases, 429 is RFC 6585's.
#[test]
fn any_rejection_may_have_retry_after() {
    for status in [301, 302, 307, 403, 413, 429, 500, 503] {
        let rejection = rejection(status, &[("retry-after", b"5"), ("Retry-After", b"9"), ("Retry-After", b"never")]);
        assert_eq!(rejection.retry_after(), Some(seconds(9)));
    }
    assert_eq!(rejection(503, &[]).retry_after(), None);
}

#[test]
fn a_date_counts_from_the_responses_own_date() {
    let from = |sent: &[(&str, &[u8])], date: &str| {
        rejection(503, &[sent, &[("Retry-After", date.as_bytes())]].concat()).retry_after()
    };
    let sent: &[(&str, &[u8])] = &[("Date", b"Sun, 06 Nov 1994 08:49:37 GMT")];
    let expected = if cfg!(feature = "std") { Some(seconds(90)) } else { None };
    // RFC 9110 §5.6.7: the preferred form and the two obsolete ones that a recipient MUST accept.
    for date in ["Sun, 06 Nov 1994 08:51:07 GMT", "Sunday, 06-Nov-94 08:51:07 GMT", "Sun Nov  6 08:51:07 1994"] {
        assert_eq!(from(sent, date), expected, "{date}");
    }
    let past = from(sent, "Sat, 05 Nov 1994 08:49:37 GMT");
    assert_eq!(past, expected.map(|_| Duration::ZERO));
    let far = from(sent, "Fri, 31 Dec 9999 23:59:59 GMT");
    assert!(far.is_none_or(|far| far > seconds(8000 * 365 * 86400)) && far.is_some() == cfg!(feature = "std"));
    for garbage in ["Sun, 06 Nov 1994 08:51:07", "Sun, 31 Feb 1994 08:51:07 GMT", "Sun, 06 Nov 1994 25:00:00 GMT"] {
        assert_eq!(from(sent, garbage), None, "{garbage}");
    }
    // Without one valid Date, a date in Retry-After means nothing.
    let date = "Sun, 06 Nov 1994 08:51:07 GMT";
    assert_eq!(from(&[], date), None);
    assert_eq!(from(&[("Date", b"yesterday")], date), None);
    assert_eq!(from(&[sent, sent].concat(), date), None);
}

/// The delay is the server's, up to the maximum, plus the next random one.
#[test]
fn retry_after_is_added_up_to_the_maximum() {
    let delays = |value: &[u8]| {
        let rejection = rejection(503, &[("Retry-After", value)]);
        let mut backoff = Backoff::new([1; 32]).max_retry_after(seconds(300));
        [(); 20].map(|()| backoff.next_delay_after(rejection.retry_after()))
    };
    let mut plain = Backoff::new([1; 32]);
    let plain = [(); 20].map(|()| plain.next_delay());
    assert_eq!(delays(b"soon"), plain);
    assert_eq!(delays(b"120"), plain.map(|delay| seconds(120) + delay));
    assert_eq!(delays(b"99999999999999999999"), plain.map(|delay| seconds(300) + delay));
}

#[test]
fn retry_after_is_capped_at_an_hour_by_default() {
    let rejection = rejection(503, &[("Retry-After", b"86400")]);
    let delay = Backoff::new([1; 32]).next_delay_after(rejection.retry_after());
    assert!((seconds(3600)..=seconds(3601)).contains(&delay));
    // Without a maximum nothing overflows either.
    let rejection = self::rejection(503, &[("Retry-After", b"18446744073709551615")]);
    let mut backoff = Backoff::new([1; 32]).max_retry_after(Duration::MAX).cap(Duration::MAX).base(Duration::MAX);
    assert!(backoff.next_delay_after(rejection.retry_after()) >= seconds(u64::MAX));
}

#[test]
fn debug_output_does_not_show_the_seed() {
    let shown = |seed| format!("{:?}", Backoff::new([seed; 32]));
    assert_eq!(shown(1), shown(2));
}

proptest! {
    /// Whatever a header contains, nothing panics, and the delay stays in bounds.
    #[test]
    fn any_header_keeps_the_delay_in_bounds(
        value in prop_oneof![
            vec(32..127_u8, 0..40),
            "(Sun|Monday),? [0-9 ]{2}[ -](Feb|Nov|Dec)[ -][0-9]{2,4} [0-9]{2}:[0-9]{2}:[0-9]{2}( GMT)?".prop_map(String::into_bytes),
        ],
        date in "(Sun|Mon), [0-3][0-9] (Feb|Dec) [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT",
    ) {
        let rejection = rejection(503, &[("Retry-After", &value), ("Date", date.as_bytes())]);
        let delay = Backoff::new([1; 32]).next_delay_after(rejection.retry_after());
        prop_assert!(delay <= seconds(3601));
    }
}
