//! The rule in `Output`'s docs: who reads only while the output is below a limit holds little more than that, for a
//! peer that never reads.

use websocket_proto::PreparedMessage;

use super::attacks::{BESIDE, ROLES, open};
use super::peer::{KEPT, READERS, Reader, send_to};
use super::*;

const LIMIT: usize = 4 << 10;

/// How the driver reads, and what it adds to the output itself.
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

    /// Reads as long as the rule allows, and holds the output to it at every event. Returns whether the limit, and not
    /// the end of what the peer sends, stopped it.
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
                        self.ws.send_text(&text, &mut self.output).expect("open");
                    }
                    Event::Binary(data) if self.echoes => {
                        self.ws.send_binary(&data, &mut self.output).expect("open");
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

/// No budget for pongs: the rule alone is to hold.
fn config() -> Config {
    Config::new().max_pending_pong_bytes(usize::MAX)
}

/// Sends what `session` gives for both roles, in reads of every size; all of it calls for more than the limit.
fn flood(echoes: bool, session: impl Fn(Option<[u8; 4]>) -> Vec<u8>) {
    for read in [1, 2, 7, 100, 1500, 64 << 10] {
        for (ws, mask) in [(open_server(config()), Some(KEY)), (open_client_with(config()), None)] {
            let role = ws.role();
            let stopped = Driver::new(ws, echoes).drive(&mut session(mask), read);
            assert!(stopped, "{role:?}, in reads of {read}: the limit was reached");
        }
    }
}

/// A client's pongs are masked: an empty ping of 2 bytes calls for 6, the most that a byte can call for.
#[test]
fn pings_of_every_size() {
    for len in [0, 1, 2, 60, 124, 125] {
        flood(false, |mask| frame(true, Opcode::Ping, mask, &vec![b'p'; len]).repeat(10_000));
    }
    flood(false, |mask| (0..20_000).flat_map(|i| frame(true, Opcode::Ping, mask, &vec![b'p'; i % 126])).collect());
}

/// The bound is not idle: empty pings at a client take most of it.
#[test]
fn three_times_what_was_read() {
    let mut driver = Driver::new(open_client_with(config()), false);
    let mut pings = frame(true, Opcode::Ping, None, b"").repeat(10_000);
    // So that the last read begins just below the limit.
    assert!(!driver.drive(&mut pings[..LIMIT / 6 * 2], usize::MAX));
    assert!(driver.drive(&mut pings[..10_000], usize::MAX));
    assert!(driver.output.len() > LIMIT + 3 * 10_000 - 6, "{}", driver.output.len());
}

#[test]
fn messages_that_are_echoed() {
    for len in [0, 1, 125, 126, 5000] {
        flood(true, |mask| {
            let text = frame(true, Opcode::Text, mask, &vec![b't'; len]);
            [text, frame(true, Opcode::Binary, mask, &vec![0xff; len])].concat().repeat(5000 / (len / 10 + 1) + 4)
        });
    }
}

/// Each echo keeps the pongs before and after it apart, so that none takes another's place, whatever the budget.
#[test]
fn messages_and_pings_in_turn() {
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

/// What ends a connection is owed on top: a Close, or an HTTP response.
#[test]
fn a_fault_behind_the_pings() {
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

/// A bound on what waits is one on what is held: twice as much, or what is kept, and 2.75 times as much while it moves.
#[test]
fn an_output_holds_what_waits() {
    let messages = [&[1, 1, 1][..], &[100, 0, 3000], &[60_000], &[1, 200_000], &[1_000_000, 1, 1, 1]];
    for (role, reader) in ROLES.into_iter().flat_map(|role| READERS.map(|reader| (role, reader))) {
        for (limit, lens) in [1000, 100_000, 1_000_000].into_iter().flat_map(|limit| messages.map(|lens| (limit, lens)))
        {
            let mut ws = open(role, &Config::new());
            let messages: Vec<Vec<u8>> = lens.iter().map(|len| vec![7; *len]).collect();
            let (rounds, mut next) =
                (if lens.iter().any(|&len| len > 3000) { 40 } else { 1000 }, messages.iter().cycle());
            let (backlog, held, peak) = send_to(reader, rounds, limit, |output| {
                ws.send_binary(next.next().expect("it is endless"), output).expect("open");
            });
            let (waiting, most) = (backlog.output.len(), backlog.most);
            assert!(peak <= most * 11 / 4 + 64, "{role:?} {reader:?}, {lens:?}: {peak} at peak, for {most}");
            let kept = KEPT.min(most * 3 / 2 + 64).max(2 * waiting);
            assert!(held <= kept, "{role:?} {reader:?}, {lens:?}: {held} held, for {waiting}, at most {most}");
        }
    }
}

/// References to payloads, and frames that are counted, take a bounded number of bytes each, when most of them are
/// written, too.
#[test]
fn lists_hold_what_waits() {
    const FRAME: usize = 1004;
    for (browser_rules, each) in [(false, 40), (true, 40 + 24)] {
        let config = Config::new().browser_rules(browser_rules);
        let prepared = PreparedMessage::text(&"x".repeat(1000));
        for reader in READERS {
            let mut ws = open(Role::Server, &config);
            // Made when it is sent for the first time.
            ws.send_prepared(&prepared, &mut Output::new()).expect("open");
            let (backlog, held, peak) = send_to(reader, 2000, usize::MAX, |output| {
                for _ in 0..10 {
                    ws.send_prepared(&prepared, output).expect("open");
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

/// A backlog does not get a buffer that is mostly empty: the shared output keeps that.
#[test]
fn a_backlog_gets_no_more_than_waits() {
    let (mut ws, mut shared) = (open_server(Config::new()), Output::new());
    ws.send_binary(&vec![7; 100_000], &mut shared).expect("open");
    shared.advance(shared.len());
    for len in [1, 100, 10_000] {
        ws.send_binary(&vec![7; len], &mut shared).expect("open");
        let waiting = shared.len();
        let (backlog, allocations, held, _) = measure(|| {
            let mut backlog = Output::new();
            backlog.append(&mut shared);
            backlog
        });
        assert_eq!((backlog.len(), allocations, held), (waiting, 1, waiting.cast_signed()));
    }
    // A buffer that is half full moves as it is.
    ws.send_binary(&vec![7; 60_000], &mut shared).expect("open");
    let (backlog, allocations, held, _) = measure(|| {
        let mut backlog = Output::new();
        backlog.append(&mut shared);
        backlog
    });
    assert_eq!((backlog.len() > 60_000, allocations, held), (true, 0, 0));
}

/// One byte that waits does not keep a large buffer, whether it was written or never had anything to do with the rest.
#[test]
fn one_byte_keeps_no_large_buffer() {
    let data = vec![7; 10 << 20];
    for role in ROLES {
        let mut ws = open(role, &Config::new());
        let (output, _, held, peak) = measure(|| {
            let mut output = Output::new();
            ws.send_binary(&data, &mut output).expect("open");
            output.advance(output.len() - 1);
            output
        });
        assert_eq!(output.len(), 1);
        assert!(held < 16, "{held} held");
        assert!(peak.cast_unsigned() <= data.len() + 64, "{peak} at peak");
    }
}
