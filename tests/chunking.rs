//! Random streams, valid, nearly valid and garbage: however they are cut, the outcome is the same.

mod shared;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use shared::harness;
use shared::harness::stream::{REQUEST, flag, input, response};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// How a frame encodes its length.
#[derive(Clone, Copy, Debug)]
enum Length {
    Minimal,
    In16Bits,
    In64Bits,
    /// In 64 bits, with the top bit set.
    Absurd,
    /// Much more than the payload has.
    Announced(u64),
}

#[derive(Clone, Debug)]
struct Frame {
    first: u8,
    length: Length,
    wrongly_masked: bool,
    payload: Vec<u8>,
}

impl Frame {
    /// The frame as a peer sends it; `masks` is true for a client.
    fn encode(&self, masks: bool) -> Vec<u8> {
        let masks = masks != self.wrongly_masked;
        let len = self.payload.len() as u64;
        let (short, extended) = match self.length {
            Length::Minimal if len < 126 => (len as u8, Vec::new()),
            Length::Minimal | Length::In16Bits => (126, (len as u16).to_be_bytes().to_vec()),
            Length::In64Bits => (127, len.to_be_bytes().to_vec()),
            Length::Absurd => (127, (len | 1 << 63).to_be_bytes().to_vec()),
            Length::Announced(len) => (127, len.to_be_bytes().to_vec()),
        };
        let mut frame = vec![self.first, short | if masks { 0x80 } else { 0 }];
        frame.extend(extended);
        frame.extend(masks.then_some(KEY).into_iter().flatten());
        frame.extend(self.payload.iter().enumerate().map(|(i, byte)| byte ^ if masks { KEY[i % 4] } else { 0 }));
        frame
    }
}

/// Mostly legal, so that streams get far.
fn first_byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        12 => select(vec![0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a]),
        1 => Just(0x88),
        1 => any::<u8>(),
    ]
}

fn length() -> impl Strategy<Value = Length> {
    prop_oneof![
        40 => Just(Length::Minimal),
        1 => Just(Length::In16Bits),
        1 => Just(Length::In64Bits),
        1 => Just(Length::Absurd),
        1 => (0x1_0000..=u64::MAX >> 1).prop_map(Length::Announced),
    ]
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let close = (select(vec![999, 1000, 1004, 1005, 1006, 1011, 1014, 1015, 2999, 3000, 4999, 5000]), ".{0,20}");
    prop_oneof![
        4 => ".{0,30}".prop_map(String::into_bytes),
        // Text that may end in the middle of a character.
        2 => (".{1,20}", any::<Index>()).prop_map(|(text, end)| text.as_bytes()[..end.index(text.len())].to_vec()),
        2 => vec(any::<u8>(), 0..70),
        2 => close.prop_map(|(code, reason): (u16, String)| [&code.to_be_bytes(), reason.as_bytes()].concat()),
        1 => (any::<u8>(), 110..140usize).prop_map(|(byte, len)| vec![byte; len]),
    ]
}

fn frame() -> impl Strategy<Value = Frame> {
    (first_byte(), length(), prop::bool::weighted(0.02), payload())
        .prop_map(|(first, length, wrongly_masked, payload)| Frame { first, length, wrongly_masked, payload })
}

/// A valid head, possibly with more headers, some beyond the limits, and up to two changed bytes.
fn head(valid: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let further = prop_oneof![
        4 => Just(String::new()),
        2 => "Sec-WebSocket-Protocol: (chat|superchat|other|chat, chat)\r\n",
        1 => "Sec-WebSocket-Extensions: [a-z;=, \"]{0,12}\r\n",
        1 => "(Host|Upgrade|Connection|Content-Length|Transfer-Encoding): [a-z0-9]{0,8}\r\n",
        1 => "(X: y\r\n){0,12}",
        1 => "X: [a-z]{0,200}\r\n",
    ];
    let mutation = (any::<Index>(), select(b"\r\n\0 :,\tAa01\x80".to_vec()), 0..3u8);
    (further, vec(mutation, 0..3), prop::bool::weighted(0.5)).prop_map(move |(further, mutations, is_mutated)| {
        let mut head = valid.clone();
        let end = head.len() - 2;
        head.splice(end..end, further.into_bytes());
        for (at, byte, kind) in mutations.into_iter().filter(|_| is_mutated) {
            let at = at.index(head.len());
            match kind {
                0 => head[at] = byte,
                1 => head.insert(at, byte),
                _ => drop(head.remove(at)),
            }
        }
        head
    })
}

/// A response other than a 101.
fn rejection() -> impl Strategy<Value = Vec<u8>> {
    let status =
        select(vec!["100 Continue", "103 Early Hints", "200 OK", "204 No Content", "302 Found", "426 Upgrade"]);
    let framing =
        select(vec!["", "Content-Length: 9\r\n", "Content-Length: 300\r\n", "Transfer-Encoding: chunked\r\n"]);
    let body = select(vec!["", "too early", "4\r\nbody\r\n0\r\n\r\n", "1ff\r\nlong", "x\r\n", "9"]);
    (status, framing, body)
        .prop_map(|(status, framing, body)| format!("HTTP/1.1 {status}\r\n{framing}\r\n{body}").into_bytes())
}

fn frames(masks: bool) -> impl Strategy<Value = Vec<u8>> {
    vec(frame(), 0..12).prop_map(move |frames| frames.iter().flat_map(|frame| frame.encode(masks)).collect())
}

/// Streams, each with the flags that it is made for.
fn stream(masks: bool) -> impl Strategy<Value = (u8, Vec<u8>)> {
    let open = || any::<u8>().prop_map(|flags| flags | flag::OPEN);
    let opening = || any::<u8>().prop_map(|flags| flags & !flag::OPEN);
    let valid = if masks { REQUEST.to_vec() } else { response() };
    let opened = (head(valid), frames(masks)).prop_map(|(head, frames)| [head, frames].concat());
    let rejected = (vec(rejection(), 1..4)).prop_map(|responses| responses.concat());
    prop_oneof![
        4 => (open(), frames(masks)),
        3 => (opening(), opened),
        1 => (opening(), rejected),
        1 => (any::<u8>(), vec(any::<u8>(), 0..100)),
    ]
}

/// Pieces of every size, most of them small.
fn cuts() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![3 => 0..8u8, 1 => any::<u8>()], 0..8)
}

/// Cases are cheap here; `PROPTEST_CASES` overrides their number.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let is_given = std::env::var_os("PROPTEST_CASES").is_some();
    ProptestConfig { cases: if is_given { default.cases } else { 2000 }, ..default }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_clients_stream_has_one_outcome_however_it_is_cut((flags, stream) in stream(true), cuts in cuts()) {
        harness::server(&input(flags, &cuts, &stream));
    }

    #[test]
    fn a_servers_stream_has_one_outcome_however_it_is_cut((flags, stream) in stream(false), cuts in cuts()) {
        harness::client(&input(flags, &cuts, &stream));
    }

    #[test]
    fn frames_are_decoded_the_same_however_they_are_cut(
        stream in prop_oneof![frames(true), frames(false)],
        sizes in [0..8u8, 0..8u8, 0..255u8],
    ) {
        harness::frame(&[&sizes, &stream[..]].concat());
    }
}
