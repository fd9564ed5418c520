//! The rule in `Output`'s docs: a caller that reads only while the output is below a limit uses little more memory than
//! that, even if the peer never reads.

use websocket_proto::PreparedMessage;

use super::attacks::{BESIDE, ROLES, open};
use super::peer::{KEPT, READERS, Reader, send_to};
use super::*;

const LIMIT: usize = 4 << 10;

/// How the driver reads, and the bytes that it adds to the output.
struct Driver {
    ws: Connection,
    output: Output,
    echoes: bool,
    sent: usize,
}

impl Driver {
    fn new(ws: Connection, echoes: bool) -> Self {
        Self { ws, output: Output::new(), echoes, sent: 0 }
    }

    /// Reads as long as the rule allows, and checks the output's size at every event. Returns whether the limit was
    /// reached before the end of the input.
    fn drive(&mut self, bytes: &mut [u8], read: usize) -> bool {
        for piece in bytes.chunks_mut(read) {
            if self.output.len() >= LIMIT {
                return true;
            }
            let most = LIMIT + 3 * piece.len() + 512;
            let mut input = Input::new(piece);
            while let Some(event) = self.ws.receive(&mut input, &mut self.output) {
                let before = self.output.len();
                match event {
                    Event::Text(text) if self.echoes => {
                        self.ws.send_text(&text, &mut self.output).expect("the connection is open");
                    }
                    Event::Binary(data) if self.echoes => {
                        self.ws.send_binary(&data, &mut self.output).expect("the connection is open");
                    }
                    _ => {}
                }
                self.sent += self.output.len() - before;
                let own = self.output.len() - self.sent;
                assert!(own <= most, "{own} bytes wait in reads of {read}, beside {} that were sent", self.sent);
            }
        }
        self.output.len() >= LIMIT
    }
}

/// No budget for pongs: only the rule limits the output.
fn config() -> Config {
    Config::new().max_pending_pong_bytes(usize::MAX)
}

/// Receives the session in both roles, in reads of every size; its answers exceed the limit.
fn flood(echoes: bool, session: impl Fn(Option<[u8; 4]>) -> Vec<u8>) {
    for read in [1, 2, 7, 100, 1500, 64 << 10] {
        for (ws, mask) in [(open_server(config()), Some(KEY)), (open_client_with(config()), None)] {
            let role = ws.role();
            let stopped = Driver::new(ws, echoes).drive(&mut session(mask), read);
            assert!(stopped, "{role:?}, in reads of {read}: the limit was reached");
        }
    }
}

/// A client masks its pongs: an empty ping of 2 bytes causes a pong of 6, the most per received byte.
#[test]
fn pings_of_every_size() {
    for len in [0, 1, 2, 60, 124, 125] {
        flood(false, |mask| frame(true, Opcode::Ping, mask, &vec![b'p'; len]).repeat(10_000));
    }
    flood(false, |mask| (0..20_000).flat_map(|i| frame(true, Opcode::Ping, mask, &vec![b'p'; i % 126])).collect());
}

/// The bound is tight: empty pings to a client reach most of it.
#[test]
fn empty_pings_to_a_client_reach_most_of_the_bound() {
    let mut driver = Driver::new(open_client_with(config()), false);
    let mut pings = frame(true, Opcode::Ping, None, b"").repeat(10_000);
    // So that the last read starts just below the limit.
    assert!(!driver.drive(&mut pings[..LIMIT / 6 * 2], usize::MAX));
    assert!(driver.drive(&mut pings[..10_000], usize::MAX));
    assert!(driver.output.len() > LIMIT + 3 * 10_000 - 6, "{}", driver.output.len());
}

#[test]
fn echoed_messages_keep_the_output_bounded() {
    for len in [0, 1, 125, 126, 5000] {
        flood(true, |mask| {
            let text = frame(true, Opcode::Text, mask, &vec![b't'; len]);
            [text, frame(true, Opcode::Binary, mask, &vec![0xff; len])].concat().repeat(5000 / (len / 10 + 1) + 4)
        });
    }
}

/// Each echo separates the pongs before and after it, so that none replaces another, whatever the budget.
#[test]
fn alternating_messages_and_pings_keep_the_output_bounded() {
    let session = |mask| {
        let text = frame(true, Opcode::Text, mask, b"t");
        [frame(true, Opcode::Ping, mask, b""), text, frame(true, Opcode::Ping, mask, &[7; 125])].concat().repeat(2000)
    };
    flood(true, session);
    for read in [1, 100, 64 << 10] {
        let ws = open_server(Config::new().max_pending_pong_bytes(0));
        assert!(Driver::new(ws, true).drive(&mut session(Some(KEY)), read));
    }
}

/// The last answer comes on top of the bound: a Close, or an HTTP response.
#[test]
fn a_fault_after_pings_adds_one_answer() {
    let mut pings = frame(true, Opcode::Ping, Some(KEY), b"").repeat(LIMIT / 2 - 1);
    pings.extend([0xff; 6]);
    let mut driver = Driver::new(open_server(config()), false);
    driver.drive(&mut pings, usize::MAX);
    assert!(driver.ws.is_closed());

    let mut malformed = b"GET / HTTP/1.1\r\n\r\n".to_vec();
    let mut driver = Driver::new(Connection::server(config()), false);
    driver.drive(&mut malformed, usize::MAX);
    assert!(driver.ws.is_closed() && !driver.output.is_empty());
}

