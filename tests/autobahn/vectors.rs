//! Reads the vectors: the fuzzer's steps in each case, and the expected events.

use std::fmt;

use serde_json::{Map, Value, json};

const VECTORS: &str = include_str!("../data/autobahn.json");

/// The number of messages in a round-trip case. The suite's 1,000 would show nothing more here.
const ROUND_TRIPS: usize = 50;

pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) steps: Vec<Step>,
    /// Verdicts, each with the events that lead to it.
    pub(crate) expect: Vec<(String, Vec<Seen>)>,
    pub(crate) close: ExpectedClose,
    /// A wrong code in the Close fails the case.
    pub(crate) code_is_fatal: bool,
    /// Any outcome passes.
    pub(crate) informational: bool,
    /// The fuzzer sends its own Close once it has seen the expected events.
    pub(crate) auto_close: bool,
    /// The payload of the fuzzer's Close after it has waited long enough: code 1001, or nothing.
    pub(crate) last_close: Vec<u8>,
}

pub(crate) struct ExpectedClose {
    pub(crate) by_fuzzer: bool,
    pub(crate) codes: Vec<u16>,
    /// Close frames must have been sent in both directions.
    pub(crate) clean: bool,
    /// The case fails if the wrong side closes.
    pub(crate) side_is_fatal: bool,
}

/// A step of the fuzzer. `first` is the first byte of a frame.
pub(crate) enum Step {
    /// Sends a frame, in one write or chopped into writes of `chop` bytes.
    Frame {
        first: u8,
        payload: Vec<u8>,
        chop: Option<usize>,
        starts_closing: bool,
    },
    /// Sends a message in frames of `size` bytes.
    Fragments {
        first: u8,
        payload: Vec<u8>,
        size: usize,
    },
    /// Sends a header, whose payload follows as `Data`.
    Head {
        first: u8,
        len: usize,
    },
    Data(Vec<u8>),
    /// Waits, and records the wait if it has a tag.
    Wait(Option<String>),
}

