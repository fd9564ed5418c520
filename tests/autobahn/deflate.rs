//! Sections 12 and 13: messages through permessage-deflate and back. The fuzzer uses zlib and the code here, with
//! windows no larger than negotiated.

use std::collections::HashMap;

use websocket_proto::{Config, Deflate, DeflateParameter, Role};
use zlib_rs::{DeflateConfig, DeflateFlush, Inflate, InflateFlush};

use crate::script::{Lcg, Writer, xor};
use crate::sut::{Sut, echo};
use crate::vectors::{Deflated, deflated};

/// Longer messages are cut to this length: a few of them already exceed the largest window.
const MOST: usize = 16 << 10;

const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

macro_rules! sections {
    ($($name:ident: $section:literal;)+) => {
        mod server {
            $(#[test] fn $name() { super::replay($section, websocket_proto::Role::Server); })+
        }

        mod client {
            $(#[test] fn $name() { super::replay($section, websocket_proto::Role::Client); })+
        }
    };
}

sections! {
    compressed_json: "12.1.";
    compressed_image: "12.2.";
    compressed_binary_text: "12.3.";
    compressed_html: "12.4.";
    compressed_pdf: "12.5.";
    as_offered: "13.1.";
    no_context_takeover: "13.2.";
    window_of_9: "13.3.";
    window_of_15: "13.4.";
    no_context_takeover_and_window_of_9: "13.5.";
    no_context_takeover_and_window_of_15: "13.6.";
    several_offers: "13.7.";
}

fn replay(section: &str, role: Role) {
    let cases = deflated(section);
    assert_eq!(cases.len(), 18, "{section}");
    for case in cases {
        let mut fuzzer = Fuzzer::open(&case, role);
        let (data, len) = (Data::named(&case.data), case.len.min(MOST));
        let count = if len > 4096 { 3 } else { 12 };
        for message in 0..count {
            let payload = data.window(message * len, len, case.is_text);
            let echoed = fuzzer.exchange(case.is_text, &payload, case.fragment);
            assert!(echoed == payload, "{} as {role:?}, message {message}: another message was echoed", case.id);
        }
        fuzzer.close();
    }
}

/// The parameters negotiated for one direction.
#[derive(Clone, Copy, Debug)]
struct Agreed {
    no_takeover: bool,
    bits: u8,
}

struct Fuzzer {
    role: Role,
    sut: Sut,
    own: Agreed,
    peer: Agreed,
    deflate: zlib_rs::Deflate,
    inflate: Inflate,
}

impl Fuzzer {
    /// A fuzzer and a system under test that accepts every offer and every request, as the examples do.
    fn open(case: &Deflated, role: Role) -> Self {
        let deflate = Deflate::new().window_bits(15).peer_window_bits(15).threshold(0);
        let deflate =
            if role == Role::Client { deflate.client_no_context_takeover(DeflateParameter::Prefer) } else { deflate };
        let offer = format!("Sec-WebSocket-Extensions: {}\r\n", case.offers.join(", "));
        let mut answered = String::new();
        let (sut, written) = Sut::open_with(Config::new().deflate(deflate), role, echo, &offer, |request| {
            answered = answer(extension(request), case.asks[0]);
            format!("Sec-WebSocket-Extensions: {answered}\r\n")
        });
        if role == Role::Server {
            let response = str::from_utf8(&written).expect("a response is text");
            extension(response).clone_into(&mut answered);
            check_answer(&case.offers[0], &answered);
        }
        let parameters = parameters(&answered);
        let agreed = |side: &str| Agreed {
            no_takeover: parameters.contains_key(&*format!("{side}_no_context_takeover")),
            bits: parameters
                .get(&*format!("{side}_max_window_bits"))
                .map_or(15, |bits| bits.parse().expect("a number")),
        };
        let (own, peer) = match role {
            Role::Server => (agreed("client"), agreed("server")),
            Role::Client => (agreed("server"), agreed("client")),
        };
        let config = DeflateConfig { window_bits: -i32::from(own.bits.max(9)), ..DeflateConfig::default() };
        let deflate = zlib_rs::Deflate::new_with_config(config);
        Self { role, sut, own, peer, deflate, inflate: Inflate::new(false, peer.bits) }
    }

    /// Sends a message; returns the echoed one.
    fn exchange(&mut self, is_text: bool, payload: &[u8], fragment: Option<usize>) -> Vec<u8> {
        let mut writer = Writer::to(self.role);
        let message = self.compress(payload);
        let frames: Vec<_> = message.chunks(fragment.unwrap_or(message.len())).collect();
        let opcode = if is_text { 1 } else { 2 };
        for (index, frame) in frames.iter().enumerate() {
            let start = if index == 0 { 0x40 | opcode } else { 0 };
            let fin = if index + 1 == frames.len() { 0x80 } else { 0 };
            writer.frame(fin | start, frame, None);
        }
        self.sut.read(&mut writer.take().bytes);
        let (first, message) = self.read_frame();
        assert_eq!(first, 0xc0 | opcode, "a whole compressed message of the same type");
        self.decompress(&message)
    }

    /// The one frame that the system under test wrote.
    fn read_frame(&mut self) -> (u8, Vec<u8>) {
        let mut frame = self.sut.written();
        let extended = match frame[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let is_masked = frame[1] & 0x80 != 0;
        assert_eq!(is_masked, self.role == Role::Client);
        let mut payload = frame.split_off(2 + extended + if is_masked { 4 } else { 0 });
        if let Some(key) = frame.last_chunk().filter(|_| is_masked) {
            xor(*key, &mut payload);
        }
        let len = match &frame[2..2 + extended] {
            [] => usize::from(frame[1] & 0x7f),
            extended => extended.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)),
        };
        assert_eq!(len, payload.len(), "there is nothing else");
        (frame[0], payload)
    }

    fn close(mut self) {
        let mut writer = Writer::to(self.role);
        writer.frame(0x88, &1000_u16.to_be_bytes(), None);
        self.sut.read(&mut writer.take().bytes);
        assert_eq!(self.read_frame(), (0x88, 1000_u16.to_be_bytes().to_vec()));
        let closed = self.sut.hang_up();
        assert!(closed.was_clean() && closed.code() == 1000, "{closed:?}");
    }

    fn compress(&mut self, payload: &[u8]) -> Vec<u8> {
        if self.own.no_takeover {
            self.deflate.reset();
        }
        let mut message = vec![0; payload.len() + payload.len() / 8 + 100];
        let before = (self.deflate.total_in(), self.deflate.total_out());
        self.deflate.compress(payload, &mut message, DeflateFlush::SyncFlush).expect("it can be compressed");
        assert_eq!(self.deflate.total_in() - before.0, payload.len() as u64);
        message.truncate((self.deflate.total_out() - before.1) as usize);
        assert!(message.ends_with(&TAIL));
        message.truncate(message.len() - TAIL.len());
        message
    }

    fn decompress(&mut self, message: &[u8]) -> Vec<u8> {
        if self.peer.no_takeover {
            self.inflate = Inflate::new(false, self.peer.bits);
        }
        let message = [message, &TAIL].concat();
        // In small steps, so that the inflater keeps hardly more than the window.
        let (mut piece, mut at, mut payload) = ([0; 32], 0, Vec::new());
        loop {
            let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
            let step = self.inflate.decompress(&message[at..], &mut piece, InflateFlush::NoFlush);
            assert!(step.is_ok(), "{step:?} under {:?}", self.peer);
            at += (self.inflate.total_in() - read) as usize;
            match (self.inflate.total_out() - written) as usize {
                0 => break,
                written => payload.extend(&piece[..written]),
            }
        }
        assert_eq!(at, message.len(), "all of it is DEFLATE");
        payload
    }
}

/// The value of the Sec-WebSocket-Extensions header, which must exist.
fn extension(head: &str) -> &str {
    head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: ")).expect("it has extensions")
}

/// The names and values of parameters; without a value, an empty one.
fn parameters(element: &str) -> HashMap<&str, &str> {
    let mut parameters = element.split("; ");
    assert_eq!(parameters.next(), Some("permessage-deflate"));
    parameters.map(|parameter| parameter.split_once('=').unwrap_or((parameter, ""))).collect()
}

/// The answer of the fuzzer as a server: everything that the client requests, and the fuzzer's own requests to the
/// client.
fn answer(offers: &str, (no_takeover, bits): (bool, u8)) -> String {
    let offer = offers.split(", ").next().expect("an offer");
    let offered = parameters(offer);
    let mut answer = String::from("permessage-deflate");
    if offered.contains_key("server_no_context_takeover") {
        answer += "; server_no_context_takeover";
    }
    if let Some(bits) = offered.get("server_max_window_bits") {
        answer.extend(["; server_max_window_bits=", bits]);
    }
    if no_takeover {
        answer += "; client_no_context_takeover";
    }
    if bits > 0 {
        assert!(offered.contains_key("client_max_window_bits"), "RFC 7692 §7.1.2.2: only if it was offered");
        answer.extend(["; client_max_window_bits=", &bits.to_string()]);
    }
    answer
}

/// RFC 7692 §7.1: the client's requests to the server are granted, and the answer belongs to the first offer.
fn check_answer(offer: &str, answer: &str) {
    let (offered, answered) = (parameters(offer), parameters(answer));
    let is_there = |name| answered.contains_key(name) || !offered.contains_key(name);
    assert!(is_there("server_no_context_takeover") && is_there("server_max_window_bits"), "{offer}: {answer}");
    if let Some(bits) = offered.get("server_max_window_bits") {
        let number = |bits: &str| bits.parse::<u8>().expect("a number");
        assert!(number(answered["server_max_window_bits"]) <= number(bits), "{offer}: {answer}");
    }
}

/// Data similar to the files that the suite uses.
struct Data(Vec<char>);

impl Data {
    fn named(name: &str) -> Self {
        let mut lcg = Lcg(name.len() as u64);
        let mut next = move |below: u32| lcg.next() % below;
        let data: String = match name.rsplit_once('.').map(|(_, kind)| kind) {
            Some("json" | "txt" | "html") => {
                let words = ["naïve", "window", "of", "the", "€uro", "message", "takeover", "a", "😀"];
                let mut word = move || words[next(9) as usize];
                let mut row = |id: u32| format!("{{\"id\": {id}, \"{}\": \"{} {}\"}},\n", word(), word(), word());
                (0..2000).fold(String::new(), |rows, id| rows + &row(id))
            }
            // Nearly incompressible data, and then a copy, at a distance that large windows reach.
            _ => (0..30_000).map(|_| char::from(next(256) as u8)).collect::<String>().repeat(2),
        };
        Self(data.chars().collect())
    }

    /// `len` characters of text or bytes from `start` on, repeating the data as needed.
    fn window(&self, start: usize, len: usize, is_text: bool) -> Vec<u8> {
        let chars = self.0.iter().cycle().skip(start % self.0.len()).take(len);
        if is_text { chars.collect::<String>().into_bytes() } else { chars.map(|&c| c as u32 as u8).collect() }
    }
}