/// An output's memory is bounded by its waiting bytes: at most twice their number, or the minimum that it keeps; 2.75
/// times while it moves them.
#[test]
fn an_outputs_memory_is_bounded_by_its_waiting_bytes() {
    let messages = [&[1, 1, 1][..], &[100, 0, 3000], &[60_000], &[1, 200_000], &[1_000_000, 1, 1, 1]];
    for (role, reader) in ROLES.into_iter().flat_map(|role| READERS.map(|reader| (role, reader))) {
        for (limit, lens) in [1000, 100_000, 1_000_000].into_iter().flat_map(|limit| messages.map(|lens| (limit, lens)))
        {
            let mut ws = open(role, &Config::new());
            let messages: Vec<Vec<u8>> = lens.iter().map(|len| vec![7; *len]).collect();
            let (rounds, mut next) =
                (if lens.iter().any(|&len| len > 3000) { 40 } else { 1000 }, messages.iter().cycle());
            let (backlog, held, peak) = send_to(reader, rounds, limit, |output| {
                ws.send_binary(next.next().expect("the session reaches the limit"), output)
                    .expect("the connection is open");
            });
            let (waiting, most) = (backlog.output.len(), backlog.most);
            assert!(peak <= most * 11 / 4 + 64, "{role:?} {reader:?}, {lens:?}: {peak} at peak, for {most}");
            let kept = KEPT.min(most * 3 / 2 + 64).max(2 * waiting);
            assert!(held <= kept, "{role:?} {reader:?}, {lens:?}: {held} held, for {waiting}, at most {most}");
        }
    }
}

/// References to payloads, and the list of counted frames, take a bounded number of bytes each, also when most frames
/// are written.
#[test]
fn lists_are_bounded_by_the_waiting_frames() {
    const FRAME: usize = 1004;
    for (browser_rules, each) in [(false, 40), (true, 40 + 24)] {
        let config = Config::new().browser_rules(browser_rules);
        let prepared = PreparedMessage::text(&"x".repeat(1000));
        for reader in READERS {
            let mut ws = open(Role::Server, &config);
            // The first send compresses it.
            ws.send_prepared(&prepared, &mut Output::new()).expect("the connection is open");
            let (backlog, held, peak) = send_to(reader, 2000, usize::MAX, |output| {
                for _ in 0..10 {
                    ws.send_prepared(&prepared, output).expect("the connection is open");
                }
            });
            let (waiting, most) = (backlog.output.len().div_ceil(FRAME), backlog.most.div_ceil(FRAME));
            assert!(most > 1000 || matches!(reader, Reader::Gulps | Reader::AllButOne), "{most} frames waited");
            assert!(peak <= most * each * 11 / 4 + BESIDE, "{reader:?}: {peak} at peak, for {most} frames");
            let kept = (2 * waiting).max(64) * each;
            assert!(held <= kept + BESIDE, "{reader:?}: {held} held, for {waiting} frames");
        }
    }
}

/// `append` gives a backlog no buffer that is mostly empty: the shared output keeps that.
#[test]
fn a_backlog_gets_no_mostly_empty_buffer() {
    let (mut ws, mut shared) = (open_server(Config::new()), Output::new());
    ws.send_binary(&vec![7; 100_000], &mut shared).expect("the connection is open");
    shared.advance(shared.len());
    for len in [1, 100, 10_000] {
        ws.send_binary(&vec![7; len], &mut shared).expect("the connection is open");
        let waiting = shared.len();
        let (backlog, allocations, held, _) = measure(|| {
            let mut backlog = Output::new();
            backlog.append(&mut shared);
            backlog
        });
        assert_eq!((backlog.len(), allocations, held), (waiting, 1, waiting.cast_signed()));
    }
    // A buffer that is half full moves without a copy.
    ws.send_binary(&vec![7; 60_000], &mut shared).expect("the connection is open");
    let (backlog, allocations, held, _) = measure(|| {
        let mut backlog = Output::new();
        backlog.append(&mut shared);
        backlog
    });
    assert_eq!((backlog.len() > 60_000, allocations, held), (true, 0, 0));
}

/// One waiting byte keeps no large buffer, neither as the rest of its content nor moved into it.
#[test]
fn one_waiting_byte_keeps_no_large_buffer() {
    let data = vec![7; 10 << 20];
    for role in ROLES {
        let mut ws = open(role, &Config::new());
        let (output, _, held, peak) = measure(|| {
            let mut output = Output::new();
            ws.send_binary(&data, &mut output).expect("the connection is open");
            output.advance(output.len() - 1);
            output
        });
        assert_eq!(output.len(), 1);
        assert!(held < 16, "{held} held");
        assert!(peak.cast_unsigned() <= data.len() + 64, "{peak} at peak");
    }
}