/// Something that the fuzzer recorded.
#[derive(PartialEq, Eq)]
pub(crate) enum Seen {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// It waited, and the connection was still open.
    Timeout(String),
    /// The system under test violated RFC 6455.
    Illegal(&'static str),
}

/// A round trip with permessage-deflate.
#[cfg(feature = "deflate")]
pub(crate) struct Deflated {
    pub(crate) id: String,
    pub(crate) is_text: bool,
    /// The length of each message, in characters or bytes.
    pub(crate) len: usize,
    /// The number of bytes of a compressed message in each frame.
    pub(crate) fragment: Option<usize>,
    /// The file that the suite uses.
    pub(crate) data: String,
    /// The fuzzer's offers as a client.
    pub(crate) offers: Vec<String>,
    /// The fuzzer's requests to a client as a server, in order of preference: no context takeover, and the window,
    /// unless 0.
    pub(crate) asks: Vec<(bool, u8)>,
}

/// The ids of all cases.
pub(crate) fn ids() -> Vec<String> {
    let vectors = parse();
    let cases = ["wire", "roundtrips"].into_iter().flat_map(|kind| array(&vectors[kind]));
    cases.map(|case| string(&case["id"]).to_owned()).collect()
}

/// The cases whose ids begin with `section`, one at a time: some are large.
pub(crate) fn cases(section: &str) -> impl Iterator<Item = Case> {
    let mut vectors = parse();
    let mut all = move |kind| match vectors[kind].take() {
        Value::Array(cases) => cases.into_iter(),
        _ => panic!("no {kind}"),
    };
    let (wire, round_trips) = (all("wire"), all("roundtrips"));
    let is_wanted = move |case: &Value| string(&case["id"]).starts_with(section);
    let wire = wire.filter(is_wanted).map(|case| Case::from_json(&case));
    wire.chain(round_trips.filter(is_wanted).map(|case| Case::from_json(&round_trips_to_wire(&case))))
}

/// The round trips whose ids begin with `section`, with compressed messages.
#[cfg(feature = "deflate")]
pub(crate) fn deflated(section: &str) -> Vec<Deflated> {
    let vectors = parse();
    let cases = array(&vectors["roundtrips"]).iter().filter(|case| string(&case["id"]).starts_with(section));
    let case = |case| {
        let case = object(case, &["ask", "count", "data", "frag", "id", "len", "offer", "op", "timeout"]);
        let bits = |bits| u8::try_from(number(bits)).expect("a few bits");
        Deflated {
            id: string(&case["id"]).to_owned(),
            is_text: number(&case["op"]) == 1,
            len: number(&case["len"]),
            fragment: case.get("frag").map(number),
            data: string(&case["data"]).to_owned(),
            offers: array(&case["offer"]).iter().map(|offer| string(offer).to_owned()).collect(),
            asks: array(&case["ask"]).iter().map(|ask| (ask[0] == true, bits(&ask[1]))).collect(),
        }
    };
    cases.map(case).collect()
}

/// The case with this id.
pub(crate) fn case(id: &str) -> Case {
    cases(id).find(|case| case.id == id).unwrap_or_else(|| panic!("no case {id}"))
}

fn parse() -> Value {
    serde_json::from_str(VECTORS).expect("the vectors are JSON")
}

/// Each message is sent after the echo of the one before; the tag of the wait between the echoes shows that.
fn round_trips_to_wire(case: &Value) -> Value {
    let case = object(case, &["count", "id", "len", "op", "timeout", "unit"]);
    let payload = json!([case["unit"], case["len"]]);
    let kind = if number(&case["op"]) == 1 { "text" } else { "binary" };
    let (mut send, mut expect) = (Vec::new(), Vec::new());
    for trip in 0..ROUND_TRIPS {
        if trip > 0 {
            send.push(json!({"wait": 0, "tag": "echoed"}));
            expect.push(json!(["timeout", "echoed"]));
        }
        send.push(json!({"op": case["op"], "p": payload}));
        expect.push(json!([kind, payload]));
    }
    json!({
        "id": case["id"], "send": send, "expect": {"OK": expect}, "end": ["close", case["timeout"]],
        "close": {"by": "fuzzer", "clean": 1, "codes": [1000]},
    })
}

impl Case {
    /// The number of payload bytes that the fuzzer sends.
    pub(crate) fn payload_len(&self) -> usize {
        let len = |step: &Step| match step {
            Step::Frame { payload, .. } | Step::Fragments { payload, .. } | Step::Data(payload) => payload.len(),
            Step::Head { .. } | Step::Wait(_) => 0,
        };
        self.steps.iter().map(len).sum()
    }

    fn from_json(case: &Value) -> Self {
        let case = object(case, &["close", "codefatal", "end", "expect", "id", "info", "noauto", "send"]);
        let close = object(&case["close"], &["by", "clean", "codes", "fatal"]);
        let code = |code| u16::try_from(number(code)).expect("a code has two bytes");
        let expect = object(&case["expect"], &["OK", "NON-STRICT"]).iter();
        Self {
            id: string(&case["id"]).to_owned(),
            steps: array(&case["send"]).iter().map(Step::from_json).collect(),
            expect: expect
                .map(|(verdict, seen)| (verdict.clone(), array(seen).iter().map(Seen::from_json).collect()))
                .collect(),
            close: ExpectedClose {
                by_fuzzer: is_first(&close["by"], ["fuzzer", "sut"]),
                codes: array(&close["codes"]).iter().map(code).collect(),
                clean: flag(close, "clean", false),
                side_is_fatal: flag(close, "fatal", false),
            },
            code_is_fatal: flag(case, "codefatal", false),
            informational: flag(case, "info", false),
            auto_close: !flag(case, "noauto", false) && is_first(&close["by"], ["fuzzer", "sut"]),
            last_close: if is_first(&case["end"][0], ["kill", "close"]) { b"\x03\xe9".to_vec() } else { Vec::new() },
        }
    }
}

impl Step {
    fn from_json(step: &Value) -> Self {
        let step = object(step, &["chop", "data", "fin", "frag", "head", "op", "p", "raw", "rsv", "tag", "wait"]);
        if step.contains_key("wait") {
            return Self::Wait(step.get("tag").map(|tag| string(tag).to_owned()));
        }
        if let Some(data) = step.get("data") {
            return Self::Data(payload(data));
        }
        if let Some(head) = step.get("head") {
            let head = object(head, &["fin", "len", "op"]);
            return Self::Head { first: first_byte(head), len: number(&head["len"]) };
        }
        let (first, payload) = (first_byte(step), step.get("p").map(payload).unwrap_or_default());
        if let Some(size) = step.get("frag") {
            return Self::Fragments { first, payload, size: number(size) };
        }
        let starts_closing = first & 0xf == 8 && !flag(step, "raw", false);
        Self::Frame { first, payload, chop: step.get("chop").map(number), starts_closing }
    }
}

impl Seen {
    fn from_json(seen: &Value) -> Self {
        match string(&seen[0]) {
            "text" => Self::Text(payload(&seen[1])),
            "binary" => Self::Binary(payload(&seen[1])),
            "ping" => Self::Ping(payload(&seen[1])),
            "pong" => Self::Pong(payload(&seen[1])),
            "timeout" => Self::Timeout(string(&seen[1]).to_owned()),
            other => panic!("no such event: {other}"),
        }
    }
}

/// Short enough to be read when a case fails.
impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, payload) = match self {
            Self::Text(payload) => ("text", payload),
            Self::Binary(payload) => ("binary", payload),
            Self::Ping(payload) => ("ping", payload),
            Self::Pong(payload) => ("pong", payload),
            Self::Timeout(tag) => return write!(f, "timeout {tag}"),
            Self::Illegal(what) => return write!(f, "illegal: {what}"),
        };
        write!(f, "{kind}({}) {}", payload.len(), payload[..payload.len().min(40)].escape_ascii())
    }
}

/// The FIN bit, which is set unless the step says otherwise, the reserved bits and the opcode.
fn first_byte(frame: &Map<String, Value>) -> u8 {
    let fin = u8::from(flag(frame, "fin", true));
    let bits = |key| frame.get(key).map_or(0, |bits| u8::try_from(number(bits)).expect("a few bits"));
    fin << 7 | bits("rsv") << 4 | bits("op")
}

/// Hex, or hex repeated up to a length.
fn payload(value: &Value) -> Vec<u8> {
    match value {
        Value::String(hex) => unhex(hex),
        repeated => {
            let (unit, len) = (unhex(string(&repeated[0])), number(&repeated[1]));
            let mut payload = unit.repeat(len.div_ceil(unit.len()));
            payload.truncate(len);
            payload
        }
    }
}

fn unhex(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("two hex digits");
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// An object that has only these keys: an unknown step or rule must not go unnoticed.
fn object<'v>(value: &'v Value, known: &[&str]) -> &'v Map<String, Value> {
    let object = value.as_object().expect("an object");
    if let Some(unknown) = object.keys().find(|key| !known.contains(&key.as_str())) {
        panic!("unknown key {unknown} in {value}");
    }
    object
}

fn array(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

fn string(value: &Value) -> &str {
    value.as_str().expect("a string")
}

fn number(value: &Value) -> usize {
    value.as_u64().and_then(|number| usize::try_from(number).ok()).expect("a natural number")
}

fn flag(object: &Map<String, Value>, key: &str, default: bool) -> bool {
    object.get(key).map_or(default, |value| number(value) == 1)
}

/// Whether the string is the first of the two allowed ones.
fn is_first(value: &Value, either: [&str; 2]) -> bool {
    let index = either.iter().position(|one| string(value) == *one);
    index.unwrap_or_else(|| panic!("{value} is neither of {either:?}")) == 0
}
